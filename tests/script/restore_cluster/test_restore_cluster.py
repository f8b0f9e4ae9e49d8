# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""`backup.sh _restore_cluster`: everything of a backup into a new server, and into one that a chart has prepared."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dump import hostile, truth

from ..support.restores import Backup, Live, as_of_run, back_up, names, prepare, shape, text_of
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


@pytest.fixture(scope="session")
def reference(workspace: Workspace, template: Server, live: Live) -> Iterator[Server]:
    """The backup as psql restores it: PostgreSQL orders the roles of a policy by their creation."""
    with template.clone(workspace.directory("reference-cluster", mode=0o777)) as server:
        add_tablespace(server)
        server.load(gzip.decompress(live.backup.data))
        yield server


def add_tablespace(server: Server) -> None:
    server.sql("SET allow_in_place_tablespaces = on; CREATE TABLESPACE \"table space\" LOCATION '';")


def assert_same(server: Server, expected: Server) -> None:
    """Roles with their passwords, databases with their properties, and everything in them."""
    assert names(server) == names(expected)
    for name in sorted(names(expected) - {"template0"}):
        assert text_of(server, name) == text_of(expected, name), name
        properties, others = shape(server, name), shape(expected, name)
        # The tablespace's number is another one.
        del properties[9], others[9]
        assert properties == others, name
    globals_of = [truth.dump(one, "pg_dumpall", "--globals-only", "--restrict-key=key") for one in (server, expected)]
    assert globals_of[0] == globals_of[1]


@pytest.mark.parametrize("made_by", ["another program", "a run"])
def test_everything_into_a_new_server(  # noqa: PLR0917
    offline: Sandbox, live: Live, reference: Server, template: Server, workspace: Workspace, made_by: str
) -> None:
    backup = as_of_run(live.backup) if made_by == "a run" else live.backup
    with template.clone(workspace.directory("new-cluster", mode=0o777)) as new:
        prepare(offline, new, backup)
        refused = restore_cluster(offline, backup)
        assert "the tablespace 'table space' is missing" in refused.result["reason"], refused.log
        add_tablespace(new)
        result = restore_cluster(offline, backup).check().result
        assert result["state"] == "succeeded" and result["backup"] == backup.name
        assert result["rows"] == sum(one["rows"] for one in backup.contents["databases"])
        assert {one["state"] for one in result["databases"]} <= {"restored", "present"}
        assert_same(new, reference)
