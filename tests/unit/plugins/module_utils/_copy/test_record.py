# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The record of a place: read as it was written, and never an error."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plugins.module_utils._copy.configuration import PlaceOptions, parse_configuration
from plugins.module_utils._copy.plan import Copy
from plugins.module_utils._copy.record import FAILED, Record, dump_record, next_record, parse_record, record_of_place
from tests.copy_program import DEFAULTS
from tests.watch_program import SCRIPT

NOW = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
# Of a record, by the script.
READ_BYTES = 1 << 20


def place() -> PlaceOptions:
    content = {"name": "b", "namespace": "data", "time_zone": "Etc/UTC", "file_mode": "0640"}
    places = [{**DEFAULTS, "name": "offsite", "kind": "s3"}]
    return parse_configuration({**content, "places": places}, "/secrets", "/places").places[0]


def copy(number: int) -> Copy:
    name = f"b-2026-11-{number % 28 + 1:02d}-{number:06d}.sql.gz"
    return Copy(name, "a" * 64, number, NOW, "read_back", "2026-11-29T02:00:00.5Z", NOW + timedelta(days=number))


def test_a_record_is_read_as_it_was_written() -> None:
    events = {"old": NOW - timedelta(days=2), "recent": NOW - timedelta(hours=1)}
    before = Record((copy(1),), NOW, None, events, token="01234567")  # noqa: S106 - of file names
    record = next_record(before, [copy(1), copy(2)], ["new"], NOW, error="it failed", is_done=False)
    line = dump_record(record, place(), FAILED, "it failed", NOW)
    assert parse_record(line) == record
    assert record.token == before.token
    assert "\n" not in line and line.startswith('{"format":1,"place":')
    content = json.loads(line)
    assert content["findings"] == ["recent", "new"]
    assert content["failing_since"] == content["time"] == "2026-11-29T02:00:00Z"
    assert [entry["backup"] for entry in content["copies"]] == [copy(2).backup, copy(1).backup]


def test_strangers() -> None:
    """What neither an attempt has found there nor the volume has."""
    known, other, volume, stranger = (copy(number).backup for number in range(1, 5))
    complete = [known, other, volume, stranger]
    record = Record((copy(1),), others=(other,), time=NOW)
    assert record.strangers(complete, [volume]) == {stranger}
    assert parse_record(dump_record(record, place(), FAILED, None, NOW)) == record
    # The first attempt adopts what a volume that was lost has left there. Later ones do not, also if none was proven.
    assert Record().strangers(complete, []) == set()
    assert Record(others=(other,)).strangers(complete, [volume]) == {known, stranger}
    assert Record(location="claim usb").strangers(complete, []) == set(complete)


def test_what_a_long_record_leaves_out_is_known() -> None:
    """Also after attempts that are killed, fail or have a closed window, until all is in the record again."""
    copies = [copy(number) for number in range(20, 0, -1)]
    others = [f"b-2026-10-{number % 28 + 1:02d}-{number:06d}.sql.gz" for number in range(400)]
    names = [*others, *(each.backup for each in copies)]
    # In the order of a set, as a killed attempt leaves it: a known old backup must not make newer ones unknown.
    first = Record(tuple(copies[:3]), others=(*others[::2], *others[1::2], *(each.backup for each in copies[3:])))
    killed = parse_record(dump_record(first, place(), FAILED, None, NOW))
    assert len(killed.others) < len(first.others) and killed.strangers(names, []) == set()
    closed = next_record(killed, killed.copies, (), NOW, error=None, is_done=False)
    later = parse_record(dump_record(closed, place(), FAILED, None, NOW))
    assert later.strangers(names, []) == set()
    assert later.strangers(["b-2026-12-01-000000.sql.gz"], []) == {"b-2026-12-01-000000.sql.gz"}
    done = next_record(later, copies, (), NOW, error=None, is_done=True, others=())
    assert done.left_out == "" and done.strangers(names[:1], []) == {names[0]}


def test_a_known_old_backup_and_copies_that_a_long_record_leaves_out() -> None:
    many = [copy(number) for number in range(9000, 0, -1)]
    record = Record(tuple(many), others=(copy(0).backup,))
    long = parse_record(dump_record(record, place(), FAILED, None, NOW))
    assert len(long.copies) < len(many) and long.strangers([each.backup for each in many], []) == set()


def test_success_ends_a_failure() -> None:
    before = Record(failing_since=NOW - timedelta(days=1))
    still = next_record(before, (), (), NOW, error="again", is_done=False)
    assert still.failing_since == before.failing_since and still.last_success is None
    done = next_record(still, (), (), NOW, error=None, is_done=True)
    assert done.failing_since is None and done.last_success == NOW
    of_a_wrong_clock = Record(failing_since=NOW + timedelta(days=400))
    assert next_record(of_a_wrong_clock, (), (), NOW, error="again", is_done=False).failing_since == NOW


def test_eight_years_of_nights_fit_into_a_record() -> None:
    """And with them more findings than anybody reads, of which the newest are shown: no proof may be lost for them."""
    found = [f"{number}: {'x' * 600}" for number in range(3000)]
    before = Record(events={"old": NOW - timedelta(hours=1)})
    copies = [copy(number) for number in range(3000, 0, -1)]
    record = next_record(before, copies, found, NOW, error=None, is_done=False)
    line = dump_record(record, place(), FAILED, None, NOW)
    assert len(line) < READ_BYTES
    assert parse_record(line) == record
    assert len(record.copies) == 3000
    assert [text[:4] for text in record.events] == [str(number) for number in range(2900, 3000)]


def test_a_longer_record_has_the_newest_copies() -> None:
    record = Record(tuple(copy(number) for number in range(9000, 0, -1)))
    line = dump_record(record, place(), FAILED, None, NOW)
    assert len(line) < READ_BYTES
    copies = parse_record(line).copies
    assert 3000 < len(copies) < 9000
    assert copies == record.copies[: len(copies)]


def test_the_script_lists_a_long_record(tmp_path: Path) -> None:
    (tmp_path / "b.copies").mkdir()
    line = dump_record(Record(tuple(map(copy, range(9000)))), place(), FAILED, None, NOW)
    (tmp_path / "b.copies" / "offsite.json").write_text(f"{line}\n")
    environment = {**os.environ, "POSTGRES_BACKUP_NAME": "b", "POSTGRES_BACKUP_DIR": str(tmp_path)}
    done = subprocess.run(["sh", str(SCRIPT), "list"], env=environment, capture_output=True, text=True, check=True)
    assert {"type": "copies", "record": json.loads(line)} in map(json.loads, done.stdout.splitlines())


@pytest.mark.parametrize(
    "text",
    [None, "", "[]", "{", "null", '{"copies":[{}]}', '{"copies":7}', '{"events":[{"text":"a","time":"yesterday"}]}'],
)
def test_other_texts_are_an_empty_record(text: str | None) -> None:
    """Then every copy is proven again."""
    assert parse_record(text) == Record()


@pytest.mark.parametrize(
    ("own", "others", "found"),
    [
        (("here", 1), [("here", 2), ("here", 3), ("away", 4)], ("here", 3)),
        (("", 3), [("here", 4)], ("here", 4)),
        # A wrong clock.
        (("here", 1), [("here", 2), ("here", 9)], ("here", 2)),
        (("here", 3), [("here", 3), ("here", 2)], ("here", 3)),
        (("here", 3), [("away", 4), ("", 5)], ("here", 3)),
        # At a location that it had under another name, and at a new one.
        (("away", 3), [("here", 4)], ("here", 4)),
        (("away", 3), [("here", 2)], ("away", 3)),
        (("away", 3), [("", 4)], ("away", 3)),
        # A place with a new name adopts what lies there.
        (("", 0), [("here", 2)], ("", 0)),
    ],
)
def test_the_record_of_a_place_that_had_another_name(
    own: tuple[str, int], others: list[tuple[str, int]], found: tuple[str, int]
) -> None:
    def record(location: str, days: int) -> Record:
        time = NOW + timedelta(days=days) if days else None
        return Record((copy(days),) if days else (), location=location, time=time, token=f"{location} {days}")

    first, of_others = record(*own), [record(*each) for each in others]
    result = record_of_place(first, of_others, "here", NOW + timedelta(days=8))
    assert (result.copies, result.location, result.time) == (record(*found).copies, found[0], record(*found).time)
    # Another attempt may have the token of the other name.
    assert result.token == first.token
    if not first.is_new:
        there = [first, *(each for each in of_others if each.location == "here")]
        known = {one.backup for each in there for one in each.copies}
        assert {*result.others, *(one.backup for one in result.copies)} == known
