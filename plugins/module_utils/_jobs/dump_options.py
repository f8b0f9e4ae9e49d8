# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The options of pg_dumpall and pg_dump, PostgreSQL 13 to 19, and whether a backup may have them.

From `long_options` in src/bin/pg_dump/pg_dumpall.c and pg_dump.c. tests/dump/test_options.py compares the tables with
the programs themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from .object_patterns import pattern_problem

# What is wrong with a value, or None. Optional, since Python 3.9 evaluates an alias.
ValueCheck = Callable[[str], Optional[str]]
OLDEST, NEWEST = 13, 19


@dataclass(frozen=True)
class Option:
    """An option; `refused` is the reason why a backup may not have it, None if it may.

    `since` and `until` are the first and the last major version that has it. `variable` names the variable of the role
    that does what the option would do for a table, for options that are refused because of it.
    """

    name: str
    letter: str = ""
    takes_value: bool = False
    refused: str | None = None
    since: int = OLDEST
    until: int = NEWEST
    check: ValueCheck | None = None
    variable: str = ""

    def is_in(self, major: int | None) -> bool:
        """Whether this major version has it; a version that is not known, or newer than this table, may."""
        return major is None or self.since <= min(major, NEWEST) <= self.until

    @property
    def versions(self) -> str:
        return f"up to {self.until}" if self.until < NEWEST else f"{self.since} and newer"


@dataclass(frozen=True)
class Program:
    """A program with its options, and the variable of the role that holds arguments of it."""

    name: str
    variable: str
    options: tuple[Option, ...]

    def named(self, name: str) -> Option | None:
        return next((option for option in self.options if option.name == name), None)

    def lettered(self, letter: str) -> Option | None:
        return next((option for option in self.options if option.letter == letter), None)


# pg_encname_tbl in src/common/encnames.c.
_ENCODING = re.compile(
    "ABC|ALT|BIG5|EUC(CN|JIS2004|JP|KR|TW)|GB18030|GBK|ISO8859([1-9]|1[03-6])|JOHAB|KOI8[RU]?|LATIN([1-9]|10)|MSKANJI|"
    "MULEINTERNAL|SHIFTJIS(2004)?|SJIS|SQLASCII|TCVN(5712)?|UHC|UNICODE|UTF8|VSCII|"
    "WIN|WIN(DOWS)?(125[0-8]|866|874|932|936|949|950)"
)


def _whole_number(least: int, most: int) -> ValueCheck:
    def problem(value: str) -> str | None:
        is_valid = re.fullmatch(r"[+-]?[0-9]{1,10}", value) and least <= int(value) <= most
        return None if is_valid else f"needs a number from {least} to {most}"

    return problem


def _encoding(value: str) -> str | None:
    plain = re.sub("[^A-Za-z0-9]", "", value).upper()
    return None if _ENCODING.fullmatch(plain) else "needs the name of an encoding that PostgreSQL has"


def _restrict_key(value: str) -> str | None:
    return None if re.fullmatch("[A-Za-z0-9]+", value) else "needs a key of letters and digits"


def _text(value: str) -> str | None:
    return None if value else "needs a value that is not empty"


def _pattern(most_dots: int) -> ValueCheck:
    def problem(value: str) -> str | None:
        reason = pattern_problem(value, most_dots)
        return f"needs a pattern that the server accepts ({reason})" if reason else None

    return problem


_ELSEWHERE = "is set by another variable of the role"
_FILE = "would write the dump to a file, but the run writes the backup itself"
_FORMAT = "writes another format than SQL text, which a backup must be"
_PROMPT = "asks for a password, which nobody can enter"
_NO_DUMP = "makes no dump"
_UPGRADE = "is for pg_upgrade, and nothing else can restore what it writes"
_PART = "leaves out what a backup of all databases must contain"
_OBJECTS = "leaves out what a database needs to be restored"
_ROWS = "leaves out the rows of all tables; postgres_backup_exclude_table_data names the tables whose rows to leave out"
_OTHERS = "leaves out everything that it does not name; postgres_backup_exclude_tables names what to leave out"
_PARALLEL = "is for parallel dumps, which do not write SQL text"
_CLUSTER = "is for all databases: set it in postgres_backup_extra_args"
_FILTER = "names the databases to leave out in a file of the pod; use postgres_backup_exclude_databases"
_EXCLUDED_TABLES = "postgres_backup_exclude_tables"
_EXCLUDED_ROWS = "postgres_backup_exclude_table_data"

# Both programs have these, with the same meaning.
_SHARED = (
    Option("file", "f", True, _FILE),
    Option("host", "h", True, _ELSEWHERE),
    Option("port", "p", True, _ELSEWHERE),
    Option("username", "U", True, _ELSEWHERE),
    Option("dbname", "d", True, _ELSEWHERE),
    Option("password", "W", False, _PROMPT),
    Option("help", "?", False, _NO_DUMP),
    Option("version", "V", False, _NO_DUMP),
    Option("binary-upgrade", "", False, _UPGRADE),
    Option("encoding", "E", True, check=_encoding),
    Option("no-owner", "O"),
    Option("superuser", "S", True),
    Option("verbose", "v"),
    Option("no-password", "w"),
    Option("no-privileges", "x"),
    Option("no-acl"),
    Option("attribute-inserts"),
    Option("column-inserts"),
    Option("disable-dollar-quoting"),
    Option("disable-triggers"),
    Option("extra-float-digits", "", True, check=_whole_number(-15, 3)),
    Option("inserts"),
    Option("load-via-partition-root"),
    Option("lock-wait-timeout", "", True, check=_text),
    Option("no-comments"),
    Option("no-policies", since=18),
    Option("no-publications"),
    Option("no-security-labels"),
    Option("no-statistics", since=18),
    Option("no-subscriptions"),
    Option("no-sync"),
    Option("no-table-access-method", since=15),
    Option("no-tablespaces"),
    Option("no-toast-compression", since=14),
    Option("no-unlogged-table-data"),
    Option("on-conflict-do-nothing"),
    Option("quote-all-identifiers"),
    # In minor versions since August 2025.
    Option("restrict-key", "", True, check=_restrict_key),
    Option("role", "", True, check=_text),
    Option("rows-per-insert", "", True, check=_whole_number(1, 2**31 - 1)),
    Option("sequence-data", since=18),
    Option("statistics", since=18),
    Option("use-set-session-authorization"),
)

PG_DUMPALL = Program(
    "pg_dumpall",
    "postgres_backup_extra_args",
    (
        *_SHARED,
        Option("format", "F", True, _FORMAT, since=19),
        Option("database", "l", True, _ELSEWHERE),
        Option("globals-only", "g", False, _PART),
        Option("roles-only", "r", False, _PART),
        Option("tablespaces-only", "t", False, _PART),
        Option("schema-only", "s", False, _PART),
        Option("data-only", "a", False, _PART),
        Option("statistics-only", "", False, _PART, since=18),
        Option("no-schema", "", False, _PART, since=18),
        Option("no-data", "", False, _PART, since=18),
        Option("clean", "c"),
        Option("if-exists"),
        Option("exclude-database", "", True, check=_pattern(0)),
        Option("filter", "", True, _FILTER, since=17),
        Option("no-role-passwords"),
    ),
)

PG_DUMP = Program(
    "pg_dump",
    "postgres_backup_dump_args",
    (
        *_SHARED,
        Option("format", "F", True, _FORMAT),
        Option("schema-only", "s", False, _ROWS),
        Option("no-data", "", False, _ROWS, since=18),
        Option("data-only", "a", False, _OBJECTS),
        Option("no-schema", "", False, _OBJECTS, since=18),
        Option("statistics-only", "", False, _OBJECTS, since=18),
        Option("section", "", True, _OBJECTS),
        Option("table", "t", True, _OTHERS),
        Option("table-and-children", "", True, _OTHERS, since=16),
        Option("schema", "n", True, _OTHERS),
        Option("extension", "e", True, _OTHERS, since=14),
        Option("filter", "", True, "reads a file that may leave out anything", since=17),
        Option("enable-row-security", "", False, "leaves out, without a message, the rows that the user may not see"),
        Option("exclude-table", "T", True, _ELSEWHERE, variable=_EXCLUDED_TABLES),
        Option("exclude-table-data", "", True, _ELSEWHERE, variable=_EXCLUDED_ROWS),
        Option("clean", "c", False, _CLUSTER),
        Option("if-exists", "", False, _CLUSTER),
        Option("create", "C", False, "is set by the run for each database that needs it"),
        Option("compress", "Z", True, "compresses the dump, which postgres_backup_compressor does"),
        Option("jobs", "j", True, _PARALLEL),
        Option("no-synchronized-snapshots", "", False, _PARALLEL, until=14),
        Option("snapshot", "", True, "needs a snapshot that another session keeps open"),
        Option("sync-method", "", True, "is for dumps that pg_dump writes to files", since=17),
        Option("no-reconnect", "R", False, "is obsolete and has no effect"),
        Option("blobs", "b"),
        Option("large-objects", since=16),
        Option("no-blobs", "B"),
        Option("no-large-objects", since=16),
        Option("exclude-schema", "N", True, check=_pattern(0)),
        Option("exclude-extension", "", True, since=17, check=_pattern(0)),
        Option("exclude-table-and-children", "", True, since=16, check=_pattern(1)),
        Option("exclude-table-data-and-children", "", True, since=16, check=_pattern(1)),
        Option("include-foreign-data", "", True, check=_pattern(0)),
        Option("serializable-deferrable"),
        Option("strict-names"),
    ),
)
