# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The brake: a policy that deletes more than usual deletes nothing until that is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ..support.combinations import under_all
from ..support.sandbox import Sandbox
from ..support.volume import HISTORY, backup_name, give, put, put_backup, snapshot, without

pytestmark = under_all

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TYPO = {"POSTGRES_BACKUP_KEEP_LAST": "0", "POSTGRES_BACKUP_KEEP_DAILY": "1"}


def _nights(sandbox: Sandbox, number: int) -> list[str]:
    """A backup for each night, the newest first."""
    names = [backup_name(sandbox.name, NOW - timedelta(days=age, hours=10)) for age in range(number)]
    for name in names:
        put_backup(sandbox.volume, name)
    give(sandbox.volume, sandbox.uid)
    sandbox.freeze_clock(NOW.timestamp())
    return names


def test_a_typo_deletes_nothing_until_it_is_allowed(offline: Sandbox) -> None:
    names = _nights(offline, 90)
    before = snapshot(offline.volume)
    dry = offline.run("prune", "--dry-run", env=TYPO).check()
    assert dry.result["held_back"] == 89
    assert sorted(dry.result["deleted"]) == sorted(names[1:])
    held = offline.run("prune", env=TYPO).check(2)
    assert held.result == {
        "type": "prune", "dry_run": False, "deleted": [], "failed": [], "freed_bytes": 0, "held_back": 89,
    }  # fmt: skip
    assert "FAILED: retention was held back" in held.log and "89 backups" in held.log
    assert 'postgres_backup_allow_deletions to the date of the run in UTC, today "2026-11-22"' in held.log
    assert snapshot(offline.volume) == before

    for other_day in ("2026-11-21", "2026-11-23"):
        offline.run("prune", env={**TYPO, "POSTGRES_BACKUP_ALLOW_DELETIONS": other_day}).check(2)
    assert snapshot(offline.volume) == before
    allowed = offline.run("prune", env={**TYPO, "POSTGRES_BACKUP_ALLOW_DELETIONS": "2026-11-22"}).check()
    assert allowed.result["held_back"] == 0 and len(allowed.result["deleted"]) == 89
    assert without(snapshot(offline.volume), HISTORY) == {
        name: entry for name, entry in before.items() if name.startswith(names[0].encode())
    }


def test_a_policy_that_keeps_all_is_never_held_back(offline: Sandbox) -> None:
    _nights(offline, 90)
    outcome = offline.run("prune", env={"POSTGRES_BACKUP_KEEP_DAILY": "90"}).check()
    assert outcome.result["held_back"] == 0 and outcome.result["deleted"] == []


@pytest.mark.parametrize(("due", "held"), [(4, False), (5, True)])
def test_three_backups_may_be_due_before_the_newest_one(offline: Sandbox, due: int, held: bool) -> None:
    """Some prunes that failed, and the one that the newest backup makes due."""
    _nights(offline, 7 + due)
    outcome = offline.run("prune").check(2 if held else 0)
    assert len(outcome.result["deleted"]) == (0 if held else due)
    assert outcome.result["held_back"] == (due if held else 0)


@pytest.mark.parametrize(("limit", "held"), [("0", True), ("4", True), ("5", False), ("100", False)])
def test_a_limit(offline: Sandbox, limit: str, held: bool) -> None:
    _nights(offline, 12)
    outcome = offline.run("prune", env={"POSTGRES_BACKUP_MAX_DELETIONS": limit}).check(2 if held else 0)
    assert outcome.result["held_back"] == (5 if held else 0)
    assert (f"postgres_backup_max_deletions is {limit}" in outcome.log) is held
    (volume,) = offline.run("list", env={"POSTGRES_BACKUP_MAX_DELETIONS": limit}).of_type("volume")
    assert volume["policy"]["max_deletions"] == int(limit)


def test_what_a_newer_complete_backup_makes_due_is_not_held_back(offline: Sandbox) -> None:
    """After an outage, everything may be too old at once; and so may be incomplete backups when a database is back."""
    names = _nights(offline, 30)
    for name in names[1:]:
        put(
            offline.volume / f"{name}.json",
            f'{{"format":1,"backup":"{name}","state":"incomplete","dumped":[],"missing":["a"],"left_out":false,\n',
        )
    outcome = offline.run("prune", env={"POSTGRES_BACKUP_MAX_DELETIONS": "0"}).check()
    assert sorted(outcome.result["deleted"]) == sorted(names[1:])


def test_an_outage_longer_than_the_policy(offline: Sandbox) -> None:
    names = _nights(offline, 14)
    put_backup(offline.volume, newest := backup_name(offline.name, NOW + timedelta(days=60)))
    give(offline.volume, offline.uid)
    offline.freeze_clock((NOW + timedelta(days=61)).timestamp())
    within = {"POSTGRES_BACKUP_KEEP_LAST": "0", "POSTGRES_BACKUP_KEEP_DAILY": "0", "POSTGRES_BACKUP_KEEP_WITHIN": "14d"}
    outcome = offline.run("prune", env=within).check()
    assert sorted(outcome.result["deleted"]) == sorted(names)
    assert [line["name"] for line in offline.run("list", env=within).backups] == [newest]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAX_DELETIONS", "-1"),
        ("MAX_DELETIONS", "many"),
        ("ALLOW_DELETIONS", "tomorrow"),
        ("ALLOW_DELETIONS", "22.11.2026"),
        ("ALLOW_DELETIONS", "2026-11-22\n"),
    ],
)
def test_a_value_that_means_nothing(offline: Sandbox, variable: str, value: str) -> None:
    _nights(offline, 2)
    outcome = offline.run("prune", env={f"POSTGRES_BACKUP_{variable}": value}).check(2)
    assert f"POSTGRES_BACKUP_{variable}" in outcome.log
