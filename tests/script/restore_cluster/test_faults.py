# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""`backup.sh _restore_cluster` into servers that somebody has prepared, and again after it was interrupted."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.dump import truth

from ..support.combinations import under_one
from ..support.restores import Backup, as_of_run, back_up, names, prepare, state_of
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace, kill_all
from .support import MARKS, TIME, restore, states, variables


@pytest.fixture(scope="module")
def source(workspace: Workspace, template: Server) -> Iterator[Server]:
    """The server that was lost; no test changes it."""
    with template.clone(workspace.directory("source", mode=0o777)) as server:
        server.sql(
            "CREATE ROLE app LOGIN CREATEDB PASSWORD 'of the backup'; CREATE ROLE reader; CREATE ROLE owner NOLOGIN;"
            "CREATE ROLE \"x PASSWORD 'y'\" LOGIN PASSWORD 'of the backup';"
            "GRANT reader TO app; GRANT owner TO app WITH ADMIN OPTION;"
            "ALTER ROLE app SET work_mem TO '8MB'; COMMENT ON ROLE reader IS 'reads; it''s true';"
        )
        for name, rows in (("app", 20_000), ('it\'s a "b" \\ ü', 100), ("zoo", 5)):
            quoted = name.replace('"', '""')
            server.sql(f'CREATE DATABASE "{quoted}" OWNER owner STRATEGY file_copy;')
            server.sql(
                f"CREATE TABLE numbers AS SELECT generate_series(1, {rows}) AS n; GRANT SELECT ON numbers TO reader;"
                "CREATE INDEX ON numbers (n); CREATE VIEW few AS SELECT * FROM numbers LIMIT 3;",
                name,
            )
        server.sql(
            "ALTER DATABASE zoo SET default_transaction_read_only = on;"
            "ALTER ROLE app IN DATABASE app SET work_mem TO '9MB';"
        )
        yield server


@pytest.fixture(scope="module")
def backup(source: Server) -> Backup:
    return as_of_run(back_up(source))


def text(server: Server, *arguments: str) -> bytes:
    return truth.dump(server, "pg_dumpall", "--restrict-key=key", *arguments)


def test_new_server(offline: Sandbox, source: Server, backup: Backup, fresh_server: Server) -> None:
    prepare(offline, fresh_server, backup)
    outcome = restore(offline, backup).check()
    assert outcome.result["created_roles"] == ["app", "owner", "reader", "x PASSWORD 'y'"]
    assert outcome.result["kept_roles"] == ["postgres"]
    # The superuser's password has another salt.
    passwords = re.compile(rb"(ALTER ROLE postgres .*) PASSWORD '[^']*'")
    assert passwords.sub(rb"\1", text(fresh_server)) == passwords.sub(rb"\1", text(source))
    assert fresh_server.sql(MARKS).strip() == "0"
    offline.assert_nothing_left()


def prepare_as_chart(server: Server) -> None:
    server.sql(
        "CREATE ROLE app LOGIN PASSWORD 'of the chart'; CREATE DATABASE app OWNER app STRATEGY file_copy;"
        "CREATE ROLE \"x PASSWORD 'y'\" LOGIN PASSWORD 'of the chart';"
        "CREATE DATABASE mine STRATEGY file_copy; ALTER ROLE postgres PASSWORD 'of the chart';"
    )
    original = server.environment
    server.environment = lambda: {**original(), "PGPASSWORD": "of the chart"}  # type: ignore[method-assign]


PASSWORDS = """
SELECT string_agg(rolname || rolpassword, ',' ORDER BY rolname) FROM pg_authid
    WHERE rolname IN ('app', 'postgres', 'x PASSWORD ''y''');
"""


@pytest.mark.parametrize("alter", ["no", "yes"])
def test_server_of_a_chart(offline: Sandbox, source: Server, backup: Backup, fresh_server: Server, alter: str) -> None:
    prepare_as_chart(fresh_server)
    fresh_server.sql("CREATE TABLE mine AS SELECT 1;", "mine")
    prepare(offline, fresh_server, backup)
    passwords = fresh_server.sql(PASSWORDS)
    outcome = offline.run(
        "_restore_cluster", env={**variables(backup, {"ALTER_ROLES": alter}), "PGPASSWORD": "of the chart"}
    ).check()
    assert fresh_server.sql(PASSWORDS) == passwords
    assert outcome.result["other_databases"] == ["mine"]
    assert names(fresh_server) == names(source) | {"mine"}
    for name in names(source) - {"template0"}:
        assert truth.tables(fresh_server, name) == truth.tables(source, name), name
    app = next(one for one in outcome.result["databases"] if one["name"] == "app")
    assert (app["state"], app["replaced"], app["dropped"], app["rows"]) == ("restored", None, True, 20_000)
    createdb = fresh_server.sql("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'app';").strip()
    assert createdb == ("t" if alter == "yes" else "f")
    assert fresh_server.sql(MARKS).strip() == "0"


def test_rows_are_refused_and_renamed_with_replace(
    offline: Sandbox, source: Server, backup: Backup, fresh_server: Server
) -> None:
    for name in ("app", "zoo"):
        fresh_server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        fresh_server.sql("CREATE TABLE mine AS SELECT 1;", name)
    prepare(offline, fresh_server, backup)
    before = state_of(fresh_server)
    refused = restore(offline, backup).check(1)
    assert "'app'" in refused.result["reason"] and "'zoo'" in refused.result["reason"]
    assert state_of(fresh_server) == before
    checked = restore(offline, backup, CHECK="yes", REPLACE="yes").check()
    assert set(states(checked).values()) <= {"would_be_restored", "present"}
    assert state_of(fresh_server) == before
    outcome = restore(offline, backup, REPLACE="yes").check()
    kept = {f"{name}_before_restore_{TIME}" for name in ("app", "zoo")}
    assert names(fresh_server) == names(source) | kept
    for name in kept:
        assert fresh_server.sql("SELECT count(*) FROM mine;", name).strip() == "1"
    assert {one["replaced"] for one in outcome.result["databases"]} == kept | {None}


@pytest.mark.parametrize(("sent", "made_by"), [("SIGTERM", "a run"), ("SIGKILL", "another program")])
@under_one
def test_again_after_an_interruption(  # noqa: PLR0917 - fixtures
    offline: Sandbox, source: Server, backup: Backup, template: Server, workspace: Workspace, sent: str, made_by: str
) -> None:
    """At several points; the databases that were restored are not restored again."""
    chosen = backup if made_by == "a run" else Backup(backup.data, backup.contents)
    for number, word in enumerate(["created roles", "restoring into", "OK: zoo|OK: it", "OK: app"]):
        directory = workspace.directory(f"again-{number}", mode=0o777)
        with template.clone(directory) as server:
            prepare(offline, server, chosen)
            env = {**variables(chosen, {}), "POSTGRES_BACKUP_POD": f"pod-{number}"}
            process = offline.start("_restore_cluster", env=env)
            wait_for_line(process, word)
            if sent == "SIGTERM":
                outcome = offline.terminate(process)
                assert outcome.code != 0
                assert outcome.result["signal"] == "TERM", outcome.log
                assert not [name for name in names(server) if "_restoring_" in name], outcome.log
            else:
                kill_all(offline.uid)
                process.communicate()
                for left in offline.tmp.iterdir():
                    shutil.rmtree(left)
            time.sleep(0.5)
            restore(offline, chosen).check()
            assert names(server) == names(source)
            for name in names(source) - {"template0"}:
                assert truth.tables(server, name) == truth.tables(source, name), name
            assert server.sql(MARKS).strip() == "0"


def wait_for_line(process: subprocess.Popen[str], pattern: str) -> None:
    """Read the log up to a line with the pattern, or to its end."""
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(pattern, line):
            return
