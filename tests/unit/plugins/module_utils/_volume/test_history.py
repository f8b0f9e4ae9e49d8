# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The gaps between runs, and the day on which a volume will be full."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._volume.catalog import parse_listing
from plugins.module_utils._volume.history import Entry, growth, parse_entry, worst_gap

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
DAY = timedelta(days=1)
GIB = 1 << 30


def line(days_ago: float, **fields: Any) -> dict[str, Any]:
    started = NOW - timedelta(days=days_ago)
    return {
        "type": "history",
        "operation": "run",
        "started": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "finished": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "state": "succeeded",
        "backup": "b",
        "backup_state": "complete",
        "bytes": GIB,
        "free_bytes": 100 * GIB,
        "volume_bytes": 200 * GIB,
        **fields,
    }


def entry(days_ago: float, **fields: Any) -> Entry:
    parsed = parse_entry(line(days_ago, **fields))
    assert parsed is not None
    return parsed


def test_line_is_read() -> None:
    assert entry(1, seconds=3, deleted=True, rows=7, reason="x", job=None, later=[]) == Entry(
        operation="run",
        started=NOW - DAY,
        finished=NOW - DAY,
        state="succeeded",
        backup="b",
        backup_state="complete",
        size_bytes=GIB,
        free_bytes=100 * GIB,
        volume_bytes=200 * GIB,
        seconds=3,
        rows=7,
        reason="x",
    )
    assert entry(1, seconds=3).to_dict() == {
        "operation": "run",
        "started": "2026-11-21T03:00:00Z",
        "finished": "2026-11-21T03:00:00Z",
        "state": "succeeded",
        "backup": "b",
        "backup_state": "complete",
        "size_bytes": GIB,
        "free_bytes": 100 * GIB,
        "volume_bytes": 200 * GIB,
        "seconds": 3,
        **dict.fromkeys(("uncompressed_bytes", "deleted", "tables", "rows", "job", "reason")),
    }


@pytest.mark.parametrize("fields", [{"started": None}, {"finished": "soon"}, {"operation": 1}, {"state": None}])
def test_line_of_another_form_is_ignored(fields: dict[str, Any]) -> None:
    assert parse_entry(line(1, **fields)) is None


@pytest.mark.parametrize("value", [None, "7", 1.5, True, -1])
def test_value_of_another_form_is_not_known(value: Any) -> None:
    assert entry(1, free_bytes=value).free_bytes is None


# -------------------------------------------------------------------------------------------------------------- gaps


@pytest.mark.parametrize(
    ("days_ago", "expected"),
    [
        ([3, 2, 1, 0.1], (3, 2)),
        ([5, 4, 1.5, 0.5], (4, 1.5)),
        ([5, 4, 3], (3, None)),  # lasts until now
        ([60, 50, 29, *range(28, 0, -1)], (50, 29)),  # ended in the window
        ([60, 31, 30.5, *range(30, 0, -1)], (30, 29)),  # an older one does not count
        ([1], (1, None)),
        ([1, -2], (1, None)),  # a clock that was wrong
    ],
)
def test_worst_gap(days_ago: list[float], expected: tuple[float, float | None]) -> None:
    gap = worst_gap([entry(number) for number in days_ago], NOW, DAY)
    assert gap is not None
    assert gap.start == NOW - timedelta(days=expected[0])
    assert gap.end == (None if expected[1] is None else NOW - timedelta(days=expected[1]))


def test_what_made_no_complete_backup_ends_no_gap() -> None:
    history = [
        entry(5),
        entry(4, state="failed", backup_state="incomplete"),
        entry(3, state="interrupted"),
        entry(2, operation="drill"),
        entry(1),
    ]
    gap = worst_gap(history, NOW, DAY)
    assert gap is not None
    assert gap.to_dict() == {
        "seconds": 4 * 86400,
        "start": "2026-11-17T03:00:00Z",
        "end": "2026-11-21T03:00:00Z",
        "expected_seconds": 86400,
    }
    assert worst_gap(history[1:4], NOW, DAY) is None
    assert worst_gap([], NOW, DAY) is None


@pytest.mark.parametrize(("days", "is_too_long"), [(1.0, False), (1.4, False), (1.6, True), (2.0, True)])
def test_gap_is_too_long_if_a_run_is_missing(days: float, is_too_long: bool) -> None:
    gap = worst_gap([entry(days + 0.5), entry(0.5)], NOW, DAY)
    assert gap is not None and gap.is_too_long is is_too_long
    unknown = worst_gap([entry(9)], NOW, None)
    assert unknown is not None and not unknown.is_too_long and unknown.to_dict()["expected_seconds"] is None


@given(st.lists(st.floats(0, 29), min_size=1, max_size=30))
def test_no_gap_is_longer_than_the_worst(days_ago: list[float]) -> None:
    history = [entry(number) for number in days_ago]
    gap = worst_gap(history, NOW, DAY)
    starts = sorted(item.started for item in history)
    assert gap is not None
    assert gap.duration == max(later - earlier for earlier, later in zip(starts, [*starts[1:], NOW], strict=True))


# ------------------------------------------------------------------------------------------------------------ growth


def volume(free: Callable[[int], float], days: int = 30, **fields: Any) -> list[Entry]:
    """A run each night; `free` gives the free GiB on each day, 0 for the first one."""
    return [entry(days - 1 - day, free_bytes=round(free(day) * GIB), **fields) for day in range(days)]


def days_until_full(history: list[Entry], free_gib: float) -> float | None:
    result = growth(history, NOW, round(free_gib * GIB))
    assert result is not None
    return result.days_until_full


def test_steady_growth() -> None:
    assert days_until_full(volume(lambda day: 100 - 2 * day), 42) == pytest.approx(21)
    assert growth(volume(lambda day: 100 - 2 * day), NOW, 0) is not None


def test_volume_that_does_not_grow() -> None:
    assert days_until_full(volume(lambda _: 100), 100) is None
    shrinking = growth(volume(lambda day: 100 + day), NOW, 0)
    assert shrinking is not None and (shrinking.bytes_per_day, shrinking.days_until_full) == (-GIB, None)


@pytest.mark.parametrize("days", [0, 1, 6])
def test_too_little_data(days: int) -> None:
    assert growth(volume(lambda day: 100 - day, days), NOW, GIB) is None


def test_many_runs_on_few_days_are_too_little_data() -> None:
    history = [entry(number / 24, free_bytes=number * GIB) for number in range(48)]
    assert growth(history, NOW, GIB) is None


def test_entries_without_sizes_do_not_count() -> None:
    assert growth(volume(lambda _: 1, operation="drill"), NOW, GIB) is None
    assert growth([entry(day, free_bytes=None) for day in range(30)], NOW, GIB) is None
    assert growth([entry(100 + day) for day in range(30)], NOW, GIB) is None
    assert growth([entry(-1 - day) for day in range(30)], NOW, GIB) is None


def test_retention_that_deletes_once_a_week() -> None:
    """Of seven new backups, six are deleted at once: one a week remains."""
    history = volume(lambda day: 100 - (day - 6 * (day // 7)))
    assert days_until_full(history, 20) == pytest.approx(20 * 7, rel=0.2)


@pytest.mark.parametrize("day_of_outlier", [0, 3, 15, 28, 29])
@pytest.mark.parametrize("outlier", [0.0, 90.0])
def test_single_day_does_not_change_the_trend(day_of_outlier: int, outlier: float) -> None:
    history = volume(lambda day: outlier if day == day_of_outlier else 60 - day)
    assert days_until_full(history, 30) == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize("day_of_step", [1, 7, 15, 22, 29])
@pytest.mark.parametrize("step", [300, 20, -20])
def test_cleaned_or_resized_volume(day_of_step: int, step: float) -> None:
    """Neither 300 GiB more of space nor a large file of somebody else is growth, or the lack of it."""
    history = volume(lambda day: 100 - day + (step if day >= day_of_step else 0))
    assert days_until_full(history, 50) == pytest.approx(50, rel=0.1)


def test_shared_nas() -> None:
    """Others write and delete much more than this installation; the NAS fills by 5 GiB a day in all."""
    noise = [0, 9, -7, 4, -12, 11, -3, 8, -10, 2]
    history = volume(lambda day: 1000 - 5 * day + noise[day % 10], bytes=GIB // 10)
    assert days_until_full(history, 850) == pytest.approx(170, rel=0.15)


def test_recent_days_decide() -> None:
    """After a database was moved to this server, its backups are larger."""
    history = volume(lambda day: 500 - day if day < 60 else 440 - 5 * (day - 60), 90)
    assert days_until_full(history, 290) == pytest.approx(58, rel=0.1)


@given(
    slope=st.floats(0.5, 5),
    jumps=st.dictionaries(st.integers(0, 29), st.floats(-90, 90), max_size=4),
    free=st.floats(1, 1000),
)
def test_few_outliers_change_little(slope: float, jumps: dict[int, float], free: float) -> None:
    history = volume(lambda day: 400 - slope * day + jumps.get(day, 0))
    assert days_until_full(history, free) == pytest.approx(free / slope, rel=0.35)


def test_ten_thousand_lines_are_read_in_half_a_second() -> None:
    ending = '{"type":"volume","path":"/b","source":null,"size_bytes":1,"free_bytes":1,"policy":{},"last_run":null}'
    lines = [*(json.dumps(line(number / 24)) for number in range(10_000)), ending]
    began = time.process_time()
    history = parse_listing(lines).history
    worst_gap(history, NOW, DAY)
    growth(history, NOW, GIB)
    seconds = time.process_time() - began
    assert len(history) == 10_000
    assert seconds < 0.5
