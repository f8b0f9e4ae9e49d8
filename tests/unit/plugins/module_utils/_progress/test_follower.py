# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""When a line is due, and what it estimates."""

from __future__ import annotations

from itertools import pairwise

from plugins.module_utils._progress.event import Event
from plugins.module_utils._progress.follower import Follower, Pace

MIB = 1 << 20
PACE = Pace(2.0, 9.5)


def follower(began: float = 100.0) -> Follower:
    return Follower("data/x", "fetch", PACE, began)


def test_the_first_line_and_then_the_gaps() -> None:
    """First line within 3 s, no gap above 10 s, with or without events."""
    for with_events in (False, True):
        follow, shown = follower(), []
        for step in range(400):
            now = 100 + step * 0.25
            if with_events:
                follow.add(Event("fetch", None, step * MIB, 1000 * MIB), now)
            if follow.due_line(now):
                shown.append(now)
        assert shown[0] - 100 <= 3
        gaps = [later - earlier for earlier, later in pairwise(shown)]
        assert len(gaps) > 5
        assert 9 < min(gaps) <= max(gaps) <= 10


def test_a_short_task_shows_nothing() -> None:
    follow = follower()
    follow.add(Event("fetch", None, 5, 10), 101.0)
    assert follow.due_line(101.9) is None


def test_the_rate_is_that_of_the_last_seconds() -> None:
    follow = follower()
    for second in range(60):
        # Ten times as fast in the last half.
        done = second * MIB if second < 30 else 30 * MIB + (second - 30) * 10 * MIB
        follow.add(Event("fetch", None, done, 420 * MIB), 100.0 + second)
    assert follow.due_line(159.0) == "data/x: fetching, 320 of 420 MiB (76 %), 10.0 MiB/s, about 10 s left"


def test_what_was_there_before_does_not_count_for_the_rate() -> None:
    follow = follower()
    for second in range(5):
        follow.add(Event("fetch", None, (500 + second) * MIB, 1000 * MIB), 100.0 + second)
    assert "1.0 MiB/s" in (follow.due_line(104.0) or "")


def test_work_that_stalls_has_no_rate_and_no_end() -> None:
    follow = follower()
    for second in range(5):
        follow.add(Event("fetch", None, second * MIB, 10 * MIB), 100.0 + second)
    assert follow.due_line(140.0) == "data/x: fetching, 4.0 of 10.0 MiB (40 %), 40 s so far"


def test_the_next_piece_of_work_begins_anew() -> None:
    follow = follower()
    for second in range(5):
        follow.add(Event("fetch", None, second * MIB, 4 * MIB), 100.0 + second)
    follow.add(Event("flush"), 110.0)
    assert follow.due_line(113.0) == "data/x: writing to the local disk, 3 s so far"
    follow.add(Event("fetch", None, 0, 4 * MIB), 120.0)
    assert follow.due_line(125.0) == "data/x: fetching, 0.0 of 4.0 MiB (0 %), 5 s so far"


def test_the_databases_of_one_file_have_one_rate() -> None:
    follow = follower()
    for second in range(10):
        follow.add(Event("dump", f"db{second}", second * MIB, 20 * MIB, True), 100.0 + second)
    assert "9.0 of about 20.0 MiB (45 %), 1.0 MiB/s, about 11 s left" in (follow.due_line(109.0) or "")


def test_the_usual_duration_is_the_estimate_until_it_is_over() -> None:
    follow = follower()
    follow.add(Event("prepare", usual_seconds=60), 101.0)
    assert follow.due_line(120.0) == "data/x: preparing, about 41 s left"
    follow.add(Event("restore", done_bytes=MIB, total_bytes=4 * MIB, is_estimate=True), 130.0)
    assert follow.due_line(140.0) == "data/x: restoring, 1.0 of about 4.0 MiB (25 %), about 21 s left"
    assert "left" not in (follow.due_line(170.0) or "left")
