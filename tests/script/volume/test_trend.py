# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""trend.awk: the gaps between runs, the day on which a volume will be full, and the failures in a row."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ..support.awks import each_awk, run_awk

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
GIB = 1 << 30
Json = dict[str, Any]


def line(days_ago: float, **fields: Any) -> str:
    """An entry of a run that took no time."""
    started = f"{NOW - timedelta(days=days_ago):%Y-%m-%dT%H:%M:%SZ}"
    entry = {
        "operation": "run",
        "started": started,
        "finished": started,
        "state": "succeeded",
        "backup": "b",
        "backup_state": "complete",
        "bytes": GIB,
        "free_bytes": 100 * GIB,
        "volume_bytes": 200 * GIB,
        "job": "j",
        "reason": '"free_bytes":7,"state":"x',
        **fields,
    }
    return json.dumps(entry, separators=(",", ":"))


def trend(history: list[str], free_gib: float = 1, awk: str = "mawk") -> Json:
    text = "".join(f"{entry}\n" for entry in history)
    variables = {"now": f"{NOW.timestamp():.0f}", "free_bytes": f"{free_gib * GIB:.0f}"}
    output = run_awk(awk, ["calendar.awk", "json.awk", "trend.awk"], variables, text)
    (printed,) = output.splitlines()
    found: Json = json.loads(printed)
    assert (found.pop("type"), sorted(found)) == ("trend", ["consecutive_failures", "growth", "worst_gap"])
    return found


def time_of(days_ago: float) -> str:
    return f"{NOW - timedelta(days=days_ago):%Y-%m-%dT%H:%M:%SZ}"


@each_awk
def test_a_history_of_a_month(awk: str) -> None:
    history = [line(days, free_bytes=(10 + days) * GIB) for days in range(30, -1, -1) if days not in (5, 6)]
    history += [line(0, state="failed", job=job) for job in ("a", "a", "b")]
    assert trend(history, 12, awk) == {
        "growth": {"bytes_per_day": GIB, "days_until_full": 12},
        "worst_gap": {"seconds": 3 * 86400, "start": time_of(7), "end": time_of(4)},
        "consecutive_failures": 2,
    }


@each_awk
def test_no_history(awk: str) -> None:
    assert trend([], awk=awk) == {"growth": None, "worst_gap": None, "consecutive_failures": 0}


# -------------------------------------------------------------------------------------------------------------- gaps


@pytest.mark.parametrize(
    ("days_ago", "expected"),
    [
        ([3, 2, 1, 0.1], (3, 2)),
        ([5, 4, 1.5, 0.5], (4, 1.5)),
        ([0.5, 4, 1.5, 5], (4, 1.5)),  # in another order
        ([5, 4, 3], (3, None)),  # lasts until now
        ([60, 50, 29, *range(28, 0, -1)], (50, 29)),  # ended in the window
        ([60, 31, 30.5, *range(30, 0, -1)], (30, 29)),  # an older one does not count
        ([200, 100, 5, 4, 3, 2, 1], (100, 5)),  # none for longer than the trend's window
        ([300, 100], (100, None)),
        ([1], (1, None)),
        ([1, -2], (1, None)),  # a clock that was wrong
    ],
)
def test_worst_gap(days_ago: list[float], expected: tuple[float, float | None]) -> None:
    gap = trend([line(number) for number in days_ago])["worst_gap"]
    assert gap["start"] == time_of(expected[0])
    assert gap["end"] == (None if expected[1] is None else time_of(expected[1]))
    assert gap["seconds"] == (expected[0] - (expected[1] or 0)) * 86400


def test_what_made_no_complete_backup_ends_no_gap() -> None:
    history = [
        line(5),
        line(4, state="failed", backup_state="incomplete"),
        line(3, state="interrupted"),
        line(2, operation="drill"),
        line(1),
    ]
    assert trend(history)["worst_gap"] == {"seconds": 4 * 86400, "start": time_of(5), "end": time_of(1)}
    assert trend(history[1:4])["worst_gap"] is None


@given(st.lists(st.integers(0, 29 * 86400), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_no_gap_is_longer_than_the_worst(seconds_ago: list[int]) -> None:
    gap = trend([line(number / 86400) for number in seconds_ago])["worst_gap"]
    starts = sorted(-number for number in seconds_ago)
    assert gap["seconds"] == max(later - earlier for earlier, later in zip(starts, [*starts[1:], 0], strict=True))


# ------------------------------------------------------------------------------------------------------------ growth


def volume(free: Callable[[int], float], days: int = 30, **fields: Any) -> list[str]:
    """A run each night; `free` gives the free GiB on each day, 0 for the first one."""
    return [line(days - 1 - day, free_bytes=round(free(day) * GIB), **fields) for day in range(days)]


def days_until_full(history: list[str], free_gib: float) -> float | None:
    growth = trend(history, free_gib)["growth"]
    days: float | None = growth["days_until_full"]
    return days


def test_steady_growth() -> None:
    assert days_until_full(volume(lambda day: 100 - 2 * day), 42) == pytest.approx(21)
    assert days_until_full(volume(lambda day: 100 - 2 * day), 0) == 0


def test_volume_that_does_not_grow() -> None:
    assert trend(volume(lambda _: 100))["growth"] == {"bytes_per_day": 0, "days_until_full": None}
    assert trend(volume(lambda day: 100 + day))["growth"] == {"bytes_per_day": -GIB, "days_until_full": None}


@pytest.mark.parametrize("days", [0, 1, 6])
def test_too_little_data(days: int) -> None:
    assert trend(volume(lambda day: 100 - day, days))["growth"] is None


def test_many_runs_on_few_days_are_too_little_data() -> None:
    assert trend([line(number / 24, free_bytes=number * GIB) for number in range(48)])["growth"] is None


@pytest.mark.parametrize("value", [None, "7", 1.5, True, -1])
def test_value_of_another_form_is_not_known(value: Any) -> None:
    assert trend([*volume(lambda _: 1), line(0, free_bytes=value)])["growth"] is not None
    assert trend([line(day, free_bytes=value) for day in range(30)])["growth"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "drill"},
        {"started": None},
        {"finished": "soon"},
        {"state": None},
        {"started": "2026-02-29T02:00:00Z"},
        {"finished": "2026-11-21T24:00:00Z"},
    ],
)
def test_entries_of_another_form_do_not_count(fields: Json) -> None:
    history = [line(day, **fields) for day in range(30)]
    assert trend(history) == {"growth": None, "worst_gap": None, "consecutive_failures": 0}


@pytest.mark.parametrize("shift", [100, -31])
def test_other_times_do_not_count(shift: int) -> None:
    assert trend([line(shift + day) for day in range(30)])["growth"] is None


def test_last_run_of_a_day_counts() -> None:
    """Also if the lines are in another order."""
    evenings = volume(lambda day: 100 - day)
    mornings = [line(day + 0.1, free_bytes=0) for day in range(30)]
    assert days_until_full([*mornings, *evenings], 50) == days_until_full([*evenings, *mornings], 50) == 50


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
@example(slope=1, jumps={15: 1, 0: 0, 16: 11}, free=1)  # only the change after it is ten times the usual one
@settings(max_examples=30, deadline=None)
def test_few_outliers_change_little(slope: float, jumps: dict[int, float], free: float) -> None:
    history = volume(lambda day: 400 - slope * day + jumps.get(day, 0))
    assert days_until_full(history, free) == pytest.approx(free / slope, rel=0.5)


# ---------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("runs", "failures"),
    [
        (["succeeded a"], 0),
        (["succeeded a", "failed b"], 1),
        (["succeeded a", "failed b", "failed b"], 1),  # attempts of one Job
        (["failed b", "failed c", "failed b"], 3),
        (["failed ", "failed "], 2),  # outside of Kubernetes
        (["failed a", "interrupted b"], 2),
        (["failed a", "failed b", "succeeded c"], 0),
        (["failed a", "succeeded a", "failed a"], 1),
    ],
)
def test_consecutive_failures(runs: list[str], failures: int) -> None:
    history = [line(1, state=run.split(" ")[0], job=run.split(" ")[1] or None) for run in runs]
    history.append(line(0, operation="drill", state="succeeded"))
    assert trend(history)["consecutive_failures"] == failures


@each_awk
def test_ten_thousand_shuffled_entries_take_a_second(awk: str) -> None:
    """Hourly for more than a year, in an order that no script wrote. Processor time, as the machine may be busy."""
    history = [line(number * 7919 % 10_000 / 24) for number in range(10_000)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert trend(history, awk=awk)["worst_gap"]["seconds"] == 3600
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1
