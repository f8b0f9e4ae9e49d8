# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` of partition trees, some of which pg_dump loads through their root, compared with the contents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils._jobs.drill_report import Expected, compare, parse_report
from tests.dump import truth

from ..support.programs import Programs
from ..support.rehearsal import Rehearsal
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace

# A hash of an enum's value is another one in each server: pg_dump loads these through their root by itself (all
# supported versions), the trees of `ranges` only with --load-via-partition-root.
TREES = r'''
CREATE TYPE colour AS ENUM ('red', 'green', 'blue', 'black', 'white');
CREATE TABLE things (c colour, n int) PARTITION BY HASH (c);
CREATE TABLE things_0 PARTITION OF things FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE things_1 PARTITION OF things FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO things SELECT (enum_range(NULL::colour))[1 + i % 5], i FROM generate_series(1, 11) AS i;

CREATE SCHEMA "it's \ a ""schema""";
CREATE TABLE mixed (d int, c colour) PARTITION BY RANGE (d);
CREATE TABLE mixed_plain PARTITION OF mixed FOR VALUES FROM (0) TO (10);
CREATE TABLE "it's \ a ""schema"""."a branch" PARTITION OF mixed FOR VALUES FROM (10) TO (20) PARTITION BY HASH (c);
CREATE TABLE "it's \ a ""schema"""."leaf ""0""
 " PARTITION OF "it's \ a ""schema"""."a branch" FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE mixed_1 PARTITION OF "it's \ a ""schema"""."a branch" FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE mixed_2 PARTITION OF "it's \ a ""schema"""."a branch" FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO mixed SELECT i % 20, (enum_range(NULL::colour))[1 + i % 5] FROM generate_series(1, 60) AS i;

CREATE TABLE ranges (d int) PARTITION BY RANGE (d);
CREATE TABLE ranges_a PARTITION OF ranges FOR VALUES FROM (0) TO (5);
CREATE TABLE ranges_b PARTITION OF ranges FOR VALUES FROM (5) TO (50);
CREATE TABLE detached PARTITION OF ranges FOR VALUES FROM (50) TO (60);
INSERT INTO ranges SELECT generate_series(0, 59);
ALTER TABLE ranges DETACH PARTITION detached;

CREATE TABLE parent (n int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT generate_series(1, 3);
INSERT INTO child SELECT generate_series(1, 4);
CREATE TABLE empty (c colour) PARTITION BY LIST (c);
'''


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


@pytest.fixture(scope="module")
def trees(template: Server, workspace: Workspace) -> dict[str, bytes]:
    """Dumps of one server, made with these arguments."""
    with template.clone(workspace.directory("trees", mode=0o777)) as server:
        server.sql("CREATE DATABASE trees STRATEGY file_copy;")
        server.sql(TREES, "trees")
        ways = ("", "--load-via-partition-root", "--inserts --load-via-partition-root", "--rows-per-insert=3")
        return {way: truth.dump(server, "pg_dumpall", *way.split()) for way in ways}


def contents_of(text: bytes) -> dict[str, Any]:
    reader = DumpReader()
    reader.feed(text)
    found: dict[str, Any] = json.loads(json.dumps(reader.finish().to_dict()))
    return found


def differences(rehearsal: Rehearsal, text: bytes, contents: dict[str, Any]) -> list[str]:
    """The result of the module restore_drill for a backup with this text."""
    rehearsal.put(text)
    outcome = rehearsal.run("drill").check()
    report = parse_report(outcome.out.splitlines(), outcome.result["tables"])
    return [failure.message for failure in compare(report, Expected.parse(contents))]


@pytest.mark.parametrize(
    "way", ["", "--load-via-partition-root", "--inserts --load-via-partition-root", "--rows-per-insert=3"]
)
def test_a_good_backup_has_no_difference(rehearsal: Rehearsal, trees: dict[str, bytes], way: str) -> None:
    text = trees[way]
    contents = contents_of(text)
    (database,) = (each for each in contents["databases"] if each["name"] == "trees")
    rows = {table["name"]: table["rows"] for table in database["tables"]}
    # The samples are what they are meant to be.
    assert (rows["things"], rows["things_0"] + rows["things_1"]) == (11, 0)
    assert (rows["mixed"] > 0, rows["mixed_1"]) == (True, 0)
    assert (rows["mixed_plain"], rows["ranges"]) == ((0, 50) if "root" in way else (30, 0))
    assert (rows["detached"], rows["parent"], rows["child"]) == (10, 3, 4)
    assert differences(rehearsal, text, contents) == []
    # The rows of each tree are compared with COPY's together.
    rehearsal.put_with_manifest(text)
    rehearsal.run("drill").check()


def without(text: bytes, copy: bytes, number: int = 1) -> bytes:
    """The dump without the first rows behind the line that begins like this."""
    head, found, tail = text.partition(copy)
    assert found, copy
    line, tail = tail.split(b"\n", 1)
    for _ in range(number):
        tail = tail.split(b"\n", 1)[1]
    return head + found + line + b"\n" + tail


TOGETHER = (
    "the table {} in the database 'trees' and its 2 partitions: expected {} rows in all of them together, found {}"
)
ALONE = "the table {} in the database 'trees': expected {} rows, found {}"


@pytest.mark.parametrize(
    ("way", "copy", "expected"),
    [
        ("", b"COPY public.things ", TOGETHER.format("public.things", 11, 10)),
        ("", b"COPY public.mixed_plain ", ALONE.format("public.mixed_plain", "at least 30", 29)),
        ("", b"COPY public.ranges_a ", ALONE.format("public.ranges_a", 5, 4)),
        ("", b"COPY public.parent ", ALONE.format("public.parent", 3, 2)),
        ("--load-via-partition-root", b"COPY public.ranges ", TOGETHER.format("public.ranges", 50, 49)),
    ],
)
def test_a_loss_is_found(rehearsal: Rehearsal, trees: dict[str, bytes], way: str, copy: bytes, expected: str) -> None:
    contents = contents_of(trees[way])
    found = differences(rehearsal, without(trees[way], copy), contents)
    assert expected in found
    assert all("mixed" in message for message in found if message != expected)
