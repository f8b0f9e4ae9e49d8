# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What backup_info returned about an installation, with its times and records read.

The records of the last run and the last drill are files on the volume: members that are missing or of another type are
taken for unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._volume.backup_names import parse_time
from .._volume.history import Entry, parse_entry
from .text import printable

# No size in bytes and no number of rows is larger.
_TOO_LARGE = 1 << 63


@dataclass(frozen=True)
class Backup:
    """One backup on the volume, as in the result of backup_info."""

    name: str
    created: datetime
    size_bytes: int
    state: str
    is_future: bool
    verdict: str
    reasons: tuple[str, ...]
    left_out: bool


@dataclass(frozen=True)
class Drill:
    """The last scheduled drill that succeeded; what is not known is None."""

    started: datetime
    seconds: int
    databases: int | None
    tables: int | None
    rows: int | None
    size_bytes: int | None


class Facts:
    """A result of backup_info with `history: true`, in which every text is printable.

    Raises AttributeError, KeyError, TypeError or ValueError for anything else.
    """

    def __init__(self, result: Mapping[str, Any]) -> None:
        # Of the history, which is long, only few texts are shown: see `reason`.
        history = result["history"]
        self.result = result = printable({key: value for key, value in result.items() if key != "history"})
        self.namespace, self.name = str(result["namespace"]), str(result["name"])
        self.is_healthy = bool(result["healthy"])
        self.problems = [(str(item["check"]), str(item["message"])) for item in result["problems"]]
        self.backups = [_backup(item) for item in result["backups"]]
        entries = (parse_entry(item, "size_bytes") for item in history)
        self.history: list[Entry] = sorted(
            (entry for entry in entries if entry is not None and _is_possible(entry)), key=lambda entry: entry.started
        )
        self.runs = [entry for entry in self.history if entry.operation == "run"]
        self.volume: Mapping[str, Any] = result["volume"]
        self.schedule: Mapping[str, Any] = result["schedule"]
        self.policy: Mapping[str, Any] = result["policy"]
        self.databases: list[Mapping[str, Any]] = result["databases"]
        self.last_run = _object(result["last_run"])
        self.last_drill = _object(result["last_drill"])
        # Empty without copies at other places.
        self.places = [_object(place) for place in result.get("places") or []]
        self.three_two_one = _object(result.get("three_two_one"))
        self.notes = [str(note) for note in result["notes"]]

    @staticmethod
    def reason(entry: Entry) -> str:
        """Why an entry of the history did not succeed."""
        return str(printable(entry.reason or "no reason was recorded"))

    @property
    def newest(self) -> Backup | None:
        """The newest complete backup."""
        return next((backup for backup in self.backups if backup.state == "complete" and not backup.is_future), None)

    @property
    def failing_since(self) -> datetime | None:
        """When the first of the runs started that have not succeeded since the last one that did; None without any."""
        since = None
        for run in self.runs:
            since = None if run.made_complete_backup else since or run.started
        return since

    @property
    def unhealthy_since(self) -> datetime | None:
        """When the watch saw that the installation is not healthy any more; None where there is no watch."""
        watch = _object(self.result.get("last_watch"))
        return parse_time(str(watch.get("since"))) if watch.get("state") == "unhealthy" else None

    @property
    def drill(self) -> Drill | None:
        """The last drill that succeeded, from the history, and what its record adds."""
        drills = [entry for entry in self.history if entry.operation == "drill" and entry.state == "succeeded"]
        record = self.last_drill if self.last_drill.get("state") == "succeeded" else {}
        recorded = parse_time(str(record.get("started")))
        if recorded is not None and (not drills or drills[-1].started <= recorded):
            steps = _object(record.get("seconds"))
            return Drill(
                started=recorded,
                seconds=sum(number(steps, step) or 0 for step in steps),
                **{key: number(record, key) for key in ("databases", "tables", "rows")},
                size_bytes=number(record, "bytes"),
            )
        if not drills:
            return None
        last = drills[-1]
        return Drill(last.started, last.seconds or 0, None, last.tables, last.rows, last.size_bytes)


def _backup(item: Mapping[str, Any]) -> Backup:
    created = parse_time(item["created"])
    if created is None:
        raise ValueError(f"expected a time in created of {item['name']}, found {item['created']}")
    return Backup(
        name=str(item["name"]),
        created=created,
        size_bytes=int(item["size_bytes"]),
        state=str(item["state"]),
        is_future=bool(item["future"]),
        verdict=str(item["verdict"]),
        reasons=tuple(map(str, item["reasons"])),
        left_out=item.get("left_out") is True,
    )


def _is_possible(entry: Entry) -> bool:
    values = (entry.size_bytes, entry.seconds, entry.rows, entry.free_bytes, entry.volume_bytes)
    return not any(value is not None and value >= _TOO_LARGE for value in values)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def number(record: Mapping[str, Any], key: str) -> int | None:
    """A number that is not negative, rounded down."""
    value = record.get(key)
    # In Python, a bool is an int.
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return int(value) if 0 <= value < _TOO_LARGE else None


def texts(record: Mapping[str, Any], key: str) -> list[str]:
    """The texts of a list in a record of a run."""
    value = record.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
