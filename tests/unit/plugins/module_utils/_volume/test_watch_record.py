# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Whether the watch itself works: its CronJob, its last look and its channels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.watch_record import WatchSchedule, watch_problems

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WATCH = WatchSchedule(is_suspended=False, interval=timedelta(minutes=30), since=NOW - timedelta(days=9))
LOOKED = {"time": "2026-11-22T11:30:00Z", "channels": [{"name": "phone", "kind": "ntfy", "state": "works"}]}
BROKEN = {"name": "phone", "kind": "ntfy", "state": "failed", "error": "the server answered 403 Forbidden"}


@pytest.mark.parametrize(
    ("schedule", "record", "expected"),
    [
        (None, None, []),
        (None, {"time": "2026-11-01T00:00:00Z", "channels": [BROKEN]}, []),
        (WATCH, LOOKED, []),
        (replace(WATCH, is_suspended=True), LOOKED, ["is suspended"]),
        (WATCH, {**LOOKED, "time": "2026-11-22T10:30:00Z"}, []),
        (
            WATCH,
            {**LOOKED, "time": "2026-11-22T10:29:59Z"},
            ["in the last 1h 30m, found the last one at 2026-11-22 10:29"],
        ),
        (replace(WATCH, interval=timedelta(days=1)), {**LOOKED, "time": "2026-11-20T00:00:00Z"}, []),
        (replace(WATCH, interval=None), {**LOOKED, "time": "2026-11-22T08:00:00Z"}, ["in the last 3h, found"]),
        (WATCH, None, ["found none"]),
        (replace(WATCH, since=NOW - timedelta(hours=1)), None, []),
        (replace(WATCH, since=None), None, []),
        (
            WATCH,
            {**LOOKED, "channels": [BROKEN, *LOOKED["channels"]]},
            ["phone (ntfy) works, found: the server answered 403"],
        ),
        (
            WATCH,
            {"time": 7, "channels": [BROKEN, 3, None, {"state": "failed", "name": 7}]},
            ["found none", "403", "unknown error"],
        ),
        (WATCH, {"time": "2026-11-22T11:30:00Z", "channels": {"a": 1}}, []),
    ],
)
def test_watch_problems(schedule: WatchSchedule | None, record: dict[str, Any] | None, expected: list[str]) -> None:
    found = list(watch_problems(schedule, record, NOW))
    assert [problem.check for problem in found] == ["watch"] * len(expected)
    assert all(words in problem.message for words, problem in zip(expected, found, strict=True))
