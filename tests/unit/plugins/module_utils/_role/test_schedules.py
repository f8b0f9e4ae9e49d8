# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The longest interval of a schedule, which the gaps between runs are compared with, and its last time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._role.schedules import last_time, longest_interval

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)  # a Sunday
MONTH = timedelta(days=30)


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("0 2 * * *", 24),
        ("59 23 * * *", 24),
        ("0 2,14 * * *", 12),
        ("0 2,5 * * *", 21),
        ("*/5 * * * *", 1 / 12),
        ("0 2 * * 0", 7 * 24),
        ("0 2 * * sun", 7 * 24),
        ("0 2 * * 1-5", 3 * 24),
        ("0 2 */2 * *", 48),
        ("0 2 1 * *", 31 * 24),
        ("0 2 1 * ?", 31 * 24),
        ("0 2 31 * *", 61 * 24),
        ("0 2 1 * 0", 7 * 24),  # restricted twice: one of the two is enough
        ("0 2 29 2 *", (4 * 365 + 1) * 24),
        ("0 4 * Feb *", 24 * (365 - 27)),
        ("@weekly", 7 * 24),
        ("@Hourly", 1),
        ("@every 1h30m", 1.5),
        ("@every 0s", 1 / 3600),
    ],
)
def test_longest_interval(schedule: str, hours: float) -> None:
    assert longest_interval(schedule, NOW, MONTH) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "daily", "0 2 * *", "61 2 * * *", "0 2 30 2 *"])
def test_what_is_not_a_schedule_has_no_interval(text: str) -> None:
    assert longest_interval(text, NOW, MONTH) is None


HOURS = st.sets(st.integers(0, 23), min_size=1, max_size=4)
WEEKDAYS = st.sets(st.integers(0, 6), min_size=1, max_size=6)


@given(hours=HOURS, weekdays=WEEKDAYS, minute=st.integers(0, 59), shift=st.integers(0, 10_000))
def test_interval_is_that_of_the_times_one_by_one(hours: set[int], weekdays: set[int], minute: int, shift: int) -> None:
    now = NOW + timedelta(hours=shift)
    schedule = f"{minute} {','.join(map(str, hours))} * * {','.join(map(str, weekdays))}"
    begin = (now - MONTH - timedelta(days=8)).replace(minute=minute)
    moments = [begin + timedelta(hours=number) for number in range(46 * 24)]
    fires = [moment for moment in moments if moment.hour in hours and moment.isoweekday() % 7 in weekdays]
    expected = max(after - before for before, after in pairwise(fires))
    assert longest_interval(schedule, now, MONTH) == expected


@given(hours=HOURS, weekdays=WEEKDAYS, minute=st.integers(0, 59), shift=st.integers(0, 100_000))
def test_last_time_is_the_newest_of_the_times_one_by_one(
    hours: set[int], weekdays: set[int], minute: int, shift: int
) -> None:
    now = NOW.replace(tzinfo=None) + timedelta(minutes=shift)
    schedule = f"{minute} {','.join(map(str, hours))} * * {','.join(map(str, weekdays))}"
    moment = now.replace(minute=minute) - (timedelta(hours=1) if now.minute < minute else timedelta())
    while not (moment.hour in hours and moment.isoweekday() % 7 in weekdays):
        moment -= timedelta(hours=1)
    assert last_time(schedule, now) == moment


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 3 * * *", datetime(2026, 11, 22, 3)),
        ("1 3 * * *", datetime(2026, 11, 21, 3, 1)),
        ("@hourly", datetime(2026, 11, 22, 3)),
        ("@weekly", datetime(2026, 11, 22)),
        ("0 4 1 * *", datetime(2026, 11, 1, 4)),
        ("0 4 29 2 *", datetime(2024, 2, 29, 4)),
        ("@every 1h", None),
        ("daily", None),
    ],
)
def test_last_time(schedule: str, expected: datetime | None) -> None:
    assert last_time(schedule, NOW.replace(tzinfo=None)) == expected
