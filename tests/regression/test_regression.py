# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""PostgreSQL's own regression database through run, verification, drill and restore.

A daily run makes it from some of PostgreSQL's tests, for one version; the weekly run from all of them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils._jobs.restore_plan import plan_restore
from tests.dump import truth
from tests.in_turn import weekly
from tests.script.support import combinations, regression
from tests.script.support.combinations import Combination
from tests.script.support.programs import Programs, root_filesystem, wrap
from tests.script.support.rehearsal import Rehearsal, counted
from tests.script.support.restores import drop, request, restore, text_of
from tests.script.support.sandbox import Sandbox
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

# Of many kinds of objects; each uses nothing but the first one of the schedule.
CUT = (
    "copy2", "create_table", "create_type", "domain", "enum", "identity", "inherit", "matview", "rangetypes",
    "rowsecurity", "sequence",
)  # fmt: skip
COMBINATION = Combination("dash", "mawk")
SECONDS = 600


@dataclass(frozen=True)
class Made:
    """A server with the regression database, and a backup of it."""

    server: Server
    tests: regression.Sources
    tables: truth.Tables
    sandbox: Sandbox
    backup: Path

    @property
    def rehearsal(self) -> Rehearsal:
        return self.rehearsal_on(self.server.programs)

    def rehearsal_on(self, programs: Programs) -> Rehearsal:
        rehearsal = Rehearsal.of(self.sandbox, programs)
        rehearsal.volume = self.sandbox.volume
        return rehearsal


def programs_of(workspace: Workspace, version: str) -> Programs:
    return wrap(workspace.show(root_filesystem(version)), version, workspace.directory("postgresql"))


@pytest.fixture(scope="module", params=["18 cut", weekly("15"), weekly("17"), weekly("18")])
def made(request: pytest.FixtureRequest, workspace: Workspace, script: Path) -> Iterator[Made]:
    version, _, cut = str(request.param).partition(" ")
    programs = programs_of(workspace, version)
    tests = regression.sources(workspace, programs)
    path = combinations.make_path(COMBINATION, workspace.directory("path"))
    sandbox = Sandbox(workspace, COMBINATION, path, script)
    sandbox.server = Server(programs, workspace.directory("regression", mode=0o777)).create()
    regression.prepare(sandbox.server)
    with sandbox.server as server:
        regression.fill(server, workspace, tests, CUT if cut else ())
        tables = truth.tables(server, regression.DATABASE)
        # Fewer: the tests did not find their data or their libraries.
        assert len(tables) > (60 if cut else 500) and sum(tables.values()) > 40_000
        sandbox.run("run", timeout=SECONDS).check()
        (backup,) = sandbox.backup_files()
        yield Made(server, tests, tables, sandbox, backup)


def test_every_table_is_counted_in_the_text(made: Made) -> None:
    manifest = json.loads(made.backup.with_name(f"{made.backup.name}.json").read_text())
    assert (manifest["state"], manifest["missing"]) == ("complete", [])
    reader = DumpReader()
    reader.feed(gzip.decompress(made.backup.read_bytes()))
    (database,) = (each for each in reader.finish().to_dict()["databases"] if each["name"] == regression.DATABASE)
    rows = {(table["schema"], table["name"]): table["rows"] for table in database["tables"]}
    # Those of foreign tables and materialized views are in no dump.
    assert {table: rows.get(table, 0) for table in made.tables} == made.tables
    assert database["rows"] == sum(made.tables.values())


def test_every_table_is_restored_by_a_drill(made: Made) -> None:
    outcome = made.rehearsal.run("drill", timeout=SECONDS).check()
    assert counted(outcome)[regression.DATABASE] == made.tables


def test_the_database_is_restored_under_a_new_name(made: Made) -> None:
    restore(made.sandbox, plan_restore(request(regression.DATABASE, new_name="restored"))).check()
    assert truth.tables(made.server, "restored") == made.tables
    original, restored = (
        regression.normalized(text_of(made.server, name)) for name in (regression.DATABASE, "restored")
    )
    assert {head for head in original if restored.get(head) != original[head]} == set()
    assert restored.keys() == original.keys()
    drop(made.server, "restored")


@pytest.mark.weekly
@pytest.mark.parametrize("made", [weekly("15")], indirect=True)
def test_a_backup_of_15_on_18(made: Made, workspace: Workspace) -> None:
    """What 18 refuses is named; without it, the backup is restored."""
    made.server.sql(f"CREATE DATABASE adjusted TEMPLATE {regression.DATABASE} STRATEGY file_copy;")
    made.server.sql("".join(regression.REFUSED_BY_18), "adjusted")
    tables = truth.tables(made.server, "adjusted")
    both, adjusted = (
        made.sandbox.run("run", env={"POSTGRES_BACKUP_EXTRA_ARGS": argument}, timeout=SECONDS).check().result["backup"]
        for argument in ("", f"--exclude-database={regression.DATABASE}")
    )
    drop(made.server, "adjusted")
    newer = programs_of(workspace, "18")
    made.tests.offer_libraries(regression.sources(workspace, newer), newer)
    rehearsal = made.rehearsal_on(newer)
    try:
        failed = rehearsal.run("drill", env={"POSTGRES_BACKUP_DRILL_BACKUP": both}, timeout=SECONDS)
        outcome = rehearsal.run("drill", env={"POSTGRES_BACKUP_DRILL_BACKUP": adjusted}, timeout=SECONDS).check()
    finally:
        made.tests.offer_libraries(made.tests, made.server.programs)
    errors = failed.check(2).of_type("error")
    assert {error["database"] for error in errors} == {regression.DATABASE}
    causes = {error["object"]: error["sqlstate"] for error in errors if error["follows"] is None}
    assert causes == regression.OBJECTS_REFUSED_BY_18
    assert counted(outcome)["adjusted"] == tables
