# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The history of an installation, `<name>.history.jsonl`: one line for each run, scheduled drill and prune.

Nothing decides about a deletion by it: a line may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from .backup_names import TIME_FORMAT, parse_time

GAP_WINDOW = timedelta(days=30)
# A gap is worth a note if it is longer than this many of the schedule's longest intervals: a run that was missed
# doubles the interval, while one that took long does not.
_LATE = 1.5
# The trend is that of the last days on which a run ended, one value for each day.
_TREND_WINDOW = timedelta(days=90)
_TREND_DAYS = 30
_LEAST_DAYS = 7
# A change that is this many times the usual one is not growth: somebody cleaned the volume or changed its size.
_STEP = 10


class Entry(NamedTuple):
    """One operation: times are UTC, sizes bytes; None where the line does not have the value.

    `operation` is `run`, `drill`, `restore` or `prune`, or what a later version adds; `state` is `succeeded`, `failed`
    or `interrupted`; `backup_state` is that of the backup which a run made; `seconds` is how long it took; `deleted` is
    how many backups it deleted; `tables` and `rows` are what a drill counted after its restore.
    """

    operation: str
    started: datetime
    finished: datetime
    state: str
    backup: str | None
    backup_state: str | None
    size_bytes: int | None
    free_bytes: int | None
    volume_bytes: int | None
    uncompressed_bytes: int | None = None
    seconds: int | None = None
    deleted: int | None = None
    tables: int | None = None
    rows: int | None = None
    job: str | None = None
    reason: str | None = None

    @property
    def made_complete_backup(self) -> bool:
        return self.operation == "run" and self.state == "succeeded"

    def to_dict(self) -> dict[str, Any]:
        times = {"started": self.started.strftime(TIME_FORMAT), "finished": self.finished.strftime(TIME_FORMAT)}
        return {**self._asdict(), **times}


@dataclass(frozen=True)
class Gap:
    """The longest time without a run that made a complete backup: between the starts of two, or since the last one.

    `end` is None if no complete backup was made since. `expected` is the longest interval of the schedule, None where
    that is not known.
    """

    start: datetime
    end: datetime | None
    duration: timedelta
    expected: timedelta | None

    @property
    def is_too_long(self) -> bool:
        return self.expected is not None and self.duration > self.expected * _LATE

    def to_dict(self) -> dict[str, Any]:
        return {
            "seconds": int(self.duration.total_seconds()),
            "start": self.start.strftime(TIME_FORMAT),
            "end": self.end.strftime(TIME_FORMAT) if self.end else None,
            "expected_seconds": int(self.expected.total_seconds()) if self.expected else None,
        }


@dataclass(frozen=True)
class Growth:
    """How fast the used part of a volume grows; `days_until_full` is None if it does not grow."""

    bytes_per_day: int
    days_until_full: float | None

    def to_dict(self) -> dict[str, Any]:
        days = self.days_until_full
        return {"bytes_per_day": self.bytes_per_day, "days_until_full": None if days is None else round(days, 1)}


def parse_entry(item: Mapping[str, Any], size_key: str = "bytes") -> Entry | None:
    """The entry of a line of the history; None for one that is not of a form that this version knows.

    In the results of modules, the size is not in `bytes` as in the file, but in `size_bytes`.
    """
    started, finished = parse_time(str(item.get("started"))), parse_time(str(item.get("finished")))
    operation, state = item.get("operation"), item.get("state")
    if started is None or finished is None or not isinstance(operation, str) or not isinstance(state, str):
        return None
    return Entry(
        operation=operation,
        started=started,
        finished=finished,
        state=state,
        backup=_text(item.get("backup")),
        backup_state=_text(item.get("backup_state")),
        size_bytes=_number(item.get(size_key)),
        free_bytes=_number(item.get("free_bytes")),
        volume_bytes=_number(item.get("volume_bytes")),
        uncompressed_bytes=_number(item.get("uncompressed_bytes")),
        seconds=_number(item.get("seconds")),
        deleted=_number(item.get("deleted")),
        tables=_number(item.get("tables")),
        rows=_number(item.get("rows")),
        job=_text(item.get("job")),
        reason=_text(item.get("reason")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    # A bool is an int in Python, and not in JSON.
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def worst_gap(history: Iterable[Entry], now: datetime, expected: timedelta | None) -> Gap | None:
    """The longest gap that ended in the last 30 days or lasts until now; None without a run in the history.

    `expected` is the longest interval of the schedule. Runs in the future are ignored.
    """
    starts = sorted(entry.started for entry in history if entry.made_complete_backup and entry.started <= now)
    if not starts:
        return None
    since = now - GAP_WINDOW
    ends: list[datetime | None] = [*starts[1:], None]
    gaps = [
        Gap(start, end, (end or now) - start, expected)
        for start, end in zip(starts, ends)
        if end is None or end > since
    ]
    return max(gaps, key=lambda gap: gap.duration)


def growth(history: Iterable[Entry], now: datetime, free_bytes: int) -> Growth | None:
    """How fast the volume fills, and when it will be full; None where there are fewer than 7 days with a value.

    The slope is the median of those between all pairs of days (Theil-Sen), so that single days do not change it. The
    volume may be shared: what others write to it counts. Steps, such as those of a volume that was cleaned or resized,
    do not count: a change of more than ten times the usual one, and than ten backups, is replaced by the usual one.
    """
    days = _free_by_day(history, now)
    if len(days) < _LEAST_DAYS:
        return None
    slope = _slope(_without_steps(days))
    if slope >= 0:
        return Growth(round(-slope), None)
    return Growth(round(-slope), free_bytes / -slope)


@dataclass(frozen=True)
class _Day:
    day: int
    free_bytes: float
    size_bytes: int


def _free_by_day(history: Iterable[Entry], now: datetime) -> list[_Day]:
    """The free space at the end of the last run of each day, oldest first."""
    last: dict[int, Entry] = {}
    for entry in history:
        age = now - entry.finished
        if entry.operation != "run" or entry.free_bytes is None or not timedelta() <= age <= _TREND_WINDOW:
            continue
        day = entry.finished.toordinal()
        if day not in last or last[day].finished <= entry.finished:
            last[day] = entry
    newest = sorted(last)[-_TREND_DAYS:]
    return [_Day(day, last[day].free_bytes or 0, last[day].size_bytes or 0) for day in newest]


def _without_steps(days: Sequence[_Day]) -> list[tuple[int, float]]:
    """The days and the free space, with each step replaced by the usual change."""
    rates = [(after.free_bytes - before.free_bytes) / (after.day - before.day) for before, after in zip(days, days[1:])]
    usual = median(rates)
    limit = _STEP * max(median(abs(rate) for rate in rates), median(day.size_bytes for day in days), 1)
    points: list[tuple[int, float]] = [(days[0].day, days[0].free_bytes)]
    for rate, before, after in zip(rates, days, days[1:]):
        change = (usual if abs(rate - usual) > limit else rate) * (after.day - before.day)
        points.append((after.day, points[-1][1] + change))
    return points


def _slope(points: Sequence[tuple[int, float]]) -> float:
    return median(
        (after - before) / (later - earlier)
        for number, (earlier, before) in enumerate(points)
        for later, after in points[number + 1 :]
    )
