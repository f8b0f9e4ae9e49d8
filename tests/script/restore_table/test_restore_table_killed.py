# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""A restore of tables that is killed or terminated leaves nothing that the next one does not remove."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from ..support.combinations import under_one
from ..support.restores import NOW, Live, as_of_run, back_up, names, prepare
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.tables import files_of, fill, plan, restore_tables, rows_of
from ..support.workspace import Workspace, kill_all

POINTS = 20


@pytest.fixture(scope="module")
def live(workspace: Workspace, template: Server) -> Iterator[Live]:
    with template.clone(workspace.directory("killed-tables", mode=0o777)) as server:
        fill(server)
        backup = as_of_run(back_up(server))
        server.sql("DELETE FROM orders WHERE id <= 100; UPDATE orders SET note = 'x' WHERE id > 1990;", "app")
        yield Live(server, backup)


def schemas(server: Server) -> set[str]:
    return set(server.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '^restored_';", "app").split())


@under_one
def test_killed_at_many_points(offline: Sandbox, live: Live) -> None:
    server = live.server
    prepare(offline, server, live.backup)
    before, rows, databases = files_of(server), rows_of(server, "orders"), names(server)
    began = time.monotonic()
    restore_tables(offline, "public.orders", "events").check()
    seconds = time.monotonic() - began
    remained = set()
    for point in range(POINTS):
        options = plan("public.orders", "events", token=f"k{point}", now=NOW + timedelta(seconds=10 + 2 * point))
        process = offline.start("_restore_table", env=options.variables)
        time.sleep(seconds * (point + 0.5) / POINTS)
        kill_all(offline.uid)
        offline.finish(process)
        for path in offline.tmp.iterdir():
            offline.workspace.remove(path)
        # Its sessions end when they notice.
        deadline = time.monotonic() + 10
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'postgres-backup restore%';"
        while server.sql(sessions) != "0" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (files_of(server), rows_of(server, "orders")) == (before, rows), point
        remained |= {"database"} if names(server) != databases else set()
        remained |= {"schema"} if options.schema in schemas(server) else set()
        unfinished = server.sql(
            f"SELECT count(*) FROM pg_namespace WHERE nspname = '{options.schema}'"
            " AND obj_description(oid, 'pg_namespace') LIKE 'Unfinished%';",
            "app",
        )
        after = restore_tables(
            offline, "public.orders", "events", token=f"n{point}", now=NOW + timedelta(seconds=11 + 2 * point)
        ).check()
        assert names(server) == databases
        assert (options.schema in schemas(server)) <= (unfinished == "0")
        server.sql(f"DROP SCHEMA {after.result['schema']} CASCADE;", "app")
        server.sql(f"DROP SCHEMA IF EXISTS {options.schema} CASCADE;", "app")
    # Otherwise the points are not where something is left.
    assert "database" in remained


# A lock for which the session of the step waits.
LOCKS = {"definition": None, "compare": "ACCESS EXCLUSIVE", "merge": "EXCLUSIVE"}


@under_one
def test_killed_while_the_server_creates_the_temporary_database(offline: Sandbox, live: Live) -> None:
    server = live.server
    prepare(offline, server, live.backup)
    databases = names(server)
    server.sql(
        "CREATE DATABASE app_restoring_0123abcd CONNECTION LIMIT 0; CREATE DATABASE app_restoring_0 STRATEGY file_copy;"
    )
    after = restore_tables(offline, "public.orders", now=NOW + timedelta(hours=2)).check()
    assert names(server) == {*databases, "app_restoring_0"}
    assert any("app_restoring_0123abcd" in warning for warning in after.result["warnings"])
    server.sql("DROP DATABASE app_restoring_0;")
    server.sql(f"DROP SCHEMA {after.result['schema']} CASCADE;", "app")


@under_one
@pytest.mark.parametrize("moment", LOCKS)
def test_terminated(offline: Sandbox, live: Live, moment: str) -> None:
    server = live.server
    prepare(offline, server, live.backup)
    before, rows, databases, existing = files_of(server), rows_of(server, "orders"), names(server), schemas(server)
    options = plan("public.orders", merge="changed", now=NOW + timedelta(hours=1))
    mode = LOCKS[moment]
    with server.locked("orders", "app", mode) if mode else contextlib.nullcontext():
        process = offline.start("_restore_table", env=options.variables)
        if mode:
            offline.wait_until(lambda: server.waits_for_a_lock, "a session that waits", process)
        else:
            offline.wait_until(lambda: names(server) != databases, "the temporary database", process)
        process.send_signal(signal.SIGTERM)
        outcome = offline.finish(process).check(1)
    offline.assert_nothing_left()
    assert outcome.result["signal"] == "TERM"
    assert (files_of(server), rows_of(server, "orders"), names(server)) == (before, rows, databases)
    # After the comparison the restored tables are complete.
    assert (options.schema in schemas(server)) == (moment == "merge")
    server.sql(f"DROP SCHEMA IF EXISTS {options.schema} CASCADE;", "app")
    assert schemas(server) == existing
