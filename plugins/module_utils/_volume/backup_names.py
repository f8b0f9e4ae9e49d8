# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""File names of backups and the times in them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_NAME = re.compile(r"(?P<prefix>.+)-(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{6})\.sql\.gz(?P<age>\.age)?")
_NAME_TIME_FORMAT = "%Y-%m-%d-%H%M%S"
# How times are shown, and how the script writes them.
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def backup_name(prefix: str, started: datetime, *, is_encrypted: bool = False) -> str:
    """The file name of a backup: its CronJob's name and the UTC time when the run started."""
    ending = ".sql.gz.age" if is_encrypted else ".sql.gz"
    return f"{prefix}-{started.astimezone(timezone.utc).strftime(_NAME_TIME_FORMAT)}{ending}"


def time_in_name(name: str) -> datetime | None:
    """The UTC time in a backup's file name (no path); None for another name, and for a time that does not exist."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match["time"], _NAME_TIME_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def prefix_in_name(name: str) -> str | None:
    """The CronJob's name, which precedes the time in a backup's file name (no path); None for another name."""
    match = _NAME.fullmatch(name)
    return match["prefix"] if match else None


def is_encrypted_name(name: str) -> bool:
    """Whether a backup's file name (no path) is that of a backup that age has encrypted."""
    match = _NAME.fullmatch(name)
    return match is not None and match["age"] is not None


def parse_time(text: str) -> datetime | None:
    """A time as the script writes it, such as `2026-11-22T02:00:00Z`; None for anything else."""
    if _TIME.fullmatch(text) is None:
        return None
    try:
        # A history has thousands of times: strptime takes ten times as long.
        return datetime.fromisoformat(f"{text[:-1]}+00:00")
    except ValueError:
        return None
