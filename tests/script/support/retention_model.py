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
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class State(Enum):
    """How much is known of a backup."""

    COMPLETE = "complete"
    UNCHECKED = "unchecked"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Backup:
    """A backup as far as retention uses it."""

    created: datetime
    state: State = State.COMPLETE
    pinned: bool = False
    damage: str = ""


@dataclass(frozen=True)
class Policy:
    """The numbers and the duration that a user sets."""

    keep_last: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within: str = ""


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


def judge(backups: Iterable[Backup], policy: Policy, now: datetime) -> dict[Backup, Verdict]:
    """Every backup's verdict."""
    newest_first = sorted(backups, key=lambda backup: backup.created, reverse=True)
    assert len({backup.created for backup in newest_first}) == len(newest_first), "every name has its own second"
    reasons = _judge_complete(newest_first, policy, now)
    kept_takers = [backup for backup in newest_first if reasons.get(backup)]
    kept_complete = kept_takers + [
        backup
        for backup in newest_first
        if backup.state is State.COMPLETE and backup.pinned and not _is_future(backup, now)
    ]
    verdicts: dict[Backup, Verdict] = {}
    for backup in newest_first:
        by_hand = ["kept by hand"] if backup.pinned else []
        ahead = ["dated in the future"] if _is_future(backup, now) else []
        if by_hand or ahead:
            verdicts[backup] = Verdict(True, tuple(by_hand + ahead))
        elif backup.state is State.COMPLETE:
            verdicts[backup] = Verdict(bool(reasons[backup]), tuple(reasons[backup] or ["no rule keeps it"]))
        elif (
            kept_complete
            and all(backup.created < kept.created for kept in kept_complete)
            and len(kept_takers) >= policy.keep_last
        ):
            verdicts[backup] = Verdict(False, (f"{backup.state.value} and older than every kept backup",))
        elif backup.state is State.DAMAGED:
            verdicts[backup] = Verdict(True, (f"damaged: {backup.damage}",))
        else:
            verdicts[backup] = Verdict(True, ("unchecked",))
    return verdicts


def utc(text: str) -> datetime:
    """2026-11-22T02:00:00Z, as the script writes it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
