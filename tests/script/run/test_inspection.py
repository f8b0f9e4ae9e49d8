# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Which rights a dump needs: what the inspection finds is what the server's own pg_dump fails with."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..support import sample
from ..support.inspection import FILES, SHELLS, inspect
from ..support.programs import root_filesystem, wrap
from ..support.server import PASSWORD, Server
from ..support.workspace import Workspace

VERSIONS = ("13", "15", "17", "18")

# A database with one object of each kind that a dump reads, and what it does not: `bk` may read exactly the former.
_BASE = """
REVOKE ALL ON SCHEMA public FROM public;
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id int GENERATED ALWAYS AS IDENTITY, total int);
CREATE TABLE shop.log (day date) PARTITION BY RANGE (day);
CREATE TABLE shop.log_2026 PARTITION OF shop.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SEQUENCE shop.numbers;
SELECT lo_create(4711);
CREATE TABLE shop."settings of an extension" (name text);
ALTER EXTENSION plpgsql ADD TABLE shop."settings of an extension";
UPDATE pg_extension SET extconfig = ARRAY['shop."settings of an extension"'::regclass::oid], extcondition = '{""}';
GRANT USAGE ON SCHEMA shop TO bk;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO bk;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA shop TO bk;
GRANT SELECT ON LARGE OBJECT 4711 TO bk;
CREATE SCHEMA hidden;
CREATE VIEW hidden.view AS SELECT * FROM shop.orders;
CREATE MATERIALIZED VIEW hidden.summary AS SELECT 1;
CREATE FUNCTION hidden.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE ALL ON FUNCTION hidden.f() FROM public;
CREATE TYPE hidden.pair AS (a int, b int);
CREATE DOMAIN hidden.small AS int;
REVOKE ALL ON TYPE hidden.small FROM public;
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE FOREIGN TABLE hidden.foreign_table (i int) SERVER s;
CREATE TABLE shop.part_of_an_extension (i int);
REVOKE ALL ON shop.part_of_an_extension FROM bk;
ALTER EXTENSION plpgsql ADD TABLE shop.part_of_an_extension;
"""


@pytest.fixture(scope="module", params=VERSIONS)
def restricted(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Server]:
    """A server with the database `base`, and the user `bk`, who is not a superuser."""
    version = str(request.param)
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"postgresql-{version}"))
    directory = workspace.directory("restricted", mode=0o777)
    with Server(programs, directory).create() as server:
        server.sql(f"CREATE ROLE bk LOGIN PASSWORD {sample.literal(PASSWORD)};")
        server.sql("CREATE ROLE somebody;")
        server.sql("CREATE DATABASE base;")
        server.sql(_BASE, "base")
        yield server


def pg_dump(server: Server, database: str, *arguments: str, user: str = "bk") -> str:
    """The errors of pg_dump as this user; nothing if it succeeds."""
    command = [str(server.programs.path("pg_dump")), "--dbname", database, *arguments]
    result = subprocess.run(
        command, env={**server.environment(), "PGUSER": user}, capture_output=True, text=True, check=False
    )
    assert (result.returncode == 0) == ("error: " not in result.stderr), result.stderr
    return result.stderr if result.returncode else ""


def _words(server: Server, words: str) -> str:
    return (
        words
        if server.programs.major != "13"
        else words.replace("GRANT pg_read_all_data TO bk", "GRANT SELECT ON ALL TABLES IN SCHEMA")
    )


@dataclass(frozen=True)
class Right:
    """SQL that takes a right away, what the inspection finds, words of its advice, and of pg_dump's message."""

    sql: str
    finding: str
    advice: str
    message: str


READ = "GRANT pg_read_all_data TO bk"
RIGHTS = {
    "nothing": Right("SELECT 1;", "", "", ""),
    "a schema": Right("REVOKE USAGE ON SCHEMA shop FROM bk;", "no USAGE of the schemas shop", READ, "for schema shop"),
    "a table": Right("REVOKE SELECT ON shop.orders FROM bk;", "no SELECT on the tables shop.orders", READ, "orders"),
    "a partitioned table": Right("REVOKE SELECT ON shop.log FROM bk;", "no SELECT on the tables shop.log", READ, "log"),
    "a partition": Right(
        "REVOKE SELECT ON shop.log_2026 FROM bk;", "no SELECT on the tables shop.log_2026", READ, "log_2026"
    ),
    "one column's rows": Right(
        "REVOKE SELECT ON shop.orders FROM bk; GRANT SELECT (id), UPDATE ON shop.orders TO bk;",
        "no SELECT on the tables shop.orders", READ, "orders",
    ),
    "a table, but each of its columns is granted": Right(
        "REVOKE SELECT ON shop.orders FROM bk; GRANT SELECT (id, total) ON shop.orders TO bk;",
        "no SELECT on the tables shop.orders", READ, "orders",
    ),
    "a sequence": Right(
        "REVOKE SELECT ON SEQUENCE shop.numbers FROM bk;", "no SELECT on the sequences shop.numbers", READ, "numbers"
    ),
    "a sequence, but USAGE": Right(
        "REVOKE SELECT ON SEQUENCE shop.numbers FROM bk; GRANT USAGE ON SEQUENCE shop.numbers TO bk;",
        "no SELECT on the sequences shop.numbers", READ, "numbers",
    ),
    "the sequence of an identity column": Right(
        "REVOKE SELECT ON SEQUENCE shop.orders_id_seq FROM bk;",
        "no SELECT on the sequences shop.orders_id_seq", READ, "orders_id_seq",
    ),
    "a large object": Right(
        "REVOKE SELECT ON LARGE OBJECT 4711 FROM bk;",
        "no SELECT on the large objects 4711", "GRANT SELECT ON LARGE OBJECT … TO bk", "large object 4711",
    ),
    "a large object, which public may read": Right(
        "REVOKE SELECT ON LARGE OBJECT 4711 FROM bk; GRANT SELECT ON LARGE OBJECT 4711 TO public;", "", "", ""
    ),
    "a large object, which a role that the user has may read": Right(
        "REVOKE SELECT ON LARGE OBJECT 4711 FROM bk; GRANT SELECT ON LARGE OBJECT 4711 TO somebody;"
        "GRANT somebody TO bk;",
        "", "", "",
    ),
    "a large object without its row of rights": Right(
        "SELECT lo_create(4712);", "no SELECT on the large objects 4712", "LARGE OBJECT", "large object 4712"
    ),
    "row security": Right(
        "ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;",
        "row security hides rows of the tables shop.orders", "ALTER ROLE bk BYPASSRLS", "row-level security",
    ),
    "row security for the owner": Right(
        "ALTER TABLE shop.orders OWNER TO bk;"
        "ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;",
        "row security hides rows of the tables shop.orders", "ALTER ROLE bk BYPASSRLS", "row-level security",
    ),
    "row security, but the user owns the table": Right(
        "ALTER TABLE shop.orders OWNER TO bk; ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;", "", "", ""
    ),
    "row security on a partitioned table, which has no rows": Right(
        "ALTER TABLE shop.log ENABLE ROW LEVEL SECURITY;", "", "", ""
    ),
    "an extension's configuration": Right(
        'REVOKE SELECT ON shop."settings of an extension" FROM bk;',
        'no SELECT on the tables shop."settings of an extension"', READ, "settings of an extension",
    ),
}  # fmt: skip


def _case(server: Server, sql: str) -> str:
    """A copy of the database `base`, changed by this SQL."""
    server.sql("DROP DATABASE IF EXISTS shop;")
    server.sql("REVOKE somebody FROM bk;")
    server.sql("CREATE DATABASE shop TEMPLATE base;")
    server.sql(sql, "shop")
    return "shop"


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_that_is_taken_away(restricted: Server, right: str, tmp_path: Path) -> None:
    case = RIGHTS[right]
    database = _case(restricted, case.sql)
    shell = SHELLS[list(RIGHTS).index(right) % len(SHELLS)]
    inspection = inspect(restricted, "bk", tmp_path, shell)[database]
    error = pg_dump(restricted, database)
    assert bool(case.finding) == bool(error), (inspection, error)
    assert case.message in error
    assert inspection.result == ("failed" if case.finding else ""), (inspection, error)
    assert inspection.finding == case.finding
    assert _words(restricted, case.advice) in inspection.advice
    assert inspection.warnings == []


def test_a_table_with_other_rights_than_select(restricted: Server, tmp_path: Path) -> None:
    """From PostgreSQL 16 on, LOCK TABLE accepts other rights, and COPY rights on the columns."""
    sql = "REVOKE SELECT ON shop.orders FROM bk; GRANT SELECT (id, total), UPDATE ON shop.orders TO bk;"
    database = _case(restricted, sql)
    error = pg_dump(restricted, database)
    assert bool(error) == (int(restricted.programs.major) < 16)
    assert inspect(restricted, "bk", tmp_path)[database].result == ("failed" if error else "")


def test_a_user_with_pg_read_all_data(restricted: Server, tmp_path: Path) -> None:
    """It reads everything but large objects (before 19), and what row security hides."""
    if restricted.programs.major == "13":
        assert "does not exist" in _refused(restricted, "GRANT pg_read_all_data TO somebody;")
        return
    restricted.sql(f"CREATE ROLE reader LOGIN PASSWORD {sample.literal(PASSWORD)}; GRANT pg_read_all_data TO reader;")
    database = _case(restricted, "SELECT lo_unlink(4711);")
    assert pg_dump(restricted, database, user="reader") == ""
    assert inspect(restricted, "reader", tmp_path)[database].result == ""
    restricted.sql("SELECT lo_create(1);", database)
    assert "permission denied for large object 1" in pg_dump(restricted, database, user="reader")
    inspection = inspect(restricted, "reader", tmp_path / "large-object")[database]
    assert (inspection.result, inspection.finding) == ("failed", "no SELECT on the large objects 1")
    assert "pg_read_all_data does not cover large objects before PostgreSQL 19" in inspection.advice


def _refused(server: Server, sql: str) -> str:
    with pytest.raises(AssertionError) as refusal:
        server.sql(sql)
    return str(refusal.value)


SQL_FILE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "backup-user.sql"


def grant_with_the_file(server: Server, user: str, *settings: str, administrator: str = "postgres") -> None:
    """In each database, as in docs/managed-servers.md."""
    names = server.sql("SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'rdsadmin';").splitlines()
    for name in names:
        command = [str(server.programs.path("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", f"backup_user={user}"]
        command += [*settings, "-d", name, "-f", str(SQL_FILE)]
        environment = {**server.environment(), "PGUSER": administrator}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, ""), (name, result.stderr)


@pytest.mark.parametrize("administrator", ["postgres", "rds_master"])
def test_the_sql_for_an_administrator(restricted: Server, administrator: str, tmp_path: Path) -> None:
    """Everything that it grants suffices for a dump; a second time it changes nothing."""
    user = f"new_{administrator}"
    closed = "REVOKE CONNECT ON DATABASE shop FROM public; SELECT lo_create(1), lo_create(2);"
    database = _case(restricted, f"{closed} ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;")
    if administrator != "postgres":
        _let_administer(restricted, administrator, database)
    settings = ("-v", "bypass_rls=true") if administrator == "postgres" else ()
    for _ in range(2):
        grant_with_the_file(restricted, user, *settings, administrator=administrator)
    restricted.sql(f"ALTER ROLE {user} PASSWORD {sample.literal(PASSWORD)};")
    if administrator != "postgres":
        inspection = inspect(restricted, user, tmp_path / "row-security")[database]
        assert inspection.finding == "row security hides rows of the tables shop.orders"
        restricted.sql(f"ALTER ROLE {user} BYPASSRLS;")
    inspections = inspect(restricted, user, tmp_path)
    assert {name: item.result for name, item in inspections.items()} == dict.fromkeys(inspections, "")
    assert pg_dump(restricted, database, user=user) == ""
    if restricted.programs.major != "13":
        restricted.sql("CREATE SCHEMA later; CREATE TABLE later.t ();", database)
    else:
        restricted.sql(f"SET ROLE {administrator}; CREATE TABLE shop.later (id serial);", database)
    assert pg_dump(restricted, database, user=user) == ""


def _let_administer(server: Server, administrator: str, database: str) -> None:
    """A provider's administrator: it creates roles, owns the databases and what is in them, and is not a superuser."""
    server.sql(f"CREATE ROLE {administrator} LOGIN CREATEROLE PASSWORD {sample.literal(PASSWORD)};")
    if server.programs.major != "13":
        server.sql(f"GRANT pg_read_all_data TO {administrator} WITH ADMIN OPTION;")
    server.sql(f"GRANT pg_read_all_settings TO {administrator} WITH ADMIN OPTION;")
    for name in (database, "base", "postgres", "template1"):
        server.sql(f"ALTER DATABASE {name} OWNER TO {administrator};")
    for name in (database, "base"):
        objects = (
            "SELECT format('ALTER %s %s OWNER TO ', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' "
            "WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, oid::regclass) "
            "FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace <> 99 "
            "UNION ALL SELECT format('ALTER SCHEMA %I OWNER TO ', nspname) FROM pg_namespace WHERE oid >= 2200 "
            "AND nspname NOT LIKE 'pg%' AND nspname <> 'information_schema' "
            "UNION ALL SELECT 'ALTER SEQUENCE shop.numbers OWNER TO ' "
            "UNION ALL SELECT format('ALTER LARGE OBJECT %s OWNER TO ', oid) FROM pg_largeobject_metadata;"
        )
        for statement in server.sql(objects, name).splitlines():
            server.sql(f"{statement} {administrator};", name)
    for name in ("postgres", "template1"):
        server.sql(f"ALTER SCHEMA public OWNER TO {administrator};", name)


@pytest.mark.parametrize("shell", SHELLS)
def test_an_inspection_that_was_not_finished_is_not_read(tmp_path: Path, shell: str) -> None:
    """It has another name until it is."""
    for name in ("inspect.1", "inspect.2.new", "inspect.12"):
        (tmp_path / name).write_text('"extensions":[]\nR\tfailed\n')
    script = f'for file in output dump; do . "{FILES}/$file.sh"; done; refusals'
    environment = {"PATH": "/usr/bin:/bin", "work": str(tmp_path)}
    result = subprocess.run([*shell.split(), "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert sorted(result.stdout.splitlines()) == ["1 failed", "12 failed"]
