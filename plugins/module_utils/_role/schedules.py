# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Schedules of CronJobs, by the rules of Kubernetes' parser (github.com/robfig/cron/v3, ParseStandard)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta

_NUMBERS = (
    "[0-5]?[0-9]",
    "([01]?[0-9]|2[0-3])",
    "(0?[1-9]|[12][0-9]|3[01])",
    "(0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    "([0-6]|sun|mon|tue|wed|thu|fri|sat)",
)


def _field(number: str) -> str:
    """A pattern for one field: a list of stars, numbers or ranges, each with or without a step."""
    item = f"([*?]|{number}(-{number})?)(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


_SCHEDULE = re.compile(
    "@(hourly|daily|midnight|weekly|monthly|yearly|annually)|@every ([0-9]+[hms])+|" + " +".join(map(_field, _NUMBERS)),
    re.IGNORECASE,
)
# The API server accepts the 31st of April and the 30th of February, which do not exist.
_NEVER = re.compile(r"[^ ]+ +[^ ]+ +((30|31) +0?2|31 +(0?[469]|11)) +[*?]")
# A single field: the rest of a schedule that Ansible cut at a space.
_ONE_FIELD = re.compile(r"[-0-9*?/,]+")


def is_schedule(text: str) -> bool:
    """Whether Kubernetes accepts this schedule and it names a time that exists. It must not contain a time zone."""
    return _SCHEDULE.fullmatch(text) is not None and _NEVER.fullmatch(text) is None


def is_cut_schedule(text: str) -> bool:
    """Whether the text looks like the first field of a schedule that was cut at its first space."""
    return _ONE_FIELD.fullmatch(text) is not None


# The descriptors (ParseDescriptor in parser.go).
_DESCRIPTORS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EVERY = re.compile(r"([0-9]+)([hms])")
_UNITS = {"h": 3600, "m": 60, "s": 1}
# The least and the greatest number of each field, and its names.
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WORDS = {**{name: number for number, name in enumerate(_MONTHS, 1)}, **{n: i for i, n in enumerate(_WEEKDAYS)}}
# A schedule may name the 29th of February only.
_SEARCHED_DAYS = 9 * 366


def longest_interval(
    text: str, now: datetime, window: timedelta, counts: Callable[[time], bool] = lambda _moment: True
) -> timedelta | None:
    """The longest time between two consecutive times of the schedule, the second in `window` or the next one.

    `window` ends `now`. With `counts`, only these times of day matter, except for @every. None for a text that is not a
    schedule, and without a time. Changes of the clock (daylight saving time) are not considered: they change an
    interval by an hour.
    """
    if not is_schedule(text):
        return None
    lowered = text.lower()
    if lowered.startswith("@every"):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _EVERY.findall(lowered))
        return timedelta(seconds=max(seconds, 1))
    day_fields = _DESCRIPTORS.get(lowered, lowered).split()[2:]
    times = [timedelta(hours=each.hour, minutes=each.minute) for each in times_of_day(text) if counts(each)]
    if not times:
        return None
    longest = max((after - before for before, after in zip(times, times[1:])), default=timedelta())
    between_days = timedelta(days=1) - times[-1] + times[0]
    today, since = now.date(), (now - window).date()
    later = next(_matching_days(day_fields, today + timedelta(days=1), 1), None)
    if later is None:
        return None
    for day in _matching_days(day_fields, today, -1):
        longest = max(longest, between_days + timedelta(days=(later - day).days - 1))
        if day < since:
            return longest
        later = day
    return None


def last_time(text: str, now: datetime) -> datetime | None:
    """The newest time of the schedule that is not after `now`; both are without a zone, as clocks there show them.

    None for a text that is not a schedule, and for one that counts from the start of a program (@every).
    """
    times = times_of_day(text)
    if not times:
        return None
    day_fields = _DESCRIPTORS.get(text.lower(), text.lower()).split()[2:]
    for day in _matching_days(day_fields, now.date(), -1):
        due = [moment for moment in times if datetime.combine(day, moment) <= now]
        if due:
            return datetime.combine(day, due[-1])
    return None


def times_of_day(text: str) -> list[time]:
    """The times of a schedule on each of its days, in their order; none for a text that is not one, and for @every."""
    lowered = text.lower()
    if not is_schedule(text) or lowered.startswith("@every"):
        return []
    minutes, hours, *_days = _DESCRIPTORS.get(lowered, lowered).split()
    return sorted(
        time(hour, minute) for hour in _numbers(hours, *_RANGES[1]) for minute in _numbers(minutes, *_RANGES[0])
    )


def days_and_times(text: str, first: date) -> tuple[Iterator[date], list[time]]:
    """The days of a schedule in its time zone, from `first` on, and its times on each of them, in their order.

    Both are empty for a text that is not a schedule, and for one that is not bound to the time of day (@every, and
    schedules with times in every hour).
    """
    lowered = text.lower()
    if not is_schedule(text) or lowered.startswith("@every"):
        return iter(()), []
    minutes, hours, *day_fields = _DESCRIPTORS.get(lowered, lowered).split()
    numbers = _numbers(hours, *_RANGES[1])
    if len(numbers) == _RANGES[1][1] + 1:
        return iter(()), []
    times = [time(hour, minute) for hour in sorted(numbers) for minute in sorted(_numbers(minutes, *_RANGES[0]))]
    return _matching_days(day_fields, first, 1), times


def _matching_days(fields: list[str], first: date, step: int) -> Iterator[date]:
    """The days on which the schedule has times, from `first` forwards (step 1) or backwards (-1)."""
    days_of_month, months, weekdays = (_numbers(field, *limits) for field, limits in zip(fields, _RANGES[2:]))
    is_any = _is_star(fields[0]) or _is_star(fields[2])
    for number in range(_SEARCHED_DAYS):
        day = first + timedelta(days=number * step)
        if day.month not in months:
            continue
        matches = (day.day in days_of_month, day.isoweekday() % 7 in weekdays)
        # One of the two is enough if both are restricted (dayMatches in spec.go).
        if all(matches) if is_any else any(matches):
            yield day


def _is_star(field: str) -> bool:
    """Whether a field allows everything; a step of more than one restricts it (getRange in parser.go)."""
    return any(item in ("*", "?", "*/1", "?/1") for item in field.split(","))


def _numbers(field: str, least: int, greatest: int) -> set[int]:
    """The numbers that a field of a schedule allows."""
    result: set[int] = set()
    for item in field.split(","):
        span, step = item.partition("/")[::2]
        first, dash, last = span.partition("-")
        if first in ("*", "?"):
            begin, end = least, greatest
        else:
            begin = _number(first)
            end = _number(last) if dash else greatest if step else begin
        result.update(range(begin, end + 1, int(step or 1)))
    return result


def _number(word: str) -> int:
    return _WORDS[word] if word in _WORDS else int(word)
