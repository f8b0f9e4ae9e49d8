# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""File names of backups and the times in them, and durations as users write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from .errors import ExpectationError

_NAME = re.compile(r"(?P<prefix>.+)-(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{6})\.sql\.gz")
_NAME_TIME_FORMAT = "%Y-%m-%d-%H%M%S"
# How times are shown, and how the script writes them.
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def backup_name(prefix: str, started: datetime) -> str:
    """The file name of a backup: its CronJob's name and the UTC time when the run started."""
    return f"{prefix}-{started.astimezone(timezone.utc).strftime(_NAME_TIME_FORMAT)}.sql.gz"


def time_in_name(name: str) -> datetime | None:
    """The UTC time in a backup's file name (no path); None when it is no such name, or no such time exists."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        return datetime.strptime(found["time"], _NAME_TIME_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def prefix_in_name(name: str) -> str | None:
    """What stands before the time in a backup's file name (no path), its CronJob's name; None for another name."""
    found = _NAME.fullmatch(name)
    return found["prefix"] if found else None


def parse_time(text: str) -> datetime | None:
    """A time as the script writes it, such as `2026-11-22T02:00:00Z`; None for anything else."""
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def parse_duration(text: str) -> timedelta:
    """A duration: one whole number of at most six digits and one unit of s m h d w, as in `26h`.

    Raises ExpectationError for anything else, as the script does.
    """
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ExpectationError(
            "expected a duration such as 90m, 26h or 7d (one whole number above 0 of at most six digits, "
            f"one unit of s m h d w), found '{text}'"
        )
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def format_duration(duration: timedelta) -> str:
    """A duration for people, to two units: `1d 2h`, `3h 20m`, `45s`."""
    left = int(duration.total_seconds())
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, _SECONDS[unit])
        if number or (unit == "s" and not parts):
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])
