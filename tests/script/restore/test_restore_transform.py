# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""transform_sql and assert_sql: a database is transformed before anybody can connect to it, or not restored."""

from __future__ import annotations

import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from plugins.module_utils._jobs.restore_plan import RestorePlan, plan_restore
from tests.in_turn import weekly

from ..support.combinations import under_all, under_one
from ..support.programs import root_filesystem, wrap
from ..support.restores import (
    Backup,
    as_of_run,
    assert_failed,
    back_up,
    drop,
    names,
    prepare,
    request,
    restore,
    shape,
    state_of,
    text_of,
)
from ..support.sample import literal
from ..support.sandbox import Sandbox
from ..support.server import PASSWORD, Server
from ..support.workspace import Workspace, kill_all

_PEOPLE = """
CREATE SCHEMA "the people";
CREATE TABLE "the people".person (id int PRIMARY KEY, email text NOT NULL);
INSERT INTO "the people".person SELECT i, format('p%s@secret.example', i) FROM generate_series(1, 1000) AS i;
CREATE VIEW public.emails AS SELECT email FROM "the people".person;
"""
_TRANSFORM = """UPDATE "the people".person SET email = format('user%s@example.invalid', id)"""
_ASSERT = """SELECT email FROM "the people".person WHERE email LIKE '%secret%'"""


@pytest.fixture
def people(fresh_server: Server) -> Backup:
    fresh_server.sql("CREATE DATABASE people STRATEGY file_copy;")
    fresh_server.sql("ALTER DATABASE people SET work_mem TO '5MB'; COMMENT ON DATABASE people IS 'P';")
    fresh_server.sql(_PEOPLE, "people")
    return back_up(fresh_server)


@under_all
def test_transformed(offline: Sandbox, fresh_server: Server, people: Backup) -> None:
    for backup in (people, as_of_run(people)):
        prepare(offline, fresh_server, backup)
        options = {"backup": backup.name, "new_name": "masked"}
        outcome = restore(
            offline,
            plan_restore(
                request("people", after_sql="ANALYZE", transform_sql=_TRANSFORM, assert_sql=_ASSERT, **options)
            ),
        ).check()
        # They would have the values from before.
        assert fresh_server.sql("SELECT count(*) FROM pg_stats WHERE schemaname = 'the people';", "masked") == "0"
        assert (outcome.result["rows"], outcome.result["tables"]) == (1000, 1)
        emails = fresh_server.sql("SELECT count(*), min(email) FROM public.emails;", "masked")
        assert emails == "1000|user1000@example.invalid"
        assert shape(fresh_server, "masked") == shape(fresh_server, "people")
        drop(fresh_server, "masked")
        # With an assertion alone, and with one that finds nothing wrong, the database is the same.
        harmless = "SELECT 1 WHERE false; SELECT FROM public.emails WHERE email IS NULL; -- nothing"
        restore(offline, plan_restore(request("people", assert_sql=harmless, **options))).check()
        assert text_of(fresh_server, "masked") == text_of(fresh_server, "people")
        drop(fresh_server, "masked")


@pytest.mark.parametrize("version", ["13", weekly("15"), "19"])
@under_one
def test_versions_of_psql(offline: Sandbox, workspace: Workspace, version: str) -> None:
    """The rows of assert_sql are counted in psql's output."""
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"programs-{version}"))
    with Server(programs, workspace.directory(f"server-{version}", mode=0o777)).create() as server:
        server.sql("CREATE DATABASE people;")
        server.sql(_PEOPLE, "people")
        prepare(offline, server, as_of_run(back_up(server)))
        before = state_of(server)
        for name in ("assertion", "lines", "columns", "copy", "tuples"):
            options, *words = _WRONG[name]
            outcome = restore(offline, plan_restore(request("people", replace=True, **options)))
            assert_failed(outcome, server, before, *words)
        plan = plan_restore(request("people", new_name="masked", transform_sql=_TRANSFORM, assert_sql=_ASSERT))
        restore(offline, plan).check()
        assert server.sql("SELECT min(email) FROM public.emails;", "masked") == "user1000@example.invalid"


_WRONG = {
    "assertion": ({"assert_sql": _ASSERT}, "assert_sql returned rows", "found 1000"),
    "lines": ({"assert_sql": "SELECT E'\\n\\n' UNION ALL SELECT '(0 rows)'"}, "assert_sql returned rows", "found 2"),
    "two": ({"assert_sql": "SELECT 1; SELECT 2 WHERE false"}, "assert_sql returned rows", "found 1"),
    "columns": ({"assert_sql": 'SELECT FROM "the people".person'}, "assert_sql returned rows", "found 1000"),
    "copy": ({"assert_sql": 'COPY "the people".person TO STDOUT'}, "assert_sql returned rows", "an unknown"),
    "expanded": ({"assert_sql": "\\x\nSELECT 1 AS a, 2 AS b"}, "assert_sql returned rows", "an unknown"),
    "tuples": ({"assert_sql": "\\t on\nSELECT"}, "assert_sql returned rows", "an unknown"),
    "title": ({"assert_sql": "SELECT 'assert_sql abc123'"}, "assert_sql returned rows", "an unknown"),
    "columns-of-two": ({"assert_sql": "SELECT; SELECT 1 WHERE false"}, "assert_sql returned rows", "found 1"),
    "no-assertion": ({"assert_sql": "SELECT nothing"}, "assert_sql failed", "42703"),
    "half": ({"assert_sql": "SELECT 1 WHERE 'a"}, "assert_sql failed", ""),
    "failing": ({"transform_sql": f"{_TRANSFORM}; SELECT 1/0"}, "transform_sql failed", "22012"),
    "syntax": ({"transform_sql": "UPDATE secret"}, "transform_sql failed", "42601"),
    "open": ({"transform_sql": "SELECT 'secret"}, "transform_sql failed", ""),
    "comment": ({"transform_sql": f"{_TRANSFORM} /* "}, "transform_sql failed", ""),
    "rollback": ({"transform_sql": f"{_TRANSFORM}; ROLLBACK"}, "transform_sql failed", "ended the transaction"),
    "commit": ({"transform_sql": f"{_TRANSFORM}; COMMIT; BEGIN"}, "transform_sql failed", "ended the transaction"),
    "quit": ({"transform_sql": "\\q"}, "transform_sql failed", "not complete"),
    "on": ({"transform_sql": "\\set ON_ERROR_STOP off\nSELECT 1/0;"}, "transform_sql failed", ""),
    "before": ({"transform_sql": _TRANSFORM, "before_sql": "SELECT 1/0"}, "the restore stopped at an error", "22012"),
    "after": ({"transform_sql": _TRANSFORM, "after_sql": "SELECT 1/0"}, "after_sql failed", "22012"),
}


@under_one
def test_wrong_ones_leave_nothing(offline: Sandbox, fresh_server: Server, people: Backup) -> None:
    prepare(offline, fresh_server, as_of_run(people))
    before = state_of(fresh_server)
    for options, *words in _WRONG.values():
        outcome = restore(offline, plan_restore(request("people", replace=True, **options)))
        assert_failed(outcome, fresh_server, before, *words)
        assert "secret" not in outcome.log


@under_one
def test_rows_are_compared_with_the_text(offline: Sandbox, fresh_server: Server, people: Backup) -> None:
    """Not with what the transformation leaves."""
    prepare(offline, fresh_server, as_of_run(people))
    before = state_of(fresh_server)
    transform = 'DELETE FROM "the people".person WHERE id > 10'
    outcome = restore(offline, plan_restore(request("people", new_name="few", transform_sql=transform))).check()
    assert (outcome.result["rows"], fresh_server.sql("SELECT count(*) FROM emails;", "few")) == (1000, "10")
    drop(fresh_server, "few")
    body = "BEGIN INSERT INTO public.u VALUES (1); END"
    more = f"CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ {body} $$;"
    more = f"SET event_triggers = on; CREATE TABLE u (i int); {more}"
    more = f"{more} CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION f();"
    plan = plan_restore(request("people", new_name="few", transform_sql="SELECT", before_sql=more))
    assert_failed(restore(offline, plan), fresh_server, before, "the number of rows does not match the backup")


# It waits for a role: databases share them.
_GATE = """DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'go') LOOP PERFORM pg_sleep(0.05); END LOOP;
END $$"""
_ANOTHER = {"token": "x2"}
_CLOSED = "SELECT count(*) FROM pg_database WHERE datname LIKE '%_restoring_%' AND NOT datallowconn;"
_TRANSFORMING = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE '%_restoring_%' AND query LIKE 'DO %''go''%';"


def transforming(offline: Sandbox, server: Server, **options: Any) -> tuple[RestorePlan, subprocess.Popen[str]]:
    """A restore whose transformation does not end before there is a role `go`."""
    plan = plan_restore(request("people", transform_sql=f"{_TRANSFORM}; {_GATE}", assert_sql=_ASSERT, **options))
    process = offline.start("_restore", env=dict(plan.variables))
    offline.wait_until(lambda: server.sql(_TRANSFORMING) == "1", "the transformation", process)
    assert server.sql(_CLOSED) == "1"
    return plan, process


@under_one
def test_nobody_can_connect(offline: Sandbox, fresh_server: Server, people: Backup) -> None:
    """1,000 attempts of superusers and others while it is transformed."""
    prepare(offline, fresh_server, as_of_run(people))
    password = literal(PASSWORD)
    fresh_server.sql(f"CREATE ROLE other SUPERUSER LOGIN PASSWORD {password};")
    fresh_server.sql(f"CREATE ROLE plain LOGIN PASSWORD {password};")
    plan, process = transforming(offline, fresh_server, new_name="masked")
    psql = [str(fresh_server.programs.path("psql")), "--no-psqlrc", "--command=SELECT", f"--dbname={plan.temporary}"]

    def connect(number: int) -> str:
        user = ("postgres", "other", "plain")[number % 3]
        command, environment = [*psql, f"--username={user}"], fresh_server.environment()
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stderr

    with ThreadPoolExecutor(4) as pool:
        messages = list(pool.map(connect, range(1000)))
    refusal = f'FATAL:  database "{plan.temporary}" is not currently accepting connections\n'
    assert [message for message in messages if not message.endswith(refusal)] == []
    assert fresh_server.sql(_CLOSED) == "1"
    fresh_server.sql("CREATE ROLE go;")
    offline.finish(process).check()
    assert fresh_server.sql("SELECT count(*), min(email) FROM emails;", "masked") == "1000|user1000@example.invalid"


@under_one
def test_terminated_while_it_is_transformed(offline: Sandbox, fresh_server: Server, people: Backup) -> None:
    prepare(offline, fresh_server, as_of_run(people))
    before = state_of(fresh_server)
    _, process = transforming(offline, fresh_server, replace=True)
    process.send_signal(signal.SIGTERM)
    assert_failed(offline.finish(process), fresh_server, before, "terminated by SIGTERM", "restore")


@under_one
def test_killed_while_it_is_transformed(offline: Sandbox, fresh_server: Server, people: Backup) -> None:
    """What SIGKILL leaves behind remains closed, and the clean-up or the next restore drops it."""
    prepare(offline, fresh_server, as_of_run(people))
    before = state_of(fresh_server)
    for again in (False, True):
        plan, process = transforming(offline, fresh_server, replace=True)
        kill_all(offline.uid)
        process.communicate()
        for path in offline.tmp.iterdir():
            shutil.rmtree(path)
        assert fresh_server.sql(_CLOSED) == "1"
        if again:
            fresh_server.sql("CREATE ROLE go;")
            offline.wait_until(lambda: fresh_server.sql(_TRANSFORMING) == "0", "the end of the session")
            outcome = restore(offline, plan_restore(request("people", replace=True, **_ANOTHER))).check()
            assert any("dropped the temporary database" in text for text in outcome.result["warnings"])
            assert plan.temporary not in names(fresh_server)
        else:
            restore(offline, plan, RESTORE_CLEAN_UP="yes").check()
            assert state_of(fresh_server) == before
