# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The report of a restore drill: the lines of `backup.sh drill` as values, and compared with the contents of a dump."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._dump.encodings import codec_of, decode
from ..errors import DrillError, ExpectationError
from ..findings import Failure
from ..script_output import is_object

# A cluster may have thousands of tables: how many differences of each kind are listed.
_NAMED = 20
# Every server has these, even if they are not in the dump.
BUILTIN_DATABASES = frozenset({"postgres", "template1"})


@dataclass(frozen=True)
class RestoredTable:
    """A table with the number of its rows, without its partitions; `is_extension` if CREATE EXTENSION creates it.

    `tree` is the same number for all tables of one partition tree of a database, None outside of one; `part` is
    the table's position in it: `root`, `branch` (partitioned itself) or `leaf`.
    """

    schema: str
    name: str
    rows: int
    is_extension: bool = False
    tree: int | None = None
    part: str | None = None


@dataclass(frozen=True)
class RestoredDatabase:
    """A database with its tables: `rows` were counted, `copied_rows` are what COPY and INSERT reported."""

    name: str
    rows: int
    copied_rows: int
    tables: tuple[RestoredTable, ...]

    def to_dict(self) -> dict[str, Any]:
        """Without the names of the tables: the result must be short even for a hundred thousand."""
        return {"name": self.name, "tables": len(self.tables), "rows": self.rows, "copied_rows": self.copied_rows}


@dataclass(frozen=True)
class DrillReport:
    """Every database that a drill restored."""

    databases: tuple[RestoredDatabase, ...]

    @property
    def tables(self) -> int:
        return sum(len(database.tables) for database in self.databases)

    @property
    def rows(self) -> int:
        return sum(database.rows for database in self.databases)


def parse_report(lines: Iterable[str], tables: int | None = None) -> DrillReport:
    """The report among the lines of a drill's log; `tables` is the number of tables in the drill's result.

    Raises DrillError if lines are missing (a log can be lost in part) or are not of this version of the script.
    """
    databases: list[tuple[RestoredDatabase, str, int, list[RestoredTable]]] = []
    for line in lines:
        if not is_object(line):
            continue
        try:
            item = json.loads(line)
            if item["type"] == "database":
                codec = codec_of(item["encoding"])
                databases.append((_database(item, codec), codec, int(item["tables"]), []))
            elif item["type"] == "table":
                _, codec, _, restored = databases[-1]
                restored.append(_table(item, codec))
        except (ValueError, LookupError, TypeError) as error:
            raise DrillError(f"the report of the drill is from another version, or incomplete: {error!r}") from error
    for database, _, expected, restored in databases:
        if len(restored) != expected:
            raise _incomplete(f"{expected} tables of the database '{database.name}'", len(restored))
    report = DrillReport(tuple(replace(database, tables=tuple(restored)) for database, _, _, restored in databases))
    if tables is not None and report.tables != tables:
        raise _incomplete(f"{tables} tables", report.tables)
    return report


def _database(item: Mapping[str, Any], codec: str) -> RestoredDatabase:
    return RestoredDatabase(_text(item["name_hex"], codec), int(item["rows"]), int(item["copied_rows"]), ())


def _table(item: Mapping[str, Any], codec: str) -> RestoredTable:
    schema, name = _text(item["schema_hex"], codec), _text(item["name_hex"], codec)
    tree = int(item["tree"]) if "tree" in item else None
    return RestoredTable(schema, name, int(item["rows"]), bool(item.get("extension")), tree, item.get("part"))


def _text(digits: str, codec: str) -> str:
    return decode(bytes.fromhex(digits), codec)


def _incomplete(expected: str, found: int) -> DrillError:
    return DrillError(
        f"the report of the drill is incomplete: expected {expected}, found {found}. A part of the log was lost: "
        "run the drill again"
    )


_ERROR_KEYS = ("number", "database", "object", "sqlstate", "message", "advice", "follows")


def parse_errors(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The errors among the lines of a drill's log, of which the script prints at most 50.

    `number` counts from 1, causes first; `database` is None for the globals; `follows` is the number of the error's
    cause, or None. Lines of other versions are ignored: the reason of the drill names the first error, too.
    """
    errors = []
    for line in lines:
        if not is_object(line) or '"error"' not in line:
            continue
        try:
            item = json.loads(line)
        except ValueError:
            continue
        if item.get("type") == "error" and isinstance(item.get("number"), int):
            errors.append({key: item.get(key) for key in _ERROR_KEYS})
    return errors


def describe_errors(errors: Iterable[Mapping[str, Any]], total: int) -> str:
    """The causes with their advice, one each; the message of a failed drill continues with them. `total` counts all."""
    causes = [error for error in errors if error["follows"] is None]
    lines = []
    for error in causes[:_NAMED]:
        place = f"database '{error['database']}'" if error["database"] is not None else "roles and other globals"
        named = f", {error['object']}" if error["object"] else ""
        lines.append(f"  {place}{named}: {error['message']}\n    what to do: {error['advice']}")
    if len(causes) > _NAMED:
        lines.append(f"  and {len(causes) - _NAMED} more causes")
    others = total - len(causes)
    if others > 0:
        lines.append(f"  {others} other errors, most of which follow from these")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Expected:
    """The `contents` of a dump: the rows of every table by schema and name, for every database by its name.

    `missing` are the databases that the run could not dump.
    """

    databases: Mapping[str, Mapping[tuple[str, str], int]]
    missing: tuple[str, ...] = ()

    @classmethod
    def parse(cls, contents: Mapping[str, Any]) -> Expected:
        """Raises ExpectationError if these are not the `contents` of a complete dump of all databases."""
        try:
            complete, kind = contents["complete"], contents["kind"]
            databases = {
                str(database["name"]): {
                    (str(table["schema"]), str(table["name"])): int(table["rows"]) for table in database["tables"]
                }
                for database in contents["databases"]
            }
            missing = tuple(str(name) for name in contents.get("missing", ()))
        except (KeyError, TypeError, ValueError) as error:
            raise ExpectationError(
                "contents: expected those that backup_fetch with verify, or backup_verify, returns, found no usable "
                f"{error}. Pass complete 'contents', such as a file of contents_dest"
            ) from error
        if not complete or kind not in {"cluster", "globals"}:
            raise ExpectationError(
                "contents: expected those of a complete dump of all databases, found those of "
                f"{kind or 'no'} dump{'' if complete else ' that was not read to its end'}. Verify the backup first"
            )
        return cls(databases, missing)


def compare(report: DrillReport, expected: Expected) -> list[Failure]:
    """All differences between the restored data and the contents of the dump; empty if there are none.

    A table of an extension may have more rows than the dump, and need not be in it: the extension fills it itself.
    Rows that a dump loads through the root of a partition tree (--load-via-partition-root, or if the bounds of the
    partitions may differ in another server) are in the leaves that the server chooses. Such a tree is compared by its
    total number of rows, and each leaf has at least the rows that the dump loads into it.
    """
    restored = {database.name: database for database in report.databases}
    missing = [name for name in expected.databases if name not in restored]
    unexpected = [name for name in restored if name not in expected.databases and name not in BUILTIN_DATABASES]
    differences = [
        difference
        for name, tables in expected.databases.items()
        if name in restored
        for difference in _tables(restored[name], tables)
    ]
    return [
        *_limited("databases", (f"the database '{name}': expected it, found none" for name in missing)),
        *_limited("databases", (f"the database '{name}': expected none, found it" for name in unexpected)),
        *_limited("tables", (message for check, message in differences if check == "tables")),
        *_limited("rows", (message for check, message in differences if check == "rows")),
    ]


def _tables(found: RestoredDatabase, expected: Mapping[tuple[str, str], int]) -> Iterator[tuple[str, str]]:
    there = {(table.schema, table.name): table for table in found.tables}
    trees = {
        table.tree
        for key, table in there.items()
        if table.tree is not None and table.part != "leaf" and expected.get(key, 0) > 0
    }
    for key, rows in expected.items():
        table = there.get(key)
        if table is None:
            yield "tables", f"{_shown(found, key)}: expected it, with {rows} rows, found none"
        elif table.tree in trees:
            if table.part == "leaf" and table.rows < rows:
                yield "rows", f"{_shown(found, key)}: expected at least {rows} rows, found {table.rows}"
        elif table.rows != rows and not (table.is_extension and table.rows > rows):
            yield "rows", f"{_shown(found, key)}: expected {rows} rows, found {table.rows}"
    for key, table in there.items():
        if key not in expected and not table.is_extension:
            yield "tables", f"{_shown(found, key)}: expected none, found it, with {table.rows} rows"
    for tree in sorted(trees):
        yield from _tree(found, [table for table in found.tables if table.tree == tree], expected)


def _tree(
    database: RestoredDatabase, members: list[RestoredTable], expected: Mapping[tuple[str, str], int]
) -> Iterator[tuple[str, str]]:
    """Compare a partition tree whose rows are loaded through its root."""
    rows = sum(expected.get((table.schema, table.name), 0) for table in members)
    found = sum(table.rows for table in members)
    if found != rows and not (any(table.is_extension for table in members) and found > rows):
        root = next((table for table in members if table.part == "root"), members[0])
        yield (
            "rows",
            f"{_shown(database, (root.schema, root.name))} and its {len(members) - 1} partitions: "
            f"expected {rows} rows in all of them together, found {found}",
        )


def _shown(database: RestoredDatabase, key: tuple[str, str]) -> str:
    return f"the table {key[0]}.{key[1]} in the database '{database.name}'"


def _limited(check: str, messages: Iterable[str]) -> Iterator[Failure]:
    differences = [*messages]
    for message in differences[:_NAMED]:
        yield Failure(check, message)
    if len(differences) > _NAMED:
        yield Failure(check, f"and {len(differences) - _NAMED} more of this kind")
