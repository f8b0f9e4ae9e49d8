# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The promises of retention, held against the reference model.

test_retention.py shows that script and model agree; so what holds for the model holds for the script.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..support.retention_model import DEFAULT_POLICY, Backup, Policy, State, Verdict, judge, week_of
from ..support.strategies import policies

NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)
PROFILE = settings(max_examples=200, deadline=None, database=None, derandomize=True)

_moments = st.one_of(
    st.integers(-40 * 86400, 900),
    st.integers(-3 * 365, 0).map(lambda days: days * 86400),
).map(lambda seconds: NOW + timedelta(seconds=seconds))
_backups = st.builds(Backup, _moments, st.sampled_from(State), st.sampled_from([False, False, False, True]))
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
