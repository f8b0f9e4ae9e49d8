# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A drill's lines as a report, and the report against a dump's contents."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from plugins.module_utils._jobs.drill_report import (
    DrillReport,
    Expected,
    compare,
    describe_errors,
    parse_errors,
    parse_report,
)
from plugins.module_utils.errors import DrillError, ExpectationError

Tables = dict[tuple[str, str], int]


def table_line(schema: str, name: str, rows: int, encoding: str = "utf-8", **more: Any) -> str:
    names = {"schema_hex": schema.encode(encoding).hex(), "name_hex": name.encode(encoding).hex()}
    return json.dumps({"type": "table", **names, "rows": rows, **more}, separators=(",", ":"))


def database_line(name: str, tables: int, rows: int, encoding: tuple[str, str] = ("UTF8", "utf-8")) -> str:
    found = {
        "type": "database",
        "name_hex": name.encode(encoding[1]).hex(),
        "encoding": encoding[0],
        "tables": tables,
        "rows": rows,
        "copied_rows": rows,
        "extension_rows": 0,
    }
    return json.dumps(found, separators=(",", ":"))


def lines_of(databases: dict[str, Tables]) -> list[str]:
    made = []
    for name, tables in databases.items():
        made.append(database_line(name, len(tables), sum(tables.values())))
        made += [table_line(*key, rows) for key, rows in tables.items()]
    return made


def contents_of(databases: dict[str, Tables], **more: Any) -> dict[str, Any]:
    return {
        "complete": True,
        "kind": "cluster",
        "databases": [
            {"name": name, "tables": [{"schema": key[0], "name": key[1], "rows": rows} for key, rows in tables.items()]}
            for name, tables in databases.items()
        ],
        **more,
    }


def report_of(databases: dict[str, Tables]) -> DrillReport:
    return parse_report(lines_of(databases))


APP: Tables = {("public", "users"): 3, ("public", "transactions"): 5}


def test_report_between_log_lines_is_read() -> None:
    first, *rest = lines_of({"app": APP})
    report = parse_report(["2026-11-22T02:00:00Z restoring", first, "x", *rest, '{"state":"succeeded"}'], tables=2)
    (app,) = report.databases
    assert app.to_dict() == {"name": "app", "tables": 2, "rows": 8, "copied_rows": 8}
    assert (report.tables, report.rows) == (2, 8)


def test_names_in_the_databases_own_encoding() -> None:
    latin = ("LATIN1", "latin-1")
    lines = [database_line("größe", 1, 2, latin), table_line("maß", "Zähler", 2, "latin-1")]
    lines += [database_line("日本", 1, 1, ("EUC_JP", "euc_jp")), table_line("public", "表", 1, "euc_jp")]
    first, second = parse_report(lines).databases
    assert (first.name, first.tables[0].schema, first.tables[0].name) == ("größe", "maß", "Zähler")
    assert (second.name, second.tables[0].name) == ("日本", "表")


WHOLE = lines_of({"app": APP})


@pytest.mark.parametrize(
    ("lines", "tables", "words"),
    [
        (WHOLE[:2], None, "expected 2 tables of the database 'app', found 1"),
        (WHOLE[1:], None, "or incomplete: IndexError"),
        (WHOLE, 3, "expected 3 tables, found 2"),
        ([], 1, "expected 1 tables, found 0"),
        ([WHOLE[0][:30]], None, "is from another version"),
        (['{"type":"database","name_hex":"zz","encoding":"UTF8","tables":0}'], None, "is from another version"),
        (['{"type":"table","name_hex":"61"}'], None, "is from another version"),
        ([WHOLE[0], '{"type":"table","name_hex":"61","rows":1}'], None, "is from another version"),
    ],
)
def test_invalid_report_is_refused(lines: list[str], tables: int | None, words: str) -> None:
    with pytest.raises(DrillError, match=words):
        parse_report(lines, tables)


POSTGRES: dict[str, Tables] = {"postgres": {}, "template1": {}}


@pytest.mark.parametrize(
    ("restored", "dumped", "messages"),
    [
        ({"app": APP}, {"app": APP}, []),
        ({"app": APP, **POSTGRES}, {"app": APP}, []),
        (POSTGRES, {}, []),
        ({}, {"app": APP}, ["the database 'app': expected it, found none"]),
        ({"app": APP}, {}, ["the database 'app': expected none, found it"]),
        (
            {"app": {("public", "users"): 3}},
            {"app": APP},
            ["the table public.transactions in the database 'app': expected it, with 5 rows, found none"],
        ),
        (
            {"app": {**APP, ("s", "more"): 1}},
            {"app": APP},
            ["the table s.more in the database 'app': expected none, found it, with 1 rows"],
        ),
        (
            {"app": {**APP, ("public", "users"): 2}},
            {"app": APP},
            ["the table public.users in the database 'app': expected 3 rows, found 2"],
        ),
        (
            {"postgres": {("public", "t"): 1}},
            {"postgres": {("public", "t"): 2}},
            ["the table public.t in the database 'postgres': expected 2 rows, found 1"],
        ),
    ],
)
def test_differences_are_named(restored: dict[str, Tables], dumped: dict[str, Tables], messages: list[str]) -> None:
    failures = compare(report_of(restored), Expected.parse(contents_of(dumped)))
    assert [failure.message for failure in failures] == messages


@pytest.mark.parametrize(
    ("found", "dumped", "checks"),
    [
        (5, {("public", "config"): 3}, []),
        (5, {("public", "config"): 5}, []),
        (5, {}, []),
        (5, {("public", "config"): 6}, ["rows"]),
    ],
)
def test_extension_table_may_hold_more_rows(found: int, dumped: Tables, checks: list[str]) -> None:
    report = parse_report([database_line("app", 1, found), table_line("public", "config", found, extension=True)])
    failures = compare(report, Expected.parse(contents_of({"app": dumped})))
    assert [failure.check for failure in failures] == checks


def test_globals_alone_have_no_databases() -> None:
    expected = Expected.parse(contents_of({}, kind="globals"))
    assert compare(report_of(POSTGRES), expected) == []


def test_few_of_many_differences_are_named() -> None:
    many: Tables = {("public", f"t{number}"): 1 for number in range(50)}
    expected = Expected.parse(contents_of({"app": dict.fromkeys(many, 2), "b": many, "c": {}}))
    failures = compare(report_of({"app": many, "b": {}, "d": {}}), expected)
    assert [failure.check for failure in failures] == ["databases"] * 2 + ["tables"] * 21 + ["rows"] * 21
    assert failures[22].message == failures[-1].message == "and 30 more of this kind"


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({}, "no usable 'complete'"),
        ({"complete": True, "kind": "cluster", "databases": [{"name": "app"}]}, "no usable 'tables'"),
        (contents_of({}, complete=False), "not read to its end"),
        (contents_of({}, kind="database"), "found those of database dump"),
    ],
)
def test_invalid_contents_are_refused(contents: dict[str, Any], words: str) -> None:
    with pytest.raises(ExpectationError, match=words):
        Expected.parse(contents)


@pytest.mark.parametrize("seed", range(30))
def test_any_single_change_is_a_difference(seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "A", 'q"', "ä", "t.u", " "]

    def tables() -> Tables:
        return {
            (chance.choice(names), chance.choice(names)): chance.randrange(9) for _ in range(1 + chance.randrange(9))
        }

    databases = {name: tables() for name in chance.sample(["app", "b", "c-d", "é"], 3)}
    contents = contents_of(databases)
    assert compare(report_of(databases), Expected.parse(contents)) == []

    database = chance.choice(contents["databases"])
    table = chance.choice(database["tables"])
    match chance.randrange(4):
        case 0:
            table["rows"] += chance.choice([-1, 1])
        case 1:
            database["tables"].remove(table)
        case 2:
            table["name"] += "x"
        case _:
            contents["databases"].remove(database)
    failures = compare(report_of(databases), Expected.parse(contents))
    assert 1 <= len(failures) <= 2


# A tree: a root, a branch and three leaves; each with its part, the rows expected and those found.
Tree = dict[str, tuple[str, int, int]]


def tree_differences(tree: Tree, **more: Any) -> list[str]:
    lines = [database_line("app", len(tree), 0)]
    lines += [
        table_line("s", name, found, tree=7, part=part, **(more if part == "root" else {}))
        for name, (part, _, found) in tree.items()
    ]
    expected: Tables = {("s", name): rows for name, (_, rows, _) in tree.items()}
    return [failure.message for failure in compare(parse_report(lines), Expected.parse(contents_of({"app": expected})))]


@pytest.mark.parametrize(
    ("root", "leaves", "words"),
    [
        # Loaded through the root, however the rows lie; with leaves that are loaded directly.
        (9, [(0, 4), (0, 5), (0, 0)], []),
        (5, [(4, 4), (0, 5), (0, 0)], []),
        (5, [(4, 6), (0, 3), (0, 0)], []),
        (9, [(0, 4), (0, 4), (0, 0)], ["partitions: expected 9 rows in all of them together, found 8"]),
        (0, [(4, 4), (5, 5), (0, 0)], []),
        # Not one row went through the root: each leaf for itself.
        (0, [(4, 5), (5, 4), (0, 0)], ["s.leaf0", "s.leaf1"]),
        # Rows that a leaf itself must have.
        (5, [(4, 3), (0, 6), (0, 0)], ["s.leaf0 in the database 'app': expected at least 4 rows, found 3"]),
        (1, [(0, 3), (0, 0), (0, 0)], ["expected 1 rows in all of them together, found 3"]),
    ],
)
def test_partition_tree_is_counted_as_a_whole(root: int, leaves: list[tuple[int, int]], words: list[str]) -> None:
    tree: Tree = {"root": ("root", root, 0), "branch": ("branch", 0, 0)}
    tree |= {f"leaf{number}": ("leaf", *each) for number, each in enumerate(leaves)}
    found = tree_differences(tree)
    assert len(found) == len(words)
    for message, word in zip(found, words, strict=True):
        assert word in message
    # An extension fills its tables itself.
    if root == 1:
        assert tree_differences(tree, extension=True) == []


def test_missing_partition_is_a_difference() -> None:
    lines = [database_line("app", 1, 0), table_line("s", "root", 0, tree=7, part="root")]
    expected: Tables = {("s", "root"): 0, ("s", "leaf"): 3}
    (failure,) = compare(parse_report(lines), Expected.parse(contents_of({"app": expected})))
    assert failure.message == "the table s.leaf in the database 'app': expected it, with 3 rows, found none"


def test_databases_that_the_run_could_not_dump_are_not_expected() -> None:
    expected = Expected.parse({**contents_of({"app": {}}), "missing": ["sick"]})
    assert expected.missing == ("sick",)
    assert compare(report_of({"app": {}}), expected) == []
    assert Expected.parse(contents_of({"app": {}})).missing == ()


def error_line(number: int, **more: Any) -> str:
    error = {"database": "app", "object": "index public.i", "sqlstate": "42883", "message": "m", "advice": "a"}
    return json.dumps({"type": "error", "number": number, **error, "follows": None, **more})


def test_errors_are_those_of_the_log() -> None:
    lines = ["text", "{", '{"type":"error"}', error_line(1, message="first"), database_line("app", 0, 0)]
    lines.append(error_line(2, database=None, object=None, sqlstate=None, message="second", follows=1))
    errors = parse_errors(lines)
    assert [(error["number"], error["message"], error["follows"]) for error in errors] == [
        (1, "first", None),
        (2, "second", 1),
    ]
    assert "type" not in errors[0]


def test_causes_are_described_with_their_advice() -> None:
    lines = [error_line(1), error_line(2, database=None, object="role r"), error_line(3, follows=1)]
    assert describe_errors(parse_errors(lines), 9).splitlines() == [
        "  database 'app', index public.i: m",
        "    what to do: a",
        "  roles and other globals, role r: m",
        "    what to do: a",
        "  7 other errors, most of which follow from these",
    ]
    many = describe_errors(parse_errors(error_line(number) for number in range(1, 31)), 30)
    assert many.endswith("  and 10 more causes")
