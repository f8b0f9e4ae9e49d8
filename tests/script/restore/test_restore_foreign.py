# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Databases out of dumps that another pg_dumpall wrote, or whose line ends somebody changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils._jobs.restore_plan import plan_restore
from tests.dump import truth
from tests.dump.foreign import TEXTS

from ..support.combinations import under_one
from ..support.restores import backup_of, prepare, request_of, restore, shape
from ..support.sandbox import Sandbox
from ..support.script_files import copy_script
from ..support.server import Server
from ..support.workspace import Workspace

# The tables that the texts name, in a schema that the older one does not make.
_MADE = (b"SET search_path = other, pg_catalog;", b"CREATE SCHEMA other;\nSET search_path = other, pg_catalog;")
NAMES = ("crlf-cluster", "bom-crlf-cluster", "cluster-11", "old-cluster", "crlf-old-cluster")


@pytest.fixture(scope="session")
def script(workspace: Workspace) -> Path:
    """The script with what a restore needs."""
    return copy_script(workspace.directory("foreign-restore-script"), "_restore")


@pytest.fixture
def empty(workspace: Workspace, template: Server) -> Iterator[Server]:
    directory = workspace.directory("empty", mode=0o777)
    with template.clone(directory) as server:
        server.sql("CREATE ROLE alice;")
        yield server


@under_one
def test_a_database_of_another_makes_dump(offline: Sandbox, empty: Server) -> None:
    for name in NAMES:
        text = TEXTS[name].text.replace(*_MADE)
        reader = DumpReader()
        reader.feed(text)
        contents = reader.finish()
        backup = backup_of(text)
        prepare(offline, empty, backup)
        for database in contents.databases:
            plan = plan_restore(request_of(backup, str(database.name), new_name="again"))
            outcome = restore(offline, plan)
            assert outcome.code == 0, (name, database.name, outcome.log)
            expected = {(table.schema, table.name): table.rows for table in database.tables}
            assert truth.tables(empty, "again") == expected, (name, database.name)
            if "old" in name and database.name == "app":
                values: list[Any] = list(shape(empty, "again"))
                owner, *_, rights, _, _, settings = values
                assert (owner, rights, settings) == (
                    "alice",
                    ["alice=CTc/alice"],
                    [["-", ["work_mem=8MB"]], ["alice", ["work_mem=9MB"]]],
                )
            empty.sql("DROP DATABASE again;")
