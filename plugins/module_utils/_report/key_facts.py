# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The few facts that a person needs first: how old, how long, how full."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .._volume.backup_names import parse_time
from ..units import format_size
from .facts import Facts, number
from .text import counted, format_age, format_date, format_seconds, format_time

GOOD, WARNING, BAD, PLAIN = "good", "warning", "bad", "plain"
# A trend of 30 days cannot be extended further.
_FAR = timedelta(days=3650)
_SOON = timedelta(days=60)


@dataclass(frozen=True)
class KeyFact:
    """One answer: `question` is its heading, `answer` is short, `detail` a sentence; `tone` is how good that is."""

    question: str
    answer: str
    detail: str
    tone: str


def newest_backup(facts: Facts, now: datetime) -> KeyFact:
    question, newest = "Newest complete backup", facts.newest
    if newest is None:
        found = counted(len(facts.backups), "other file") if facts.backups else "no file"
        return KeyFact(question, "none", f"The volume has {found}.", BAD)
    is_late = any(check in ("age", "backup") for check, _problem in facts.problems)
    return KeyFact(
        question,
        format_age(now - newest.created),
        f"{format_time(newest.created)}, {format_size(newest.size_bytes)}",
        BAD if is_late else GOOD,
    )


def time_to_restore(facts: Facts) -> KeyFact:
    question, drill = "A restore takes", facts.drill
    has_failed = any(check == "drill" for check, _problem in facts.problems)
    if drill is None:
        why = "No scheduled restore drill has succeeded yet." if has_failed or _is_scheduled(facts) else _NO_DRILLS
        return KeyFact(question, "not measured", why, BAD if has_failed else WARNING)
    of = [counted(value, noun) for value, noun in ((drill.databases, "database"), (drill.rows, "row")) if value]
    detail = f"measured by the restore drill of {format_date(drill.started.date())}"
    if drill.size_bytes:
        of.append(f"{format_size(drill.size_bytes)} compressed")
    return KeyFact(
        question,
        format_seconds(drill.seconds),
        f"{detail}: {', '.join(of)}" if of else detail,
        BAD if has_failed else GOOD,
    )


_NO_DRILLS = "No restore drill is scheduled."


def _is_scheduled(facts: Facts) -> bool:
    return facts.result["drill_schedule"] is not None


def day_when_full(facts: Facts, now: datetime) -> KeyFact:
    question = "Volume full"
    size, free = number(facts.volume, "size_bytes"), number(facts.volume, "free_bytes")
    space = f"{format_size(free)} of {format_size(size)} free" if size and free is not None else "free space unknown"
    has_problem = any(check == "space" for check, _problem in facts.problems)
    growth = facts.result["growth"]
    if growth is None:
        detail = f"{space}; a trend needs runs on 7 days"
        return KeyFact(question, "not known yet", detail, BAD if has_problem else PLAIN)
    days = growth["days_until_full"]
    if days is None or timedelta(days=days) > _FAR:
        tone = BAD if has_problem else GOOD
        return KeyFact(question, "not in sight", f"{space}; it does not fill noticeably", tone)
    left = timedelta(days=days)
    return KeyFact(
        question,
        f"in {counted(int(days), 'day')}",
        f"on {format_date((now + left).date())}; {space}, {format_size(growth['bytes_per_day'])} less each day",
        BAD if has_problem else WARNING if left < _SOON else GOOD,
    )


def worst_gap(facts: Facts) -> KeyFact:
    question, gap = "Longest gap in 30 days", facts.result["worst_gap"]
    if gap is None:
        return KeyFact(question, "not known", "The history has no successful run.", PLAIN)
    seconds, expected = gap["seconds"], gap["expected_seconds"]
    start, end = parse_time(str(gap["start"])), parse_time(str(gap["end"]))
    between = f"from {format_time(start)} " if start else ""
    detail = f"{between}{f'to {format_time(end)}' if end else 'until now'}"
    if expected:
        detail += f"; the schedule has {format_seconds(expected)}"
    is_long = expected is not None and seconds > expected * 1.5
    return KeyFact(question, format_seconds(seconds), detail, WARNING if is_long else GOOD)
