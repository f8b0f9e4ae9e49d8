# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Databases with extensions of other projects, and such that need a search_path: run, contents, drill, restore."""

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
from tests.in_turn import weekly_but

from .support import combinations, extensions
from .support.combinations import Combination
from .support.extensions import CASES, NEEDS_SEARCH_PATH, NEEDS_SEARCH_PATH_BEFORE_17, SCHEDULED
from .support.programs import root_filesystem, wrap
from .support.rehearsal import Rehearsal, counted
from .support.restores import drop, request, restore, state_of, text_of
from .support.sandbox import Sandbox
from .support.server import Server
from .support.workspace import Workspace

COMBINATION = Combination("dash", "mawk")
ALL = {**CASES, **NEEDS_SEARCH_PATH}


@dataclass(frozen=True)
class Made:
    """A server, and a backup of it in the sandbox's volume."""

    server: Server
    sandbox: Sandbox
    backup: Path

    def answer(self, case: str, database: str | None = None) -> str:
        return self.server.sql(ALL[case].query, database or case)

    @property
    def rehearsal(self) -> Rehearsal:
        rehearsal = Rehearsal.of(self.sandbox, self.server.programs)
        rehearsal.volume = self.sandbox.volume
        return rehearsal


def back_up(workspace: Workspace, script: Path, server: Server) -> Made:
    path = combinations.make_path(COMBINATION, workspace.directory("path"))
    sandbox = Sandbox(workspace, COMBINATION, path, script)
    sandbox.server = server
    sandbox.run("run").check()
    (backup,) = sandbox.backup_files()
    return Made(server, sandbox, backup)


@pytest.fixture(scope="module")
def made(workspace: Workspace, script: Path, extension_server: Server) -> Made:
    return back_up(workspace, script, extension_server)


def test_every_table_is_counted_in_the_text(made: Made) -> None:
    manifest = json.loads(made.backup.with_name(f"{made.backup.name}.json").read_text())
    assert manifest["state"] == "complete"
    assert ALL.keys() <= set(manifest["dumped"])
    reader = DumpReader()
    reader.feed(gzip.decompress(made.backup.read_bytes()))
    databases = {database["name"]: database["tables"] for database in reader.finish().to_dict()["databases"]}
    for name in ALL:
        rows = {(table["schema"], table["name"]): table["rows"] for table in databases[name]}
        tables = truth.tables(made.server, name)
        # The rows of an extension's own tables are in the text, too.
        assert {table: rows.get(table) for table in tables} == tables, name


def drill(made: Made, **env: str) -> None:
    ticks = made.answer(SCHEDULED)
    outcome = made.rehearsal.run("drill", env=env).check()
    tables = counted(outcome)
    for name in ALL:
        assert tables[name] == truth.tables(made.server, name), name
    needs = {need["database"]: need["search_path"] for need in outcome.result["needs"]}
    assert needs == dict.fromkeys(NEEDS_SEARCH_PATH, "public")
    used = {(each["database"], each["name"]) for each in outcome.result["extensions"]}
    assert {("series", "timescaledb"), (SCHEDULED, "pg_cron"), ("vectors", "vector"), ("maps", "postgis")} <= used
    # No scheduled job of the backup ran, neither there nor on the live server.
    assert "cron.launch_active_jobs = off" in outcome.result["settings"]
    assert made.answer(SCHEDULED) == ticks


def test_a_drill_needs_no_help(made: Made) -> None:
    drill(made)


@pytest.mark.weekly
def test_a_drill_of_another_programs_backup(made: Made) -> None:
    """Without a manifest and a checksum file: what the databases need is in the text alone."""
    name = "postgres-backup-2026-01-01-000000.sql.gz"
    (made.sandbox.volume / name).write_bytes(made.backup.read_bytes())
    drill(made, POSTGRES_BACKUP_DRILL_BACKUP=name)
    (made.sandbox.volume / name).unlink()


def restore_and_compare(made: Made, case: str, new_name: str, **options: object) -> dict[str, object]:
    """Restores a database under a new name; returns the result."""
    text, tables, answer = text_of(made.server, case), truth.tables(made.server, case), made.answer(case)
    result = restore(made.sandbox, plan_restore(request(case, new_name=new_name, **options))).check().result
    assert truth.tables(made.server, new_name) == tables
    if not result["left_out"]:
        assert text_of(made.server, new_name) == text
        assert made.answer(case, new_name) == answer
    return result


@pytest.mark.parametrize("case", weekly_but(CASES, "series", SCHEDULED))
def test_a_database_under_a_new_name(made: Made, case: str) -> None:
    result = restore_and_compare(made, case, "restored")
    # pg_cron can only be in one database of a server.
    left_out = [each["object"] for each in result["left_out"]]  # type: ignore[attr-defined]
    assert left_out == (["extension pg_cron"] if case == SCHEDULED else [])
    assert any("pg_cron" in warning for warning in result["warnings"]) == (case == SCHEDULED)  # type: ignore[attr-defined]
    drop(made.server, "restored")


@pytest.mark.parametrize("case", weekly_but(CASES, SCHEDULED))
def test_a_database_in_place_of_the_live_one(made: Made, case: str) -> None:
    text, answer = text_of(made.server, case), made.answer(case)
    plan = plan_restore(request(case, replace=True, terminate_connections=True))
    outcome = restore(made.sandbox, plan).check()
    assert not outcome.result["left_out"]
    assert text_of(made.server, case) == text
    assert made.answer(case) == answer
    drop(made.server, outcome.result["replaced"])


@pytest.mark.parametrize("case", weekly_but(NEEDS_SEARCH_PATH, "regions"))
def test_a_search_path_is_asked_for(made: Made, case: str) -> None:
    before = state_of(made.server)
    failed = restore(made.sandbox, plan_restore(request(case, new_name="restored"))).check(1)
    assert "42883" in failed.result["reason"] and "search_path" in failed.log
    assert state_of(made.server) == before
    restore_and_compare(made, case, "restored", search_path="public")
    drop(made.server, "restored")


@pytest.fixture(scope="module")
def old(workspace: Workspace, script: Path) -> Iterator[Made]:
    """A server of version 15, whose indexes and materialized views follow the session's search_path."""
    programs = wrap(workspace.show(root_filesystem("15")), "15", workspace.directory("postgresql"))
    with Server(programs, workspace.directory("old", mode=0o777)).create() as server:
        extensions.fill(server, NEEDS_SEARCH_PATH_BEFORE_17)
        yield back_up(workspace, script, server)


@pytest.mark.weekly
def test_indexes_and_views_that_need_a_search_path(old: Made, extension_server: Server) -> None:
    outcome = old.rehearsal.run("drill").check()
    assert {need["database"] for need in outcome.result["needs"]} == NEEDS_SEARCH_PATH_BEFORE_17.keys()
    for case in NEEDS_SEARCH_PATH_BEFORE_17:
        assert counted(outcome)[case] == truth.tables(old.server, case)
    newer = Rehearsal.of(old.sandbox, extension_server.programs)
    newer.volume = old.sandbox.volume
    failed = newer.run("drill").check(2)
    # earthdistance has another version there.
    causes = {error["database"]: error["sqlstate"] for error in failed.of_type("error") if error["follows"] is None}
    assert causes == {"names": "42883", "words": "42P01"}
    assert "names" not in {need["database"] for need in failed.result["needs"]}


@pytest.mark.weekly
@pytest.mark.parametrize("case", ["series", SCHEDULED, "maps"])
def test_a_database_of_another_programs_backup(made: Made, case: str) -> None:
    """Without a manifest and a checksum file."""
    name = "postgres-backup-2026-01-01-000000.sql.gz"
    (made.sandbox.volume / name).write_bytes(made.backup.read_bytes())
    result = restore_and_compare(made, case, "restored", backup=name)
    assert result["backup"] == name
    drop(made.server, "restored")
    (made.sandbox.volume / name).unlink()
