# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The calendar: what became of each day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._report.days import SHOWN_DAYS, STATES, calendar, day_states, grid
from plugins.module_utils._report.text import MONTHS
from plugins.module_utils._volume.history import Entry, parse_entry

NOW = datetime(2026, 11, 28, 10, tzinfo=UTC)  # a Saturday
TODAY = NOW.date()
DAILY = {"cron": "0 2 * * *", "time_zone": "Etc/UTC"}


def run(started: datetime, **fields: Any) -> Entry:
    moment = f"{started:%Y-%m-%dT%H:%M:%SZ}"
    line = {"operation": "run", "started": moment, "finished": moment, "state": "succeeded", **fields}
    entry = parse_entry(line)
    assert entry is not None
    return entry


def at(days_ago: int, hour: int = 2) -> datetime:
    return NOW.replace(hour=hour) - timedelta(days=days_ago)


def ago(states: dict[date, str]) -> dict[int, str]:
    return {(TODAY - day).days: state for day, state in states.items()}


def test_a_day_has_the_best_of_its_runs() -> None:
    runs = [
        run(at(4)),
        run(at(3), state="failed"),
        run(at(3, 5)),
        run(at(2), state="failed", backup_state="incomplete"),
        run(at(2, 5), state="interrupted"),
        run(at(1), state="failed"),
        run(at(0)),
    ]
    assert ago(day_states(runs, [], DAILY, NOW)) == {
        4: "complete",
        3: "complete",
        2: "incomplete",
        1: "failed",
        0: "complete",
    }


def test_backups_count_where_the_history_is_silent() -> None:
    backups = [(at(3), "complete"), (at(2), "unchecked"), (at(1), "incomplete"), (at(-1), "complete")]
    assert ago(day_states([], backups, DAILY, NOW)) == {3: "complete", 2: "missed", 1: "incomplete", 0: "missed"}


@pytest.mark.parametrize(
    ("cron", "runs", "missed"),
    [
        ("0 2 * * *", [9, 8, 4, 1, 0], {7, 6, 5, 3, 2}),
        ("0 2 * * 0", [20, 13], {6}),  # Sundays; the last one was 6 days ago
        ("0 2 * * 1-5", [10, 9, 8, 5, 4, 3, 2, 1], set()),
        ("30 * * * *", [3, 1, 0], {2}),
        ("@every 6h", [3, 0], {2, 1}),
        ("59 9 * * *", [2, 1], set()),  # a minute ago: it may start late
        ("59 8 * * *", [2, 1], {0}),
        ("no schedule", [9, 1], set()),
    ],
)
def test_days_without_a_run_that_was_due(cron: str, runs: list[int], missed: set[int]) -> None:
    hour = {"59 9 * * *": 9, "59 8 * * *": 9}.get(cron, 2)
    states = ago(day_states([run(at(days, hour)) for days in runs], [], {"cron": cron}, NOW))
    assert {day for day, state in states.items() if state == "missed"} == missed


def test_a_run_that_starts_after_midnight_is_not_missed() -> None:
    runs = [run(at(days, 0) + timedelta(seconds=20)) for days in (3, 2, 1)]
    schedule = {"cron": "59 23 * * *", "time_zone": "Etc/UTC"}
    assert "missed" not in day_states(runs, [], schedule, at(1, 5)).values()


def test_the_schedule_is_in_its_time_zone() -> None:
    """02:00 in Auckland is the afternoon of the day before in UTC."""
    runs = [run(at(days, 13)) for days in (5, 4, 2, 1)]
    schedule = {"cron": "0 2 * * *", "time_zone": "Pacific/Auckland"}
    states = ago(day_states(runs, [], schedule, NOW))
    assert {day for day, state in states.items() if state == "missed"} == {3}


def test_nothing_is_known_before_the_first_run() -> None:
    assert day_states([], [], DAILY, NOW) == {}
    assert calendar({}, TODAY).summary == "no run is known"


def days_of(path: str) -> Iterator[date]:
    """The days that a path has, read as a browser draws it."""
    first = TODAY - timedelta(days=SHOWN_DAYS - 1)
    monday = first - timedelta(days=first.weekday())
    assert re.fullmatch(r"(M\d+ \d+h\d+)+", path)
    for column, row, length in re.findall(r"M(\d+) (\d+)h(\d+)", path):
        for week in range(int(column), int(column) + int(length)):
            yield monday + timedelta(days=7 * week + int(row))


@given(st.dictionaries(st.integers(0, SHOWN_DAYS + 9), st.sampled_from(STATES)))
def test_the_paths_have_each_day_once(states: dict[int, str]) -> None:
    result = calendar({TODAY - timedelta(days=number): state for number, state in states.items()}, TODAY)
    drawn = [(day, state) for state, path in result.paths.items() for day in days_of(path)]
    shown = {TODAY - timedelta(days=number): state for number, state in states.items() if number < SHOWN_DAYS}
    assert len(drawn) == len(shown)
    assert dict(drawn) == shown
    assert sum(result.counts.values()) == len(shown)


def test_the_grid_has_all_days_and_their_months() -> None:
    result = grid(TODAY)
    assert sorted(days_of(result.days)) == [TODAY - timedelta(days=number) for number in range(364, -1, -1)]
    assert result.weeks == 53
    assert result.days.count("M") == 7, "one line for each weekday"
    assert [name for _, name in result.months] == [*MONTHS[11:], *MONTHS[:11]]
    # The 1st of December 2025 was a Monday, the first one of the second column.
    assert result.months[0] == (1, "Dec")


def test_the_summary_is_what_is_seen() -> None:
    states = {TODAY: "complete", TODAY - timedelta(days=1): "failed", TODAY - timedelta(days=2): "missed"}
    assert calendar(states, TODAY).summary == (
        "1 day with a complete backup, 1 day with a failed run, 1 day without a run that was due"
    )
