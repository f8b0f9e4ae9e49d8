# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""restore-kit.sh: a backup in any folder, and servers and rows that a restore could trip over."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .support.combinations import Combination, under_one
from .support.script_files import write_kit
from .support.programs import Programs
from .support.server import Server
from .support.workspace import Workspace, as_user

# Lines of rows and functions that a reader of the text could take for something else.
HOSTILE = r"""ALTER DATABASE app SET work_mem = '1MB';
GRANT ALL ON DATABASE app TO app;
-- Database "app" dump
-- PostgreSQL database dump
-- PostgreSQL database cluster dump complete
\connect template1
\.
SET client_encoding = 'LATIN2';
CREATE DATABASE app;
psql:<stdin>:5: ERROR:  0A000: conversion between LATIN1 and LATIN2 is not supported"""
ENCODINGS = {
    "latin1": ("LATIN1", "é"),
    "latin2": ("LATIN2", "ž"),
    "win1251": ("WIN1251", "Ж"),
    "euc_jp": ("EUC_JP", "日本"),
    "latin9": ("LATIN9", "€"),
    "utf8": ("UTF8", "日€Ж"),
}
FILL = (
    f"""
CREATE ROLE app LOGIN PASSWORD 'old' CREATEDB;
CREATE ROLE team;
CREATE ROLE "o'brien ""of"" ALTER ROLE team;" LOGIN PASSWORD 'hers' CONNECTION LIMIT 3;
COMMENT ON ROLE team IS E'\\\\connect x\\n\\\\connect x\\n-- Database "x" dump\\nit''s; "so";\\nCREATE ROLE app;\\n';
ALTER ROLE team SET application_name = E'a\\\\''b\\n-- Database "x" dump\\n"';
GRANT team TO app, "o'brien ""of"" ALTER ROLE team;";
CREATE DATABASE app OWNER app;
CREATE DATABASE "A b""c'd\\e" OWNER team;
ALTER DATABASE app SET work_mem = '8MB';
ALTER DATABASE app CONNECTION LIMIT 17;
COMMENT ON DATABASE app IS 'the app''s';
GRANT CREATE ON DATABASE app TO team;
ALTER ROLE app IN DATABASE app SET application_name = 'it';
CREATE DATABASE reads;
\\connect reads
CREATE TABLE t AS SELECT 1 AS n;
ALTER DATABASE reads SET default_transaction_read_only = on;
\\connect app
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE t (n serial PRIMARY KEY, v text);
INSERT INTO t (v) SELECT regexp_split_to_table($hostile${HOSTILE}$hostile$, E'\\n');
INSERT INTO t (v) VALUES ($hostile${HOSTILE}$hostile$), (E'tab\\tback\\\\slash'), (NULL), ('');
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $body$ SELECT $hostile$
{HOSTILE}
$hostile$::text $body$;
"""
    + "".join(
        f"""CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C';
\\connect {name}
CREATE TABLE t AS SELECT '{text}'::text AS v
    UNION ALL SELECT regexp_split_to_table($hostile${HOSTILE}$hostile$, E'\\n');
"""
        for name, (encoding, text) in ENCODINGS.items()
    )
    + """
CREATE ROLE "müller";
ALTER DATABASE win1251 OWNER TO "müller";
"""
)
DATABASES = ["app", "A b\"c'd\\e", "reads", *ENCODINGS]
HASH = "SELECT rolpassword FROM pg_authid WHERE rolname = "


def dump(server: Server, program: str, *arguments: str) -> bytes:
    """Each database in its own encoding, as a run does."""
    environment = {name: value for name, value in server.environment().items() if name != "PGCLIENTENCODING"}
    command = [str(server.programs.path(program)), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


def dumped(server: Server, program: str, *arguments: str) -> str:
    """The same without the key that differs in each dump."""
    return re.sub(r"^\\(un)?restrict .*\n", "", dump(server, program, *arguments).decode("latin-1"), flags=re.M)


def database(server: Server, name: str) -> str:
    """One database as pg_dump shows it, with its own settings and rights, and its text as bytes."""
    return dumped(server, "pg_dump", "--create", "-d", "dbname='{}'".format(re.sub(r"([\\'])", r"\\\1", name)))


@dataclass
class Source:
    """A server: its backup, and what is in it."""

    backup: Path
    databases: dict[str, str]


@pytest.fixture(scope="module")
def source(workspace: Workspace, template: Server) -> Iterator[Source]:
    directory = workspace.directory("runbook-source", mode=0o777)
    with template.clone(directory) as server:
        server.sql(FILL)
        backup = workspace.directory("runbook", mode=0o755) / "a backup's.sql.gz"
        made = dump(server, "pg_dumpall")
        old = re.sub(rb"(ALTER ROLE postgres .*) PASSWORD '[^']*'", rb"\1 PASSWORD 'of another time'", made)
        assert old != made
        backup.write_bytes(gzip.compress(old))
        backup.chmod(0o644)
        yield Source(backup, {name: database(server, name) for name in DATABASES})
    workspace.remove(directory)


Kit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def kit_file(workspace: Workspace) -> Path:
    return write_kit(workspace.directory("a kit's", mode=0o755))


@pytest.fixture
def kit(
    combination: Combination,
    paths: Callable[[Combination], list[Path]],
    kit_file: Path,
    workspace: Workspace,
    postgresql: Programs,
) -> Iterator[Kit]:
    """Runs the kit as a user who may read it and the backup, with PostgreSQL's client programs."""
    tmp = workspace.directory("kit-tmp", workspace.uid)

    def run(
        *arguments: str | Path, server: Server | None = None, shims: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        path = [*([shims] if shims else []), *paths(combination), postgresql.bin]
        environment = (server.environment() if server else {}) | {"PATH": ":".join(map(str, path)), "TMPDIR": str(tmp)}
        shell = next(part / "sh" for part in path if (part / "sh").exists())
        command = [*as_user(workspace.uid), str(shell), str(kit_file), *map(str, arguments)]
        return subprocess.run(
            command, env=environment | more, stdin=subprocess.DEVNULL, cwd="/", capture_output=True, text=True, check=False
        )

    yield run
    assert not list(tmp.iterdir())


@pytest.fixture
def restore(kit: Kit, fresh_server: Server, source: Source) -> Kit:
    def run(backup: Path = source.backup, shims: Path | None = None) -> subprocess.CompletedProcess[str]:
        return kit("restore", backup, server=fresh_server, shims=shims)

    return run


def assert_restored(server: Server, source: Source) -> None:
    for name, text in source.databases.items():
        assert database(server, name) == text
    assert server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'restore%'") == "0"


def test_a_server_whose_chart_made_the_role_and_the_database(
    restore: Kit, fresh_server: Server, source: Source
) -> None:
    fresh_server.sql("CREATE ROLE app LOGIN PASSWORD 'new'; CREATE DATABASE app OWNER app; CREATE DATABASE other;")
    fresh_server.sql('CREATE DATABASE "A b""c\'d\\e"; CREATE DATABASE latin1;')
    before = [fresh_server.sql(HASH + f"'{name}'") for name in ("postgres", "app")]
    done = restore()
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert "left as it is: ROLE app" in done.stderr and "dropping the database app, which" in done.stderr
    assert [fresh_server.sql(HASH + f"'{name}'") for name in ("postgres", "app")] == before
    assert fresh_server.sql("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'app'") == "f"
    assert fresh_server.sql("SELECT roleid::regrole FROM pg_auth_members WHERE member = 'app'::regrole") == "team"
    assert_restored(fresh_server, source)
    # What holds something is not restored into a second time, and loses nothing.
    again = restore()
    assert again.returncode == 1
    assert "exists and holds" in again.stderr
    assert_restored(fresh_server, source)


def test_a_fresh_server_gets_every_role(restore: Kit, fresh_server: Server, source: Source) -> None:
    done = restore()
    assert done.returncode == 0, done.stderr
    globals_of_source = re.sub(
        r".*ROLE postgres.*\n",
        "",
        gzip.decompress(source.backup.read_bytes()).decode("latin-1").partition("\\connect t")[0],
    )
    for line in dumped(fresh_server, "pg_dumpall", "--globals-only").splitlines():
        assert line in globals_of_source or "ROLE postgres" in line or "complete" in line
    assert_restored(fresh_server, source)


def test_a_restore_that_stopped_is_run_again(restore: Kit, fresh_server: Server, source: Source) -> None:
    fresh_server.sql("CREATE DATABASE latin2")
    fresh_server.sql("CREATE TABLE t (v text); INSERT INTO t VALUES ('mine')", "latin2")
    done = restore()
    assert done.returncode == 1
    assert "the database latin2 exists and holds 1 objects" in done.stderr
    assert fresh_server.sql("TABLE t", "latin2") == "mine"
    made = re.findall(r"^DROP DATABASE .*;$", done.stderr, re.M)
    assert "DROP DATABASE app;" in made and "DROP DATABASE latin2;" not in made
    fresh_server.sql("\n".join([*made, "DROP DATABASE latin2;"]))
    done = restore()
    assert done.returncode == 0, done.stderr
    assert_restored(fresh_server, source)


@under_one
@pytest.mark.parametrize(
    "holds",
    [
        "CREATE TABLE t ()",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SEQUENCE s",
        "CREATE SCHEMA s",
        "CREATE TYPE e AS ENUM ('a')",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT lo_create(0)",
    ],
)
def test_a_database_that_holds_anything_is_not_dropped(restore: Kit, fresh_server: Server, holds: str) -> None:
    fresh_server.sql("CREATE DATABASE app")
    fresh_server.sql(holds, "app")
    done = restore()
    assert done.returncode == 1
    assert "the database app exists and holds 1 objects" in done.stderr


@under_one
def test_a_backup_that_is_cut(restore: Kit, fresh_server: Server, source: Source) -> None:
    cut = source.backup.with_name("cut.sql.gz")
    cut.write_bytes(source.backup.read_bytes()[:-100])
    cut.chmod(0o644)
    done = restore(cut)
    assert done.returncode == 1
    assert "the backup is damaged" in done.stderr
    assert fresh_server.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'app'") == "0"


@under_one
def test_a_volume_that_fails_among_the_rows(restore: Kit, source: Source, workspace: Workspace) -> None:
    """If gzip fails, the rows received so far are not taken for all rows."""
    shims = workspace.directory("runbook-shims", mode=0o777)
    text = gzip.decompress(source.backup.read_bytes())
    where = text.index(b"\n", text.index(b"GRANT ALL ON DATABASE app TO app;\n")) + 1
    (shims / "gzip").write_text(
        f'#!/bin/sh\necho x >>{shims}/calls; [ "$(wc -l <{shims}/calls)" -lt 3 ] || fail=1\n'
        f'if [ -n "${{fail-}}" ]; then /bin/gzip "$@" | head -c {where}; exit 1; fi; exec /bin/gzip "$@"\n'
    )
    (shims / "gzip").chmod(0o755)
    done = restore(shims=shims)
    assert done.returncode == 1, done.stderr
    assert "the backup could not be decompressed" in done.stderr
