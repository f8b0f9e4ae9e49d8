# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""When the identity of each recipient last opened a backup, as keys.sh records it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..units import CLOCK_TOLERANCE
from .backup_names import TIME_FORMAT, parse_time


@dataclass(frozen=True)
class Key:
    """A recipient: `since` is when a run first encrypted to it, `opened` when its identity last opened `backup` (UTC).

    `by` is what decrypted: `drill` or `restore`. `opened`, `backup` and `by` are None before the first time.
    `is_current` if the last run encrypted to it. `limit` is after which time it must have opened one; None for never.
    """

    recipient: str
    since: datetime
    opened: datetime | None
    backup: str | None
    by: str | None
    is_current: bool
    limit: timedelta | None

    def is_overdue(self, now: datetime) -> bool:
        """Whether a current recipient's identity has not opened a backup for longer than the limit.

        A time in the future, of a wrong clock, does not show when that was.
        """
        if not self.is_current or self.limit is None:
            return False
        return now - (self.opened or self.since) > self.limit or self.is_of_future(now)

    def is_of_future(self, now: datetime) -> bool:
        """Whether the clock was wrong when its identity opened a backup."""
        return self.opened is not None and self.opened > now + CLOCK_TOLERANCE

    def to_dict(self, now: datetime) -> dict[str, Any]:
        """As backup_info returns it."""
        return {
            "recipient": self.recipient,
            "since": self.since.strftime(TIME_FORMAT),
            "opened": self.opened.strftime(TIME_FORMAT) if self.opened else None,
            "backup": self.backup,
            "by": self.by,
            "current": self.is_current,
            "overdue": self.is_overdue(now),
        }


def parse_keys(objects: Iterable[Mapping[str, Any]]) -> tuple[Key, ...]:
    """The keys of the lines of a listing of the type `key`; a record that is none is left out."""
    return tuple(key for item in objects if (key := _parsed(item.get("record"))) is not None)


def _parsed(record: Any) -> Key | None:
    if not isinstance(record, Mapping):
        return None
    since, opened = parse_time(str(record.get("since"))), parse_time(str(record.get("opened")))
    recipient, limit = record.get("recipient"), record.get("limit_seconds")
    if since is None or not isinstance(recipient, str) or not isinstance(limit, int):
        return None
    texts = {name: str(record[name]) if record.get(name) is not None else None for name in ("backup", "by")}
    seconds = timedelta(seconds=min(limit, 10**10)) if limit else None
    return Key(recipient, since, opened, texts["backup"], texts["by"], record.get("is_current") is True, seconds)
