# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup's facts and contents compared with what the user expects: every failure, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._dump.contents import Contents, Database
from ..errors import ExpectationError
from ..findings import Failure
from ..units import CLOCK_TOLERANCE, format_duration

# A cluster may have thousands of tables: no message names more of them.
_NAMED = 20


@dataclass(frozen=True)
class TableExpectation:
    """A table that must exist, with exactly `rows` or at least `min_rows` rows where they are set."""

    database: str
    name: str
    schema: str = "public"
    rows: int | None = None
    min_rows: int | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name} in the database '{self.database}'"


@dataclass(frozen=True)
class Expectations:
    """What the user expects; None and empty mean: anything.

    `kind` is one of Contents.kind's, or None; `max_row_loss_percent` belongs to `compare_to`, which is an older
    Contents.to_dict(). `allow_incomplete` accepts a backup that lacks databases which the run could not dump, except
    those in `databases`.
    """

    kind: str | None = "cluster"
    min_size_bytes: int | None = None
    max_age: timedelta | None = None
    databases: tuple[str, ...] = ()
    tables: tuple[TableExpectation, ...] = ()
    compare_to: Mapping[str, Any] | None = None
    max_row_loss_percent: float = 50.0
    allow_incomplete: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known of the file apart from its contents; `created` is None when neither header nor name has a time."""

    size_bytes: int
    created: datetime | None
    now: datetime


_KINDS = {
    "cluster": "a dump of all databases (pg_dumpall)",
    "globals": "a dump of the globals alone (pg_dumpall --globals-only)",
    "database": "a dump of one database (pg_dump)",
}


def require_usable(expected: Expectations) -> None:
    """Raise ExpectationError for what no backup can meet as it is written, before anything is read."""
    if expected.compare_to is not None:
        _Older.parse(expected.compare_to)


def check(expected: Expectations, facts: Facts, contents: Contents) -> list[Failure]:
    """Everything that is not as expected; empty for a backup that meets all expectations.

    Contents that were not read to the end are a separate failure, so expectations about them are not checked then.
    Raises ExpectationError as require_usable does.
    """
    return [
        *_check_size(expected, facts),
        *_check_age(expected, facts),
        *_check_kind(expected, contents),
        *_check_missing(expected, contents),
        *_check_databases(expected, contents),
        *_check_tables(expected, contents),
        *_check_drift(expected, contents),
    ]


def _check_size(expected: Expectations, facts: Facts) -> Iterator[Failure]:
    if expected.min_size_bytes is not None and facts.size_bytes < expected.min_size_bytes:
        yield Failure(
            "size",
            f"the file is too small: expected at least {expected.min_size_bytes} bytes, found {facts.size_bytes}. "
            "Check whether databases or tables are missing, or lower min_size_bytes",
        )


def _check_age(expected: Expectations, facts: Facts) -> Iterator[Failure]:
    if expected.max_age is None:
        return
    if facts.created is None:
        yield Failure(
            "age",
            "the backup's age is not known: expected a header with its start, or a name such as "
            "postgres-backup-2026-01-31-020000.sql.gz, found neither. Rename the file, or leave out max_age",
        )
        return
    age = facts.now - facts.created
    if age > expected.max_age:
        yield Failure(
            "age",
            f"the backup is too old: expected at most {format_duration(expected.max_age)}, found "
            f"{format_duration(age)} (made {facts.created:%Y-%m-%d %H:%M:%S} UTC). Find out why no newer one was made "
            "or fetched",
        )
    elif age < -CLOCK_TOLERANCE:
        yield Failure(
            "age",
            f"the backup is dated {format_duration(-age)} in the future (made {facts.created:%Y-%m-%d %H:%M:%S} UTC). "
            "Correct the clocks of this machine and of the cluster's nodes",
        )


def _check_kind(expected: Expectations, contents: Contents) -> Iterator[Failure]:
    if expected.kind is None or contents.kind is None or contents.kind == expected.kind:
        return
    # A cluster's dump that was cut off before its first database looks like a dump of the globals.
    yield Failure(
        "kind",
        f"this is another kind of dump: expected {_KINDS[expected.kind]}, found {_KINDS[contents.kind]}. "
        "Verify another file, or set kind",
    )


def _check_missing(expected: Expectations, contents: Contents) -> Iterator[Failure]:
    if contents.missing and not expected.allow_incomplete:
        yield Failure(
            "databases",
            f"the backup is incomplete: expected all databases, found that the run could not dump "
            f"{_listed([*contents.missing])}. Use another backup, or set allow_incomplete for one with the others only",
        )


def _check_databases(expected: Expectations, contents: Contents) -> Iterator[Failure]:
    if not contents.complete:
        return
    names = {database.name for database in contents.databases}
    for name in expected.databases:
        if name in contents.missing:
            if expected.allow_incomplete:
                yield Failure(
                    "databases",
                    f"the database '{name}' is missing: the run could not dump it. Use another backup "
                    "(backup_info returns the newest one with each database)",
                )
        elif name not in names:
            yield Failure(
                "databases",
                f"the database '{name}' is missing: found {_listed(sorted(map(str, names)))}. Check whether it exists "
                "on the server and allows connections",
            )


def _check_tables(expected: Expectations, contents: Contents) -> Iterator[Failure]:
    if not contents.complete:
        return
    databases = {database.name: database for database in contents.databases}
    if len(contents.databases) == 1 and contents.databases[0].name is None:
        # The dump of pg_dump without --create does not contain the name of its database.
        databases = {table.database: contents.databases[0] for table in expected.tables}
    for table in expected.tables:
        rows = _rows(databases.get(table.database), table.schema, table.name)
        if rows is None:
            yield Failure("tables", f"the table {table} is missing. Check whether it exists on the server")
        elif table.rows is not None and rows != table.rows:
            yield Failure(
                "tables", f"the table {table} has another number of rows: expected {table.rows}, found {rows}"
            )
        elif table.min_rows is not None and rows < table.min_rows:
            yield Failure(
                "tables", f"the table {table} has too few rows: expected at least {table.min_rows}, found {rows}"
            )


def _rows(database: Database | None, schema: str, name: str) -> int | None:
    for table in database.tables if database else ():
        if (table.schema, table.name) == (schema, name):
            return table.rows
    return None


def _check_drift(expected: Expectations, contents: Contents) -> Iterator[Failure]:
    if expected.compare_to is None:
        return
    older = _Older.parse(expected.compare_to)
    if not contents.complete:
        return
    newer = _Older.parse(contents.to_dict())
    for what, before, after in (
        ("roles", older.roles, newer.roles),
        ("databases", older.databases, newer.databases),
    ):
        gone = [name for name in before if name not in after and not (what == "databases" and name in contents.missing)]
        if gone:
            yield Failure("drift", f"{what} are gone since the older contents: {_listed(gone)}. Was that intended?")
    gone_tables, shrunk = [], []
    for (database, schema, name), rows in older.tables.items():
        if database not in newer.databases:
            continue
        newer_rows = newer.tables.get((database, schema, name))
        shown = f"{database}: {schema}.{name}"
        if newer_rows is None:
            gone_tables.append(shown)
        elif rows and (rows - newer_rows) * 100 > rows * expected.max_row_loss_percent:
            shrunk.append(f"{shown} ({rows} to {newer_rows})")
    if gone_tables:
        yield Failure("drift", f"tables are gone since the older contents: {_listed(gone_tables)}. Was that intended?")
    if shrunk:
        yield Failure(
            "drift",
            f"tables lost more than {expected.max_row_loss_percent:g} % of their rows since the older contents: "
            f"{_listed(shrunk)}. Was that intended?",
        )


@dataclass(frozen=True)
class _Older:
    """The names and row counts of contents in the form that modules return."""

    roles: tuple[str, ...]
    databases: tuple[str, ...]
    tables: dict[tuple[str, str, str], int]

    @classmethod
    def parse(cls, contents: Mapping[str, Any]) -> _Older:
        try:
            return cls(
                roles=tuple(str(role) for role in contents["roles"]),
                databases=tuple(str(database["name"]) for database in contents["databases"]),
                tables={
                    (str(database["name"]), str(table["schema"]), str(table["name"])): int(table["rows"])
                    for database in contents["databases"]
                    for table in database["tables"]
                },
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ExpectationError(
                "compare_to is not what this module returned as contents: expected roles, databases and their tables "
                f"with rows, found no usable {error}. Pass a complete 'contents', such as a file of contents_dest"
            ) from error


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED]) or "none"
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
