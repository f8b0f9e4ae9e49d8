# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a look finds on a volume: the problems of backup_info, what is open during a run, and drills that are due."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.catalog import parse_listing
from plugins.module_utils._volume.copy_health import ConfiguredPlace, CopySchedule
from plugins.module_utils._watch import judgement
from plugins.module_utils._watch.judgement import Judgement, judge

from .volume import Volume, configuration

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday
RUN = {"started": "2026-11-22T11:00:00Z", "finished": "2026-11-22T11:40:00Z", "reason": "no answer"}
LONG_AGO = NOW - timedelta(days=90)


def judged(volume: Volume, since: datetime | None = LONG_AGO, **values: Any) -> Judgement:
    return judge(configuration(**values), parse_listing(volume.lines()), NOW, drill_since=since)


PLACE = ConfiguredPlace("cloud", "s3")
COPIES = CopySchedule(False, timedelta(minutes=30), None, (PLACE,))


@pytest.mark.parametrize(
    ("copies", "ages", "is_behind"),
    [(None, (30,), False), (COPIES, (30,), True), (COPIES, (10,), False), (COPIES, (10, 34), True)],
)
def test_copies_that_are_missing(copies: CopySchedule | None, ages: tuple[int, ...], is_behind: bool) -> None:
    schedules = (copies,) if copies else ()
    found = judged(Volume(backups=[NOW - timedelta(hours=age) for age in ages]), copies=schedules)
    assert ("copy" in found.problems) is is_behind


@pytest.mark.parametrize(("location", "is_behind"), [("s3 new", False), ("s3 old", True)])
def test_copies_at_another_location_than_the_configured_one(location: str, is_behind: bool) -> None:
    found = Volume(backups=[NOW - timedelta(hours=30)])
    listed = parse_listing(found.lines()).backups[0]
    copy = {"backup": listed.name, "sha256": listed.sha256, "size_bytes": 1, "proven": "2026-11-21T07:00:00Z"}
    record = {"format": 1, "place": "cloud", "time": "2026-11-22T11:50:00Z", "location": location, "copies": [copy]}
    catalog = parse_listing([json.dumps({"type": "copies", "record": record}), *found.lines()])
    copies = replace(COPIES, places=(replace(PLACE, location="s3 new"),))
    judgement = judge(configuration(copies=(copies,)), catalog, NOW, drill_since=LONG_AGO)
    assert ("its location was changed" in " ".join(judgement.problems.get("copy", ()))) is is_behind


def volume(**values: Any) -> Volume:
    return Volume(backups=[NOW - timedelta(hours=10)], **values)


@pytest.mark.parametrize(
    ("found", "problems", "undecided", "certain"),
    [
        (volume(), set(), set(), set()),
        (Volume(), {"backup"}, set(), set()),
        (Volume(backups=[NOW - timedelta(hours=27)]), {"age"}, set(), set()),
        (volume(free_bytes=1), {"space"}, set(), set()),
        (volume(state="damaged"), {"backup", "damaged"}, set(), set()),
        (volume(is_future=True), {"backup", "future"}, set(), set()),
        (volume(last_run={"state": "failed", **RUN}), {"last_run"}, set(), {"last_run"}),
        # Another attempt may follow.
        (volume(last_run={"state": "failed", **RUN, "finished": "2026-11-22T11:55:00Z"}), {"last_run"}, set(), set()),
        (volume(last_run={"state": "failed", **RUN, "finished": None}), {"last_run"}, set(), set()),
        (volume(last_run={"state": "interrupted", **RUN}), {"last_run"}, set(), set()),
        (volume(last_run={"state": "running"}), set(), {"last_run", "databases", "server", "space"}, set()),
        (volume(last_drill={"state": "running"}), set(), {"drill"}, set()),
    ],
)
def test_judged(found: Volume, problems: set[str], undecided: set[str], certain: set[str]) -> None:
    result = judged(found)
    assert set(result.problems) == problems
    assert (result.undecided, result.certain) == (frozenset(undecided), frozenset(certain))


def test_a_suspended_installation() -> None:
    assert set(judged(volume(), is_suspended=True).problems) == {"schedule"}


DRILLED = {"state": "succeeded", "started": "2026-11-22T04:00:03Z"}


@pytest.mark.parametrize(
    ("schedule", "last_drill", "since", "is_problem"),
    [
        ("", None, LONG_AGO, False),
        ("0 4 * * 0", DRILLED, LONG_AGO, False),
        ("0 4 * * 0", None, LONG_AGO, True),
        ("0 4 * * 0", {**DRILLED, "started": "2026-11-15T04:00:03Z"}, LONG_AGO, True),
        ("0 4 * * 0", {**DRILLED, "state": "failed"}, LONG_AGO, True),
        ("0 4 * * 0", {**DRILLED, "started": "2026-11-15T04:00:03Z", "state": "running"}, LONG_AGO, False),
        # Its result may take two hours.
        ("30 10 * * 0", DRILLED, LONG_AGO, False),
        ("0 10 * * 0", DRILLED, LONG_AGO, True),
        # The schedule is newer than the time at which it would have been due.
        ("0 4 * * 0", None, NOW - timedelta(hours=7), False),
        ("0 4 * * 0", None, NOW - timedelta(hours=9), True),
        ("0 4 * * 0", None, None, False),
    ],
)
def test_drills(schedule: str, last_drill: dict[str, Any] | None, since: datetime | None, is_problem: bool) -> None:
    result = judged(volume(last_drill=last_drill), since, drill_schedule=schedule)
    assert set(result.problems) == ({"drill"} if is_problem else set())


@pytest.mark.parametrize(
    ("zone", "started", "is_problem"),
    [
        ("Europe/Berlin", "2026-11-22T03:00:03Z", False),
        ("Etc/UTC", "2026-11-22T03:00:03Z", True),
        ("America/New_York", "2026-11-22T09:00:03Z", False),
        ("America/New_York", "2026-11-15T09:00:03Z", True),
        # An image without time zones: the newest time is not used before it is past everywhere.
        ("Nowhere/Unknown", "2026-11-15T09:00:03Z", False),
    ],
)
def test_drills_in_a_time_zone(zone: str, started: str, is_problem: bool) -> None:
    found = volume(last_drill={"state": "succeeded", "started": started})
    result = judged(found, drill_schedule="0 4 * * 0", time_zone=zone)
    assert set(result.problems) == ({"drill"} if is_problem else set())


def test_an_image_without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(judgement, "ZoneInfo")
    test_drills_in_a_time_zone("Europe/Berlin", "2026-11-15T09:00:03Z", False)
