# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a rehearsed restore brought: the lines of `backup.sh drill` as values, and compared with what a dump holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._dump.encodings import codec_of, decode
from ..errors import DrillError, ExpectationError
from ..findings import Failure

_LINE = '{"type":'
# A cluster may have thousands of tables: of each kind no more are named.
_NAMED = 20
# Every server has these, also when the dump does not name them.
ALWAYS_THERE = frozenset({"postgres", "template1"})


@dataclass(frozen=True)
class RestoredTable:
    """A table with the number of its own rows; `is_extension` for one that CREATE EXTENSION makes.

    `tree` is the same number for all tables of one partition tree of a database, None outside of one; `part` says
    what the table is in it: `root`, `branch` (partitioned itself) or `leaf`.
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
        """Without the tables' names: the module's answer must stay short for a cluster of a hundred thousand."""
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


def is_report_line(line: str) -> bool:
    """Whether a line of a drill's log belongs to its report; the others are for people, or the result."""
    return line.startswith(_LINE)


def parse_report(lines: Iterable[str], tables: int | None = None) -> DrillReport:
    """The report among a drill's lines; `tables` is how many the drill's result speaks of.

    Raises DrillError where lines are missing (a log can be lost in part) or are not of this version of the script.
    """
    databases: list[tuple[RestoredDatabase, str, int, list[RestoredTable]]] = []
    for line in lines:
        if not is_report_line(line):
            continue
        try:
            found = json.loads(line)
            if found["type"] == "database":
                codec = codec_of(found["encoding"])
                databases.append((_database(found, codec), codec, int(found["tables"]), []))
            elif found["type"] == "table":
                _, codec, _, there = databases[-1]
                there.append(_table(found, codec))
        except (ValueError, LookupError, TypeError) as error:
            raise DrillError(f"the drill's report is not of this version, or came in part: {error!r}") from error
    for database, _, expected, there in databases:
        if len(there) != expected:
            raise _incomplete(f"{expected} tables of the database '{database.name}'", len(there))
    report = DrillReport(tuple(replace(database, tables=tuple(there)) for database, _, _, there in databases))
    if tables is not None and report.tables != tables:
        raise _incomplete(f"{tables} tables", report.tables)
    return report


def _database(found: Mapping[str, Any], codec: str) -> RestoredDatabase:
    return RestoredDatabase(_text(found["name_hex"], codec), int(found["rows"]), int(found["copied_rows"]), ())


def _table(found: Mapping[str, Any], codec: str) -> RestoredTable:
    schema, name = _text(found["schema_hex"], codec), _text(found["name_hex"], codec)
    tree = int(found["tree"]) if "tree" in found else None
    return RestoredTable(schema, name, int(found["rows"]), bool(found.get("extension")), tree, found.get("part"))


def _text(digits: str, codec: str) -> str:
    return decode(bytes.fromhex(digits), codec)


def _incomplete(expected: str, found: int) -> DrillError:
    return DrillError(
        f"the drill's report came in part: expected {expected}, found {found}. The log of its pod was lost on the way: "
        "run it again"
    )


# ------------------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Expected:
    """What a dump's `contents` say: the rows of every table by schema and name, of every database by its name."""

    databases: Mapping[str, Mapping[tuple[str, str], int]]

    @classmethod
    def parse(cls, contents: Mapping[str, Any]) -> Expected:
        """Raises ExpectationError for what is no `contents` of a whole cluster's dump."""
        try:
            complete, kind = contents["complete"], contents["kind"]
            databases = {
                str(database["name"]): {
                    (str(table["schema"]), str(table["name"])): int(table["rows"]) for table in database["tables"]
                }
                for database in contents["databases"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ExpectationError(
                "contents: expected what backup_fetch with verify, or backup_verify, returns as contents, found no "
                f"usable {error}. Pass a whole 'contents', such as a file of contents_dest"
            ) from error
        if not complete or kind not in {"cluster", "globals"}:
            raise ExpectationError(
                "contents: expected those of a whole dump of a cluster, found those of "
                f"{kind or 'no'} dump{'' if complete else ' that was not read to its end'}. Verify the backup first"
            )
        return cls(databases)


def compare(report: DrillReport, expected: Expected) -> list[Failure]:
    """Every difference between what was restored and what the dump holds; empty when all is equal.

    A table of an extension may hold more rows than the dump, and need not be in it: the extension fills it itself.
    What a dump loads through the root of a partition tree (pg_dump does it where the partitions' bounds may mean
    something else in another server, or is told to) lies in whichever leaves that server puts it: such a tree is
    compared as a whole, and each leaf has at least the rows that the dump loads into itself.
    """
    found = {database.name: database for database in report.databases}
    missing = [name for name in expected.databases if name not in found]
    unexpected = [name for name in found if name not in expected.databases and name not in ALWAYS_THERE]
    differences = [
        each for name, tables in expected.databases.items() if name in found for each in _tables(found[name], tables)
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
    """A partition tree of which rows are loaded through its root."""
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
    listed = [*messages]
    for message in listed[:_NAMED]:
        yield Failure(check, message)
    if len(listed) > _NAMED:
        yield Failure(check, f"and {len(listed) - _NAMED} more of this kind")
