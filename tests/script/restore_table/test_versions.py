# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""Tables restored on other versions of PostgreSQL."""

from __future__ import annotations

import pytest

from tests.in_turn import weekly

from ..support.combinations import under_one
from ..support.programs import root_filesystem, wrap
from ..support.restores import as_of_run, back_up, names, prepare
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.tables import HOSTILE, SCHEMA, fill, restore_tables
from ..support.workspace import Workspace

CHANGE = "DELETE FROM orders WHERE id <= 10; UPDATE orders SET note = 'changed' WHERE id BETWEEN 21 AND 25;"
KINDS = ("customers", "public.orders", "events", "keyless", "coded", '"My Schema"."My Table"', *HOSTILE)


@pytest.mark.parametrize("version", ["13", weekly("15"), weekly("17"), "19"])
@under_one
def test_compared_then_merged(offline: Sandbox, workspace: Workspace, version: str) -> None:
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"programs-{version}"))
    with Server(programs, workspace.directory(f"server-{version}", mode=0o777)).create() as server:
        fill(server)
        prepare(offline, server, as_of_run(back_up(server)))
        before = names(server)
        whole = restore_tables(offline, *KINDS).check().result
        for table in whole["tables"]:
            counts = [table[name] for name in ("same", "only_in_backup", "only_in_live", "changed")]
            assert counts == [table["rows"], 0, 0, 0], table
        assert sum(table["rows"] for table in whole["tables"]) == 500 + 2000 + 400 + 4 + 3 + 50 + 2 * len(HOSTILE)
        server.sql(f"DROP SCHEMA {SCHEMA} CASCADE;{CHANGE}", "app")
        merged = restore_tables(offline, "public.orders", merge="changed").check().result
        (orders,) = merged["tables"]
        assert (orders["inserted"], orders["updated"]) == (10, 5)
        difference = f"SELECT count(*) FROM {SCHEMA}.orders b JOIN public.orders l ON b.* IS NOT DISTINCT FROM l.*;"
        assert server.sql(difference, "app") == "2000"
        assert names(server) == before
