# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The records of the copies, as they are and as somebody may have left them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.catalog import parse_listing
from plugins.module_utils._volume.copy_record import Copy, Place, is_elsewhere, parse_places

BACKUP, HASH = "postgres-backup-2026-11-22-020000.sql.gz", "a" * 64
COPY = {
    "backup": BACKUP,
    "sha256": HASH,
    "size_bytes": 7,
    "proven": "2026-11-22T02:30:00Z",
    "proof": "read_back",
    "locked_until": "2026-12-22T02:30:00Z",
}
RECORD = {
    "format": 1,
    "place": "cloud",
    "kind": "s3",
    "offsite": True,
    "time": "2026-11-22T03:00:00Z",
    "state": "failed",
    "error": "the server answered 403",
    "failing_since": "2026-11-22T02:00:00Z",
    "last_success": "2026-11-21T03:00:00Z",
    "max_delay_seconds": 3600,
    "findings": ["x differs"],
    "copies": [COPY],
}
VOLUME: dict[str, Any] = {
    "type": "volume",
    "path": "/b",
    "source": None,
    "size_bytes": 9,
    "free_bytes": 9,
    "policy": {},
}


def parsed(record: Any) -> tuple[Place, ...]:
    return parse_places([{"type": "copies", "record": record}])


def time(hour: int, minute: int = 0, *, day: int = 22, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_a_record() -> None:
    copy = Copy(BACKUP, HASH, 7, time(2, 30), "read_back", time(2, 30, month=12))
    assert parsed(RECORD) == (
        Place(
            name="cloud",
            kind="s3",
            is_offsite=True,
            time=time(3),
            state="failed",
            error="the server answered 403",
            failing_since=time(2),
            last_success=time(3, day=21),
            max_delay=timedelta(hours=1),
            findings=("x differs",),
            copies=(copy,),
        ),
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (dict.fromkeys(RECORD.keys() - {"place"}), Place("cloud")),
        ({key: 7 for key in RECORD if key != "place"} | {"max_delay_seconds": "7"}, Place("cloud")),
        ({key: {"a": 1} for key in RECORD if key != "place"}, Place("cloud")),
        ({key: ["", None, 7, {}] for key in RECORD if key != "place"}, Place("cloud")),
    ],
)
def test_fields_of_another_form_are_empty(change: dict[str, Any], expected: Place) -> None:
    assert parsed({**RECORD, **change}) == (expected,)


@pytest.mark.parametrize("delay", [0, -1, True, 2**31, 10**400, 1.5, None])
def test_a_delay_that_is_not_one_is_the_default(delay: Any) -> None:
    assert parsed({**RECORD, "max_delay_seconds": delay})[0].max_delay == timedelta(hours=24)


@pytest.mark.parametrize("record", [None, 7, "x", [], {}, {"place": None}, {"place": ""}, {"kind": "s3"}])
def test_what_is_not_a_record_is_left_out(record: Any) -> None:
    assert parsed(record) == ()


@pytest.mark.parametrize("older", ["2026-11-21T03:00:00Z", None])
def test_a_copy_of_a_record_hides_no_newer_one(older: str | None) -> None:
    """As `cloud (copy).json`, which the script lists before `cloud.json`."""
    records = [{"record": {**RECORD, "time": older, "error": None}}, {"record": RECORD}]
    for items in (records, records[::-1]):
        assert parse_places(items) == parsed(RECORD)


def test_each_place_is_listed_once_by_its_name() -> None:
    names = ["b", "a", "b"]
    places = parse_places({"record": {**RECORD, "place": name, "state": str(n)}} for n, name in enumerate(names))
    assert [(place.name, place.state) for place in places] == [("a", "1"), ("b", "0")]


def test_the_location_of_a_record() -> None:
    changes: list[dict[str, Any]] = [{"location": "s3 x"}, {"location": 7}, {}]
    assert [parsed({**RECORD, **change})[0].location for change in changes] == ["s3 x", "", ""]
    pairs = [("s3 a", "s3 a"), ("", "s3 a"), ("s3 a", ""), ("s3 a", "s3 b")]
    assert [is_elsewhere(*pair) for pair in pairs] == [False, False, False, True]


@pytest.mark.parametrize(
    ("change", "backup", "sha256", "holds"),
    [
        ({}, BACKUP, HASH, True),
        ({}, BACKUP, "b" * 64, False),
        ({}, BACKUP, None, False),
        ({}, "other", HASH, False),
        ({"proven": None}, BACKUP, HASH, False),
        ({"proven": "soon"}, BACKUP, HASH, False),
        ({"sha256": None}, BACKUP, "", True),  # a checksum file has no empty hash
    ],
)
def test_a_proven_copy_has_the_hash(change: dict[str, Any], backup: str, sha256: str | None, holds: bool) -> None:
    (place,) = parsed({**RECORD, "copies": [{**COPY, **change}]})
    assert place.holds(backup, sha256) is holds


def test_a_place_as_modules_return_it() -> None:
    older = {**COPY, "backup": "postgres-backup-2026-11-21-020000.sql.gz", "size_bytes": 5}
    unproven = {**COPY, "backup": "postgres-backup-2026-11-23-020000.sql.gz", "proven": None}
    (place,) = parsed({**RECORD, "copies": [older, unproven, COPY]})
    assert place.to_dict() == {
        "name": "cloud",
        "kind": "s3",
        "offsite": True,
        "state": "failed",
        "error": "the server answered 403",
        "failing_since": "2026-11-22T02:00:00Z",
        "last_success": "2026-11-21T03:00:00Z",
        "newest": BACKUP,
        "copies": 2,
        "size_bytes": 12,
        "is_moved": False,
    }


def test_the_listing_has_the_records() -> None:
    lines = [json.dumps({"type": "copies", "record": RECORD}, separators=(",", ":"))]
    volume = json.dumps({**VOLUME, "last_run": None}, separators=(",", ":"))
    assert parse_listing([*lines, volume]).places == parsed(RECORD)
    assert parse_listing([lines[0][:60], volume]).places == ()
