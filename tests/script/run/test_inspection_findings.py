# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Findings of the inspection about databases: a refused connection, and what a dump would lack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.in_turn import weekly_but

from ..support import sample
from ..support.certificates import offer_tls
from ..support.inspection import SHELLS, inspect
from ..support.programs import root_filesystem, wrap
from ..support.server import PASSWORD, Server
from ..support.workspace import Workspace

BK = f"CREATE ROLE bk LOGIN PASSWORD {sample.literal(PASSWORD)};"


@pytest.fixture(params=["plain", "TLS"])
def rejecting(request: pytest.FixtureRequest, workspace: Workspace, template: Server) -> Iterator[Server]:
    """A server whose pg_hba.conf lets nobody connect to `rdsadmin` and `hidden`, and has no entry for `unlisted`."""
    directory = workspace.directory("rejecting", mode=0o777)
    server = template.clone(directory)
    if request.param == "TLS":
        offer_tls(server)
    (server.data / "pg_hba.conf").write_text(
        "host rdsadmin,hidden all all reject\nhost /^[^u] all all scram-sha-256\nhost postgres all all scram-sha-256\n"
    )
    with server:
        server.sql(BK)
        for name in ("app", "rdsadmin", "hidden", "unlisted", "zoo"):
            server.sql(f"CREATE DATABASE {name};")
        yield server


@pytest.mark.parametrize("user", ["bk", "postgres"])
def test_databases_that_pg_hba_rejects(rejecting: Server, user: str, tmp_path: Path) -> None:
    """A superuser visits many databases with one psql, which continues after each of them."""
    inspections = inspect(rejecting, user, tmp_path)
    results = {name: inspection.result for name, inspection in inspections.items()}
    assert results == {
        "app": "", "hidden": "not_accessible", "postgres": "", "rdsadmin": "provider", "template1": "",
        "unlisted": "not_accessible", "zoo": "",
    }  # fmt: skip
    hidden, unlisted = inspections["hidden"], inspections["unlisted"]
    assert hidden.finding.startswith("FATAL: pg_hba.conf rejects connection for host"), hidden
    assert unlisted.finding.startswith("FATAL: no pg_hba.conf entry for host"), unlisted
    for inspection in (hidden, unlisted):
        assert inspection.finding.count("FATAL") == 1
        assert "pg_hba.conf does not allow" in inspection.advice
        assert "postgres_backup_exclude_databases" in inspection.advice
    assert inspections["rdsadmin"].advice == ""
    assert inspections["zoo"].members["size_bytes"] > 1_000_000


PROVIDERS = (
    "rdsadmin",
    "cloudsqladmin",
    "alloydbadmin",
    "alloydbmetadata",
    "azure_maintenance",
    "azure_sys",
    "_dodb",
    "_aiven",
)


@pytest.mark.parametrize("shell", SHELLS)
def test_databases_without_connect(fresh_server: Server, shell: str, tmp_path: Path) -> None:
    fresh_server.sql(BK)
    for name in (*PROVIDERS, "shop", "app"):
        fresh_server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        if name != "app":
            fresh_server.sql(f"REVOKE CONNECT ON DATABASE {name} FROM public;")
    inspections = inspect(fresh_server, "bk", tmp_path / "bk", shell)
    for name in PROVIDERS:
        assert (inspections[name].result, inspections[name].advice) == ("provider", ""), inspections[name]
    assert inspections["shop"].result == "not_accessible"
    assert inspections["shop"].finding.startswith('FATAL: permission denied for database "shop"')
    assert "GRANT CONNECT ON DATABASE" in inspections["shop"].advice
    assert inspections["app"].result == ""
    # A provider's database that can be entered is dumped.
    assert {item.result for item in inspect(fresh_server, "postgres", tmp_path / "postgres", shell).values()} == {""}


@pytest.mark.parametrize("shell", SHELLS)
def test_names_that_need_care(fresh_server: Server, shell: str, tmp_path: Path) -> None:
    """Names of databases, with one psql for all of them; the extension's schema needs escapes in JSON."""
    names = [*sample.ODD_NAMES, "two\nlines", "a\rb"]
    for name in names:
        sample.create_database(fresh_server, name)
    schema = 'ünï \U0001f4be "q" \\'
    fresh_server.sql(f"CREATE SCHEMA {sample.quoted(schema)};", "\U0001f4be")
    fresh_server.sql(f"CREATE EXTENSION hstore SCHEMA {sample.quoted(schema)};", "\U0001f4be")
    inspections = inspect(fresh_server, "postgres", tmp_path, shell)
    assert set(inspections) == {"postgres", "template1", *names}
    assert {(item.result, tuple(item.warnings)) for item in inspections.values()} == {("", ())}
    assert [name for name, item in inspections.items() if not item.members["size_bytes"]] == []
    extensions = inspections["\U0001f4be"].members["extensions"]
    assert [(item["name"], item["schema"]) for item in extensions] == [("hstore", schema), ("plpgsql", "pg_catalog")]


@pytest.mark.parametrize("version", weekly_but(("13", "15", "17", "18", "19"), "13", "18"))
def test_collations_and_the_schema_public(workspace: Workspace, version: str, tmp_path: Path) -> None:
    """What is in use, with the version of the library; of the other collations there may be hundreds."""
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"postgresql-{version}"))
    directory = workspace.directory("collations", mode=0o777)
    with Server(programs, directory).create() as server:
        server.sql("CREATE DATABASE icu; CREATE DATABASE closed;")
        if int(version) >= 15:
            server.sql("CREATE DATABASE german TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C';")
        server.sql(
            "CREATE COLLATION \"of ünï\" (provider = icu, locale = 'de', deterministic = false);"
            'CREATE TABLE words (word text COLLATE "of ünï");'
            "CREATE COLLATION unused (provider = icu, locale = 'fr');",
            "icu",
        )
        server.sql("DROP SCHEMA public;", "closed")
        inspections = inspect(server, "postgres", tmp_path)
    (collation,) = inspections["icu"].members["collations"]
    assert (collation["name"], collation["provider"]) == ('public."of ünï"', "icu")
    assert re.fullmatch("[0-9]+[.][0-9.]+", collation["version"])
    if int(version) >= 15:
        assert inspections["german"].members["collations"] == [{**collation, "name": "default"}]
    assert inspections["closed"].members["collations"] == []
    assert [item for one in inspections.values() for item in one.warnings] == []
    assert inspections["closed"].members["public_create"] is False
    assert inspections["icu"].members["public_create"] is (int(version) < 15)


def test_a_name_with_a_backslash_at_its_end(fresh_server: Server, tmp_path: Path) -> None:
    for name in ("end\\", "end'", "''", "\\'\\"):
        sample.create_database(fresh_server, name)
        fresh_server.sql(f"ALTER DATABASE {sample.quoted(name)} SET application_name = 'x';")
    inspections = inspect(fresh_server, "postgres", tmp_path)
    assert all(item.members["extensions"] for item in inspections.values()), inspections


def test_a_database_that_is_dropped_meanwhile(fresh_server: Server, tmp_path: Path) -> None:
    """It is not a result: the dump finds out. The databases after it are inspected."""
    for name in ("a", "b", "c"):
        fresh_server.sql(f"CREATE DATABASE {name};")
    inspections = inspect(fresh_server, "postgres", tmp_path, before=lambda: fresh_server.sql("DROP DATABASE b;"))
    assert (inspections["b"].result, inspections["b"].members) == ("", {"extensions": None, "size_bytes": None})
    assert inspections["c"].members["size_bytes"]


def test_a_role_with_two_connections(fresh_server: Server, tmp_path: Path) -> None:
    """One is left for the dump."""
    fresh_server.sql(f"{BK} ALTER ROLE bk CONNECTION LIMIT 1;")
    for name in ("a", "b", "c"):
        fresh_server.sql(f"CREATE DATABASE {name};")
    inspections = inspect(fresh_server, "bk", tmp_path)
    assert all(item.members["size_bytes"] for item in inspections.values()), inspections


@pytest.mark.parametrize("arguments", ["--exclude-table=public.secret", "--no-blobs", "--role=other"])
def test_arguments_that_may_leave_out_what_is_found(fresh_server: Server, arguments: str, tmp_path: Path) -> None:
    """The dump is tried."""
    fresh_server.sql(f"{BK} CREATE TABLE secret ();")
    inspection = inspect(fresh_server, "bk", tmp_path / "for-all", database_args=f"\n{arguments}")["postgres"]
    assert (inspection.result, inspection.finding) == ("", "no SELECT on the tables public.secret")
    inspection = inspect(fresh_server, "bk", tmp_path / "for-one", arguments="\\0055\\0055x")["postgres"]
    assert (inspection.result, inspection.finding) == ("", "no SELECT on the tables public.secret")
    inspection = inspect(fresh_server, "bk", tmp_path / "harmless", database_args="\n--inserts\n--encoding=UTF8")[
        "postgres"
    ]
    assert inspection.result == "failed"


def test_many_findings(fresh_server: Server, tmp_path: Path) -> None:
    """Five names of each kind, and how many more there are."""
    fresh_server.sql(f'{BK} CREATE TABLE odd (); ALTER TABLE odd RENAME TO "line\nbreak";')
    fresh_server.sql("".join(f"CREATE TABLE t{number} (); SELECT lo_create({number});" for number in range(1, 10)))
    inspection = inspect(fresh_server, "bk", tmp_path)["postgres"]
    assert inspection.finding == (
        'no SELECT on the tables public."line?break", public.t1, public.t2, public.t3, public.t4 and 5 more; '
        "no SELECT on the large objects 1, 2, 3, 4, 5 and 4 more"
    )
    assert inspection.advice.startswith("GRANT pg_read_all_data TO bk.")
    assert "GRANT SELECT ON LARGE OBJECT" in inspection.advice


# What a dump lacks, and does not say.


def test_an_invalid_index(fresh_server: Server, tmp_path: Path) -> None:
    """pg_dump leaves it out."""
    fresh_server.sql("CREATE TABLE twice AS SELECT 1 AS i FROM generate_series(1, 2);")
    with pytest.raises(AssertionError, match="could not create unique index"):
        fresh_server.sql("CREATE UNIQUE INDEX CONCURRENTLY once ON twice (i);")
    (warning,) = inspect(fresh_server, "postgres", tmp_path)["postgres"].warnings
    assert warning.startswith("database postgres: invalid indexes, which a dump does not contain: public.once.")


def test_a_collation_with_another_version(fresh_server: Server, tmp_path: Path) -> None:
    """Only collations that something uses are compared."""
    fresh_server.sql("CREATE COLLATION unused (provider = icu, locale = 'und');")
    fresh_server.sql("CREATE COLLATION used (provider = icu, locale = 'und'); CREATE TABLE t (t text COLLATE used);")
    assert inspect(fresh_server, "postgres", tmp_path / "before")["postgres"].warnings == []
    fresh_server.sql("UPDATE pg_collation SET collversion = '1' WHERE collname IN ('used', 'unused');")
    (warning,) = inspect(fresh_server, "postgres", tmp_path / "after")["postgres"].warnings
    assert "collations" in warning and "public.used." in warning and "unused" not in warning


def test_what_only_a_superuser_can_dump(fresh_server: Server, tmp_path: Path) -> None:
    fresh_server.sql(f"{BK} GRANT pg_read_all_data TO bk;")
    fresh_server.sql(
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;"
        "CREATE USER MAPPING FOR postgres SERVER elsewhere OPTIONS (password 'x');"
        "SET client_min_messages = error;"
        "CREATE SUBSCRIPTION copy CONNECTION 'host=x' PUBLICATION p WITH (connect = false);"
    )
    inspection = inspect(fresh_server, "bk", tmp_path / "bk")["postgres"]
    assert inspection.result == ""
    mapping, subscription = sorted(inspection.warnings, reverse=True)
    assert "user mappings" in mapping and "postgres on server elsewhere" in mapping
    assert "subscriptions" in subscription and "copy" in subscription
    assert inspect(fresh_server, "postgres", tmp_path / "postgres")["postgres"].warnings == []


def test_unlogged_tables_of_a_standby(fresh_server: Server, workspace: Workspace, tmp_path: Path) -> None:
    fresh_server.sql("CREATE UNLOGGED TABLE cache (i int); CREATE TABLE kept (i int);")
    assert inspect(fresh_server, "postgres", tmp_path / "primary")["postgres"].warnings == []
    with fresh_server.standby(workspace.directory("standby", mode=0o777)) as standby:
        (warning,) = inspect(standby, "postgres", tmp_path / "standby")["postgres"].warnings
    assert "unlogged tables" in warning and "public.cache" in warning and "kept" not in warning


def test_functions_of_the_database_do_not_replace_postgresqls(fresh_server: Server, tmp_path: Path) -> None:
    fresh_server.sql(
        "CREATE FUNCTION public.format(text, text, bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'fooled' $$;"
        "CREATE FUNCTION public.to_json(anyelement) RETURNS json LANGUAGE sql AS $$ SELECT json '0' $$;"
    )

    def hijack() -> None:
        fresh_server.sql("ALTER DATABASE postgres SET search_path = public, pg_catalog;")

    inspection = inspect(fresh_server, "postgres", tmp_path, before=hijack)["postgres"]
    assert inspection.members["extensions"][0]["name"] == "plpgsql"


def test_a_query_that_fails(fresh_server: Server, tmp_path: Path) -> None:
    """A damaged catalog: a warning, and the dump is tried; the next database is inspected."""
    fresh_server.sql("CREATE DATABASE a;")
    fresh_server.sql("CREATE DATABASE b;")
    fresh_server.sql("DELETE FROM pg_proc WHERE proname = 'pg_database_size';", "a")
    inspections = inspect(fresh_server, "postgres", tmp_path)
    assert inspections["a"].result == ""
    assert any("database a could not be inspected: ERROR" in warning for warning in inspections["a"].warnings), (
        inspections["a"]
    )
    assert inspections["b"].warnings == []


def test_the_server_is_killed(fresh_server: Server, tmp_path: Path) -> None:
    """Each database has its file, so that the run does not wait for it."""
    fresh_server.sql("CREATE DATABASE a;")
    inspections = inspect(fresh_server, "postgres", tmp_path, before=fresh_server.kill)
    assert {item.result for item in inspections.values()} == {""}
    assert {item.members["size_bytes"] for item in inspections.values()} == {None}
