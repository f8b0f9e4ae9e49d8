# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A server whose messages are not English: a run asks for English ones, if its user may set the language."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import sample
from ..support.programs import DEFAULT_VERSION, root_filesystem, wrap
from ..support.sandbox import Sandbox
from ..support.server import PASSWORD, Server
from ..support.workspace import Workspace

# In PostgreSQL's German catalog (src/backend/po/de.po).
GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "ERROR": "FEHLER",
    "canceling statement due to statement timeout": "storniere Anfrage wegen Zeitüberschreitung der Anfrage",
    "division by zero": "Division durch Null",
}


def _catalog(messages: dict[str, str]) -> bytes:
    """A catalog as msgfmt writes it (GNU gettext, "The Format of GNU MO Files"), without its hash table."""
    entries = sorted((original.encode(), text.encode()) for original, text in messages.items())
    at = 28 + 16 * len(entries)
    tables: list[bytes] = []
    texts = b""
    for column in (0, 1):
        for entry in entries:
            tables.append(struct.pack("<II", len(entry[column]), at + len(texts)))
            texts += entry[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, at)
    return head + b"".join(tables) + texts


@pytest.fixture
def german_server(workspace: Workspace, template: Server) -> Iterator[Server]:
    """With a locale that this machine need not have: a copy of C.UTF-8 under a German name."""
    root = workspace.show(root_filesystem(DEFAULT_VERSION))
    folder = workspace.directory("german", mode=0o777)
    programs = wrap(root, DEFAULT_VERSION, folder)
    shutil.copytree(root / "usr/lib/locale/C.utf8", folder / "locales/de_DE.utf8")
    catalog = folder / "usr/share/locale/de/LC_MESSAGES" / f"postgres-{DEFAULT_VERSION}.mo"
    catalog.parent.mkdir(parents=True)
    catalog.write_bytes(_catalog(GERMAN))
    wrapper: Path = programs.path("postgres")
    wrapper.write_text(wrapper.read_text().replace("exec ", f"export LOCPATH='{folder}/locales'\nexec ", 1))
    data = workspace.directory("german-server", mode=0o777)
    copy = template.clone(data)
    with Server(programs, copy.directory) as server:
        server.sql("ALTER SYSTEM SET lc_messages = 'de_DE.UTF-8';")
        server.sql("SELECT pg_reload_conf(), pg_sleep(0.3);")
        with pytest.raises(AssertionError, match="FEHLER:  Division durch Null"):
            server.sql("SELECT 1 / 0;")
        server.sql("CREATE TABLE busy ();")
        yield server
    workspace.remove(folder)


@pytest.mark.parametrize("is_superuser", [True, False])
def test_a_server_that_does_not_speak_english(sandbox: Sandbox, german_server: Server, is_superuser: bool) -> None:
    """A superuser gets advice as everywhere; anybody else the server's words, and the same incomplete backup."""
    sandbox.server = german_server
    environment = {"POSTGRES_BACKUP_LOCK_TIMEOUT": "2s"}
    if not is_superuser:
        german_server.sql(f"CREATE ROLE bk LOGIN PASSWORD {sample.literal(PASSWORD)}; GRANT pg_read_all_data TO bk;")
        environment["POSTGRES_BACKUP_USER"] = "bk"
    with german_server.locked("busy", "postgres"):
        outcome = sandbox.run("run", env=environment)
    failure = outcome.result["failed_databases"][0]
    assert (outcome.result["backup_state"], failure["database"]) == ("incomplete", "postgres"), outcome.log
    assert ("Another session holds a lock" in failure["advice"]) is is_superuser
    assert ("canceling statement" if is_superuser else "storniere Anfrage wegen Zeitüberschreitung") in failure["error"]
