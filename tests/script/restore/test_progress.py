# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What restores and drills print for a module that shows their progress."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore

from ..restore_cluster.support import restore as restore_all
from ..restore_cluster.support import variables
from ..support.combinations import under_one
from ..support.programs import Programs
from ..support.progress import SHOWN, events, steps
from ..support.rehearsal import Rehearsal
from ..support.restores import Live, as_of_run, back_up, drop, prepare, request, restore
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace

HOSTILE = 'a,"b"] \\ ü'
# The last successful drill of these took 90 s.
DRILLS = (
    {"operation": "drill", "started": "2026-11-01T00:00:00Z", "state": "succeeded", "seconds": 30},
    {"operation": "drill", "started": "2026-11-08T00:00:00Z", "state": "succeeded", "seconds": 90},
    {"operation": "drill", "started": "2026-11-15T00:00:00Z", "state": "failed", "seconds": 2},
    {"operation": "run", "started": "2026-11-16T00:00:00Z", "state": "succeeded", "seconds": 5},
)

# Each row of a table takes half a second, so that there is something to see.
SLOW = (
    "CREATE FUNCTION public.slow() RETURNS bool LANGUAGE sql AS 'SELECT pg_sleep(0.5) IS NOT NULL';"
    "CREATE TABLE slow (n int CHECK (public.slow())); INSERT INTO slow SELECT generate_series(1, 8);"
)
FAST = "DROP TABLE slow; DROP FUNCTION public.slow();"
SIZE = 5_000_000_000


def with_size(manifest: str) -> str:
    """The manifest with the size of each database on the server, as a run writes it."""
    assert manifest.count('"extensions":') >= 2
    return manifest.replace('"extensions":', f'"size_bytes":{SIZE},"extensions":')


@pytest.fixture(scope="module")
def small(workspace: Workspace, template: Server) -> Iterator[Live]:
    with template.clone(workspace.directory("small", mode=0o777)) as server:
        for name in ("app", HOSTILE):
            quoted = name.replace('"', '""')
            server.sql(f'CREATE DATABASE "{quoted}" STRATEGY file_copy;')
            server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 10) AS n;", name)
        yield Live(server, as_of_run(back_up(server)))


@under_one
def test_a_database(offline: Sandbox, small: Live) -> None:
    prepare(offline, small.server, small.backup)
    plan = plan_restore(request(HOSTILE, new_name="again"))
    outcome = restore(offline, plan, **SHOWN).check()
    assert steps(outcome) == ["prepare", "create", "restore", "count", "swap"]
    assert {event.subject for event in events(outcome)} == {HOSTILE}
    drop(small.server, "again")
    assert events(restore(offline, plan).check()) == []
    drop(small.server, "again")


@under_one
def test_the_size_of_a_database(offline: Sandbox, small: Live) -> None:
    """Its rows take their time; the manifest has how large it was."""
    small.server.sql(SLOW, "app")
    backup = as_of_run(back_up(small.server))
    small.server.sql(FAST, "app")
    prepare(offline, small.server, replace(backup, manifest=with_size(backup.manifest)))
    outcome = restore(offline, plan_restore(request("app", new_name="again")), **SHOWN).check()
    sizes = [event for event in events(outcome) if event.done_bytes]
    assert sizes and all(event.done_bytes > 1_000_000 for event in sizes if event.done_bytes)
    assert {(event.activity, event.subject, event.total_bytes) for event in sizes} == {("restore", "app", SIZE)}
    assert all(event.is_estimate for event in sizes)
    drop(small.server, "again")


@under_one
def test_all_databases(offline: Sandbox, small: Live) -> None:
    """Those that are restored side by side print nothing themselves."""
    prepare(offline, small.server, small.backup)
    drop(small.server, "app", HOSTILE)
    outcome = offline.run("_restore_cluster", env={**variables(small.backup, {}), **SHOWN}).check()
    assert [step for step in steps(outcome) if step != "check_database"] == ["prepare", "roles", "databases", "restore"]
    restored = [event for event in events(outcome) if event.activity == "restore"]
    assert {"app", HOSTILE} <= {event.subject for event in restored}
    assert all(event.number and event.count and event.number <= event.count for event in restored)
    assert HOSTILE in outcome.log
    assert events(restore_all(offline, small.backup)) == []


@under_one
def test_a_drill(offline: Sandbox, postgresql: Programs, small: Live) -> None:
    small.server.sql(SLOW, "app")
    backup = as_of_run(back_up(small.server))
    rehearsal = Rehearsal.of(offline, postgresql)
    (rehearsal.volume / f"{backup.name}.json").write_text(with_size(backup.manifest))
    rehearsal.put_compressed(backup.data)
    history = rehearsal.volume / f"{offline.name}.history.jsonl"
    history.write_text("".join(f"{json.dumps(entry, separators=(',', ':'))}\n" for entry in DRILLS))
    outcome = rehearsal.run("drill", env=SHOWN).check()
    assert [event.usual_seconds for event in events(outcome) if event.usual_seconds] == [90]
    assert steps(outcome) == ["prepare", "initdb", "globals", "restore", "count"]
    restored = [event for event in events(outcome) if event.done_bytes]
    assert restored
    assert {(event.activity, event.is_estimate) for event in restored} == {("restore", True)}
    assert all(event.total_bytes and event.total_bytes % SIZE == 0 for event in restored)
    small.server.sql(FAST, "app")
