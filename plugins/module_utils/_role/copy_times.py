# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""When a Job may copy to a place, and after which time a backup without a copy there is a problem."""

from __future__ import annotations

from datetime import time, timedelta

from .metrics import schedule_interval
from .schedules import is_schedule, times_of_day

_LEAST_DELAY = timedelta(days=1)
# For the copy, and for the change of the clock by an hour.
_ALLOWANCE = timedelta(hours=6)


def default_delay(schedule: str, window: str | None) -> timedelta:
    """The max_delay of a place that sets none."""
    return max(longest_pause(schedule, window) + _ALLOWANCE, _LEAST_DELAY)


def longest_pause(schedule: str, window: str | None) -> timedelta:
    """The longest time between two Jobs of the schedule that may copy to a place; `window` is None without one.

    Nothing for a text that is not a schedule.
    """
    if not is_schedule(schedule):
        return timedelta()
    if window is None:
        return schedule_interval(schedule)
    if times_of_day(schedule):
        return schedule_interval(schedule, lambda moment: _is_in(moment, window))
    begin, end = (timedelta(hours=int(text[:2]), minutes=int(text[3:])) for text in window.split("-"))
    return (begin - end) % timedelta(days=1) + schedule_interval(schedule)


def has_time(schedule: str, window: str) -> bool:
    """Whether the schedule has a time in the window; also where it has none on a day by the clock."""
    times = times_of_day(schedule)
    return not times or any(_is_in(moment, window) for moment in times)


def _is_in(moment: time, window: str) -> bool:
    begin, end = window.split("-")
    text = f"{moment:%H:%M}"
    return begin <= text < end if begin < end else text >= begin or text < end
