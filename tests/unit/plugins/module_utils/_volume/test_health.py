# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Every problem that there can be, alone and together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.catalog import Backup, Catalog
from plugins.module_utils._volume.health import ContinuingJob, DrillSchedule, Installation, databases, notes, problems
from plugins.module_utils._volume.history import Gap, Growth

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
DROPPED = {"state": "succeeded", "invalid_databases": ["a", 'b"']}
CONTINUES = ContinuingJob("night", ("proxy",), datetime(2026, 11, 23, 1, 50, tzinfo=UTC), False, "Set it")
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
        (replace(SOUND, continuing_job=CONTINUES), []),
        (replace(SOUND, continuing_job=replace(CONTINUES, delays_runs=True)), ["schedule"]),
    ],
)
def test_problems_of_the_installation(installation: Installation, expected: list[str]) -> None:
    assert checks(installation, catalog(backup())) == expected


def test_job_that_delays_no_run_is_a_note() -> None:
    (note,) = notes(catalog(), None, replace(SOUND, continuing_job=CONTINUES))
    assert note == (
        "the script of the Job night has ended, but the Job continues until 2026-11-23 01:50 UTC, its deadline: the "
        "container proxy of its pod does not end. Set it"
    )
    assert notes(catalog(), None, replace(SOUND, continuing_job=replace(CONTINUES, delays_runs=True))) == []


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


def test_errors_and_needs_of_the_last_drill() -> None:
    error = {"database": "app", "object": "view v", "message": "m", "follows": None}
    need = {"database": "app", "object": "view w", "search_path": "public", "cure": "c"}
    last = {**outcome("failed"), "reason": "first", "error_list": [error, {**error, "message": "n"}], "needs": [need]}
    records = catalog(backup(), last_drill=last)
    (problem,) = problems(SOUND, records, NOW, timedelta(hours=26), "1.2.0")
    assert problem.message.endswith("failed: first. Other errors: database app, view v: n")
    assert any("only with search_path=public" in note for note in notes(records, None))


# ------------------------------------------------------------------------------------------------- incomplete backups


def of_databases(
    hours: float, dumped: tuple[str, ...], missing: tuple[str, ...] = (), state: str | None = None
) -> Backup:
    state = state or ("incomplete" if missing else "complete")
    return replace(backup(hours, state), has_manifest=True, dumped=dumped, missing=missing, left_out=False)


PARTIAL_RUN = {
    "state": "failed",
    "backup": "b-1",
    "backup_state": "incomplete",
    "reason": "2 databases could not be dumped",
    "failed_databases": [
        {
            "database": "sick",
            "error": "invalid page in block 0\npg_dump: detail: Query was: x",
            "advice": "Restore it from a backup.",
        },
        {"database": "locked", "error": "permission denied"},
    ],
}


def test_incomplete_backup_is_a_problem_with_each_database_and_its_advice() -> None:
    """The last run has the same reason: it is reported once."""
    found = catalog(of_databases(1, ("a",), ("sick", "locked")), of_databases(25, ("a", "sick")), last_run=PARTIAL_RUN)
    (problem,) = problems(SOUND, found, NOW, timedelta(hours=26), "1.2.0")
    assert problem.check == "incomplete"
    assert problem.message == (
        "expected all databases in the newest backup, found b-1 without sick, locked. sick: invalid page in block 0; "
        "the newest backup with it is b-25. Restore it from a backup. locked: permission denied; no other backup is "
        "known to have it"
    )


def test_later_run_that_failed_is_a_problem_of_its_own() -> None:
    failed = {"state": "failed", "backup": None, "backup_state": None, "reason": "the server does not answer"}
    found = catalog(of_databases(1, ("a",), ("sick",)), of_databases(25, ("a", "sick")), last_run=failed)
    assert checks(SOUND, found) == ["incomplete", "last_run"]


def test_without_a_complete_backup_both_are_said() -> None:
    assert checks(SOUND, catalog(of_databases(1, ("a",), ("sick",)), last_run=PARTIAL_RUN)) == ["backup", "incomplete"]


def test_incomplete_backup_before_a_complete_one_is_not_a_problem() -> None:
    assert checks(SOUND, catalog(of_databases(1, ("a",)), of_databases(2, (), ("a",)))) == []


def test_incomplete_backup_whose_manifest_cannot_be_read() -> None:
    found = catalog(replace(backup(1, "incomplete"), sha256="a" * 64), backup(2))
    (problem,) = problems(SOUND, found, NOW, timedelta(hours=26), "1.2.0")
    assert "Read the log of the last run" in problem.message


@pytest.mark.parametrize("failures", [None, "x", [None, 1, {}, {"database": 1}]])
def test_foreign_record_of_a_run_hides_no_problem(failures: Any) -> None:
    found = catalog(of_databases(1, ("a",), ("sick",)), last_run=PARTIAL_RUN | {"failed_databases": failures or []})
    assert checks(SOUND, found) == ["backup", "incomplete"]


def test_message_names_few_of_many_databases() -> None:
    many = tuple(f"d{number}" for number in range(300))
    found = catalog(of_databases(1, ("a",), many), backup(2))
    (problem,) = problems(SOUND, found, NOW, timedelta(hours=26), "1.2.0")
    assert "and 295 more" in problem.message and len(problem.message) < 1000


def test_warnings_about_the_server_are_problems() -> None:
    run = {"state": "succeeded", "warnings": ["a note"], "server_warnings": ["data checksums are off"]}
    (problem,) = problems(SOUND, catalog(backup(), last_run=run), NOW, timedelta(hours=26), "1.2.0")
    assert (problem.check, problem.message) == ("server", "data checksums are off")


@pytest.mark.parametrize(("days", "expected"), [(6.9, ["space"]), (7.1, []), (None, [])])
def test_volume_that_will_be_full_soon_is_a_problem(days: float | None, expected: list[str]) -> None:
    found = problems(SOUND, catalog(backup()), NOW, timedelta(hours=26), "1.2.0", growth=Growth(140, days))
    assert [problem.check for problem in found] == expected


def test_full_volume_is_one_problem() -> None:
    found = problems(SOUND, catalog(backup(), free=99), NOW, timedelta(hours=26), "1.2.0", growth=Growth(140, 0.7))
    assert [problem.check for problem in found] == ["space"]


@pytest.mark.parametrize(
    ("newest", "previous", "expected"),
    [
        (of_databases(1, ("a", "b")), of_databases(2, ("a", "b")), []),
        (of_databases(1, ("a", "b")), of_databases(2, ("a", "c")), ["b-1 and not in b-2: b", "b-2 and not in b-1: c"]),
        (of_databases(1, ("a",), ("sick",)), of_databases(2, ("a", "sick")), []),
        (of_databases(1, ("a",)), backup(2), []),
    ],
)
def test_databases_that_came_or_went(newest: Backup, previous: Backup, expected: list[str]) -> None:
    found = notes(catalog(newest, previous), None)
    assert [note.partition("databases in ")[2] for note in found] == expected


@pytest.mark.parametrize(
    ("days", "end", "expected"),
    [(1.4, NOW, 0), (3, NOW, 1), (3, None, 1)],
)
def test_long_gap_is_a_note(days: float, end: datetime | None, expected: int) -> None:
    """Not a problem: nobody can do anything about it for the rest of the month, and `age` reports it while it lasts."""
    gap = Gap(NOW - timedelta(days=days), end, timedelta(days=days), timedelta(days=1))
    found = notes(catalog(), gap)
    assert len(found) == expected
    assert all("for 3d" in note and "schedule is 1d" in note for note in found)
    assert notes(catalog(), replace(gap, expected=None)) == []


def test_databases_with_their_newest_backups() -> None:
    found = databases(catalog(of_databases(1, ("a",), ("new", "sick")), of_databases(25, ("sick",), ("a",))), NOW)
    assert [tuple(item.values()) for item in found] == [
        ("a", "b-1", "2026-11-22T02:00:00Z", 3600, False),
        ("new", None, None, None, True),
        ("sick", "b-25", "2026-11-21T02:00:00Z", 90_000, True),
    ]
    assert databases(catalog(backup()), NOW) == []
