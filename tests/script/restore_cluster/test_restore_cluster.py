# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""`backup.sh _restore_cluster`: everything of a backup into a new server, and into one that a chart has prepared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dump import hostile, truth

from ..support.restores import Backup, Live, as_of_run, back_up, names, prepare, shape, text_of
from ..support.sample import literal
from ..support.sandbox import Outcome, Sandbox
from ..support.script_files import copy_script
from ..support.server import Server
from ..support.workspace import Workspace


@pytest.fixture(scope="session")
def script(workspace: Workspace) -> Path:
    return copy_script(workspace.directory("restore-cluster-script"), "_restore_cluster")


@pytest.fixture(scope="session")
def live(workspace: Workspace, template: Server) -> Iterator[Live]:
    """No test changes it."""
    with template.clone(workspace.directory("live-cluster", mode=0o777)) as server:
        hostile.fill(server, workspace.directory("live-cluster-space", mode=0o777))
        yield Live(server, back_up(server))


def restore_cluster(sandbox: Sandbox, backup: Backup, **options: str) -> Outcome:
    variables = {
        "BACKUP": backup.name,
        "SHA256": "",
        "TOKEN": "abc123",
        "TIME": "20261122030405",
        "WAIT_SECONDS": "30",
        "REPLACE": "no",
        "ALTER_ROLES": "no",
        "TERMINATE": "no",
        "CHECK": "no",
        "ANALYZE": "no",
        **options,
    }
    return sandbox.run("_restore_cluster", env={f"RESTORE_{name}": text for name, text in variables.items()})


def test_everything_into_a_new_server(offline: Sandbox, live: Live, template: Server, workspace: Workspace) -> None:
    backup = as_of_run(live.backup)
    with template.clone(workspace.directory("new-cluster", mode=0o777)) as new:
        prepare(offline, new, backup)
        refused = restore_cluster(offline, backup)
        assert "table space" in refused.result["reason"], refused.log
        new.sql("SET allow_in_place_tablespaces = on; CREATE TABLESPACE \"table space\" LOCATION '';")
        outcome = restore_cluster(offline, backup).check()
        print(outcome.log)
        assert names(new) == names(live.server)
        for name in names(live.server) - {"template0"}:
            assert truth.tables(new, name) == truth.tables(live.server, name), name
            assert text_of(new, name) == text_of(live.server, name), name
            assert shape_without_tablespace(new, name) == shape_without_tablespace(live.server, name), name
            assert tablespace_of(new, name) == tablespace_of(live.server, name), name


def shape_without_tablespace(server: Server, name: str) -> list[str]:
    """Tablespaces have other object ids on another server."""
    values = shape(server, name)
    return [*values[:9], *values[10:]]


def tablespace_of(server: Server, name: str) -> str:
    return server.sql(
        f"SELECT spcname FROM pg_tablespace t JOIN pg_database d ON dattablespace = t.oid WHERE datname = {literal(name)};"
    )
