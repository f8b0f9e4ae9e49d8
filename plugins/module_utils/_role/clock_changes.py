# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Times of a schedule that do not exist, or exist twice, because the clocks are changed on that day (summer time).

Kubernetes' parser finds no time that the clocks leave out, and both times of an hour that they repeat
(github.com/robfig/cron/v3, spec.go, Next).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from .schedules import days_and_times

with contextlib.suppress(ImportError):  # without it, there are no warnings
    from zoneinfo import ZoneInfo

_DAYS = 366


def clock_change_warnings(variable: str, schedule: str, zone: str, now: datetime) -> list[str]:
    """A sentence for the first skipped and the first repeated time of the schedule in the year after `now`.

    `variable` is the one with the schedule. Empty where this machine does not know the zone.
    """
    clock = clock_of(zone)
    if clock is None:
        return []
    today = now.astimezone(clock).date()
    changes = set(_days_of_changes(clock, today))
    days, times = days_and_times(schedule, today)
    skipped: tuple[date, time] | None = None
    repeated: tuple[date, time] | None = None
    for day in days:
        if day - today > timedelta(days=_DAYS):
            break
        for moment in times if day in changes else ():
            if _is_skipped(clock, day, moment):
                skipped = skipped or (day, moment)
            elif _is_repeated(clock, day, moment):
                repeated = repeated or (day, moment)
    advice = f"Choose another hour in {variable}, or set postgres_backup_time_zone to Etc/UTC."
    messages = []
    if skipped:
        messages.append(f"the clocks of {zone} leave out {_shown(skipped)}, so nothing is started at that time")
    if repeated:
        messages.append(f"the clocks of {zone} repeat {_shown(repeated)}, so it is started twice that day")
    return [f"{variable}: {message}. {advice}" for message in messages]


def clock_of(zone: str) -> Any:
    """The zone's rules; None where this Python or this machine does not have them."""
    try:
        return ZoneInfo(zone)
    except (NameError, KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None


def _days_of_changes(clock: Any, first: date) -> Iterator[date]:
    for number in range(_DAYS + 1):
        day = first + timedelta(days=number)
        start, end = (datetime.combine(edge, time(), clock) for edge in (day, day + timedelta(days=1)))
        if start.utcoffset() != end.utcoffset():
            yield day


def _is_skipped(clock: Any, day: date, moment: time) -> bool:
    """Whether no clock shows this time on that day: read back from UTC, it is another one (PEP 495)."""
    local = datetime.combine(day, moment, clock)
    return local.astimezone(timezone.utc).astimezone(clock).time() != moment


def _is_repeated(clock: Any, day: date, moment: time) -> bool:
    local = datetime.combine(day, moment, clock)
    return local.utcoffset() != local.replace(fold=1).utcoffset()


def _shown(change: tuple[date, time]) -> str:
    return f"{change[1]:%H:%M} on {change[0]}"
