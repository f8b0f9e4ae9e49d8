# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A real PgBouncer that the role could not recognize, such as one outside the cluster.

Runs succeed through it if a transaction keeps its session; restores, whose settings it refuses, do not.
"""

from __future__ import annotations

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore

from ..support.combinations import under_one
from ..support.failed_runs import fill_volume
from ..support.poolers import pgbouncer, trust_everyone
from ..support.restores import assert_failed, back_up, prepare, request, restore, state_of
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace

pytestmark = under_one


@pytest.fixture
def pooled(sandbox: Sandbox, fresh_server: Server) -> Sandbox:
    """A sandbox with a server that asks for no password."""
    trust_everyone(fresh_server)
    fresh_server.sql("CREATE DATABASE app;")
    sandbox.server = fresh_server
    return sandbox


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_restore_gives_the_reason(pooled: Sandbox, workspace: Workspace, mode: str) -> None:
    server = pooled.server
    assert server is not None
    with pgbouncer(server, workspace.directory("pooler"), pool_mode=mode) as port:
        pooled.run("run", env={"POSTGRES_BACKUP_PORT": str(port)}).check()
        prepare(pooled, server, back_up(server))
        before = state_of(server)
        plan = plan_restore(request("app", new_name="copy"))
        outcome = restore(pooled, plan, POSTGRES_BACKUP_PORT=str(port))
    assert_failed(outcome, server, before, "unsupported startup parameter: options")
    assert "A connection pooler answered, such as PgBouncer, but restores need the server itself" in outcome.log


def test_a_run_gives_the_reason(pooled: Sandbox, workspace: Workspace) -> None:
    assert pooled.server is not None
    fill_volume(pooled)
    with pgbouncer(pooled.server, workspace.directory("pooler"), pool_mode="statement") as port:
        outcome = pooled.run("run", env={"POSTGRES_BACKUP_PORT": str(port)})
    assert outcome.code == 2, outcome.log
    assert "statement pooling mode" in outcome.log
    assert "A connection pooler answered: set postgres_backup_host and postgres_backup_port to" in outcome.log
