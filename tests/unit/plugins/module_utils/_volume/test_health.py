# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Every problem that there can be, alone and together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.catalog import Backup, Catalog
from plugins.module_utils._volume.health import DrillSchedule, Installation, problems

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
DROPPED = {"state": "succeeded", "invalid_databases": ["a", 'b"']}
SOUND = Installation(is_suspended=False, image="pg:18", server_image="pg:18", script_version="1.2.0")


def backup(hours: float = 1, state: str = "complete", size: int = 100, *, is_future: bool = False) -> Backup:
    created = NOW - timedelta(hours=hours)
    sha256 = "a" * 64 if state == "complete" else None
    return Backup(f"b-{hours}", created, size, sha256, state, "keep", ("last",), is_future)


def catalog(
    *backups: Backup, free: int = 1000, last_run: dict[str, Any] | None = None, last_drill: dict[str, Any] | None = None
) -> Catalog:
    return Catalog(backups, "/backups", None, 10_000, free, {}, last_run, last_drill)


def checks(installation: Installation, found: Catalog) -> list[str]:
    return [problem.check for problem in problems(installation, found, NOW, timedelta(hours=26), "1.2.0")]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (catalog(backup()), []),
        (catalog(backup(), backup(25)), []),
        (catalog(backup(26)), []),
        (catalog(), ["backup"]),
        (catalog(backup(state="unchecked")), ["backup", "unchecked"]),
        (catalog(backup(26.1)), ["age"]),
        (catalog(backup(1, size=49), backup(25)), ["size"]),
        (catalog(backup(1, size=50), backup(25)), []),
        (catalog(backup(1, size=1, is_future=True), backup(2), backup(25)), ["future"]),
        (catalog(backup(), free=99), ["space"]),
        (catalog(backup(), backup(2, "damaged")), ["damaged"]),
        (catalog(backup(), last_run={"state": "succeeded", "skipped_databases": []}), []),
        (catalog(backup(), last_run={"state": "running"}), []),
        (catalog(backup(), last_run={"state": "failed", "reason": "the server does not answer"}), ["last_run"]),
        (catalog(backup(), last_run={"state": "interrupted", "reason": None}), ["last_run"]),
        (catalog(backup(), last_run={"state": "succeeded", "skipped_databases": ["old"]}), ["databases"]),
        (catalog(backup(), last_run=DROPPED | {"skipped_databases": ["a", 'b"']}), ["databases"]),
        (catalog(backup(), last_run=DROPPED | {"skipped_databases": ["a", 'b"', "old"]}), ["databases", "databases"]),
        (catalog(backup(), last_run=DROPPED | {"skipped_databases": []}), ["databases"]),
    ],
)
def test_problems_of_the_volume(found: Catalog, expected: list[str]) -> None:
    assert checks(SOUND, found) == expected


@pytest.mark.parametrize(
    ("installation", "expected"),
    [
        (SOUND, []),
        (replace(SOUND, is_suspended=True), ["schedule"]),
        (replace(SOUND, server_image="pg:19"), ["image"]),
        (replace(SOUND, server_image=None), []),
        (replace(SOUND, script_version="1.1.9"), ["script"]),
        (replace(SOUND, script_version="1.10.0"), []),
        (replace(SOUND, script_version="odd"), ["script"]),
        (replace(SOUND, script_version=None), []),
    ],
)
def test_problems_of_the_installation(installation: Installation, expected: list[str]) -> None:
    assert checks(installation, catalog(backup())) == expected


def messages(installation: Installation, found: Catalog) -> str:
    return "\n".join(problem.message for problem in problems(installation, found, NOW, timedelta(hours=26), "1.2.0"))


def test_advice_for_a_foreign_cronjob_is_not_to_run_it() -> None:
    """Its next run would leave one more unchecked file."""
    unchecked = catalog(backup(state="unchecked"))
    ours, other = messages(SOUND, unchecked), messages(replace(SOUND, is_ours=False), unchecked)
    assert "homelab.postgres_backup.backup_now" in ours and "The next run checks them" in ours
    assert "homelab.postgres_backup.backup_now" not in other and "The next run checks them" not in other
    assert "let site.yml take it over" in other and "No run of this CronJob checks them" in other


def test_advice_for_backups_dated_in_the_future() -> None:
    found = messages(SOUND, catalog(backup(1, is_future=True), backup(2)))
    assert all(words in found for words in ("Correct the clocks", "delete each with its .sha256", "rename it"))


def test_problems_are_ordered_by_severity() -> None:
    worst = catalog(
        backup(30, size=10), backup(40), backup(50, "unchecked"), free=1, last_run={"state": "failed", "reason": "x"}
    )
    assert checks(replace(SOUND, is_suspended=True), worst) == [
        "age",
        "size",
        "last_run",
        "schedule",
        "space",
        "unchecked",
    ]


def test_database_left_by_an_interrupted_drop_is_a_problem() -> None:
    """Its row seems to allow connections, but nobody can connect."""
    found = catalog(backup(), last_run=DROPPED | {"skipped_databases": ["a", 'b"', "old"]})
    invalid, closed = problems(SOUND, found, NOW, timedelta(hours=26), "1.2.0")
    assert 'DROP DATABASE "a"; DROP DATABASE "b""";' in invalid.message
    assert "do not allow connections" not in invalid.message
    assert "since they do not allow connections: old. " in closed.message


def test_message_names_few_of_many() -> None:
    many = catalog(backup(), *(backup(10 + number, "unchecked") for number in range(30)))
    (problem,) = problems(SOUND, many, NOW, timedelta(hours=26), "1.2.0")
    assert "and 25 more" in problem.message


DUE = NOW - timedelta(hours=1)
SCHEDULED = DrillSchedule(is_suspended=False, last_time=DUE, is_active=False)


def outcome(state: str = "succeeded", minutes_after_due: float = 0.1, of: str = "b-1") -> dict[str, Any]:
    started = DUE + timedelta(minutes=minutes_after_due)
    return {"state": state, "started": f"{started:%Y-%m-%dT%H:%M:%SZ}", "reason": None, "backup": of}


@pytest.mark.parametrize(
    ("drill", "last", "words"),
    [
        (SCHEDULED, outcome(), []),
        (replace(SCHEDULED, is_active=True), outcome("running"), []),
        (SCHEDULED, outcome("running"), ["ended without a result"]),
        (replace(SCHEDULED, last_success=DUE - timedelta(days=7)), outcome("running"), ["ended without a result"]),
        (replace(SCHEDULED, last_success=DUE + timedelta(minutes=1)), outcome("running"), []),
        (SCHEDULED, outcome("failed"), ["failed: it ended before"]),
        (SCHEDULED, outcome("interrupted"), ["was interrupted"]),
        (SCHEDULED, outcome("failed", of="b-of-last-week"), ["of b-of-last-week"]),
        (SCHEDULED, None, ["found none"]),
        (SCHEDULED, {"state": "succeeded"}, ["found none"]),
        (SCHEDULED, outcome(minutes_after_due=-4), []),
        (SCHEDULED, outcome(minutes_after_due=-60), ["found that of 2026-11-22 01:00 UTC"]),
        (SCHEDULED, outcome("failed", -60), ["failed", "was due at 2026-11-22 02:00 UTC"]),
        (replace(SCHEDULED, is_active=True), outcome(minutes_after_due=-60), []),
        (replace(SCHEDULED, last_time=None), None, []),
        (replace(SCHEDULED, is_suspended=True), outcome(), ["is suspended"]),
        (None, None, []),
        (None, outcome("failed"), ["failed"]),
        (None, outcome("failed", of="b-of-last-week"), []),
        (None, outcome("interrupted"), []),
    ],
)
def test_problems_of_the_scheduled_drill(
    drill: DrillSchedule | None, last: dict[str, Any] | None, words: list[str]
) -> None:
    found = problems(replace(SOUND, drill=drill), catalog(backup(), last_drill=last), NOW, timedelta(hours=26), "1.2.0")
    assert [problem.check for problem in found] == ["drill"] * len(words)
    assert all(word in problem.message for word, problem in zip(words, found, strict=True))
