# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The promises of retention, held against the reference model.

test_retention.py shows that script and model agree; so what holds for the model holds for the script.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..support.retention_model import DEFAULT_POLICY, Backup, Policy, State, Verdict, held_back, judge, week_of
from ..support.strategies import policies

NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)
PROFILE = settings(max_examples=200, deadline=None, database=None, derandomize=True)

_moments = st.one_of(
    st.integers(-40 * 86400, 900),
    st.integers(-3 * 365, 0).map(lambda days: days * 86400),
).map(lambda seconds: NOW + timedelta(seconds=seconds))
_pinned = st.sampled_from([False, False, False, True])
_names = st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple)
_lists = st.one_of(st.just((None, ())), st.tuples(_names, _names))


def _backup(
    created: datetime, state: State, pinned: bool, lists: tuple[tuple[str, ...] | None, tuple[str, ...]]
) -> Backup:
    dumped, missing = lists
    if state not in (State.COMPLETE, State.INCOMPLETE) or dumped is None:
        return Backup(created, state, pinned)
    missing = missing if state is State.INCOMPLETE else ()
    return Backup(created, state, pinned, "", tuple(name for name in dumped if name not in missing), missing)


_backups = st.builds(_backup, _moments, st.sampled_from(State), _pinned, _lists)
volumes = st.lists(_backups, max_size=30, unique_by=lambda backup: backup.created)


def _kept(verdicts: dict[Backup, Verdict]) -> set[Backup]:
    return {backup for backup, verdict in verdicts.items() if verdict.keep}


def _daily(days: int, newest: datetime = NOW) -> list[Backup]:
    return [Backup(newest - timedelta(days=age)) for age in range(days)]


@PROFILE
@given(volumes, policies)
def test_pruning_twice_deletes_nothing_more(volume: list[Backup], policy: Policy) -> None:
    kept = _kept(judge(volume, policy, NOW))
    assert _kept(judge(kept, policy, NOW)) == kept


@PROFILE
@given(volumes, policies)
def test_the_newest_complete_backup_survives(volume: list[Backup], policy: Policy) -> None:
    complete = [b for b in volume if b.state is State.COMPLETE and b.created <= NOW + timedelta(seconds=300)]
    if complete:
        assert max(complete, key=lambda backup: backup.created) in _kept(judge(volume, policy, NOW))


@PROFILE
@given(volumes, policies)
def test_without_a_complete_backup_nothing_is_deleted(volume: list[Backup], policy: Policy) -> None:
    proven_wrong = [b for b in volume if b.state is not State.COMPLETE or b.created > NOW + timedelta(seconds=300)]
    assert _kept(judge(proven_wrong, policy, NOW)) == set(proven_wrong)


@PROFILE
@given(volumes, policies, _moments, st.sampled_from([State.UNCHECKED, State.DAMAGED]))
def test_a_failed_backup_more_never_costs_a_complete_one(
    volume: list[Backup], policy: Policy, moment: datetime, state: State
) -> None:
    before = {backup for backup in _kept(judge(volume, policy, NOW)) if backup.state is State.COMPLETE}
    more = [backup for backup in volume if backup.created != moment] + [Backup(moment, state)]
    lost = before - _kept(judge(more, policy, NOW)) - {backup for backup in volume if backup.created == moment}
    assert lost == set()


@PROFILE
@given(volumes, policies, _moments)
def test_an_incomplete_backup_takes_no_slot(volume: list[Backup], policy: Policy, moment: datetime) -> None:
    """It costs no complete backup, unless that was kept only for a database that is in the incomplete one."""
    without = [backup for backup in volume if backup.created != moment and backup.state is not State.INCOMPLETE]
    before = {backup for backup in _kept(judge(without, policy, NOW)) if backup.state is State.COMPLETE}
    more = [*without, Backup(moment, State.INCOMPLETE, False, "", ("a",), ("b",))]
    assert before - _kept(judge(more, policy, NOW)) == set()


@PROFILE
@given(volumes, policies)
def test_an_incomplete_backup_is_kept_until_a_newer_one_is_complete(volume: list[Backup], policy: Policy) -> None:
    complete = [b.created for b in volume if b.state is State.COMPLETE and b.created <= NOW + timedelta(seconds=300)]
    newer = {
        b
        for b in volume
        if b.state is State.INCOMPLETE and b.created > max(complete, default=datetime.min.replace(tzinfo=UTC))
    }
    assert newer <= _kept(judge(volume, policy, NOW))


@PROFILE
@given(volumes, policies)
def test_a_missing_database_keeps_its_newest_backup(volume: list[Backup], policy: Policy) -> None:
    past = sorted((b for b in volume if b.created <= NOW), key=lambda backup: backup.created, reverse=True)
    if past and past[0].state is State.INCOMPLETE:
        kept = _kept(judge(past, policy, NOW))
        for database in past[0].missing or ():
            holders = [backup for backup in past if backup.dumped is not None and database in backup.dumped]
            assert set(holders[:1]) <= kept


@PROFILE
@given(volumes, policies, st.integers(0, 10_000_000))
def test_the_passing_of_time_alone_deletes_nothing(volume: list[Backup], policy: Policy, later: int) -> None:
    past = [backup for backup in volume if backup.created <= NOW]
    kept = _kept(judge(past, policy, NOW))
    assert _kept(judge(kept, policy, NOW + timedelta(seconds=later))) == kept


@PROFILE
@given(volumes, policies)
def test_every_backup_has_a_reason(volume: list[Backup], policy: Policy) -> None:
    assert all(verdict.reasons for verdict in judge(volume, policy, NOW).values())


@PROFILE
@given(st.integers(1, 9), st.lists(st.integers(0, 86399), max_size=25, unique=True))
def test_manual_runs_never_push_out_a_day(days: int, manual: list[int]) -> None:
    morning = NOW.replace(hour=0)
    volume = _daily(days, morning) + [Backup(morning + timedelta(seconds=s)) for s in manual if s]
    kept = _kept(judge(volume, DEFAULT_POLICY, morning + timedelta(days=1)))
    assert len({backup.created.date() for backup in kept}) == min(days, 7)


def test_one_backup_a_day_leaves_seven() -> None:
    volume: list[Backup] = []
    for day in range(30):
        now = NOW + timedelta(days=day)
        volume = sorted(_kept(judge([*volume, Backup(now)], Policy(keep_daily=7), now)), key=lambda b: b.created)
    assert [backup.created for backup in volume] == [NOW + timedelta(days=day) for day in range(23, 30)]


def test_eight_runs_leave_seven() -> None:
    volume = [Backup(NOW + timedelta(minutes=run)) for run in range(8)]
    assert _kept(judge(volume, DEFAULT_POLICY, NOW + timedelta(minutes=9))) == set(volume[1:])


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ("2020-12-31", "2020-W53"),
        ("2021-01-01", "2020-W53"),
        ("2021-01-04", "2021-W01"),
        ("2023-01-01", "2022-W52"),
        ("2024-12-30", "2025-W01"),
        ("2026-11-22", "2026-W47"),
    ],
)
def test_weeks(day: str, week: str) -> None:
    assert week_of(datetime.fromisoformat(day)) == week


def test_the_reasons_of_an_ordinary_volume() -> None:
    """The words of the specification, in their order."""
    volume = [*_daily(3), Backup(NOW - timedelta(days=400), State.DAMAGED, damage="ends early")]
    policy = Policy(keep_last=1, keep_daily=1, keep_weekly=1, keep_monthly=1, keep_yearly=1, keep_within="24h")
    verdicts = judge(volume, policy, NOW)
    assert [verdicts[backup].reasons for backup in volume] == [
        ("last", "daily 2026-11-22", "weekly 2026-W47", "monthly 2026-11", "yearly 2026", "within 24h"),
        ("within 24h",),
        ("no rule keeps it",),
        ("damaged and older than every kept backup",),
    ]
    pinned = [replace(backup, pinned=True) for backup in volume]
    assert all(verdict.reasons == ("kept by hand",) for verdict in judge(pinned, policy, NOW).values())


_ROTATIONS = {
    "the default": DEFAULT_POLICY,
    "one": Policy(keep_last=1),
    "days and weeks": Policy(keep_last=2, keep_daily=7, keep_weekly=5),
    "every rule": Policy(keep_last=7, keep_daily=14, keep_weekly=8, keep_monthly=12, keep_yearly=5),
    "few of every rule": Policy(keep_last=1, keep_daily=2, keep_weekly=2, keep_monthly=2, keep_yearly=2),
    "within": Policy(keep_within="14d"),
    "within and months": Policy(keep_last=3, keep_monthly=6, keep_within="30d"),
}


def _nights(random: Random, number: int) -> Iterator[tuple[datetime, State, bool]]:
    """Each run of some nights: when, how it ends, and whether it is killed before retention.

    There are manual backups, outages of some weeks, and nights on which a database cannot be dumped. No more than two
    runs in a row are killed.
    """
    night = datetime(2026, 1, 1, 2, tzinfo=UTC)
    sick_until = night
    killed = 0
    for _ in range(number):
        night += timedelta(days=1)
        if random.random() < 0.01:
            night += timedelta(days=random.randint(2, 45))
        if random.random() < 0.02:
            sick_until = night + timedelta(days=random.randint(1, 12))
        for run in range(1 + (random.randint(1, 4) if random.random() < 0.1 else 0)):
            state = State.INCOMPLETE if night < sick_until else State.COMPLETE
            killed = killed + 1 if random.random() < 0.02 and killed < 2 else 0
            yield night + timedelta(hours=run * 3, seconds=random.randint(0, 600)), state, killed > 0


@pytest.mark.parametrize("rotation", _ROTATIONS)
def test_normal_ageing_is_never_held_back(rotation: str) -> None:
    """A thousand nights."""
    policy = _ROTATIONS[rotation]
    volume: list[Backup] = []
    deleted = 0
    for moment, state, is_killed in _nights(Random(7), 1000):  # noqa: S311 - the same nights each time
        lists = (("a", "b"), ()) if state is State.COMPLETE else (("a",), ("b",))
        volume.append(Backup(moment, state, False, "", *lists))
        assert held_back(volume, policy, moment) == 0, moment
        if not is_killed:
            kept = _kept(judge(volume, policy, moment))
            deleted += len(volume) - len(kept)
            volume = sorted(kept, key=lambda backup: backup.created)
    assert deleted > 900


@pytest.mark.parametrize("nights", [6, 8, 90])
@pytest.mark.parametrize(
    "typo", [Policy(keep_daily=1), Policy(keep_last=1), Policy(keep_within="1h"), Policy(keep_yearly=7)], ids=str
)
def test_a_policy_that_changed_is_held_back(nights: int, typo: Policy) -> None:
    assert held_back(_daily(nights), typo, NOW) == nights - 1


def test_backups_that_another_program_made_are_not_all_deleted_at_once() -> None:
    """They become complete in one night, and the policy keeps few of them."""
    assert held_back([*_daily(2), *_daily(50, NOW - timedelta(days=30))], DEFAULT_POLICY, NOW) == 45
