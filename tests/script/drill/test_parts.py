# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` of a backup with a manifest: each database is read alone, and they are restored side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.dump import truth

from ..support.programs import Programs, root_filesystem, wrap
from ..support.rehearsal import NAME, Rehearsal, counted
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


def test_every_row_of_the_sample_server_is_counted(rehearsal: Rehearsal, server: Server) -> None:
    rehearsal.put_with_manifest(truth.dump(server, "pg_dumpall"))
    outcome = rehearsal.run("drill").check()
    names = server.sql("SELECT to_json(datname::text) FROM pg_database WHERE datallowconn;").splitlines()
    assert counted(outcome).keys() == {json.loads(name) for name in names}
    assert counted(outcome)["app"]["public", "filler"] == 2000
    assert outcome.result["rows"] == outcome.result["copied_rows"] > 2000
    assert (outcome.result["errors"], outcome.result["needs"], outcome.result["left_out"]) == (0, [], [])


def test_a_read_only_database_and_sql_for_one(rehearsal: Rehearsal, fresh_server: Server) -> None:
    """Case 30: its setting is restored, and does not prevent the restore."""
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy;")
    fresh_server.sql(
        "CREATE TABLE t AS SELECT 1 AS n; ALTER DATABASE app SET default_transaction_read_only = on;", "app"
    )
    text = truth.dump(fresh_server, "pg_dumpall")
    mark = b"\nCREATE TABLE public.t"
    assert text.count(mark) == 1
    rehearsal.put_with_manifest(text.replace(mark, b"\nSELECT public.\xc3\xa9();" + mark))
    before = octal(app="CREATE FUNCTION public.é() RETURNS int LANGUAGE sql AS 'SELECT 1';\n", other="nonsense")
    env = {
        "POSTGRES_BACKUP_DRILL_BEFORE_SQL": before,
        "POSTGRES_BACKUP_DRILL_AFTER_SQL": octal(app="SELECT public.é()"),
    }
    assert counted(rehearsal.run("drill", env=env).check())["app"] == {("public", "t"): 1}
    wrong = env | {"POSTGRES_BACKUP_DRILL_AFTER_SQL": octal(app="SELECT nothing()")}
    assert "nothing()" in rehearsal.run("drill", env=wrong).check(2).result["reason"]


# Case 1: what a dump lacks without a search_path.
NEEDS_A_PATH = """
CREATE EXTENSION ltree; CREATE EXTENSION unaccent;
CREATE TABLE region (id int PRIMARY KEY, path ltree, name text);
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
INSERT INTO region SELECT i, ('a.b' || i)::ltree, 'n' || i FROM generate_series(1, 500) AS i;
"""
TRIGGER = """
CREATE TRIGGER path_changed AFTER UPDATE ON region FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path)
    EXECUTE FUNCTION changed();
"""
FUNCTION_INDEX = """
CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT unaccent($1)';
CREATE INDEX region_plain ON region (plain(name));
"""
GENERATED = """
CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT unaccent($1)';
CREATE TABLE place (name text, plain text GENERATED ALWAYS AS (plain(name)) STORED);
INSERT INTO place VALUES ('é'), ('a');
"""


def second_try(rehearsal: Rehearsal, server: Server, sql: str, thing: str, cure: str) -> None:
    server.sql("CREATE DATABASE app TEMPLATE template0;")
    server.sql("CREATE DATABASE other TEMPLATE template0;")
    server.sql(NEEDS_A_PATH + sql, "app")
    text = truth.dump(server, "pg_dumpall")
    rehearsal.put_with_manifest(text)
    outcome = rehearsal.run("drill").check()
    (need,) = outcome.result["needs"]
    assert (need["database"], need["search_path"], need["object"]) == ("app", "public", thing)
    assert cure in need["cure"]
    assert counted(outcome)["app"]["public", "region"] == 500
    # Without a manifest, too; and with the option, nothing has to be tried.
    (rehearsal.volume / f"{NAME}.json").unlink()
    assert rehearsal.run("drill").check().result["needs"] == [need]
    outcome = rehearsal.run("drill", env={"POSTGRES_BACKUP_DRILL_SEARCH_PATH": octal(app="public")}).check()
    assert outcome.result["needs"] == []


@pytest.mark.parametrize(
    ("sql", "thing", "cure"),
    [
        (TRIGGER, "trigger path_changed on public.region", "OPERATOR(schema.=)"),
        (GENERATED, "table public.place", "ALTER FUNCTION plain SET search_path = public"),
    ],
    ids=["trigger", "generated"],
)
def test_a_second_try_with_a_search_path(
    rehearsal: Rehearsal, fresh_server: Server, sql: str, thing: str, cure: str
) -> None:
    second_try(rehearsal, fresh_server, sql, thing, cure)


@pytest.fixture
def old_server(workspace: Workspace) -> Iterator[Server]:
    """Of PostgreSQL 13: from 17 on, no search_path of the session helps an index."""
    programs = wrap(workspace.show(root_filesystem("13")), "13", workspace.directory("postgresql-13"))
    with Server(programs, workspace.directory("server-13", mode=0o777)).create() as running:
        yield running


def test_a_second_try_on_an_old_server(offline: Sandbox, old_server: Server) -> None:
    rehearsal = Rehearsal.of(offline, old_server.programs)
    second_try(
        rehearsal,
        old_server,
        FUNCTION_INDEX,
        "index public.region_plain",
        "ALTER FUNCTION plain SET search_path = public",
    )


def octal(**texts: str) -> str:
    def escaped(text: str) -> str:
        return "".join(f"\\0{byte:03o}" for byte in text.encode())

    return "\n".join(f"{escaped(name)} {escaped(text)}" for name, text in texts.items())


@pytest.mark.parametrize("broken", ["offset", "sha256", "end"])
def test_a_manifest_that_does_not_fit(rehearsal: Rehearsal, server: Server, broken: str) -> None:
    """One of another backup, or a part of one, is not used; wrong places in it are an error."""
    rehearsal.put_with_manifest(truth.dump(server, "pg_dumpall"))
    path = rehearsal.volume / f"{NAME}.json"
    text = path.read_text()
    if broken == "offset":
        first = int(text.split('"kind":"database"')[1].split('"offset_bytes":')[1].split(",")[0])
        path.write_text(text.replace(f'"offset_bytes":{first},', f'"offset_bytes":{first - 40},'))
        outcome = rehearsal.run("drill").check(2)
        assert "cannot be decompressed" in outcome.log or "cannot be read to its end" in outcome.log
        return
    changed = text.replace('"sha256":"', '"sha256":"0') if broken == "sha256" else text[:-4]
    path.write_text(changed)
    outcome = rehearsal.run("drill").check()
    assert counted(outcome)["app"]["public", "filler"] == 2000
    assert outcome.result["extensions"] == []
