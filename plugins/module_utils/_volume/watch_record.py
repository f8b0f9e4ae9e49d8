# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The record of the watch's last look, `<name>.watch/last-watch.json`: whether the watch itself works.

The record is a file on the volume: fields that are missing or of another form are taken for empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..findings import Failure
from ..units import format_duration
from .backup_names import parse_time

# A watch may miss this many of its times before that is a problem: its Job may have to wait for a node.
_MISSED_LOOKS = 3
_DEFAULT_INTERVAL = timedelta(hours=1)


@dataclass(frozen=True)
class WatchSchedule:
    """The CronJob of the watch: `interval` is the longest time between two looks, `since` when it was created (UTC).

    Both are None where they are not known.
    """

    is_suspended: bool
    interval: timedelta | None
    since: datetime | None


def watch_problems(
    schedule: WatchSchedule | None, record: Mapping[str, Any] | None, now: datetime
) -> Iterator[Failure]:
    """Why the watch may not tell of a problem; nothing without a watch."""
    if schedule is None:
        return
    if schedule.is_suspended:
        yield Failure("watch", "the watch's CronJob is suspended: it reports no problem until it is resumed")
        return
    looked = parse_time(str((record or {}).get("time")))
    limit = _MISSED_LOOKS * (schedule.interval or _DEFAULT_INTERVAL)
    since = looked or schedule.since
    if since is not None and now - since > limit:
        yield Failure(
            "watch",
            f"expected a look of the watch in the last {format_duration(limit)}, found "
            f"{f'the last one at {looked:%Y-%m-%d %H:%M} UTC' if looked else 'none'}. It reports no problem now: "
            "check the watch's Job and its pod",
        )
    for channel in _failed_channels(record or {}):
        yield Failure(
            "watch",
            f"expected that the watch's channel {_text(channel, 'name')} ({_text(channel, 'kind')}) works, found: "
            f"{_text(channel, 'error') or 'an unknown error'}. Correct it, and run homelab.postgres_backup.notify_test",
        )


def _failed_channels(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    channels = record.get("channels")
    items = channels if isinstance(channels, list) else []
    return [item for item in items if isinstance(item, dict) and item.get("state") == "failed"]


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""
