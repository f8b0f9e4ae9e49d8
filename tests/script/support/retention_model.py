# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What retention must say, written to be obviously right and not to be fast.

Independent of the script: time by datetime, weeks by isocalendar, sets by comprehension.
Nothing here reads a clock or a directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

FUTURE_TOLERANCE = timedelta(seconds=300)
# The brake lets pass so many backups that were due before the newest complete one; any, if none was due before so many.
DUE_LIMIT, NEW_LIMIT = 3, 3
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class State(Enum):
    """How much is known of a backup."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNCHECKED = "unchecked"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Backup:
    """A backup as far as retention uses it.

    `dumped` and `missing` are the databases that it contains, and those that it should contain and does not; None
    without a manifest that can be read.
    """

    created: datetime
    state: State = State.COMPLETE
    pinned: bool = False
    damage: str = ""
    dumped: tuple[str, ...] | None = None
    missing: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Policy:
    """The numbers and the duration that a user sets."""

    keep_last: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within: str = ""
    max_deletions: int | None = None


DEFAULT_POLICY = Policy(keep_last=7, keep_daily=7)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a backup, and why."""

    keep: bool
    reasons: tuple[str, ...]


def duration(text: str) -> timedelta:
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])


def day_of(moment: datetime) -> str:
    return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"


def week_of(moment: datetime) -> str:
    week = moment.isocalendar()
    return f"{week.year:04d}-W{week.week:02d}"


def month_of(moment: datetime) -> str:
    return f"{moment.year:04d}-{moment.month:02d}"


def year_of(moment: datetime) -> str:
    return f"{moment.year:04d}"


def _period_reasons(
    takers: list[Backup], number: int, word: str, period_of: Callable[[datetime], str]
) -> dict[Backup, str]:
    """The newest backup of each of the latest periods that hold one."""
    newest_of: dict[str, Backup] = {}
    for backup in takers:  # newest first, so that the first of a period is its newest
        newest_of.setdefault(period_of(backup.created), backup)
    latest = list(newest_of.items())[:number]
    return {backup: f"{word} {period}" for period, backup in latest}


def _is_future(backup: Backup, now: datetime) -> bool:
    return backup.created - now > FUTURE_TOLERANCE


def _judge_complete(backups: list[Backup], policy: Policy, now: datetime) -> dict[Backup, list[str]]:
    """The reasons to keep each complete backup that takes slots; without a reason it goes."""
    complete = [backup for backup in backups if backup.state is State.COMPLETE and not _is_future(backup, now)]
    takers = [backup for backup in complete if not backup.pinned]
    rules = [dict.fromkeys(takers[: policy.keep_last], "last")]
    for number, word, period_of in (
        (policy.keep_daily, "daily", day_of),
        (policy.keep_weekly, "weekly", week_of),
        (policy.keep_monthly, "monthly", month_of),
        (policy.keep_yearly, "yearly", year_of),
    ):
        rules.append(_period_reasons(takers, number, word, period_of))
    if policy.keep_within and complete:
        reach = duration(policy.keep_within)
        near = [backup for backup in takers if complete[0].created - backup.created <= reach]
        rules.append(dict.fromkeys(near, f"within {policy.keep_within}"))
    reasons = {backup: [rule[backup] for rule in rules if backup in rule] for backup in takers}
    if complete and not complete[0].pinned and not reasons[complete[0]]:
        reasons[complete[0]] = ["newest complete"]
    return reasons


def _holder_reasons(newest_first: list[Backup], now: datetime) -> dict[Backup, list[str]]:
    """The newest backup that contains a database which is missing in the newest one, for each such database.

    A complete backup without a manifest may contain it: the newest of those is kept too, until a proven one follows.
    """
    published = [
        backup
        for backup in newest_first
        if backup.state in (State.COMPLETE, State.INCOMPLETE) and not _is_future(backup, now)
    ]
    since_complete: list[Backup] = []
    for backup in published:
        if backup.state is State.COMPLETE:
            break
        since_complete.append(backup)
    missing = next((backup.missing for backup in since_complete if backup.missing is not None), ())
    reasons: dict[Backup, list[str]] = {}
    for database in missing:
        proven = [number for number, b in enumerate(published) if b.dumped is not None and database in b.dumped]
        newer = published[: proven[0]] if proven else published
        unknown = [b for b in newer if b.dumped is None and b.state is State.COMPLETE]
        if unknown:
            reasons.setdefault(unknown[0], []).append(f"the newest that may hold {database}")
        if proven:
            reasons.setdefault(published[proven[0]], []).append(f"the newest that holds {database}")
    return reasons


def judge(backups: Iterable[Backup], policy: Policy, now: datetime) -> dict[Backup, Verdict]:
    """Every backup's verdict."""
    newest_first = sorted(backups, key=lambda backup: backup.created, reverse=True)
    assert len({backup.created for backup in newest_first}) == len(newest_first), "every name has its own second"
    slots = _judge_complete(newest_first, policy, now)
    complete = [b for b in newest_first if b.state is State.COMPLETE and not _is_future(b, now)]
    holders = _holder_reasons(newest_first, now)
    reasons: dict[Backup, list[str]] = {}
    for backup in newest_first:
        own = ["kept by hand"] if backup.pinned else []
        if _is_future(backup, now):
            own.append("dated in the future")
        elif (
            backup.state is State.INCOMPLETE
            and not backup.pinned
            and not any(one.created > backup.created for one in complete)
        ):
            own.append("incomplete, and no newer complete backup")
        reasons[backup] = own + slots.get(backup, []) + holders.get(backup, [])
    kept = [
        backup
        for backup in newest_first
        if reasons[backup] and backup.state in (State.COMPLETE, State.INCOMPLETE) and not _is_future(backup, now)
    ]
    filled_slots = sum(bool(own) for own in slots.values())
    verdicts: dict[Backup, Verdict] = {}
    for backup in newest_first:
        if reasons[backup]:
            verdicts[backup] = Verdict(True, tuple(reasons[backup]))
        elif backup.state is State.COMPLETE:
            verdicts[backup] = Verdict(False, ("no rule keeps it",))
        elif backup.state is State.INCOMPLETE:
            verdicts[backup] = Verdict(False, ("incomplete, and a newer backup is complete",))
        elif complete and all(backup.created < one.created for one in kept) and filled_slots >= policy.keep_last:
            verdicts[backup] = Verdict(False, (f"{backup.state.value} and older than every kept backup",))
        elif backup.state is State.DAMAGED:
            verdicts[backup] = Verdict(True, (f"damaged: {backup.damage}",))
        else:
            verdicts[backup] = Verdict(True, ("unchecked",))
    return verdicts


def _counted(verdicts: dict[Backup, Verdict]) -> int:
    return sum(not verdict.keep and backup.state is not State.INCOMPLETE for backup, verdict in verdicts.items())


def held_back(backups: Iterable[Backup], policy: Policy, now: datetime) -> int:
    """How many deletions the brake holds back: none, or all of the plan."""
    volume = list(backups)
    verdicts = judge(volume, policy, now)
    planned = sum(not verdict.keep for verdict in verdicts.values())
    if policy.max_deletions is not None:
        return planned if _counted(verdicts) > policy.max_deletions else 0
    complete = [b for b in volume if b.state is State.COMPLETE and not _is_future(b, now)]
    complete.sort(key=lambda backup: backup.created, reverse=True)

    def due_before(number: int) -> int:
        return _counted(judge([backup for backup in volume if backup not in complete[:number]], policy, now))

    is_explained = min(_counted(verdicts), due_before(1)) <= DUE_LIMIT or due_before(NEW_LIMIT) == 0
    return 0 if is_explained else planned


def utc(text: str) -> datetime:
    """2026-11-22T02:00:00Z, as the script writes it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
