# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What some databases need: a search_path, SQL before and after their text, and what their extensions need."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore
from tests.dump import truth

from ..support.combinations import under_all, under_one
from ..support.restores import (
    Backup,
    as_of_run,
    assert_failed,
    back_up,
    backup_of,
    drop,
    prepare,
    request,
    restore,
    state_of,
    text_of,
)
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace

# A generated column that calls a function, which names another one without its schema (earthdistance before 1.2).
_UNQUALIFIED = """
CREATE FUNCTION inner_one(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION outer_one(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inner_one(n); END';
CREATE TABLE t (n int, m int GENERATED ALWAYS AS (outer_one(n)) STORED, path text DEFAULT '
SELECT pg_catalog.set_config(''search_path'', '''', false);
');
INSERT INTO t (n, path) VALUES (1, E'a\\nSELECT pg_catalog.set_config(''search_path'', '''', false);'), (2, DEFAULT);
"""


@pytest.fixture
def unqualified(fresh_server: Server) -> Backup:
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy;")
    fresh_server.sql(_UNQUALIFIED, "app")
    return back_up(fresh_server)


@under_all
def test_search_path(offline: Sandbox, fresh_server: Server, unqualified: Backup) -> None:
    with_crlf = backup_of(gzip.decompress(unqualified.data).replace(b"\n", b"\r\n"))
    for backup in (unqualified, as_of_run(unqualified), with_crlf):
        prepare(offline, fresh_server, backup)
        before = state_of(fresh_server)
        options = {"new_name": "again", "backup": backup.name}
        outcome = restore(offline, plan_restore(request("app", **options)))
        words = ("42883", "inner_one", "postgres_backup_restore_search_path", "CVE-2018-1058", "database: public.")
        assert_failed(outcome, fresh_server, before, *words)
        (need,) = outcome.result["needs"]
        assert (need["database"], need["search_path"]) == ("app", "public")
        assert "make a new backup" in need["cure"]
        # It changes one statement, and neither rows nor the properties of the database.
        outcome = restore(offline, plan_restore(request("app", search_path="public", **options))).check()
        assert (outcome.result["needs"], outcome.result["rows"]) == ([], 2)
        # psql keeps line ends of Windows in function bodies and strings.
        if backup is not with_crlf:
            assert text_of(fresh_server, "again") == text_of(fresh_server, "app")
        drop(fresh_server, "again")
        # One that does not help is not asked for again.
        outcome = restore(offline, plan_restore(request("app", search_path="pg_temp", **options)))
        assert_failed(outcome, fresh_server, before, "42883")
        assert outcome.result["needs"] == []


@under_one
def test_suggested_search_path(offline: Sandbox, fresh_server: Server) -> None:
    """The setting of the database, else public and the schemas of its extensions."""
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy;")
    fresh_server.sql(f'{_UNQUALIFIED} CREATE SCHEMA "Ext, s"; CREATE EXTENSION hstore SCHEMA "Ext, s";', "app")
    plan = plan_restore(request("app", new_name="again"))
    for suggested in ('public, "Ext, s"', 'public, "Ext, s", "$user"'):
        prepare(offline, fresh_server, as_of_run(back_up(fresh_server)))
        (need,) = restore(offline, plan).check(1).result["needs"]
        assert need["search_path"] == suggested
        restored = plan_restore(request("app", new_name="again", search_path=suggested))
        restore(offline, restored).check()
        drop(fresh_server, "again")
        fresh_server.sql("""ALTER DATABASE app SET search_path TO public, "Ext, s", "$user";""")


@under_all
def test_sql_before_and_after(offline: Sandbox, fresh_server: Server) -> None:
    """Before: in the same session, so that its settings count. Neither changes the number of rows."""
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy;")
    fresh_server.sql("CREATE TABLE t AS SELECT generate_series(1, 3) AS n;", "app")
    fresh_server.sql(
        "SET app.tenant = 'one'; CREATE MATERIALIZED VIEW m AS SELECT current_setting('app.tenant') AS tenant;", "app"
    )
    prepare(offline, fresh_server, as_of_run(back_up(fresh_server)))
    before = state_of(fresh_server)
    outcome = restore(offline, plan_restore(request("app", new_name="again")))
    assert_failed(outcome, fresh_server, before, "42704", "app.tenant")
    assert outcome.result["needs"] == []
    sql = "SET app.tenant = 'ünï'; -- no semicolon at the end\nCREATE TABLE before AS SELECT 'ü' AS b"
    options = {
        "new_name": "again",
        "before_sql": f"{sql}; COPY before FROM stdin;\nx\n\\.\n DROP TABLE before",
        "after_sql": "UPDATE t SET n = n + 1; DELETE FROM t WHERE n = 2; CREATE TABLE after AS SELECT 'ü' AS a",
    }
    outcome = restore(offline, plan_restore(request("app", **options))).check()
    assert outcome.result["rows"] == 3
    assert fresh_server.sql("SELECT tenant FROM m; SELECT n FROM t ORDER BY 1; SELECT a FROM after;", "again") == (
        "ünï\n3\n4\nü"
    )
    drop(fresh_server, "again")
    for option in ("before_sql", "after_sql"):
        broken = {**options, option: "SELECT 1/0"}
        outcome = restore(offline, plan_restore(request("app", **broken)))
        assert_failed(outcome, fresh_server, before, "22012")


@under_one
def test_comparisons_of_citext_that_a_dump_cannot_write(offline: Sandbox, fresh_server: Server) -> None:
    """With an empty search_path they become comparisons of text, without an error."""
    fresh_server.sql("CREATE DATABASE shop STRATEGY file_copy;")
    fresh_server.sql(
        "CREATE EXTENSION citext; CREATE TABLE t (e citext, x text CHECK (NULLIF(x, 'y') IS DISTINCT FROM 'z'));"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER changed BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.e IS DISTINCT FROM NEW.e)"
        " EXECUTE FUNCTION touch();"
        "CREATE TRIGGER exact BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.e::text IS DISTINCT FROM NEW.e::text)"
        " EXECUTE FUNCTION touch();"
        "CREATE VIEW named AS SELECT NULLIF(e, 'None') AS e, e IN ('a', 'b') AS q, length(e) FROM t;",
        "shop",
    )
    backup = as_of_run(back_up(fresh_server))
    prepare(offline, fresh_server, backup)
    (warning,) = restore(offline, plan_restore(request("shop", new_name="again"))).check().result["warnings"]
    assert "in rule _RETURN on view public.named, trigger changed on table public.t, because" in warning
    assert warning.endswith("search_path = public")
    drop(fresh_server, "again")
    plan = plan_restore(request("shop", new_name="again", search_path="public"))
    assert restore(offline, plan).check().result["warnings"] == []
    assert text_of(fresh_server, "again") == text_of(fresh_server, "shop")


@under_all
def test_rows_that_are_deleted_or_added_after_copy(offline: Sandbox, fresh_server: Server) -> None:
    """COPY has reported them: only the tables show it. Tables of a partition tree are counted together."""
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy;")
    fresh_server.sql(
        'CREATE TABLE "T, 1" (n int PRIMARY KEY); INSERT INTO "T, 1" SELECT generate_series(1, 3);'
        "CREATE TABLE tree (n int) PARTITION BY HASH (n); CREATE TABLE a PARTITION OF tree FOR VALUES WITH"
        " (MODULUS 2, REMAINDER 0); CREATE TABLE b PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO tree SELECT generate_series(1, 9);",
        "app",
    )
    prepare(offline, fresh_server, as_of_run(back_up(fresh_server)))
    before = state_of(fresh_server)
    for change, words in (
        ('DELETE FROM public."T, 1" WHERE n = 2', '"public"."T, 1": 3 rows in the backup, the table has 2'),
        ("DELETE FROM public.tree WHERE n = 2", "9 rows in the backup, the table has 8"),
        ("INSERT INTO public.tree SELECT 10 FROM public.tree WHERE n = 9", "9 rows in the backup, the table has 10"),
    ):
        trigger = (
            "SET event_triggers = on;"
            "CREATE FUNCTION public.change() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF EXISTS (SELECT FROM pg_class WHERE relname = 'tree') THEN {change}; END IF; END $$;"
            "CREATE EVENT TRIGGER change ON ddl_command_end WHEN tag IN ('ALTER TABLE')"
            " EXECUTE FUNCTION public.change();"
        )
        plan = plan_restore(request("app", new_name="again", before_sql=trigger))
        expected = ("the number of rows does not match the backup", words)
        assert_failed(restore(offline, plan), fresh_server, before, *expected)


# ---------------------------------------------------------------------------------------------------- extensions

# What the scripts of pg_cron and TimescaleDB do that a restore has to know.
_EXTENSIONS = {
    "pg_cron": """
DO $$ BEGIN
    IF current_database() <> current_setting('cron.database_name') THEN
        RAISE EXCEPTION 'can only create extension in database %', current_setting('cron.database_name');
    END IF;
END $$;
CREATE SCHEMA cron;
CREATE SEQUENCE cron.jobid_seq;
CREATE TABLE cron.job (jobid bigint DEFAULT nextval('cron.jobid_seq'), command text);
SELECT pg_catalog.pg_extension_config_dump('cron.job', '');
SELECT pg_catalog.pg_extension_config_dump('cron.jobid_seq', '');
""",
    "timescaledb": """
CREATE SCHEMA _timescaledb_functions;
CREATE TABLE @extschema@.metadata (key text PRIMARY KEY, value text);
SELECT pg_catalog.pg_extension_config_dump('metadata', '');
CREATE FUNCTION timescaledb_pre_restore() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_catalog.set_config('timescaledb.restoring', 'on', false); RETURN true;
END $$;
CREATE FUNCTION timescaledb_post_restore() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO @extschema@.metadata VALUES ('post', VERSION); RETURN true;
END $$;
CREATE FUNCTION _timescaledb_functions.stop_background_workers() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO @extschema@.metadata VALUES ('stopped', current_database()); RETURN true;
END $$;
CREATE FUNCTION _timescaledb_functions.start_background_workers() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO @extschema@.metadata VALUES ('started', current_database()); RETURN true;
END $$;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF coalesce(pg_catalog.current_setting('timescaledb.restoring', true), '') <> 'on' THEN
        RAISE EXCEPTION 'not restoring';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON @extschema@.metadata FOR EACH ROW WHEN (NEW.key = 'kept')
    EXECUTE FUNCTION refuse();
""",
}


@pytest.fixture
def extended(workspace: Workspace, template: Server) -> Iterator[Server]:
    """A server with stand-ins of two extensions; the tests with the real ones are in test_extensions.py."""
    folder = workspace.directory("extensions", mode=0o777) / "extension"
    folder.mkdir()
    put_extension(folder, "pg_cron", "1", _EXTENSIONS["pg_cron"], "schema = pg_catalog")
    for version in ("1", "2"):
        text = _EXTENSIONS["timescaledb"].replace("VERSION", f"'{version}'")
        put_extension(folder, "timescaledb", version, text)
    server = template.clone(workspace.directory("extended", mode=0o777))
    with open(server.data / "postgresql.conf", "a") as configuration:
        configuration.write(f"extension_control_path = '{folder.parent}:$system'\ncron.database_name = 'app'\n")
    with server:
        yield server


def put_extension(folder: Path, name: str, version: str, text: str, control: str = "") -> None:
    (folder / f"{name}.control").write_text(f"default_version = '{version}'\nrelocatable = false\n{control}\n")
    (folder / f"{name}--{version}.sql").write_text(text)


@under_all
def test_pg_cron(offline: Sandbox, extended: Server) -> None:
    extended.sql("CREATE DATABASE app STRATEGY file_copy;")
    extended.sql(
        "CREATE EXTENSION pg_cron; INSERT INTO cron.job (command) VALUES ('VACUUM'), (E'a\\nb');"
        "CREATE TABLE t AS SELECT 1 AS n; COMMENT ON EXTENSION pg_cron IS 'jobs';",
        "app",
    )
    text = text_of(extended, "app")
    backup = back_up(extended)
    for made in (backup, as_of_run(backup)):
        prepare(offline, extended, made)
        # Under another name, the server cannot have it.
        options = {"backup": made.name, "sha256": made.sha256, "contents": made.contents}
        outcome = restore(offline, plan_restore(request("app", new_name="again", **options))).check()
        (left_out,) = outcome.result["left_out"]
        assert (left_out["object"], outcome.result["rows"]) == ("extension pg_cron", 1)
        assert "cron.database_name is app" in left_out["reason"]
        assert any("pg_cron" in warning for warning in outcome.result["warnings"])
        assert truth.tables(extended, "again") == {("public", "t"): 1}
        drop(extended, "again")
        # In place of the live one, it is restored after the renaming.
        outcome = restore(offline, plan_restore(request("app", replace=True, **options))).check()
        assert (outcome.result["left_out"], outcome.result["warnings"]) == ([], [])
        assert text_of(extended, "app") == text
        assert extended.sql("SELECT count(*) FROM cron.job;", "app") == "2"
        drop(extended, str(outcome.result["replaced"]))


@under_one
def test_pg_cron_that_fails_after_the_swap(offline: Sandbox, extended: Server) -> None:
    """The database keeps its final name; the warning and the result name what is missing."""
    extended.sql("CREATE DATABASE app STRATEGY file_copy;")
    extended.sql("CREATE EXTENSION pg_cron; CREATE TABLE t AS SELECT 1 AS n;", "app")
    text = gzip.decompress(back_up(extended).data)
    changed = text.replace(b"COPY cron.job (jobid, command)", b"COPY cron.job (jobid, no_column)")
    assert changed != text
    prepare(offline, extended, as_of_run(backup_of(changed)))
    outcome = restore(offline, plan_restore(request("app", replace=True))).check()
    (left_out,) = outcome.result["left_out"]
    assert "42703" in left_out["reason"]
    assert extended.sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_cron';", "app") == "0"
    assert truth.tables(extended, "app") == {("public", "t"): 1}


@under_all
def test_timescaledb(offline: Sandbox, extended: Server) -> None:
    """Its restoring mode, its version, and its background workers, which start under the final name."""
    extended.sql("CREATE DATABASE series STRATEGY file_copy;")
    extended.sql(
        'CREATE SCHEMA "T s"; CREATE EXTENSION timescaledb SCHEMA "T s" VERSION \'1\';'
        "SET timescaledb.restoring = 'on'; INSERT INTO \"T s\".metadata VALUES ('kept', 'x');",
        "series",
    )
    entry = (
        '"extensions":[{"name":"plpgsql","version":"1.0","schema":"pg_catalog"},{"name":"timescaledb","version":"1",'
    )
    rows = "SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) FROM \"T s\".metadata;"
    made = as_of_run(back_up(extended))
    known = made.manifest.replace('"extensions":[]', f'{entry}"schema":"T s"}}]')
    for manifest, version in ((made.manifest, "2"), (known, "1")):
        prepare(offline, extended, Backup(made.data, made.contents, manifest))
        outcome = restore(offline, plan_restore(request("series", new_name="again"))).check()
        assert (outcome.result["rows"], outcome.result["warnings"]) == (1, [])
        assert extended.sql(rows, "again") == (f"kept x, post {version}, started again, stopped again_restoring_abc123")
        drop(extended, "again")
