# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""When a place is behind, whether the copies work, and the rule 3-2-1."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.catalog import Backup, Catalog
from plugins.module_utils._volume.copy_health import (
    MOVED,
    ConfiguredPlace,
    CopySchedule,
    copies_of,
    copy_problems,
    missing_backup,
    place_results,
    places_of,
    three_two_one,
)
from plugins.module_utils._volume.copy_record import Copy, Place

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOURS = timedelta(hours=1)
CLOUD = ConfiguredPlace("cloud", "s3", is_offsite=True, storage="s3.example.com")
NAS = ConfiguredPlace("nas", "nfs", storage="192.168.2.3")
SCHEDULE = CopySchedule(False, timedelta(minutes=30), NOW - timedelta(days=9), (CLOUD,))

DELETED = CopySchedule(False, None, None, (ConfiguredPlace("cloud", ""), ConfiguredPlace("nas", "")), is_missing=True)


def backup(age: float, state: str = "complete", *, is_future: bool = False) -> Backup:
    return Backup(f"b-{1000 - age}", NOW - age * HOURS, 9, "a" * 64, state, "keep", (), is_future)


def copy(age: float, sha256: str = "a" * 64, *, is_proven: bool = True) -> Copy:
    return Copy(f"b-{1000 - age}", sha256, 9, NOW if is_proven else None, "read_back", None)


def place(*copies: Copy, name: str = "cloud", **values: Any) -> Place:
    given = {"kind": "s3", "is_offsite": name == "cloud", "time": NOW, "state": "copied", **values}
    return Place(name, copies=copies, **given)


def catalog(*backups: Backup, places: tuple[Place, ...] = ()) -> Catalog:
    return Catalog(backups, "/backups", None, 9, 9, {}, None, places=places)


MOVED_SCHEDULE = replace(SCHEDULE, places=(replace(CLOUD, location="s3 new"),))
BACKUPS = (backup(1), backup(25), backup(49))


@pytest.mark.parametrize(
    ("copies", "missing"),
    [
        ([copy(1), copy(25)], None),
        ([copy(25)], None),  # the newest one may take its time
        ([copy(1)], None),  # a newer one replaces it
        ([copy(49)], "b-975"),
        ([], "b-975"),
        ([copy(25, is_proven=False)], "b-975"),
        ([copy(25, sha256="b" * 64)], "b-975"),
    ],
)
def test_a_place_is_behind(copies: list[Copy], missing: str | None) -> None:
    found = missing_backup(place(*copies), catalog(*BACKUPS), NOW)
    assert (found and found.name) == missing


@pytest.mark.parametrize(
    ("backups", "delay", "is_behind"),
    [
        ((), 24, False),
        ((backup(1),), 24, False),
        ((backup(24),), 24, False),
        ((backup(24.1),), 24, True),
        ((backup(1.5),), 1, True),
        ((backup(30, "incomplete"),), 24, False),
        ((backup(30, "damaged"), backup(30, "unchecked")), 24, False),
        ((backup(30, is_future=True),), 24, False),
    ],
)
def test_only_complete_backups_after_the_delay_count(backups: tuple[Backup, ...], delay: int, is_behind: bool) -> None:
    found = missing_backup(place(max_delay=delay * HOURS), catalog(*backups), NOW)
    assert (found is not None) is is_behind


def messages(schedule: CopySchedule | None, *places: Place, backups: tuple[Backup, ...] = BACKUPS) -> list[str]:
    found = list(copy_problems([schedule] if schedule else [], catalog(*backups, places=places), NOW))
    assert {problem.check for problem in found} <= {"copy"}
    return [problem.message for problem in found]


FINE = place(copy(1), copy(25))
FAILS: dict[str, Any] = {"state": "failed", "error": "the server answered 403.", "failing_since": NOW - 30 * HOURS}


@pytest.mark.parametrize(
    ("schedule", "places", "expected"),
    [
        (None, [], []),
        (None, [place()], []),
        (SCHEDULE, [FINE], []),
        # With the newest copy, a failure is a problem when it lasts.
        (SCHEDULE, [replace(FINE, **{**FAILS, "failing_since": NOW - 23 * HOURS})], []),
        (
            SCHEDULE,
            [replace(FINE, **FAILS)],
            ["the place cloud (s3) has failed since 2026-11-21 06:00 UTC: the server answered 403. Correct it, and"],
        ),
        (
            SCHEDULE,
            [place(copy(49), **FAILS)],
            [
                "expected a copy of b-975, which is 1d 1h old, at the place cloud (s3) after 1d, found none: it has "
                "failed since 2026-11-21 06:00 UTC: the server answered 403. Correct it, and run"
            ],
        ),
        (SCHEDULE, [place(last_success=NOW - 50 * HOURS)], ["found none: it was last copied to at 2026-11-20 10:00"]),
        (SCHEDULE, [place()], ["nothing was copied to it yet"]),
        (SCHEDULE, [], ["expected a Job of the copies in the last 1h 30m, found no record of one", "place cloud"]),
        (SCHEDULE, [replace(FINE, time=NOW - 1.5 * HOURS)], []),
        (SCHEDULE, [replace(FINE, time=NOW - 2 * HOURS)], ["the record of one at 2026-11-22 10:00 UTC. Check"]),
        (replace(SCHEDULE, interval=None), [replace(FINE, time=NOW - 2 * HOURS)], []),
        (replace(SCHEDULE, is_suspended=True), [replace(FINE, time=NOW - 2 * HOURS)], ["is suspended: nothing is"]),
        (
            CopySchedule(
                False, None, None, (ConfiguredPlace("cloud", ""), ConfiguredPlace("nas", "")), is_missing=True
            ),
            [replace(FINE, time=NOW - 30 * HOURS), place(copy(1), name="nas")],
            ["expected a CronJob of the copies to cloud, nas, found none: nothing is copied there. Run site.yml"],
        ),
        # Changed a short time ago: the new place is not known yet.
        (replace(SCHEDULE, since=NOW - HOURS), [], []),
        (replace(SCHEDULE, since=NOW - HOURS), [place()], []),
        # The watch does not know since when.
        (replace(SCHEDULE, since=None), [], ["at the place cloud (s3) after 1d, found none: nothing was copied"]),
        (replace(SCHEDULE, since=None), [replace(FINE, time=None)], []),
        (
            replace(SCHEDULE, places=(CLOUD, NAS)),
            [FINE],
            ["expected a copy of b-975, which is 1d 1h old, at the place nas (nfs)"],
        ),
        # What the record of another location has, is of that one.
        (
            MOVED_SCHEDULE,
            [replace(FINE, location="s3 old")],
            [f"at the place cloud (s3) after 1d, found none: {MOVED}. Co"],
        ),
        (
            MOVED_SCHEDULE,
            [replace(FINE, location="s3 old", findings=("b-9 is gone",), last_success=NOW, **FAILS)],
            [f"{MOVED}; it has failed since 2026-11-21 06:00 UTC: the server answered 403. Correct it, and"],
        ),
        (replace(MOVED_SCHEDULE, since=NOW), [replace(FINE, location="s3 old")], []),
        (MOVED_SCHEDULE, [replace(FINE, location="s3 new")], []),
        (MOVED_SCHEDULE, [FINE], []),
        (SCHEDULE, [replace(FINE, location="s3 old")], []),
        # A place of earlier, and places that may not be read.
        (SCHEDULE, [FINE, place(name="old")], []),
        (replace(SCHEDULE, places=None), [FINE, place(name="old")], ["at the place old (s3)"]),
        (
            SCHEDULE,
            [replace(FINE, findings=("b-9 is gone", "b-8 differs"))],
            ["at the place cloud: b-9 is gone", "b-8"],
        ),
        (
            replace(SCHEDULE, since=NOW),
            [replace(FINE, findings=tuple("abcdefg"))],
            [*(f"at the place cloud: {letter}" for letter in "abcde"), "at the place cloud: 2 more findings"],
        ),
    ],
)
def test_problems(schedule: CopySchedule | None, places: list[Place], expected: list[str]) -> None:
    found = messages(schedule, *places)
    assert all(words in message for words, message in zip(expected, found, strict=True))


def test_the_copies_at_another_location_than_the_configured_one_do_not_count() -> None:
    """A share in this house that is now a server elsewhere is judged by what is configured."""
    record = place(copy(1), copy(25), location="nfs old", kind="nfs", is_offsite=False, last_success=NOW)
    found = catalog(*BACKUPS, places=(replace(record, max_delay=HOURS),))
    (moved,) = places_of([MOVED_SCHEDULE], found)
    assert copies_of(BACKUPS[0], (moved,)) == []
    (result,) = place_results([MOVED_SCHEDULE], found, NOW)
    shown = {"kind": "s3", "offsite": True, "state": "copied", "copies": 0, "newest": None, "size_bytes": 0}
    assert result.items() >= {**shown, "last_success": None, "is_moved": True, "is_behind": True}.items()
    assert moved.max_delay == timedelta(days=1)
    rule = three_two_one([MOVED_SCHEDULE], found, "192.168.2.2") or {}
    assert (rule["holds"], rule["copies"]) == (False, 2)
    assert rule["reason"] == f"no place has a copy of b-999; without one: cloud ({MOVED})"
    assert place_results([SCHEDULE], found, NOW)[0]["is_moved"] is False


def test_a_new_place_without_a_record_and_without_a_backup() -> None:
    assert messages(SCHEDULE, backups=())[1:] == [
        "expected a record of the place cloud, found none. Check the Job of the copies and its pod"
    ]
    assert messages(replace(SCHEDULE, since=None), backups=()) == []


def test_the_places_of_an_installation() -> None:
    found = catalog(places=(FINE, place(name="old")))
    assert [each.name for each in places_of([replace(SCHEDULE, places=(NAS, CLOUD))], found)] == ["nas", "cloud"]
    assert places_of([], found) == ()
    both = [SCHEDULE, replace(SCHEDULE, places=(NAS,), mounts="nas")]
    assert [each.name for each in places_of(both, found)] == ["cloud", "nas"]
    assert places_of([SCHEDULE, replace(SCHEDULE, places=None)], found) == found.places


def test_each_cronjob_is_judged_by_itself() -> None:
    nas = replace(SCHEDULE, places=(NAS,), mounts="nas")
    old = place(copy(1), copy(25), name="nas", time=NOW - 2 * HOURS)

    def found(*schedules: CopySchedule) -> list[str]:
        return [problem.message for problem in copy_problems(schedules, catalog(*BACKUPS, places=(FINE, old)), NOW)]

    assert found(SCHEDULE, nas) == [
        "expected a Job of the copies to nas in the last 1h 30m, found the record of one at 2026-11-22 10:00 UTC. "
        "Check the Job of the copies and its pod"
    ]
    assert found(SCHEDULE, replace(nas, is_suspended=True)) == [
        "the CronJob of the copies to nas is suspended: nothing is copied until it is resumed"
    ]
    assert found(replace(SCHEDULE, places=(CLOUD, NAS))) == []


def test_the_copies_of_a_backup() -> None:
    places = (FINE, place(copy(25), name="nas"))
    assert [copies_of(each, places) for each in BACKUPS] == [["cloud"], ["cloud", "nas"], []]


def test_places_as_modules_return_them() -> None:
    cloud, nas = place_results(
        [replace(SCHEDULE, places=(CLOUD, NAS))], catalog(*BACKUPS, places=(place(copy(25)),)), NOW
    )
    assert (cloud["name"], cloud["copies"], cloud["is_behind"]) == ("cloud", 1, False)
    assert (nas["name"], nas["state"], nas["copies"], nas["newest"], nas["is_behind"]) == ("nas", None, 0, None, True)


@pytest.mark.parametrize(
    ("configured", "places", "expected", "reason"),
    [
        ([CLOUD], [FINE], (True, 3, 2), None),
        ([CLOUD, NAS], [FINE, place(copy(1), name="nas")], (True, 4, 3), None),
        ([CLOUD, NAS], [FINE], (True, 3, 2), None),
        ([CLOUD], [place(copy(25))], (False, 2, 1), "no place has a copy of b-999; without one: cloud"),
        ([NAS], [place(copy(1), name="nas")], (False, 3, 2), "no copy of b-999 is at another location"),
        (
            [replace(NAS, storage="192.168.2.2"), CLOUD],
            [place(copy(1), name="nas")],
            (False, 3, 1),
            "all copies of b-999 are on the storage of the backup volume, 192.168.2.2; without one: cloud",
        ),
        # Where the servers are not known, another kind is another storage.
        (None, [FINE], (True, 3, 2), None),
    ],
)
def test_three_two_one(
    configured: list[ConfiguredPlace] | None,
    places: list[Place],
    expected: tuple[bool, int, int],
    reason: str | None,
) -> None:
    schedule = replace(SCHEDULE, places=None if configured is None else tuple(configured))
    found = three_two_one([schedule], catalog(*BACKUPS, places=tuple(places)), "192.168.2.2")
    assert found is not None
    assert (found["holds"], found["copies"], found["storages"]) == expected
    assert found["reason"] == reason


def test_three_two_one_without_places_or_backups() -> None:
    assert three_two_one([], catalog(*BACKUPS), "nas") is None
    assert three_two_one([replace(SCHEDULE, places=())], catalog(*BACKUPS), "nas") is None
    found = three_two_one([SCHEDULE], catalog(), "nas") or {}
    assert (found["holds"], found["reason"]) == (False, "there is no complete backup")
