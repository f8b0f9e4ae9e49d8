# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""`backup.sh _restore_cluster`: postgres and template1 with content, and a backup without one of its databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dump import truth

from ..support.restores import Live, as_of_run, back_up, names, prepare, state_of, text_of
from ..support.sandbox import Sandbox
from ..support.script_files import copy_script
from ..support.server import Server
from ..support.workspace import Workspace
from .test_restore_cluster import restore_cluster

CONTENT = "CREATE TABLE notes (id int PRIMARY KEY, note text); INSERT INTO notes VALUES (1, 'one'), (2, 'two');"


@pytest.fixture(scope="session")
def script(workspace: Workspace) -> Path:
    return copy_script(workspace.directory("restore-cluster-special"), "_restore_cluster")


@pytest.fixture(scope="module")
def live(workspace: Workspace, template: Server) -> Iterator[Live]:
    """The server that was lost; no test changes it."""
    with template.clone(workspace.directory("special", mode=0o777)) as server:
        server.sql("CREATE DATABASE shop STRATEGY file_copy;")
        server.sql(CONTENT, "shop")
        server.sql(CONTENT, "postgres")
        server.sql(CONTENT, "template1")
        yield Live(server, back_up(server))


def states(result: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {database["name"]: database["state"] for database in result["databases"]}


def test_postgres_and_template1_are_restored(offline: Sandbox, live: Live, fresh_server: Server) -> None:
    backup = as_of_run(live.backup)
    prepare(offline, fresh_server, backup)
    outcome = restore_cluster(offline, backup).check()
    assert states(outcome.result) == dict.fromkeys(("shop", "postgres", "template1"), "restored")
    assert (outcome.result["rows"], outcome.result["tables"]) == (6, 3)
    assert names(fresh_server) == names(live.server)
    for name in ("shop", "postgres", "template1"):
        assert truth.tables(fresh_server, name) == truth.tables(live.server, name), name
        assert text_of(fresh_server, name) == text_of(live.server, name), name


def test_template1_with_objects_is_refused(offline: Sandbox, live: Live, fresh_server: Server) -> None:
    backup = as_of_run(live.backup)
    fresh_server.sql("CREATE TABLE mine (a int);", "template1")
    fresh_server.sql("CREATE TABLE mine (a int);", "postgres")
    prepare(offline, fresh_server, backup)
    before = state_of(fresh_server)
    refused = restore_cluster(offline, backup).check(1)
    assert "the database template1 of the server has objects" in refused.result["reason"]
    assert "the database 'postgres' is on the server and has objects" in refused.result["reason"]
    assert state_of(fresh_server) == before
    offline.assert_nothing_left()


def test_databases_that_the_run_could_not_dump_are_named(offline: Sandbox, live: Live, fresh_server: Server) -> None:
    backup = as_of_run(live.backup, "shop")
    prepare(offline, fresh_server, backup)
    outcome = restore_cluster(offline, backup).check()
    assert outcome.result["missing_databases"] == ["shop"]
    assert any("could not dump these databases" in warning for warning in outcome.result["warnings"])
    assert "shop" not in names(fresh_server) and "shop" not in states(outcome.result)
    assert truth.tables(fresh_server, "postgres") == truth.tables(live.server, "postgres")
