# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What became of the runs of each day (UTC): the calendar of the report page."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

from .._role.clock_changes import clock_of
from .._role.schedules import days_and_times, is_schedule
from .._volume.history import Entry
from ..units import CLOCK_TOLERANCE
from .text import MONTHS, counted

# A day has the best of the results of its runs; `missed` is one without a run, although the schedule has one.
COMPLETE, INCOMPLETE, FAILED, MISSED = STATES = ("complete", "incomplete", "failed", "missed")
SHOWN_DAYS = 365
_WEEK = 7
# A run that is due is not missed yet as long as it may start late.
_LATE = timedelta(hours=1)
# A month gets a label if at least this many of its weeks are shown.
_LABELLED_WEEKS = 3


@dataclass(frozen=True)
class Calendar:
    """A square with sides of 1 for each day, a column for each week, a row for each weekday from Monday on.

    `paths` has a path for each state of STATES that some day has: horizontal lines through the rows, to be drawn with a
    dash for each day. `counts` is how many days have each state.
    """

    paths: Mapping[str, str]
    counts: Mapping[str, int]

    @property
    def summary(self) -> str:
        """The calendar in words, for those who do not see it."""
        words = {
            COMPLETE: "with a complete backup",
            INCOMPLETE: "with an incomplete one",
            FAILED: "with a failed run",
            MISSED: "without a run that was due",
        }
        parts = [f"{counted(self.counts[state], 'day')} {words[state]}" for state in STATES if self.counts[state]]
        return ", ".join(parts) or "no run is known"


def day_states(
    runs: Iterable[Entry], backups: Iterable[tuple[datetime, str]], schedule: Mapping[str, object], now: datetime
) -> dict[date, str]:
    """The state of each day, up to today, that has one. `backups` are times and states of those on the volume.

    `schedule` is that of the result of backup_info. It is applied to all days, also those before it was changed.
    """
    states: dict[date, str] = {}
    starts: list[datetime] = []
    for moment, state in [*((run.started, _state(run)) for run in runs), *backups]:
        if moment <= now and state in STATES:
            starts.append(moment)
            day = moment.date()
            states[day] = min(state, states.get(day, state), key=STATES.index)
    starts.sort()
    for day in _missed(starts, str(schedule.get("cron")), str(schedule.get("time_zone") or "Etc/UTC"), now):
        states.setdefault(day, MISSED)
    return states


def _state(run: Entry) -> str:
    if run.made_complete_backup:
        return COMPLETE
    return INCOMPLETE if run.backup_state == INCOMPLETE else FAILED


def _missed(starts: Sequence[datetime], cron: str, zone: str, now: datetime) -> Iterator[date]:
    """The days on which a run was due, and neither on that day nor before the next one that was due one started."""
    if not starts:
        return
    first = max(starts[0], now - timedelta(days=SHOWN_DAYS + 1))
    due = list(_due(cron, zone, first, now - _LATE))
    for moment, following in zip(due, [*due[1:], now + CLOCK_TOLERANCE]):
        since = moment - CLOCK_TOLERANCE
        position = bisect_left(starts, since)
        if position == len(starts) or starts[position] >= following - CLOCK_TOLERANCE:
            yield moment.date()


def _due(cron: str, zone: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """The first time of the schedule on each of its days (UTC), for a schedule by the hour the beginning of the day."""
    if not is_schedule(cron):
        return
    days, times = days_and_times(cron, since.date())
    clock = clock_of(zone) or timezone.utc
    if not times:
        days = iter(since.date() + timedelta(days=number) for number in range(SHOWN_DAYS + 2))
    for day in days:
        moment = datetime.combine(day, times[0] if times else time(), clock if times else timezone.utc)
        moment = moment.astimezone(timezone.utc)
        if moment > until:
            return
        if moment >= since:
            yield moment


@dataclass(frozen=True)
class Grid:
    """What all calendars of a page share: the number of their columns, and `days`, a path of all days that they show.

    `months` are the columns at which months begin, and their names.
    """

    weeks: int
    days: str
    months: tuple[tuple[int, str], ...]


def calendar(states: Mapping[date, str], today: date) -> Calendar:
    """The calendar of the last 365 days."""
    by_state: dict[str, list[date]] = {state: [] for state in STATES}
    for day in _shown(today):
        if day in states:
            by_state[states[day]].append(day)
    return Calendar(
        paths={state: _path(days, today) for state, days in by_state.items() if days},
        counts={state: len(days) for state, days in by_state.items()},
    )


def grid(today: date) -> Grid:
    """That of the calendars of the last 365 days."""
    shown, monday = _shown(today), _first_monday(today)
    weeks = (today.toordinal() - monday) // _WEEK + 1
    months = [(-((monday - day.toordinal()) // _WEEK), MONTHS[day.month - 1]) for day in shown if day.day == 1]
    return Grid(weeks, _path(shown, today), tuple(month for month in months if month[0] <= weeks - _LABELLED_WEEKS))


def _shown(today: date) -> list[date]:
    return [today - timedelta(days=ago) for ago in range(SHOWN_DAYS - 1, -1, -1)]


def _first_monday(today: date) -> int:
    """The ordinal of the Monday with which the first column begins."""
    first = today - timedelta(days=SHOWN_DAYS - 1)
    return first.toordinal() - first.weekday()


def _path(days: Iterable[date], today: date) -> str:
    """A line for each row of days of consecutive weeks, since most days are like those a week before and after."""
    monday = _first_monday(today)
    rows: list[list[int]] = [[] for _day in range(_WEEK)]
    for day in days:
        week, weekday = divmod(day.toordinal() - monday, _WEEK)
        rows[weekday].append(week)
    parts: list[str] = []
    for weekday, weeks in enumerate(rows):
        begin = 0
        for index, week in enumerate(weeks):
            if index + 1 == len(weeks) or weeks[index + 1] != week + 1:
                parts.append(f"M{weeks[begin]} {weekday}h{index + 1 - begin}")
                begin = index + 1
    return "".join(parts)
