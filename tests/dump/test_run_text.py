# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The text of a run, which dumps database by database, is pg_dumpall's own."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.script.support import combinations
from tests.script.support.programs import root_filesystem, wrap
from tests.script.support.sandbox import Sandbox
from tests.script.support.script_files import copy_script
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

from . import hostile
from .conftest import Pair

# As a run passes them on, each with a reason to differ: DROP statements, session authorization, INSERTs, no comments.
ARGUMENTS = {
    "none": [],
    "clean": ["--clean", "--if-exists"],
    "inserts": ["--inserts", "--rows-per-insert", "7", "-x"],
    "session authorization": ["--use-set-session-authorization", "--no-comments", "--quote-all-identifiers"],
    "joined letters": ["-Ox"],
}


def _sandbox(workspace: Workspace, server: Server) -> Sandbox:
    combination = combinations.PAIRINGS[int(server.programs.major) % len(combinations.PAIRINGS)]
    path = combinations.make_path(combination, workspace.directory("path"))
    sandbox = Sandbox(workspace, combination, path, copy_script(workspace.directory("script")))
    sandbox.server = server
    return sandbox


def _pg_dumpall(server: Server, arguments: list[str]) -> bytes:
    # In the encodings of the databases: a database in SQL_ASCII may have bytes that are not UTF-8.
    environment = {name: value for name, value in server.environment().items() if name != "PGCLIENTENCODING"}
    command = [str(server.programs.path("pg_dumpall")), "--no-password", "--database=postgres", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout


def _comparable(text: bytes) -> bytes:
    """Without the keys of \\restrict, which are random."""
    return re.sub(rb"(?m)^(\\(?:un)?restrict) \S+$", rb"\1", text)


def _run(sandbox: Sandbox, arguments: list[str]) -> tuple[bytes, Path]:
    result = sandbox.run("run", env={"POSTGRES_BACKUP_EXTRA_ARGS": "\n".join(arguments)}).check().result
    path = sandbox.volume / result["backup"]
    text = gzip.decompress(path.read_bytes())
    header, end, body = text.partition(b"\n--\n\n")
    assert header.startswith(b"-- Backup made by homelab.postgres_backup ")
    assert end
    return body, path


def _check(sandbox: Sandbox, server: Server, arguments: list[str]) -> None:
    body, path = _run(sandbox, arguments)
    assert _comparable(body) == _comparable(_pg_dumpall(server, arguments))
    _check_parts(path)


def _check_parts(path: Path) -> None:
    """Each part of the manifest is a separate gzip member."""
    manifest = json.loads(path.with_name(f"{path.name}.json").read_bytes().decode("ascii"))
    data = path.read_bytes()
    text = gzip.decompress(data)
    parts = [part for part in manifest["parts"] if part["result"] == "dumped"]
    assert [part["kind"] for part in parts] == ["globals", *["database"] * (len(parts) - 2), "end"]
    offset = text_offset = 0
    for part in parts:
        assert (part["offset_bytes"], part["text_offset_bytes"]) == (offset, text_offset)
        member = gzip.decompress(data[offset : offset + part["length_bytes"]])
        assert len(member) == part["text_length_bytes"]
        offset += part["length_bytes"]
        text_offset += len(member)
        assert member == text[text_offset - len(member) : text_offset]
    assert (offset, text_offset) == (len(data), len(text))
    assert (manifest["bytes"], manifest["uncompressed_bytes"]) == (len(data), len(text))


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_the_text_is_that_of_pg_dumpall(pair: Pair, arguments: str) -> None:
    _check(_sandbox(pair.workspace, pair.full), pair.full, ARGUMENTS[arguments])


@pytest.fixture(scope="module")
def oldest() -> Iterator[tuple[Workspace, Server]]:
    """PostgreSQL 13, the oldest version whose dumps are compared."""
    with ExitStack() as stack:
        space = Workspace()
        stack.callback(space.close)
        programs = wrap(space.show(root_filesystem("13")), "13", space.directory("postgresql"))
        server = stack.enter_context(Server(programs, space.directory("server", mode=0o777)).create())
        hostile.fill(server, space.directory("spaces", mode=0o777))
        yield space, server


def test_the_text_is_that_of_pg_dumpall_13(oldest: tuple[Workspace, Server]) -> None:
    _check(_sandbox(*oldest), oldest[1], [])


def test_the_statements_of_the_manifest_make_the_same_database(pair: Pair) -> None:
    """Comment, settings and rights, which PostgreSQL keeps outside of the database."""
    _, path = _run(_sandbox(pair.workspace, pair.full), [])
    manifest = json.loads(path.with_name(f"{path.name}.json").read_text())
    (app,) = (part for part in manifest["parts"] if part["name"] == "app")
    assert app["owner"] == "-r"
    assert [extension["name"] for extension in app["extensions"]] == ["file_fdw", "hstore", "plpgsql"]
    query = """
        SELECT to_json(ARRAY[shobj_description(d.oid, 'pg_database'),
            (SELECT string_agg(format('%s %s', setrole::regrole, setting), ',' ORDER BY setrole::regrole::text, setting)
                FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting WHERE setdatabase = d.oid),
            (SELECT string_agg(format('%s %s %s %s', pg_get_userbyid(grantor), grantee::regrole, privilege_type,
                is_grantable), ',' ORDER BY grantor::regrole::text, grantee::regrole::text, privilege_type)
                FROM aclexplode(datacl))])
        FROM pg_database AS d WHERE datname = 'app'"""
    with pair.empty() as fresh:
        # The folder of the tablespace is in use.
        fresh.load(_pg_dumpall(pair.full, ["--globals-only"]))
        fresh.sql('CREATE DATABASE app OWNER "-r";')
        assert fresh.sql(query) != pair.full.sql(query)
        fresh.sql("\n".join(app["statements"]))
        assert fresh.sql(query) == pair.full.sql(query)
