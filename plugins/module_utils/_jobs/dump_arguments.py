# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which arguments of pg_dumpall a backup may have, read as getopt_long reads them (src/bin/pg_dump/pg_dumpall.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """An option of pg_dumpall; `refused` is the reason why a backup may not have it, None where it may."""

    name: str
    letter: str = ""
    takes_value: bool = False
    refused: str | None = None


_ELSEWHERE = "is set by another variable of the role"
_FILE = "would write the dump to a file, but the run writes the backup itself"
_PART = "leaves out what a backup of all databases must contain"
_NO_DUMP = "makes no dump"
_UPGRADE = "is for pg_upgrade, and nothing else can restore what it writes"

# Of versions 13 to 19. A run fails, with pg_dumpall's message, for one that the server's version does not know.
_OPTIONS = (
    Option("file", "f", True, _FILE),
    Option("format", "F", True, "writes another format than SQL text, which a backup must be"),
    Option("host", "h", True, _ELSEWHERE),
    Option("port", "p", True, _ELSEWHERE),
    Option("username", "U", True, _ELSEWHERE),
    Option("dbname", "d", True, _ELSEWHERE),
    Option("database", "l", True, _ELSEWHERE),
    Option("password", "W", False, "asks for a password, which nobody can enter"),
    Option("help", "?", False, _NO_DUMP),
    Option("version", "V", False, _NO_DUMP),
    Option("globals-only", "g", False, _PART),
    Option("roles-only", "r", False, _PART),
    Option("tablespaces-only", "t", False, _PART),
    Option("schema-only", "s", False, _PART),
    Option("data-only", "a", False, _PART),
    Option("statistics-only", "", False, _PART),
    Option("no-schema", "", False, _PART),
    Option("no-data", "", False, _PART),
    Option("binary-upgrade", "", False, _UPGRADE),
    Option("clean", "c"),
    Option("encoding", "E", True),
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
    Option("exclude-database", "", True),
    Option("extra-float-digits", "", True),
    Option("filter", "", True),
    Option("if-exists"),
    Option("inserts"),
    Option("load-via-partition-root"),
    Option("lock-wait-timeout", "", True),
    Option("no-comments"),
    Option("no-policies"),
    Option("no-publications"),
    Option("no-role-passwords"),
    Option("no-security-labels"),
    Option("no-statistics"),
    Option("no-subscriptions"),
    Option("no-sync"),
    Option("no-table-access-method"),
    Option("no-tablespaces"),
    Option("no-toast-compression"),
    Option("no-unlogged-table-data"),
    Option("on-conflict-do-nothing"),
    Option("quote-all-identifiers"),
    Option("restrict-key", "", True),
    Option("role", "", True),
    Option("rows-per-insert", "", True),
    Option("sequence-data"),
    Option("statistics"),
    Option("use-set-session-authorization"),
)
_BY_NAME = {option.name: option for option in _OPTIONS}
_BY_LETTER = {option.letter: option for option in _OPTIONS if option.letter}
# Options that users may know from pg_dump.
_OF_PG_DUMP = frozenset(
    [
        "blobs",
        "compress",
        "create",
        "enable-row-security",
        "exclude-extension",
        "exclude-schema",
        "exclude-table",
        "exclude-table-and-children",
        "exclude-table-data",
        "exclude-table-data-and-children",
        "extension",
        "include-foreign-data",
        "jobs",
        "large-objects",
        "no-blobs",
        "no-large-objects",
        "schema",
        "section",
        "serializable-deferrable",
        "snapshot",
        "strict-names",
        "sync-method",
        "table",
        "table-and-children",
    ]
)
_LETTERS_OF_PG_DUMP = frozenset("bBCejnNTZ")
_ONLY_PG_DUMP = "is an option of pg_dump that pg_dumpall does not have"
_UNKNOWN = "is not an option of pg_dumpall"
# Options that pg_dumpall or pg_dump refuses without one of the others.
_NEEDS = {
    "if-exists": ("clean",),
    "on-conflict-do-nothing": ("inserts", "rows-per-insert", "column-inserts", "attribute-inserts"),
}
_EXCLUDE_EACH_OTHER = (("statistics", "no-statistics"),)


def refused_arguments(arguments: Sequence[str]) -> list[str]:
    """The reasons why a backup may not have these arguments of pg_dumpall, one for each refused argument."""
    names: set[str] = set()
    reasons = list(_read([*arguments], names))
    for name, others in _NEEDS.items():
        if name in names and not names & set(others):
            reasons.append(f"--{name} needs {' or '.join(f'--{other}' for other in others)}")
    for pair in _EXCLUDE_EACH_OTHER:
        if names >= set(pair):
            reasons.append(" and ".join(f"--{name}" for name in pair) + " exclude each other")
    return reasons


def _read(rest: list[str], names: set[str]) -> Iterator[str]:
    """The reasons against single arguments; the names of the options are added to `names`."""
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            yield from (_value_alone(value) for value in rest)
            return
        if argument.startswith("--"):
            yield from _read_long(argument, rest, names)
        elif argument.startswith("-") and argument != "-":
            yield from _read_short(argument, rest, names)
        else:
            yield _value_alone(argument)


def _value_alone(argument: str) -> str:
    return f"{argument} is not an option, and pg_dumpall takes nothing else"


def _read_long(argument: str, rest: list[str], names: set[str]) -> Iterator[str]:
    name, equals, _ = argument[2:].partition("=")
    options = [_BY_NAME[name]] if name in _BY_NAME else [option for option in _OPTIONS if option.name.startswith(name)]
    if name in _OF_PG_DUMP:
        yield f"--{name} {_ONLY_PG_DUMP}"
    elif not options:
        yield f"--{name} {_UNKNOWN}"
    elif len(options) > 1:
        yield f"--{name} is the beginning of several options ({', '.join(f'--{option.name}' for option in options)})"
    else:
        (option,) = options
        if equals and not option.takes_value:
            yield f"--{option.name} takes no value"
        else:
            yield from _take(option, bool(equals), rest, names)


def _read_short(argument: str, rest: list[str], names: set[str]) -> Iterator[str]:
    """Letters after one dash; what follows an option that takes a value is the value."""
    for position, letter in enumerate(argument[1:], 2):
        option = _BY_LETTER.get(letter)
        if option is None:
            yield f"-{letter} {_ONLY_PG_DUMP if letter in _LETTERS_OF_PG_DUMP else _UNKNOWN}"
            return
        yield from _take(option, position < len(argument), rest, names)
        if option.takes_value:
            return


def _take(option: Option, has_value: bool, rest: list[str], names: set[str]) -> Iterator[str]:
    names.add(option.name)
    if option.takes_value and not has_value:
        if not rest:
            yield f"--{option.name} needs a value"
            return
        rest.pop(0)
    if option.refused is not None:
        letter = f" (-{option.letter})" if option.letter else ""
        yield f"--{option.name}{letter} {option.refused}"
