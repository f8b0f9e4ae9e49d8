# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The history of an installation, `<name>.history.jsonl`: one line for each run, scheduled drill and prune.

Nothing decides about a deletion by it: a line may be missing. Its gaps and its trend are computed by the script
(trend.awk), which also exports them as metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .backup_names import TIME_FORMAT, parse_time

# That of trend.awk.
GAP_WINDOW = timedelta(days=30)
# A gap is worth a note if it is longer than this many of the schedule's longest intervals: a run that was missed
# doubles the interval, while one that took long does not.
_LATE = 1.5


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
    """How fast the used part of a volume grows; `days_until_full` is None if it does not grow.

    Whatever is written to the volume counts. Single days do not, nor steps, such as those of a volume that was cleaned.
    """

    bytes_per_day: int
    days_until_full: float | None

    def to_dict(self) -> dict[str, Any]:
        days = self.days_until_full
        return {"bytes_per_day": self.bytes_per_day, "days_until_full": None if days is None else round(days, 1)}


@dataclass(frozen=True)
class Trend:
    """What the script computes from the history (trend.awk).

    `growth` is None where fewer than 7 days have a value. `worst_gap` is the longest gap that ended in the last 30
    days or lasts until now, None without a run that made a complete backup. `consecutive_failures` is how many Jobs
    failed since the last run that succeeded.
    """

    growth: Growth | None = None
    worst_gap: Gap | None = None
    consecutive_failures: int = 0

    def gap(self, expected: timedelta | None) -> Gap | None:
        """The worst gap; `expected` is the longest interval of the schedule."""
        return replace(self.worst_gap, expected=expected) if self.worst_gap else None


def parse_trend(item: Mapping[str, Any]) -> Trend:
    """The trend of the script's line; raises KeyError or TypeError for one of another form."""
    growth, gap = item["growth"], item["worst_gap"]
    return Trend(
        Growth(growth["bytes_per_day"], growth["days_until_full"]) if growth else None,
        _gap(gap) if gap else None,
        item["consecutive_failures"],
    )


def _gap(item: Mapping[str, Any]) -> Gap:
    start = parse_time(item["start"])
    if start is None:
        raise KeyError(f"start: {item['start']}")
    end = None if item["end"] is None else parse_time(item["end"])
    return Gap(start, end, timedelta(seconds=item["seconds"]), None)


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
