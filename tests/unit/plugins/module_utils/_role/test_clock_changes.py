# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Schedules in an hour that summer time leaves out or repeats."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from plugins.module_utils._role import clock_changes
from plugins.module_utils._role.clock_changes import clock_change_warnings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
BERLIN_SKIPS, BERLIN_REPEATS = "leave out 02:30 on 2027-03-28", "repeat 02:30 on 2027-10-31"

# Schedule, time zone, and the words for each warning.
CASES: list[tuple[str, str, list[str]]] = [
    ("30 2 * * *", "Europe/Berlin", [BERLIN_SKIPS, BERLIN_REPEATS]),
    ("30 2 * * 0", "Europe/Berlin", [BERLIN_SKIPS, BERLIN_REPEATS]),
    ("0,30 2,14 * * *", "Europe/Berlin", ["leave out 02:00 on 2027-03-28", "repeat 02:00 on 2027-10-31"]),
    ("30 2 28 3 *", "Europe/Berlin", [BERLIN_SKIPS]),
    ("30 2 * * 1-6", "Europe/Berlin", []),
    ("30 2 1 * *", "Europe/Berlin", []),
    ("0 3 * * *", "Europe/Berlin", []),
    ("59 1 * * *", "Europe/Berlin", []),
    ("30 * * * *", "Europe/Berlin", []),
    ("@hourly", "Europe/Berlin", []),
    ("@every 24h", "Europe/Berlin", []),
    ("30 1 * * *", "America/New_York", ["repeat 01:30 on 2027-11-07"]),
    ("30 2 * * *", "America/New_York", ["leave out 02:30 on 2027-03-14"]),
    # The clocks are changed by half an hour.
    ("15 2 * * *", "Australia/Lord_Howe", ["leave out 02:15 on 2027-10-03"]),
    ("45 1 * * *", "Australia/Lord_Howe", ["repeat 01:45 on 2027-04-04"]),
    # They are changed at midnight.
    ("@daily", "Asia/Beirut", ["leave out 00:00 on 2027-03-28"]),
    ("30 23 * * *", "Asia/Beirut", ["repeat 23:30 on 2027-10-30"]),
    ("30 2 * * *", "Etc/UTC", []),
    ("30 2 * * *", "Asia/Tokyo", []),
    ("30 2 * * *", "No/Such_Zone", []),
    ("not a schedule", "Europe/Berlin", []),
]


@pytest.mark.parametrize(("schedule", "zone", "words"), CASES)
def test_the_dates(schedule: str, zone: str, words: list[str]) -> None:
    messages = clock_change_warnings("postgres_backup_schedule", schedule, zone, NOW)
    assert len(messages) == len(words)
    for message, word in zip(messages, words, strict=True):
        assert message.startswith(f"postgres_backup_schedule: the clocks of {zone} {word}, so ")


def test_today_counts() -> None:
    morning = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    assert BERLIN_SKIPS in clock_change_warnings("v", "30 2 * * *", "Europe/Berlin", morning)[0]


def test_a_machine_without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(clock_changes, "ZoneInfo")
    assert clock_change_warnings("v", "30 2 * * *", "Europe/Berlin", NOW) == []
