# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the reader reports for foreign and modified dumps, compared with what psql does with them."""

from __future__ import annotations

import subprocess

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader
from tests import in_turn
from tests.script.support.sample import quoted
from tests.script.support.server import Server

from . import truth
from .conftest import Pair
from .foreign import TEXTS, Foreign

# A server of today does not know it.
_NOT_BY_TODAYS_SERVER = {"with-oids"}
# psql does not report an error for these, although no dump contains them.
_WITHOUT_ERROR = {
    "rows-before", "rows-among-the-globals", "rolled-back", "zero-bytes", "zero-bytes-among-rows", "copy-where",
    "copy-of-another-database", "copy-to-a-file", "insert-select", "insert-select-values", "insert-or-update",
    "insert-returning", "update",
}  # fmt: skip
_ONLY_BEFORE_18 = {"crlf-outside-of-rows", "crlf-rows-alone"}


@pytest.mark.parametrize("form", ["foreign"])
def test_psql_restores_what_is_complete_and_stops_in_what_is_not(pair: Pair, form: str) -> None:
    assert form
    skipped = _WITHOUT_ERROR | (_ONLY_BEFORE_18 if int(pair.version) >= 18 else set())
    with pair.empty() as server:
        server.sql("CREATE ROLE alice;")
        # Every text is read each day (tests/unit); psql's word on all of them is for the weekly run.
        for name, each in [*TEXTS.items()][:: 1 if in_turn.ALL else 3]:
            if each.complete and name not in _NOT_BY_TODAYS_SERVER:
                _restores(server, name, each)
            elif each.reason in ("message", "rows", "unfinished") and name not in skipped:
                _stops(server, name, each)


def _restores(server: Server, name: str, each: Foreign) -> None:
    reader = DumpReader()
    reader.feed(each.text)
    contents = reader.finish()
    _feed(server, each.text)
    for database in contents.databases:
        where = "fresh" if database.name is None else database.name
        expected = {(table.schema, table.name): table.rows for table in database.tables}
        assert truth.tables(server, where) == expected, (name, where)
    _clean(server)


def _stops(server: Server, name: str, each: Foreign) -> None:
    errors = _feed(server, each.text)
    assert [line for line in errors if not _is_of_the_server(line)], name
    _clean(server)


def _feed(server: Server, text: bytes) -> list[str]:
    """Through psql, as somebody would who restores by hand; returns its errors."""
    for database in ("fresh", "app"):
        server.sql(f"DROP DATABASE IF EXISTS {database};")
    server.sql("CREATE DATABASE fresh TEMPLATE template0 STRATEGY file_copy;")
    command = [str(server.programs.path("psql")), "-X", "-q", "-o", "/dev/null", "-d", "fresh"]
    environment = {**truth._environment(server), "PGCLIENTENCODING": "UTF8"}
    done = subprocess.run(
        command,
        env=environment,
        input=text.replace(b"SET search_path = other", b"CREATE SCHEMA other; SET search_path = other"),
        capture_output=True,
        check=False,
    )
    return [
        line
        for line in done.stderr.decode(errors="replace").splitlines()
        if "ERROR:" in line or "error:" in line or "invalid command" in line
    ]


def _is_of_the_server(error: str) -> bool:
    """What every dump of another cluster meets: the roles and databases that are there."""
    return "already exists" in error


def _clean(server: Server) -> None:
    names = set(truth.databases(server)) - {"postgres", "template1"}
    for name in sorted(names):
        server.sql(f"DROP DATABASE {quoted(name)};")
