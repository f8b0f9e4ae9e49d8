# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""`backup.sh _restore_cluster`: the databases postgres and template1 with content."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dump import truth

from ..support.combinations import under_one
from ..support.restores import Live, as_of_run, back_up, names, prepare, state_of, text_of
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace
from .support import MARKS, restore, states

CONTENT = "CREATE TABLE notes (id int PRIMARY KEY, note text); INSERT INTO notes VALUES (1, 'one'), (2, 'two');"


@pytest.fixture(scope="module")
def live(workspace: Workspace, template: Server) -> Iterator[Live]:
    """The server that was lost; no test changes it."""
    with template.clone(workspace.directory("special", mode=0o777)) as server:
        server.sql("CREATE DATABASE shop STRATEGY file_copy;")
        server.sql(CONTENT, "shop")
        server.sql(CONTENT, "postgres")
        server.sql(CONTENT, "template1")
        yield Live(server, back_up(server))


@under_one
def test_postgres_and_template1_are_restored(offline: Sandbox, live: Live, fresh_server: Server) -> None:
    backup = as_of_run(live.backup)
    prepare(offline, fresh_server, backup)
    outcome = restore(offline, backup).check()
    assert states(outcome) == dict.fromkeys(("shop", "postgres", "template1"), "restored")
    assert (outcome.result["rows"], outcome.result["tables"]) == (6, 3)
    assert names(fresh_server) == names(live.server)
    for name in ("shop", "postgres", "template1"):
        assert truth.tables(fresh_server, name) == truth.tables(live.server, name), name
        assert text_of(fresh_server, name) == text_of(live.server, name), name
    assert fresh_server.sql(MARKS).strip() == "0"


@under_one
def test_template1_with_objects_is_refused(offline: Sandbox, live: Live, fresh_server: Server) -> None:
    backup = as_of_run(live.backup)
    fresh_server.sql("CREATE TABLE mine (a int);", "template1")
    fresh_server.sql("CREATE TABLE mine (a int);", "postgres")
    prepare(offline, fresh_server, backup)
    before = state_of(fresh_server)
    refused = restore(offline, backup).check(1)
    assert "the database template1 of the server has objects" in refused.result["reason"]
    assert "the database 'postgres' is on the server and has objects" in refused.result["reason"]
    assert state_of(fresh_server) == before
    offline.assert_nothing_left()
