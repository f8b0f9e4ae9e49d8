# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""`backup.sh _restore_cluster`: everything of a backup into a new server, and into one that a chart has prepared."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.dump import hostile, truth

from ..support.restores import Live, as_of_run, back_up, names, prepare, shape, text_of
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace
from .support import restore


@pytest.fixture(scope="session")
def live(workspace: Workspace, template: Server) -> Iterator[Live]:
    """No test changes it."""
    with template.clone(workspace.directory("live-cluster", mode=0o777)) as server:
        hostile.fill(server, workspace.directory("live-cluster-space", mode=0o777))
        yield Live(server, back_up(server))


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
        refused = restore(offline, backup, ANALYZE="no")
        assert "the tablespace 'table space' is missing" in refused.result["reason"], refused.log
        add_tablespace(new)
        result = restore(offline, backup, ANALYZE="no").check().result
        assert result["state"] == "succeeded" and result["backup"] == backup.name
        assert result["rows"] == sum(one["rows"] for one in backup.contents["databases"])
        assert {one["state"] for one in result["databases"]} <= {"restored", "present"}
        assert_same(new, reference)
