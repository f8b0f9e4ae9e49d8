# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""Restores of one database: backups with their contents, requests, and what must be on the server afterwards."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils._jobs.restore_plan import RestorePlan, RestoreRequest
from tests.backup_parts import NAME, make_backup
from tests.dump import truth

from .sample import literal, quoted
from .sandbox import Outcome, Sandbox
from .server import Server

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
TOKEN = "abc123"


@dataclass(frozen=True)
class Backup:
    """A backup's compressed bytes, and its contents as backup_fetch returns them; its manifest, if a run made it."""

    data: bytes
    contents: dict[str, Any]
    manifest: str = ""
    name: str = NAME

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def back_up(server: Server, *arguments: str) -> Backup:
    return backup_of(truth.dump(server, "pg_dumpall", *arguments))


def backup_of(text: bytes) -> Backup:
    """A backup with this text, which another program wrote: one gzip member, no manifest."""
    reader = DumpReader()
    reader.feed(text)
    # As it is read from JSON.
    return Backup(gzip.compress(text, 1), json.loads(json.dumps(reader.finish().to_dict())))


def as_of_run(backup: Backup, *without: str, name: str = NAME) -> Backup:
    """The same text as a run makes a backup of it: a gzip member for each part, and a manifest."""
    parts = make_backup(
        gzip.decompress(backup.data), name=name, without=dict.fromkeys(without, "invalid page in block 0")
    )
    return Backup(parts.file, backup.contents, parts.manifest, name)


@dataclass(frozen=True)
class Live:
    """A server with hostile databases, and a backup of it."""

    server: Server
    backup: Backup


def text_of(server: Server, database: str) -> bytes:
    """The output of pg_dump for it."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return truth.dump(server, "pg_dump", "--restrict-key=key", f"--dbname=dbname='{escaped}'")


def shape(server: Server, database: str) -> list[str]:
    """The database-level properties: owner, encoding, locale, limits, ACL, comment, settings."""
    found = server.sql(
        "SELECT json_build_array(datdba::regrole::text, encoding, to_json(d)->>'datlocprovider', datcollate, datctype,"
        " datistemplate, datallowconn, datconnlimit,"
        " (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) AS a), dattablespace,"
        " shobj_description(d.oid, 'pg_database'), (SELECT json_agg(json_build_array(setrole::regrole::text, setconfig)"
        " ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid))"
        f" FROM pg_database d WHERE datname = {literal(database)};"
    )
    values: list[str] = json.loads(found)
    return values


def names(server: Server) -> set[str]:
    return {json.loads(line) for line in server.sql("SELECT to_json(datname::text) FROM pg_database;").splitlines()}


def request_of(backup: Backup, database: str, **more: Any) -> RestoreRequest:
    """With the stronger proof: the hash and the rows of the contents."""
    return request(database, **{"backup": backup.name, "sha256": backup.sha256, "contents": backup.contents, **more})


def request(database: str, **more: Any) -> RestoreRequest:
    """From the volume alone."""
    return RestoreRequest(database, **{"token": TOKEN, "now": NOW, **more})


def prepare(sandbox: Sandbox, server: Server, *backups: Backup) -> None:
    """Put backups on the volume: with a manifest and a checksum file, or with neither."""
    sandbox.server = server
    for backup in backups:
        for ending in (".sha256", ".json"):
            (sandbox.volume / f"{backup.name}{ending}").unlink(missing_ok=True)
        (sandbox.volume / backup.name).write_bytes(backup.data)
        if backup.manifest:
            (sandbox.volume / f"{backup.name}.sha256").write_text(f"{backup.sha256}  {backup.name}\n")
            (sandbox.volume / f"{backup.name}.json").write_text(backup.manifest)


def restore(sandbox: Sandbox, plan: RestorePlan, **env: str | None) -> Outcome:
    return sandbox.run("_restore", env={**plan.variables, **env})


def drop(server: Server, *databases: str) -> None:
    for name in databases:
        server.sql(f"ALTER DATABASE {quoted(name)} IS_TEMPLATE false;")
        server.sql(f"DROP DATABASE {quoted(name)};")


def assert_failed(outcome: Outcome, server: Server, before: Any, *words: str) -> None:
    """It reports the reason, and the server is unchanged."""
    assert outcome.code == 1, outcome.log
    assert (outcome.result["state"], outcome.result["operation"]) == ("failed", "restore")
    for word in words:
        assert word in outcome.result["reason"], outcome.result["reason"]
        assert word in outcome.log, outcome.log
    assert state_of(server) == before, outcome.log


def state_of(server: Server) -> Any:
    """Databases with their properties, and roles."""
    return (
        {name: shape(server, name) for name in sorted(names(server))},
        server.sql("SELECT oid, datname FROM pg_database ORDER BY oid;"),
        server.sql("SELECT rolname, rolpassword, rolsuper FROM pg_authid ORDER BY rolname;"),
    )
