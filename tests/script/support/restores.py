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
from tests.dump import truth

from .sample import literal, quoted
from .sandbox import Outcome, Sandbox
from .server import Server

NAME = "postgres-backup-2026-11-22-020000.sql.gz"
NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
TOKEN = "abc123"


@dataclass(frozen=True)
class Backup:
    """A backup's compressed bytes, and its contents as backup_fetch returns them."""

    data: bytes
    contents: dict[str, Any]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def back_up(server: Server, *arguments: str) -> Backup:
    return backup_of(truth.dump(server, "pg_dumpall", *arguments))


def backup_of(text: bytes) -> Backup:
    reader = DumpReader()
    reader.feed(text)
    # As it is read from JSON.
    return Backup(gzip.compress(text, 1), json.loads(json.dumps(reader.finish().to_dict())))


def remade(text: bytes) -> Backup:
    """A backup with this text, and its contents."""
    reader = DumpReader()
    reader.feed(text)
    return Backup(gzip.compress(text, 1), reader.finish().to_dict())


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
    return request(database, **{"backup": NAME, "sha256": backup.sha256, "contents": backup.contents, **more})


def request(database: str, **more: Any) -> RestoreRequest:
    """From the volume alone."""
    return RestoreRequest(database, **{"token": TOKEN, "now": NOW, **more})


def prepare(sandbox: Sandbox, server: Server, backup: Backup) -> None:
    """A backup that another program wrote: without a manifest, and without a checksum file."""
    sandbox.server = server
    (sandbox.volume / NAME).write_bytes(backup.data)


def run_backup(sandbox: Sandbox, server: Server, code: int = 0) -> str:
    """Make a backup with `backup.sh run`; its name."""
    sandbox.server = server
    (sandbox.script.parent / "files.txt").exists()
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_RESTART_SECONDS": "0"}).check(code)
    name = outcome.result["backup"]
    assert isinstance(name, str)
    return name


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
