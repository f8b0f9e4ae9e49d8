# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh _restore_cluster`: what a backup can hold, of every version and make."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.dump import truth

from ..support.combinations import under_one
from ..support.programs import root_filesystem, wrap
from ..support.restores import Backup, as_of_run, back_up, backup_of, names, prepare, state_of
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace
from .support import MARKS, restore, states


def create_server(workspace: Workspace, version: str) -> Server:
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"programs-{version}"))
    return Server(programs, workspace.directory(f"server-{version}", mode=0o777)).create()


def fill(server: Server) -> None:
    server.sql("CREATE ROLE app LOGIN PASSWORD 'of the backup'; CREATE DATABASE app OWNER app;")
    server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 100) AS n;", "app")
    server.sql("CREATE TABLE of_postgres AS SELECT generate_series(1, 7) AS n;")
    server.sql("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';", "template1")


@pytest.mark.parametrize(("old", "new"), [("13", "13"), ("15", "17"), ("13", "18")])
@under_one
def test_versions(offline: Sandbox, workspace: Workspace, old: str, new: str) -> None:
    """Also what is in the databases postgres and template1."""
    with create_server(workspace, old) as source:
        fill(source)
        backup = as_of_run(back_up(source))
        expected = {name: truth.tables(source, name) for name in ("app", "postgres")}
    with create_server(workspace, new) as server:
        prepare(offline, server, backup)
        outcome = restore(offline, backup).check()
        assert set(states(outcome).values()) == {"restored"}, outcome.out
        assert outcome.result["rows"] == 107
        for name, tables in expected.items():
            assert truth.tables(server, name) == tables, name
        assert server.sql("SELECT one();", "template1").strip() == "1"
        assert server.sql(MARKS).strip() == "0"
        assert names(server) == {"app", "postgres", "template0", "template1"}


@under_one
def test_a_backup_without_checksum_file_continues(offline: Sandbox, fresh_server: Server) -> None:
    """One that another program made: the second call finds the database that the first one restored."""
    backup = back_up_with_a_bad_database(fresh_server)
    prepare(offline, fresh_server, backup)
    failed = restore(offline, backup).check(1)
    assert states(failed) == {"good": "restored", "bad": "failed", "postgres": "present", "template1": "present"}
    assert "bad: " in failed.result["reason"]
    oid = fresh_server.sql("SELECT oid FROM pg_database WHERE datname = 'good';")
    again = restore(offline, backup).check(1)
    assert states(again)["good"] == "present"
    assert fresh_server.sql("SELECT oid FROM pg_database WHERE datname = 'good';") == oid
    assert names(fresh_server) == {"good", "postgres", "template0", "template1"}


def back_up_with_a_bad_database(server: Server) -> Backup:
    """Of the database `bad`, a column has a type that does not exist."""
    server.sql("CREATE DATABASE good STRATEGY file_copy;")
    server.sql("CREATE DATABASE bad STRATEGY file_copy;")
    server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 10) AS n;", "good")
    server.sql("CREATE TABLE numbers AS SELECT 1 AS n;", "bad")
    text = truth.dump(server, "pg_dumpall")
    assert b"CREATE TABLE public.numbers" in text
    at = text.index(b"\\connect bad")
    text = text[:at] + text[at:].replace(b"    n integer\n", b"    n no_such_type\n", 1)
    for name in ("good", "bad"):
        server.sql(f"DROP DATABASE {name};")
    return backup_of(text)


@under_one
def test_an_incomplete_backup(offline: Sandbox, fresh_server: Server) -> None:
    for name in ("one", "two"):
        fresh_server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        fresh_server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 10) AS n;", name)
    backup = as_of_run(back_up(fresh_server), "two")
    for name in ("one", "two"):
        fresh_server.sql(f"DROP DATABASE {name};")
    prepare(offline, fresh_server, backup)
    assert "no backup is complete" in restore(offline, backup, BACKUP="").check(1).result["reason"]
    outcome = restore(offline, backup).check()
    assert outcome.result["missing_databases"] == ["two"]
    assert names(fresh_server) == {"one", "postgres", "template0", "template1"}


@under_one
def test_damage_is_found_before_anything_is_changed(offline: Sandbox, fresh_server: Server) -> None:
    fresh_server.sql("CREATE DATABASE one STRATEGY file_copy;")
    fresh_server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 10) AS n;", "one")
    fresh_server.sql("CREATE ROLE app;")
    good = as_of_run(back_up(fresh_server))
    fresh_server.sql("DROP DATABASE one; DROP ROLE app;")
    prepare(offline, fresh_server, good)
    before = state_of(fresh_server)
    with open(offline.volume / good.name, "r+b") as file:
        file.seek(len(good.data) - 40)
        file.write(b"\0" * 8)
    refused = restore(offline, good).check(1)
    assert "does not match its checksum file" in refused.result["reason"], refused.log
    assert state_of(fresh_server) == before


@under_one
def test_settings_of_server_and_roles(offline: Sandbox, fresh_server: Server) -> None:
    """The server is read-only by default; a setting of a role exists no more; a role's name has a line break."""
    fresh_server.sql('CREATE ROLE app; CREATE ROLE "two\nlines\\n"; CREATE DATABASE one STRATEGY file_copy;')
    fresh_server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 10) AS n;", "one")
    fresh_server.sql("ALTER ROLE app SET work_mem TO '8MB';")
    text = gzip.decompress(back_up(fresh_server).data)
    text, count = re.subn(rb"(ALTER ROLE app SET )work_mem (TO '8MB';\n)", rb"\1no_such_setting \2\1work_mem \2", text)
    assert count == 1
    fresh_server.sql("DROP DATABASE one; DROP ROLE app;")
    fresh_server.sql("ALTER SYSTEM SET default_transaction_read_only = on;")
    fresh_server.sql("SELECT pg_reload_conf();")
    backup = backup_of(text)
    prepare(offline, fresh_server, backup)
    outcome = restore(offline, backup).check()
    assert outcome.result["created_roles"] == ["app"]
    assert sorted(outcome.result["kept_roles"]) == ["postgres", "two\nlines\\n"]
    (warning,) = outcome.result["warnings"]
    assert "no_such_setting" in warning
    assert fresh_server.sql("SELECT rolconfig FROM pg_roles WHERE rolname = 'app';").strip() == "{work_mem=8MB}"


RIGHTS = """
SELECT m.rolname, r.rolname, bool_or(admin_option), bool_or(inherit_option), bool_or(set_option)
FROM pg_auth_members JOIN pg_roles m ON m.oid = member JOIN pg_roles r ON r.oid = roleid
WHERE roleid >= 16384 GROUP BY 1, 2 ORDER BY 1, 2;
"""


@under_one
def test_memberships_that_several_roles_granted(offline: Sandbox, fresh_server: Server) -> None:
    """A role that creates others grants them to itself, in addition to what PostgreSQL grants it."""
    fresh_server.sql(
        'CREATE ROLE chief CREATEROLE; CREATE ROLE grp; CREATE ROLE "m,e; m"; CREATE ROLE reader;'
        "GRANT grp TO chief WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;"
        "GRANT grp TO reader WITH INHERIT FALSE, SET FALSE;"
        'GRANT grp TO "m,e; m" WITH SET FALSE; SET ROLE chief; GRANT grp TO "m,e; m" WITH INHERIT FALSE;'
        "SET createrole_self_grant = 'set, inherit'; CREATE ROLE made;"
    )
    backup = as_of_run(back_up(fresh_server))
    rights = fresh_server.sql(RIGHTS)
    assert "chief|made|t|t|t" in rights and "m,e; m|grp|f|t|t" in rights and "reader|grp|f|f|f" in rights
    fresh_server.sql('DROP ROLE made; DROP ROLE "m,e; m"; DROP ROLE reader; DROP ROLE grp; DROP ROLE chief;')
    prepare(offline, fresh_server, backup)
    restore(offline, backup).check()
    assert fresh_server.sql(RIGHTS) == rights


@under_one
def test_a_database_whose_sessions_have_another_role(offline: Sandbox, fresh_server: Server) -> None:
    """The superuser restores and analyzes it all the same, and a warning of PostgreSQL is not a failure."""
    fresh_server.sql("CREATE ROLE nobody; CREATE DATABASE one STRATEGY file_copy;")
    fresh_server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 10) AS n;", "one")
    fresh_server.sql("GRANT SELECT ON numbers TO nobody; ALTER DATABASE one SET role TO nobody;", "one")
    backup = as_of_run(back_up(fresh_server))
    fresh_server.sql("DROP DATABASE one;")
    prepare(offline, fresh_server, backup)
    assert restore(offline, backup).check().result["warnings"] == []
    assert fresh_server.sql("SELECT reltuples FROM pg_class WHERE relname = 'numbers';", "one") == "10"
