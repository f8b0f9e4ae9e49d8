# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables that say which databases, tables and rows a backup contains, and how pg_dump writes them.

A database pattern is a name in which `*` stands for any characters and `?` for one; the entire name must match, and
case matters. A table pattern is pg_dump's own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._jobs.dump_arguments import canonical_arguments, read_arguments, refused_combinations
from .._jobs.dump_options import PG_DUMP, PG_DUMPALL, Program
from .._jobs.object_patterns import pattern_problem
from .._jobs.postgres_server import major_of_image
from .checks import ONE_LINE, Check, Variables, is_list

EVERY_DATABASE = "*"
_DATABASES = "a list of database names or patterns, as quoted strings in one line each"
_TABLES = "a list of mappings with database and table, such as {{database: shop, table: {example}}}"
_ARGUMENTS_OF_PG_DUMP = (
    "a list of arguments of pg_dump, or of mappings with database and args, such as "
    "{database: shop, args: [--exclude-schema=cache]}"
)
_ARGUMENTS_OF_PG_DUMPALL = "a list of one-line arguments with which pg_dumpall dumps everything"


@dataclass(frozen=True)
class DatabaseArguments:
    """Arguments of pg_dump for the databases that match a pattern."""

    database: str
    arguments: tuple[str, ...]


def are_databases(value: Any, _variables: Variables) -> str | None:
    return _DATABASES if _list_problems(value) else None


def leave_a_database(value: Any, variables: Variables) -> str | None:
    """postgres_backup_exclude_databases must not exclude every database."""
    if _list_problems(value):
        return _DATABASES
    selected = variables["postgres_backup_databases"]
    selected = selected if is_list(selected) and selected else [EVERY_DATABASE]
    if any(not any(_covers(excluded, str(name)) for excluded in value) for name in selected):
        return None
    return f"{_DATABASES}, which leave a database to back up"


def are_tables(example: str) -> Check:
    """A list of {database, table}."""
    expected = _TABLES.format(example=example)

    def check(value: Any, _variables: Variables) -> str | None:
        if not is_list(value):
            return expected
        return _with_reasons(expected, _table_problems(value))

    return check


def are_dump_arguments(value: Any, variables: Variables) -> str | None:
    """Arguments of pg_dump, alone and together with those that pg_dumpall would pass on to it."""
    if not is_list(value):
        return _ARGUMENTS_OF_PG_DUMP
    problems = list(_entry_problems(value))
    if not problems:
        problems = _problems_of_groups(dump_arguments(value), variables)
    return _with_reasons(_ARGUMENTS_OF_PG_DUMP, problems)


def are_arguments_of_pg_dumpall(value: Any, _variables: Variables) -> str | None:
    if _list_problems(value):
        return _ARGUMENTS_OF_PG_DUMPALL
    result = read_arguments(PG_DUMPALL, value)
    return _with_reasons(_ARGUMENTS_OF_PG_DUMPALL, [*result.problems, *refused_combinations(result.names)])


def dump_arguments(value: Sequence[Any]) -> list[DatabaseArguments]:
    """The entries of postgres_backup_dump_args in order; strings that follow each other are one command line."""
    groups: list[DatabaseArguments] = []
    for is_mapping, entries in itertools.groupby(value, lambda entry: isinstance(entry, Mapping)):
        if is_mapping:
            groups += (DatabaseArguments(entry["database"], tuple(entry["args"])) for entry in entries)
        else:
            groups.append(DatabaseArguments(EVERY_DATABASE, tuple(entries)))
    return groups


def unsupported_messages(variables: Variables, image: str) -> list[str]:
    """A message for each variable with options that the programs of this image do not have.

    There is none if the name of the image does not contain PostgreSQL's version. The variables must be valid for some
    version.
    """
    major = major_of_image(image)
    if major is None:
        return []
    lists: list[tuple[Program, Sequence[str]]] = [(PG_DUMPALL, variables[PG_DUMPALL.variable])]
    lists += [(PG_DUMP, group.arguments) for group in dump_arguments(variables[PG_DUMP.variable])]
    problems: dict[Program, list[str]] = {}
    for program, arguments in lists:
        problems.setdefault(program, []).extend(read_arguments(program, arguments, major).problems)
    return [
        f"{program.variable}: expected options of {program.name} {major}, which the image {image} has; "
        f"found others: {'; '.join(reasons)}"
        for program, reasons in problems.items()
        if reasons
    ]


def dump_environment(variables: Variables) -> dict[str, str]:
    """The environment variables of a run that say what to dump, and of retention's brake: only those that are set.

    `variables` holds the role's variables by their full names. Lists have one entry a line, pairs a tab between them.
    """

    def value(name: str) -> Any:
        return variables[f"postgres_backup_{name}"]

    arguments = (
        (group.database, argument)
        for group in dump_arguments(value("dump_args"))
        for argument in canonical_arguments(PG_DUMP, group.arguments)
    )
    texts = {
        "EXTRA_ARGS": "\n".join(canonical_arguments(PG_DUMPALL, value("extra_args"))),
        "DATABASES": "\n".join(value("databases")),
        "EXCLUDE_DATABASES": "\n".join(value("exclude_databases")),
        "EXCLUDE_TABLES": _pairs((entry["database"], entry["table"]) for entry in value("exclude_tables")),
        "EXCLUDE_TABLE_DATA": _pairs((entry["database"], entry["table"]) for entry in value("exclude_table_data")),
        "DUMP_ARGS": _pairs(arguments),
        "RECIPIENTS": "\n".join(value("recipients")),
        "KEY_REHEARSAL": str(value("key_rehearsal")) if value("recipients") else "",
        "MAX_DELETIONS": str(value("max_deletions")),
        "ALLOW_DELETIONS": str(value("allow_deletions")),
    }
    return {f"POSTGRES_BACKUP_{name}": text for name, text in texts.items() if text}


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{database}\t{text}" for database, text in pairs)


def _with_reasons(expected: str, reasons: Iterable[str]) -> str | None:
    text = "; ".join(reasons)
    return f"{expected} ({text})" if text else None


def _is_line(text: object) -> bool:
    return isinstance(text, str) and ONE_LINE.fullmatch(text) is not None


def _list_problems(value: Any) -> bool:
    return not is_list(value) or not all(_is_line(text) for text in value)


def _table_problems(value: Sequence[Any]) -> Iterator[str]:
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, Mapping) or set(entry) != {"database", "table"}:
            yield f"entry {number} is not a mapping of exactly database and table"
        elif not _is_line(entry["database"]):
            yield f"the database of entry {number} is not a name or pattern in one line"
        elif not _is_line(entry["table"]):
            yield f"the table of entry {number} is not a pattern in one line"
        elif problem := pattern_problem(entry["table"], 1):
            yield f"the table of entry {number} is not a pattern that pg_dump accepts: {problem}"


def _entry_problems(value: Sequence[Any]) -> Iterator[str]:
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, Mapping):
            if not _is_line(entry):
                yield f"entry {number} is neither an argument in one line nor a mapping"
        elif set(entry) != {"database", "args"}:
            yield f"entry {number} is not a mapping of exactly database and args"
        elif not _is_line(entry["database"]):
            yield f"the database of entry {number} is not a name or pattern in one line"
        elif not is_list(entry["args"]) or not all(_is_line(text) for text in entry["args"]):
            yield f"args of entry {number} is not a list of arguments in one line each"


def _problems_of_groups(groups: Sequence[DatabaseArguments], variables: Variables) -> list[str]:
    extra_args = variables[PG_DUMPALL.variable]
    # pg_dumpall does not pass on --if-exists and its own options, which have no part in pg_dump's combinations.
    passed_on = set() if _list_problems(extra_args) else read_arguments(PG_DUMPALL, extra_args).names
    results = [(group.database, read_arguments(PG_DUMP, group.arguments)) for group in groups]
    problems = [problem for _database, result in results for problem in result.problems]
    for database, result in results:
        others = passed_on.union(
            *(other.names for pattern, other in results if other is not result and _covers(pattern, database))
        )
        problems += refused_combinations(result.names, others)
    return list(dict.fromkeys(problems))


def _covers(pattern: str, name: str) -> bool:
    """Whether the pattern matches every database that `name`, a name or itself a pattern, matches.

    A wildcard of `name` is only matched by `*`; `?` in the pattern may be too narrow for it.
    """
    expression = "".join(
        ".*" if character == "*" else "[^*]" if character == "?" else re.escape(character) for character in pattern
    )
    return re.fullmatch(expression, name, re.DOTALL) is not None
