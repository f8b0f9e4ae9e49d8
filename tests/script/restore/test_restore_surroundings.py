# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers


"""Restores and drills of databases with settings, subscriptions, slots and extensions that stand in the way."""

from __future__ import annotations

import contextlib
import gzip
import re
from collections.abc import Iterator
from typing import Any

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore
from tests.dump import truth

from ..support.combinations import under_one
from ..support.programs import Programs, root_filesystem, wrap
from ..support.rehearsal import Rehearsal, database
from ..support.restores import (
    Backup,
    as_of_run,
    assert_failed,
    back_up,
    backup_of,
    drop,
    names,
    prepare,
    request_of,
    restore,
    shape,
    state_of,
    text_of,
)
from ..support.sample import literal
from ..support.sandbox import Outcome, Sandbox
from ..support.server import HOST, PASSWORD, SUPERUSER, Server
from ..support.workspace import Workspace

# What ALTER DATABASE and ALTER ROLE can set and a restore could stumble over, or be changed by, with values as bad as
# pg_dump itself can still live with.
SETTINGS = {
    "default_transaction_read_only": "on", "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on", "statement_timeout": "100", "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "300", "idle_session_timeout": "300", "transaction_timeout": "500",
    "search_path": "nowhere", "client_encoding": "LATIN1", "row_security": "off", "check_function_bodies": "on",
    "temp_tablespaces": "", "session_replication_role": "replica", "datestyle": "German, DMY",
    "intervalstyle": "sql_standard", "extra_float_digits": "-15", "xmloption": "document", "bytea_output": "escape",
    "quote_all_identifiers": "on", "array_nulls": "off", "transform_null_equals": "on", "exit_on_error": "on",
    "allow_system_table_mods": "on", "event_triggers": "off", "client_min_messages": "error", "log_statement": "all",
    "password_encryption": "scram-sha-256", "createrole_self_grant": "set", "maintenance_work_mem": "1GB",
    "zero_damaged_pages": "on", "temp_file_limit": "2MB", "app.tenant": "it''s \\ one", "timezone": "Asia/Tokyo",
    "default_text_search_config": "german", "session_preload_libraries": "auto_explain", "lo_compat_privileges": "on",
    "default_table_access_method": "heap", "synchronous_commit": "off", "work_mem": "64kB", "lc_messages": "C",
}  # fmt: skip
SINCE = {"idle_session_timeout": 14, "transaction_timeout": 17, "event_triggers": 17, "createrole_self_grant": 16}
_TABLES = """
CREATE TABLE kinds (n int PRIMARY KEY, texts text[], span interval, at timestamptz, day date, real float8, raw bytea);
INSERT INTO kinds SELECT i, ARRAY[NULL, 'NULL', 'a'], '-1 day 2 hours', '2026-11-22 02:00:00+00', '2026-02-01',
    1::float8 / 3, '\\x00ff' FROM generate_series(1, 5000) AS i;
CREATE MATERIALIZED VIEW sums AS SELECT n % 7 AS rest, count(*) FROM kinds GROUP BY 1 ORDER BY 1;
CREATE INDEX ON kinds (raw, n);
COMMENT ON TABLE kinds IS E'it''s \\\\ a comment';
"""


def settings_of(programs: Programs) -> dict[str, str]:
    return {name: value for name, value in SETTINGS.items() if SINCE.get(name, 0) <= int(programs.major)}


def set_all(server: Server, whose: str, settings: dict[str, str]) -> None:
    server.sql("".join(f"ALTER {whose} SET {name} TO '{value}';" for name, value in settings.items()))


def rehearse(sandbox: Sandbox, programs: Programs, backup: Backup, **env: str) -> Outcome:
    rehearsal = Rehearsal.of(sandbox, programs)
    rehearsal.put_compressed(backup.data)
    given = {f"POSTGRES_BACKUP_{name.upper()}": value for name, value in env.items()}
    return rehearsal.run("drill", env=given)


@contextlib.contextmanager
def older(workspace: Workspace, version: str) -> Iterator[Server]:
    """A server of another version."""
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory("older-programs"))
    with Server(programs, workspace.directory("older-server", mode=0o777)).create() as server:
        yield server


def dumped(server: Server, name: str) -> bytes:
    """The output of pg_dump for it. (That of PostgreSQL 13 has no --restrict-key.)"""
    return re.sub(rb"\n\\(un)?restrict [^\n]*", b"", truth.dump(server, "pg_dump", f"--dbname=dbname='{name}'"))


def everywhere(offline: Sandbox, server: Server, backup: Backup, name: str, **env: str | None) -> None:
    """The database is restored exactly: under a new name, and in place of the live one."""
    before, properties = dumped(server, name), shape(server, name)
    for options in ({"new_name": "again"}, {"replace": True}):
        plan = plan_restore(request_of(backup, name, **options))
        outcome = restore(offline, plan, **env).check()
        assert not outcome.result["warnings"]
        assert dumped(server, plan.target) == before
        assert shape(server, plan.target) == properties
    server.sql("SET default_transaction_read_only = off;\nDROP DATABASE again;")


def settled(server: Server) -> Backup:
    """A database with every setting that stands in a way."""
    server.sql("CREATE DATABASE settled; COMMENT ON DATABASE settled IS 'it''s \\ one';")
    server.sql(_TABLES, "settled")
    set_all(server, "DATABASE settled", settings_of(server.programs))
    server.sql("ALTER DATABASE settled CONNECTION LIMIT 0;")
    return back_up(server)


def test_a_database_whose_settings_stand_in_the_way(offline: Sandbox, fresh_server: Server) -> None:
    backup = settled(fresh_server)
    assert database(rehearse(offline, fresh_server.programs, backup).check(), "settled")["rows"] == 5000
    prepare(offline, fresh_server, backup)
    everywhere(offline, fresh_server, backup, "settled")


@under_one
def test_settings_and_subscriptions_on_an_older_server(offline: Sandbox, workspace: Workspace) -> None:
    with older(workspace, "13") as server:
        backup = settled(server)
        assert database(rehearse(offline, server.programs, backup).check(), "settled")["rows"] == 5000
        prepare(offline, server, backup)
        everywhere(offline, server, backup, "settled")
        a_failed_restore_leaves_no_subscription(offline, server)
        assert offline.run("run").check().result["state"] == "succeeded"


@under_one
def test_strings_that_a_newer_server_does_not_read(
    offline: Sandbox, workspace: Workspace, fresh_server: Server
) -> None:
    """PostgreSQL 19 no longer has standard_conforming_strings = off."""
    for name in ("escaped", "standard"):
        fresh_server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        fresh_server.sql(r"CREATE TABLE t (a text DEFAULT E'\\'); INSERT INTO t VALUES (E'\\n');", name)
    fresh_server.sql("ALTER DATABASE escaped SET standard_conforming_strings TO off;")
    backup = as_of_run(back_up(fresh_server))
    with older(workspace, "19") as server:
        prepare(offline, server, backup)
        before = state_of(server)
        words = ("the server cannot read the strings of the backup", "RESET")
        assert_failed(restore(offline, plan_restore(request_of(backup, "escaped"))), server, before, *words)
        restore(offline, plan_restore(request_of(backup, "standard"))).check()


@under_one
def test_a_user_whose_settings_stand_in_the_way(offline: Sandbox, fresh_server: Server) -> None:
    """Of the role that restores, of this role in one database, and of the database that it connects to first."""
    fresh_server.sql(
        "CREATE ROLE plain; CREATE DATABASE as_plain OWNER plain STRATEGY file_copy;"
        f"CREATE ROLE restorer SUPERUSER LOGIN PASSWORD {literal(PASSWORD)};"
        "ALTER DATABASE as_plain SET role TO 'plain'; ALTER ROLE restorer IN DATABASE as_plain SET role TO 'plain';"
        "ALTER ROLE plain IN DATABASE as_plain SET work_mem TO '1MB';"
    )
    fresh_server.sql(
        "SET ROLE NONE; CREATE SCHEMA s; CREATE TABLE s.t AS SELECT generate_series(1, 9) AS n;"
        "GRANT ALL ON ALL TABLES IN SCHEMA s TO plain; GRANT ALL ON SCHEMA s TO plain;",
        "as_plain",
    )
    settings = settings_of(fresh_server.programs)
    # The restore's first session does not know yet which of these the server has.
    settings |= {"transaction_timeout": "20s", "idle_session_timeout": "20s"}
    set_all(fresh_server, "ROLE restorer", settings)
    set_all(fresh_server, "ROLE restorer IN DATABASE as_plain", {"statement_timeout": "1"})
    fresh_server.sql("ALTER DATABASE postgres SET default_transaction_read_only TO on;")
    backup = back_up(fresh_server)
    outcome = rehearse(offline, fresh_server.programs, backup, drill_superuser="restorer").check()
    assert database(outcome, "as_plain")["rows"] == 9
    prepare(offline, fresh_server, backup)
    everywhere(offline, fresh_server, backup, "as_plain", POSTGRES_BACKUP_USER="restorer")
    # A role that is a superuser only through one of its settings.
    fresh_server.sql(
        f"SET default_transaction_read_only = off;\nCREATE ROLE climber NOINHERIT LOGIN PASSWORD {literal(PASSWORD)};"
        "GRANT postgres TO climber; ALTER ROLE climber SET role TO 'postgres';"
    )
    plan = plan_restore(request_of(backup, "as_plain", new_name="again"))
    assert not restore(offline, plan, POSTGRES_BACKUP_USER="climber").check().result["warnings"]


@under_one
def test_settings_that_the_server_does_not_know(offline: Sandbox, fresh_server: Server) -> None:
    """Of a missing library, or removed in a newer version: left out with a warning; a drill reports it."""
    fresh_server.sql(
        "CREATE DATABASE shop STRATEGY file_copy; ALTER DATABASE shop SET work_mem TO '1MB';"
        "ALTER DATABASE shop SET app.one TO 'secret'; ALTER DATABASE shop SET statement_timeout TO '9s';"
    )
    text = gzip.decompress(back_up(fresh_server).data)
    for line, found in (
        (b"SET vacuum_defer_cleanup_age TO 'secret'", "vacuum_defer_cleanup_age"),
        (b"SET \"plpgsql.tenant\" TO 'secret'", "plpgsql.tenant"),
        (b"SET backslash_quote TO 'secret'", "backslash_quote"),
        (b"SET default_with_oids TO 'true'", "default_with_oids"),
    ):
        changed = re.sub(rb"SET \"?app.one\"? TO 'secret'", line, text)
        assert changed != text
        backup = backup_of(changed)
        prepare(offline, fresh_server, backup)
        outcome = restore(offline, plan_restore(request_of(backup, "shop", new_name="again"))).check()
        (warning,) = outcome.result["warnings"]
        assert warning.endswith(f": {found}") and "left out" in warning
        assert "secret" not in outcome.out + outcome.log
        kept: Any = shape(fresh_server, "again")[-1]
        assert kept == [["-", ["work_mem=1MB", "statement_timeout=9s"]]]
        drop(fresh_server, "again")
        if found == "vacuum_defer_cleanup_age":
            outcome = rehearse(offline, fresh_server.programs, backup).check(2)
            assert "does not accept that setting" in outcome.log and "RESET" in outcome.log, outcome.log
    # A setting must not be left out because of a missing permission.
    fresh_server.sql(
        f"CREATE ROLE plain CREATEDB LOGIN PASSWORD {literal(PASSWORD)}; ALTER DATABASE shop OWNER TO plain;"
    )
    backup = backup_of(
        re.sub(
            rb"SET \"?app.one\"? TO 'secret'",
            b"SET log_statement TO 'all'",
            gzip.decompress(back_up(fresh_server).data),
        )
    )
    prepare(offline, fresh_server, backup)
    before = state_of(fresh_server)
    outcome = restore(offline, plan_restore(request_of(backup, "shop", new_name="again")), POSTGRES_BACKUP_USER="plain")
    assert_failed(outcome, fresh_server, before, "42501", "superuser")


@under_one
def test_an_owner_to_whom_row_security_applies(offline: Sandbox, fresh_server: Server) -> None:
    """pg_dump reads everything as a superuser; REFRESH MATERIALIZED VIEW does with the owner's rights."""
    fresh_server.sql("CREATE ROLE reporter; CREATE DATABASE shop STRATEGY file_copy;")
    fresh_server.sql(
        "CREATE TABLE orders AS SELECT 1 AS n; ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY mine ON orders USING (n = 1); GRANT SELECT ON orders TO reporter;"
        "CREATE MATERIALIZED VIEW report AS SELECT n FROM orders WITH NO DATA;"
        "ALTER MATERIALIZED VIEW report OWNER TO reporter; REFRESH MATERIALIZED VIEW report;",
        "shop",
    )
    backup = back_up(fresh_server)
    outcome = rehearse(offline, fresh_server.programs, backup).check(2)
    assert "42501" in outcome.log and "BYPASSRLS" in outcome.log
    prepare(offline, fresh_server, backup)
    before = state_of(fresh_server)
    plan = plan_restore(request_of(backup, "shop", new_name="again"))
    assert_failed(restore(offline, plan), fresh_server, before, "42501", "ALTER ROLE ... BYPASSRLS")
    fresh_server.sql("ALTER ROLE reporter BYPASSRLS;")
    restore(offline, plan).check()
    assert text_of(fresh_server, "again") == text_of(fresh_server, "shop")


@under_one
def test_a_library_that_the_server_does_not_have(offline: Sandbox, fresh_server: Server) -> None:
    """Nobody can connect to such a database: neither can a restore."""
    fresh_server.sql("CREATE DATABASE shop STRATEGY file_copy; ALTER DATABASE shop SET app.one TO 'x';")
    text = gzip.decompress(back_up(fresh_server).data)
    backup = backup_of(
        re.sub(rb"SET \"?app.one\"? TO 'x'", b"SET session_preload_libraries TO 'no_such_library'", text)
    )
    outcome = rehearse(offline, fresh_server.programs, backup).check(2)
    assert "no_such_library" in outcome.result["reason"] and "session_preload_libraries" in outcome.log, outcome.log
    prepare(offline, fresh_server, backup)
    before = state_of(fresh_server)
    outcome = restore(offline, plan_restore(request_of(backup, "shop", new_name="again")))
    assert_failed(outcome, fresh_server, before, "no_such_library", "session_preload_libraries")


@under_one
def test_a_login_trigger_of_the_restored_database(offline: Sandbox, fresh_server: Server) -> None:
    fresh_server.sql("CREATE DATABASE guarded STRATEGY file_copy;")
    fresh_server.sql(
        "CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_database() <> 'guarded' THEN RAISE EXCEPTION 'nobody enters'; END IF; END $$;"
        "CREATE EVENT TRIGGER guard ON login EXECUTE FUNCTION guard(); ALTER EVENT TRIGGER guard ENABLE ALWAYS;",
        "guarded",
    )
    fresh_server.sql("ALTER DATABASE guarded SET event_triggers TO on;")
    backup = back_up(fresh_server)
    rehearse(offline, fresh_server.programs, backup).check()
    prepare(offline, fresh_server, backup)
    restore(offline, plan_restore(request_of(backup, "guarded", new_name="again"))).check()
    assert "again" in names(fresh_server)
    assert shape(fresh_server, "again") == shape(fresh_server, "guarded")
    drop(fresh_server, "again")


@under_one
def test_event_triggers_of_the_restored_database(offline: Sandbox, fresh_server: Server) -> None:
    """A dump creates them before it fills the materialized views, which is a statement that they see."""
    fresh_server.sql("CREATE DATABASE watched STRATEGY file_copy;")
    fresh_server.sql(
        "CREATE TABLE seen (tag text); CREATE TABLE t AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT * FROM t;"
        "CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO public.seen VALUES (tg_tag); END $$;"
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not by hand'; END $$;"
        "CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION see(); ALTER EVENT TRIGGER see ENABLE ALWAYS;"
        "CREATE EVENT TRIGGER zzz ON ddl_command_start EXECUTE FUNCTION refuse();",
        "watched",
    )
    backup = back_up(fresh_server)
    rehearse(offline, fresh_server.programs, backup).check()
    prepare(offline, fresh_server, backup)
    restore(offline, plan_restore(request_of(backup, "watched", new_name="again"))).check()
    assert truth.tables(fresh_server, "again") == truth.tables(fresh_server, "watched")
    assert fresh_server.sql("SELECT * FROM m;", "again") == "1"
    drop(fresh_server, "again")


# ------------------------------------------------------------------------------------------------- subscriptions


_SUBSCRIPTION = (
    "CREATE SUBSCRIPTION {} CONNECTION 'dbname=nowhere' PUBLICATION pub WITH (connect = false, slot_name = {});"
)


def a_failed_restore_leaves_no_subscription(offline: Sandbox, server: Server) -> None:
    """A materialized view needs a setting that only the session had; what is left of earlier ones goes, too."""
    server.sql("CREATE DATABASE trial;")
    server.sql(
        "SET app.tenant = 'one'; CREATE MATERIALIZED VIEW m AS SELECT current_setting('app.tenant') AS tenant;"
        + _SUBSCRIPTION.format("sub", "NONE") + _SUBSCRIPTION.format('"it\'s ""two"""', "some_slot"),
        "trial",
    )  # fmt: skip
    backup = back_up(server)
    prepare(offline, server, backup)
    before = state_of(server)
    plan = plan_restore(request_of(backup, "trial", new_name="again"))
    assert_failed(restore(offline, plan), server, before, "42704", "app.tenant")
    for number, kept in enumerate(("IS_TEMPLATE true", "CONNECTION LIMIT 3")):
        left = f"again_restoring_{number}"
        name, value = plan.variables["RESTORE_MARK"].split("=")
        server.sql(f"CREATE DATABASE {left};")
        server.sql(f"ALTER DATABASE {left} SET {name} TO '{value}'; ALTER DATABASE {left} {kept};")
        server.sql(_SUBSCRIPTION.format("left_over", "some_slot"), left)
    outcome = restore(offline, plan)
    assert_failed(outcome, server, before, "ALTER DATABASE ... SET", "app.tenant")
    assert (
        sum("dropped the temporary database of an earlier restore" in warning for warning in outcome.result["warnings"])
        == 2
    )


def test_a_failed_restore_of_a_database_with_subscriptions(offline: Sandbox, fresh_server: Server) -> None:
    a_failed_restore_leaves_no_subscription(offline, fresh_server)


@under_one
def test_the_replaced_database_receives_and_sends(offline: Sandbox, workspace: Workspace, template: Server) -> None:
    """Its subscription and slots remain with the old one: reported before and after, with commands that work."""
    server = template.clone(workspace.directory("logical", mode=0o777))
    with open(server.data / "postgresql.conf", "a") as configuration:
        configuration.write("wal_level = logical\nmax_prepared_transactions = 2\n")
    with server:
        server.sql("CREATE DATABASE src STRATEGY file_copy;")
        server.sql("CREATE DATABASE app STRATEGY file_copy;")
        server.sql("CREATE TABLE t (n int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t;", "src")
        server.sql("SELECT pg_create_logical_replication_slot('s1', 'pgoutput');", "src")
        password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        target = f"host={HOST} port={server.port} user={SUPERUSER} dbname=src password='{password}'"
        server.sql("CREATE TABLE t (n int PRIMARY KEY); CREATE PUBLICATION q FOR TABLE t;", "app")
        server.sql(
            f"CREATE SUBSCRIPTION sub CONNECTION {literal(target)} PUBLICATION p"
            " WITH (create_slot = false, slot_name = s1);",
            "app",
        )
        server.sql("SELECT pg_create_logical_replication_slot('s2', 'pgoutput');", "app")
        backup = back_up(server)
        rehearse(offline, server.programs, backup).check()
        prepare(offline, server, backup)
        words = ("subscription sub (enabled, slot s1)", "slot s2 (not in use)")
        checked = restore(offline, plan_restore(request_of(backup, "app", replace=True, check=True))).check()
        for number, word in enumerate(words):
            assert word in checked.result["warnings"][number]
        plan = plan_restore(request_of(backup, "app", replace=True, terminate_connections=True, wait_seconds=20))
        outcome = restore(offline, plan).check()
        before, _, _after = outcome.log.partition("restored 0 rows")
        assert all(word in before for word in words)
        still, disabled, slot = outcome.result["warnings"]
        assert "continues to receive changes" in still and "is disabled" in disabled and "belongs to" in slot
        run_commands(server, still, plan.old, r"run in \S+: ((?:[^;]+;)+)")
        run_commands(server, disabled, "app", r"any more: ((?:[^;]+;)+) or, to drop")
        run_commands(server, slot, plan.old, r"Run in \S+: ([^;]+;)")
        run_commands(server, slot, "app", r"then in app: ([^;]+;)")
        server.sql("INSERT INTO t VALUES (7);", "src")
        wait_for(offline, server, "SELECT count(*) FROM t;", "app", "1")
        assert server.sql("SELECT count(*) FROM t;", plan.old) == "0"
        assert server.sql("SELECT slot_name, database FROM pg_replication_slots ORDER BY 1;") == "s1|src\ns2|app"
        # A copy under another name can be dropped without the live one's slot.
        outcome = restore(offline, plan_restore(request_of(backup, "app", new_name="again"))).check()
        (disabled,) = outcome.result["warnings"]
        run_commands(server, disabled, "again", r"without its slot: ((?:[^;]+;)+)")
        drop(server, "again")
        assert server.sql("SELECT count(*) FROM pg_replication_slots;") == "2"
        server.sql("ALTER SUBSCRIPTION sub DISABLE;", "app")
        # What else would hold the temporary database of a killed restore.
        plan = plan_restore(request_of(backup, "app", new_name="again"))
        name, value = plan.variables["RESTORE_MARK"].split("=")
        server.sql(f"CREATE DATABASE left_over;\nALTER DATABASE left_over SET {name} TO '{value}';")
        server.sql("SELECT pg_create_logical_replication_slot('s3', 'pgoutput');", "left_over")
        server.sql("BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'it''s mine';", "left_over")
        assert "dropped the temporary database of an earlier restore: left_over" in restore(offline, plan).check().log
        drop_with_subscription(server, "again")
        assert names(server) >= {"app", "src"} and "left_over" not in names(server)


def drop_with_subscription(server: Server, name: str) -> None:
    server.sql("ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub;", name)
    drop(server, name)


def run_commands(server: Server, warning: str, name: str, pattern: str) -> None:
    """The commands in a warning."""
    found = re.search(pattern, warning)
    assert found, warning
    for command in found[1].strip().split("; "):
        server.sql(command, name)


def wait_for(sandbox: Sandbox, server: Server, question: str, name: str, answer: str) -> None:
    sandbox.wait_until(lambda: server.sql(question, name) == answer, f"{answer} in answer to {question}")


# ---------------------------------------------------------------------------------------------------- extensions

_KEEPER = """
CREATE TABLE config (n int PRIMARY KEY);
SELECT pg_extension_config_dump('config', '');
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.n = 2 THEN RETURN NULL; END IF;
    IF NEW.n = 4 THEN RAISE EXCEPTION 'secret %', NEW.n; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE INSERT ON config FOR EACH ROW EXECUTE FUNCTION keep();
"""


@under_one
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1, 2, 3", ("expected 3, PostgreSQL reported 2", "the trigger keep on keeper.config", "by hand")),
        (
            "1, 4",
            ("P0001: a function raised", "function keeper.keep() line 3 at RAISE", "COPY config, line 2"),
        ),
    ],
)
def test_an_extension_that_decides_what_is_written(
    offline: Sandbox, workspace: Workspace, template: Server, rows: str, words: tuple[str, ...]
) -> None:
    """As those of pg_cron and TimescaleDB do."""
    folder = workspace.directory("extensions", mode=0o777) / "extension"
    folder.mkdir()
    (folder / "keeper.control").write_text("default_version = '1'\nschema = keeper\nrelocatable = false\n")
    (folder / "keeper--1.sql").write_text(_KEEPER)
    server = template.clone(workspace.directory("keeper", mode=0o777))
    with open(server.data / "postgresql.conf", "a") as configuration:
        configuration.write(f"extension_control_path = '{folder.parent}:$system'\n")
    with server:
        server.sql("CREATE DATABASE shop STRATEGY file_copy;")
        server.sql(
            "CREATE SCHEMA keeper; CREATE EXTENSION keeper; ALTER TABLE keeper.config DISABLE TRIGGER keep;", "shop"
        )
        server.sql(f"INSERT INTO keeper.config SELECT unnest(ARRAY[{rows}]);", "shop")
        backup = back_up(server)
        prepare(offline, server, backup)
        before = state_of(server)
        outcome = restore(offline, plan_restore(request_of(backup, "shop", new_name="again")))
        assert_failed(outcome, server, before, *words)
        assert "secret" not in outcome.out + outcome.log


@under_one
def test_rows_that_insert_leaves_out(offline: Sandbox, fresh_server: Server) -> None:
    """A dump with INSERT ... ON CONFLICT DO NOTHING; its number of rows is only in the contents."""
    fresh_server.sql("CREATE DATABASE shop STRATEGY file_copy;")
    fresh_server.sql("CREATE TABLE t AS SELECT generate_series(1, 5) AS n;", "shop")
    backup = back_up(fresh_server, "--inserts", "--on-conflict-do-nothing")
    prepare(offline, fresh_server, backup)
    before = state_of(fresh_server)
    plan = plan_restore(request_of(backup, "shop", new_name="again"))
    words = ("expected 6, PostgreSQL reported 5", "ON CONFLICT")
    assert_failed(restore(offline, plan, RESTORE_ROWS="6"), fresh_server, before, *words)
    assert_failed(restore(offline, plan, RESTORE_ROWS="4"), fresh_server, before, "reported 5", "verify again")
    assert restore(offline, plan).check().result["rows"] == 5
