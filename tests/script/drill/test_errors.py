# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` returns every error at once, with its database, object, SQLSTATE and cause, without values."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.dump import truth

from ..support.programs import Programs
from ..support.rehearsal import NAME, Rehearsal, counted
from ..support.sample import literal
from ..support.sandbox import Outcome, Sandbox
from ..support.server import PASSWORD, Server
from ..support.workspace import Workspace


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


SQL = """
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE things (id int PRIMARY KEY, c colour);
INSERT INTO things SELECT i, 'red' FROM generate_series(1, 100) AS i;
CREATE VIEW reds AS SELECT * FROM things WHERE c = 'red';
CREATE TABLE parts (thing int REFERENCES things, secret text, amount int CONSTRAINT positive CHECK (amount > 0));
INSERT INTO parts VALUES (1, 'the secret', 7), (2, 'it''s; \\', 8);
CREATE INDEX parts_amount ON parts (amount);
CREATE TABLE fine AS SELECT generate_series(1, 10) AS n;
"""


@pytest.fixture(scope="module")
def text(template: Server, workspace: Workspace) -> bytes:
    with template.clone(workspace.directory("errors", mode=0o777)) as server:
        server.sql(
            "CREATE ROLE reader; CREATE DATABASE app STRATEGY file_copy; CREATE DATABASE fine STRATEGY file_copy;"
        )
        server.sql(SQL, "app")
        server.sql("CREATE TABLE t AS SELECT generate_series(1, 5) AS n; GRANT SELECT ON t TO reader;", "fine")
        server.sql("ALTER DATABASE fine SET work_mem = '5MB';")
        return truth.dump(server, "pg_dumpall")


def planted(text: bytes) -> bytes:
    """Errors of all kinds: in a role, a setting of a database, a type, a row, an index, and what follows from them."""
    for old, new in (
        (b"CREATE ROLE reader;", b"CREATE ROLE reader;\nALTER ROLE reader SET no_such_setting TO '1';"),
        (b"SET work_mem TO '5MB'", b"SET no_such_parameter TO '5MB'"),
        # Not because of the database's setting.
        (b"\nCREATE TABLE public.t (", b"\nSELECT fine.nothing();\nCREATE TABLE public.t ("),
        (b"AS ENUM (", b"AS NOTHING ("),
        (b"\n1\tthe secret\t7\n", b"\n1\tthe secret\t-7\n"),
        (b"USING btree (amount)", b"USING no_such_method (amount)"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def errors_of(outcome: Outcome) -> list[dict[str, Any]]:
    return outcome.of_type("error")


@pytest.mark.parametrize("has_manifest", [True, False])
def test_all_errors_at_once(rehearsal: Rehearsal, text: bytes, has_manifest: bool) -> None:
    (rehearsal.put_with_manifest if has_manifest else rehearsal.put)(planted(text))
    outcome = rehearsal.run("drill").check(2)
    errors = errors_of(outcome)
    assert [error["number"] for error in errors] == [*range(1, len(errors) + 1)]
    assert outcome.result["errors"] == len(errors)
    assert outcome.result["error_list"] == errors[:10]
    causes = {(error["database"], error["object"], error["sqlstate"]) for error in errors if error["follows"] is None}
    assert causes == {
        (None, "role reader", "42704"),
        ("fine", "database fine", "42704"),
        ("fine", None, "3F000"),
        ("app", "type public.colour", "42601"),
        ("app", "rows of table public.parts", "23514"),
        ("app", "index public.parts_amount", "42704"),
    }
    # The table, its rows, its key, the view and the reference follow from the type.
    (cause,) = (
        error["number"] for error in errors if error["object"] == "type public.colour" and error["follows"] is None
    )
    following = {error["object"] for error in errors if error["follows"] == cause}
    assert {"table public.things", "view public.reds"} <= following
    assert [error["object"] for error in errors].count("rows of table public.things") == 1
    assert "constraint things_pkey on public.things" in following
    assert "constraint parts_thing_fkey on public.parts" in following
    assert all(error["advice"] and error["message"] for error in errors)
    assert "secret" not in outcome.out + outcome.log
    assert re.search(r"roles and other globals, role reader: .*42704.*other errors", outcome.result["reason"])


def test_rows_of_a_table_that_is_missing_are_not_read_as_sql(offline: Sandbox, old_server: Server) -> None:
    """As psql does before version 18."""
    rehearsal = Rehearsal.of(offline, old_server.programs)
    old_server.sql("CREATE DATABASE app;")
    old_server.sql(SQL, "app")
    text = truth.dump(old_server, "pg_dumpall")
    rehearsal.put_with_manifest(text.replace(b"AS ENUM (", b"AS NOTHING ("))
    errors = errors_of(rehearsal.run("drill").check(2))
    assert {error["follows"] for error in errors[1:]} == {1}
    assert {error["sqlstate"] for error in errors[1:]} == {"42704", "42P01"}


def test_the_same_text_without_errors(rehearsal: Rehearsal, text: bytes) -> None:
    rehearsal.put_with_manifest(text)
    outcome = rehearsal.run("drill").check()
    assert counted(outcome)["app"]["public", "fine"] == 10
    assert errors_of(outcome) == []


def test_a_database_that_cannot_be_created_is_restored_into_another_one(rehearsal: Rehearsal, text: bytes) -> None:
    """Its locale does not exist in the image: that is the only error."""
    old = re.search(rb"CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8' ([^;]*);", text)
    assert old is not None
    new = b"CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'xx_YY';"
    rehearsal.put_with_manifest(text.replace(old[0], new))
    errors = errors_of(rehearsal.run("drill").check(2))
    assert [error["object"] for error in errors if error["follows"] is None] == ["database app"]
    assert all(error["object"] is None or "database" in error["object"] for error in errors), errors


def test_at_most_fifty_errors(rehearsal: Rehearsal, text: bytes) -> None:
    mark = b"\nCREATE TABLE public.fine"
    assert text.count(mark) == 1
    wrong = b"".join(b"\nSELECT public.nothing%d();\n" % number for number in range(70))
    rehearsal.put_with_manifest(text.replace(mark, wrong + mark))
    outcome = rehearsal.run("drill").check(2)
    assert len(errors_of(outcome)) == 50
    assert outcome.result["errors"] == 70


def test_no_transaction_for_what_none_can_hold(rehearsal: Rehearsal, text: bytes) -> None:
    end = b"--\n-- PostgreSQL database dump complete"
    rehearsal.put_with_manifest(text.replace(end, b"ALTER SYSTEM SET work_mem = '8MB';\n" + end))
    outcome = rehearsal.run("drill").check()
    assert counted(outcome)["app"] == {("public", "things"): 100, ("public", "parts"): 2, ("public", "fine"): 10}
    assert outcome.result["copied_rows"] == outcome.result["rows"]


@pytest.mark.parametrize("name", ["app", "postgres"])
def test_large_objects_are_restored_once(rehearsal: Rehearsal, fresh_server: Server, name: str) -> None:
    """pg_dump writes a transaction for them, which ends that of the first try."""
    if name != "postgres":
        fresh_server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
    fresh_server.sql("SELECT lo_from_bytea(0, 'x'); CREATE TABLE t AS SELECT 1 AS n; CREATE INDEX i ON t (n);", name)
    text = truth.dump(fresh_server, "pg_dumpall")
    assert b"\nBEGIN;\n" in text
    rehearsal.put_with_manifest(text.replace(b"USING btree (n)", b"USING nothing (n)"))
    errors = errors_of(rehearsal.run("drill").check(2))
    assert [(error["object"], error["sqlstate"]) for error in errors] == [("index public.i", "42704")]
    rehearsal.put_with_manifest(text)
    assert counted(rehearsal.run("drill").check())[name] == {("public", "t"): 1}


FOREIGN = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'app');
CREATE USER MAPPING FOR postgres SERVER elsewhere OPTIONS (user 'postgres', password {password});
CREATE TABLE near AS SELECT generate_series(1, 3) AS n;
CREATE FOREIGN TABLE far (n int) SERVER elsewhere OPTIONS (table_name 'near');
CREATE MATERIALIZED VIEW copy_of_far AS SELECT * FROM far;
CREATE UNIQUE INDEX copy_of_far_n ON copy_of_far (n);
CREATE MATERIALIZED VIEW copy_of_copy AS SELECT * FROM copy_of_far;
"""


@pytest.mark.parametrize("has_manifest", [True, False])
def test_a_materialized_view_over_a_foreign_table_is_left_out(
    rehearsal: Rehearsal, fresh_server: Server, has_manifest: bool
) -> None:
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy;")
    fresh_server.sql(FOREIGN.format(port=fresh_server.port, password=literal(PASSWORD)), "app")
    # The drill's pod has no network; here it has the same one as the server.
    text = truth.dump(fresh_server, "pg_dumpall").replace(b"port '%d'" % fresh_server.port, b"port '1'")
    (rehearsal.put_with_manifest if has_manifest else rehearsal.put)(text)
    outcome = rehearsal.run("drill").check()
    left_out = outcome.result["left_out"]
    views = [f"materialized view public.{name}" for name in ("copy_of_far", "copy_of_copy")]
    assert [(item["database"], item["object"]) for item in left_out] == [("app", view) for view in views]
    assert "could not connect to server" in left_out[0]["reason"]
    assert counted(outcome)["app"] == {("public", "near"): 3}


def test_rows_are_compared_by_table(rehearsal: Rehearsal, text: bytes) -> None:
    """A row moves from one table to another one: the sums agree."""
    end = b"--\n-- PostgreSQL database dump complete"
    moved = b"DELETE FROM public.fine WHERE n = 1;\nINSERT INTO public.things VALUES (1000, 'red');\n"
    head, begin, tail = text.partition(b"\\connect app")
    tail = tail.replace(end, b"SELECT public.move();\n" + end, 1)
    function = b"CREATE FUNCTION public.move() RETURNS void LANGUAGE sql AS $$" + moved + b"$$;\n\n"
    tail = tail.replace(b"CREATE VIEW", function + b"CREATE VIEW", 1)
    rehearsal.put_with_manifest(head + begin + tail)
    outcome = rehearsal.run("drill").check(2)
    assert "rows do not match the dump" in outcome.result["reason"]
    assert "public.fine: COPY reported 10 rows, there are 9" in outcome.result["reason"]
    assert NAME in outcome.result["backup"]


def test_extensions_that_cannot_be_listed_are_not_compared(rehearsal: Rehearsal, text: bytes) -> None:
    """As with one control file that cannot be read."""
    rehearsal.put_with_manifest(text, extensions={"app": [{"name": "x", "version": "1", "schema": "public"}]})
    rehearsal.shim("psql", 'case $* in *pg_available_extensions*) exit 1 ;; esac\nexec $real "$@"')
    outcome = rehearsal.run("drill").check()
    assert any("cannot be listed" in warning for warning in outcome.result["warnings"])


def test_extensions_that_the_image_lacks(rehearsal: Rehearsal, fresh_server: Server) -> None:
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy; CREATE DATABASE shop STRATEGY file_copy;")
    for name in ("app", "shop"):
        fresh_server.sql("CREATE EXTENSION hstore; CREATE TABLE t (h hstore);", name)
    text = truth.dump(fresh_server, "pg_dumpall").replace(
        b"EXTENSION IF NOT EXISTS hstore", b"EXTENSION IF NOT EXISTS nothing"
    )
    extensions = [
        {"name": "nothing", "version": "1.0", "schema": "public"},
        {"name": "plpgsql", "version": "99.1", "schema": "pg_catalog"},
    ]
    rehearsal.put_with_manifest(text, extensions={"app": extensions, "shop": extensions[:1]})
    outcome = rehearsal.run("drill").check(2)
    assert 'the image lacks the extensions nothing ("app", "shop")' in outcome.result["reason"]
    assert any("older" in warning and "plpgsql" in warning for warning in outcome.result["warnings"])
    listed = {
        (item["database"], item["name"], item["version"]): item["image_version"]
        for item in outcome.result["extensions"]
    }
    assert listed["app", "nothing", "1.0"] is None and listed["app", "plpgsql", "99.1"] == "1.0"
    errors = errors_of(outcome)
    assert [error["object"] for error in errors if error["follows"] is None] == ["extension nothing"] * 2
    assert any(error["object"] == "table public.t" for error in errors if error["follows"] is not None)
