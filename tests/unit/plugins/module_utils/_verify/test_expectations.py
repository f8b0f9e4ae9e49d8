# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._dump.contents import Contents, Database, Table
from plugins.module_utils._verify.expectations import Expectations, Facts, TableExpectation, check
from plugins.module_utils.errors import ExpectationError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACTS = Facts(size_bytes=1000, created=NOW - timedelta(hours=10), now=NOW)


def database(name: str | None, *tables: Table) -> Database:
    return Database(
        name=name,
        offset_bytes=0,
        body_offset_bytes=0,
        length_bytes=1,
        rows=sum(table.rows for table in tables),
        tables=tables,
    )


APP = database("app", Table("public", "users", 3), Table("other", "users", 0), Table("public", "big", 100))
CONTENTS = Contents(
    complete=True,
    kind="cluster",
    roles=("postgres", "app"),
    databases=(APP, database("postgres", Table("public", "x", 1))),
)


def messages(expected: Expectations, contents: Contents = CONTENTS, facts: Facts = FACTS) -> list[str]:
    return [f"{failure.check}: {failure.message}" for failure in check(expected, facts, contents)]


@pytest.mark.parametrize(
    "expected",
    [
        Expectations(),
        Expectations(kind=None),
        Expectations(min_size_bytes=1000),
        Expectations(max_age=timedelta(hours=10)),
        Expectations(databases=("app", "postgres")),
        Expectations(tables=(TableExpectation("app", "users", rows=3), TableExpectation("app", "users", "other", 0))),
        Expectations(tables=(TableExpectation("app", "users", min_rows=3), TableExpectation("app", "big"))),
        Expectations(compare_to=CONTENTS.to_dict(), max_row_loss_percent=0),
    ],
)
def test_expectation_that_is_met_gives_no_failure(expected: Expectations) -> None:
    assert messages(expected) == []


@pytest.mark.parametrize(
    ("expected", "begin"),
    [
        (Expectations(min_size_bytes=1001), "size: the file is too small: expected at least 1001 bytes, found 1000"),
        (Expectations(max_age=timedelta(hours=9)), "age: the backup is too old: expected at most 9h, found 10h"),
        (Expectations(kind="database"), "kind: this is another kind of dump: expected a dump of one database"),
        (Expectations(databases=("shop",)), "databases: the database 'shop' is missing: found 'app', 'postgres'"),
        (Expectations(tables=(TableExpectation("app", "x"),)), "tables: the table public.x in the database 'app' is"),
        (
            Expectations(tables=(TableExpectation("no", "users"),)),
            "tables: the table public.users in the database 'no'",
        ),
        (
            Expectations(tables=(TableExpectation("app", "users", rows=4),)),
            "tables: the table public.users in the database 'app' has another number of rows: expected 4, found 3",
        ),
        (
            Expectations(tables=(TableExpectation("app", "users", min_rows=4),)),
            "tables: the table public.users in the database 'app' has too few rows: expected at least 4, found 3",
        ),
    ],
)
def test_expectation_that_is_not_met_is_named(expected: Expectations, begin: str) -> None:
    found = messages(expected)
    assert len(found) == 1
    assert found[0].startswith(begin)


def test_all_failures_are_reported_together() -> None:
    expected = Expectations(
        kind="globals",
        min_size_bytes=5000,
        max_age=timedelta(hours=1),
        databases=("a", "b"),
        tables=(TableExpectation("app", "x"), TableExpectation("app", "y")),
        compare_to=replace(CONTENTS, roles=("gone",)).to_dict(),
    )
    found = [message.partition(":")[0] for message in messages(expected)]
    assert found == ["size", "age", "kind", "databases", "databases", "tables", "tables", "drift"]


def test_max_age_is_compared_with_the_newest_time() -> None:
    expected = Expectations(max_age=timedelta(hours=1))
    assert "age is not known" in messages(expected, facts=replace(FACTS, created=None))[0]
    assert messages(expected, facts=replace(FACTS, created=NOW + timedelta(minutes=5))) == []
    (future,) = messages(expected, facts=replace(FACTS, created=NOW + timedelta(minutes=6)))
    assert "is dated 6m in the future" in future
    assert messages(Expectations(), facts=replace(FACTS, created=None)) == []


def test_part_that_was_not_read_is_not_missing() -> None:
    partial = replace(CONTENTS, complete=False, databases=())
    expected = Expectations(databases=("app",), tables=(TableExpectation("app", "x"),), compare_to=CONTENTS.to_dict())
    assert messages(expected, partial) == []


def test_dump_without_a_database_name() -> None:
    unnamed = Contents(complete=True, kind="database", databases=(replace(APP, name=None),))
    table = TableExpectation("app", "users", rows=3)
    assert messages(Expectations(kind="database", tables=(table,)), unnamed) == []


def drift(older: Contents, newer: Contents, percent: float = 50) -> list[str]:
    return messages(Expectations(compare_to=older.to_dict(), max_row_loss_percent=percent), newer)


@pytest.mark.parametrize(
    ("rows", "percent", "is_failure"),
    [(100, 0, False), (99, 0, True), (99, 1, False), (50, 50, False), (49, 50, True), (0, 100, False), (0, 99.9, True)],
)
def test_rows_lost_since_another_backup(rows: int, percent: float, is_failure: bool) -> None:
    newer = replace(CONTENTS, databases=(replace(APP, tables=(*APP.tables[:2], Table("public", "big", rows))),))
    older = replace(CONTENTS, databases=(APP,))
    assert bool(drift(older, newer, percent)) is is_failure


def test_databases_and_tables_missing_since_another_backup() -> None:
    newer = replace(CONTENTS, roles=("postgres",), databases=(replace(APP, tables=APP.tables[:1]),))
    assert [message.partition(". Was")[0] for message in drift(CONTENTS, newer)] == [
        "drift: roles are gone since the older contents: 'app'",
        "drift: databases are gone since the older contents: 'postgres'",
        "drift: tables are gone since the older contents: 'app: other.users', 'app: public.big'",
    ]
    assert drift(newer, CONTENTS) == []


def test_message_has_a_limited_length() -> None:
    many = tuple(Table("public", f"t{number}", 1) for number in range(1000))
    (message,) = drift(
        Contents(complete=True, databases=(database("app", *many),)), replace(CONTENTS, databases=(APP,))
    )
    assert "and 980 more" in message
    assert len(message) < 1000


@pytest.mark.parametrize("older", [{}, {"roles": []}, {"roles": [], "databases": [1]}, {"roles": 1, "databases": []}])
def test_invalid_contents_are_refused(older: dict[str, Any]) -> None:
    with pytest.raises(ExpectationError, match="compare_to is not what this module returned"):
        messages(Expectations(compare_to=older))


INCOMPLETE = replace(CONTENTS, missing=("sick",))


def test_incomplete_backup_is_refused_unless_it_is_allowed() -> None:
    (message,) = messages(Expectations(), INCOMPLETE)
    assert message.startswith(
        "databases: the backup is incomplete: expected all databases, found that the run could not"
    )
    assert "'sick'" in message
    assert messages(Expectations(allow_incomplete=True), INCOMPLETE) == []


@pytest.mark.parametrize("is_allowed", [True, False])
def test_missing_database_that_must_be_there_is_one_failure(is_allowed: bool) -> None:
    expected = Expectations(databases=("app", "sick"), allow_incomplete=is_allowed)
    (message,) = messages(expected, INCOMPLETE)
    assert "'sick'" in message and "could not dump" in message


def test_missing_database_is_no_drift() -> None:
    older = replace(CONTENTS, databases=(*CONTENTS.databases, database("sick", Table("public", "t", 1))))
    expected = Expectations(compare_to=older.to_dict(), allow_incomplete=True)
    assert messages(expected, INCOMPLETE) == []
    assert len(messages(expected, CONTENTS)) == 1
