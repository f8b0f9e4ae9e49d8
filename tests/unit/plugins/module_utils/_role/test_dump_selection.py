# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which databases, tables and arguments a backup may have. Single values that are refused: tests/unit/roles."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._role.dump_selection import (
    DatabaseArguments,
    are_dump_arguments,
    are_tables,
    dump_arguments,
    leave_a_database,
)


def test_strings_that_follow_each_other_are_one_command_line() -> None:
    entries = ["-N", "cache", {"database": "a", "args": ["-v"]}, {"database": "*", "args": ["-x"]}, "-O", "-x"]
    assert dump_arguments(entries) == [
        DatabaseArguments("*", ("-N", "cache")),
        DatabaseArguments("a", ("-v",)),
        DatabaseArguments("*", ("-x",)),
        DatabaseArguments("*", ("-O", "-x")),
    ]


# Databases, databases to exclude, and whether one is left.
SELECTIONS: list[tuple[list[str], list[str], bool]] = [
    ([], [], True),
    ([], ["shop", "a*"], True),
    ([], ["*"], False),
    ([], ["?*"], True),  # refuses too little rather than too much
    (["shop"], ["shop"], False),
    (["shop"], ["Shop"], True),
    (["shop", "app"], ["sh*"], True),
    (["shop", "app"], ["sh*", "???"], False),
    (["shop_*"], ["shop_?"], True),
    (["shop_?"], ["shop*"], False),
    (["a.b"], ["a?b"], False),
    (["axb"], ["a.b"], True),
]


@pytest.mark.parametrize(("databases", "excluded", "is_one_left"), SELECTIONS)
def test_a_database_must_be_left(databases: list[str], excluded: list[str], is_one_left: bool) -> None:
    expected = leave_a_database(excluded, {"postgres_backup_databases": databases})
    assert (expected is None) == is_one_left, expected


def of(database: str, *arguments: str) -> dict[str, Any]:
    return {"database": database, "args": [*arguments]}


# Arguments of pg_dump, of pg_dumpall, and the reason why they do not work together.
TOGETHER: list[tuple[list[Any], list[str], str]] = [
    ([of("shop", "--on-conflict-do-nothing")], [], "--on-conflict-do-nothing needs --inserts"),
    ([of("shop", "--on-conflict-do-nothing")], ["--inserts"], ""),
    ([of("shop", "--on-conflict-do-nothing"), "--inserts"], [], ""),
    ([of("shop", "--on-conflict-do-nothing"), of("sh*", "--column-inserts")], [], ""),
    ([of("shop", "--on-conflict-do-nothing"), of("app", "--inserts")], [], "--on-conflict-do-nothing needs --inserts"),
    (["--on-conflict-do-nothing", of("shop", "--inserts")], [], "--on-conflict-do-nothing needs --inserts"),
    ([of("shop", "--statistics"), "--no-statistics"], [], "--statistics and --no-statistics exclude each other"),
    ([of("shop", "--statistics")], ["--no-statistics"], "--statistics and --no-statistics exclude each other"),
    ([of("shop", "--statistics"), of("app", "--no-statistics")], [], ""),
    (["--no-comments"], ["--clean", "--if-exists"], ""),
]


@pytest.mark.parametrize(("arguments", "extra_args", "reason"), TOGETHER)
def test_arguments_that_concern_the_same_database(arguments: list[Any], extra_args: list[str], reason: str) -> None:
    expected = are_dump_arguments(arguments, {"postgres_backup_extra_args": extra_args})
    assert (expected is None) == (reason == "")
    assert reason in str(expected or "")


ENTRIES = {
    "entry 1 is not a mapping of exactly database and table": ["public.log"],
    "entry 2 is not a mapping": [{"database": "a", "table": "b"}, {"database": "a"}],
    "the database of entry 1 is not a name or pattern": [{"database": "a\nb", "table": "c"}],
    "the table of entry 1 is not a pattern in one line": [{"database": "a", "table": "b\tc"}],
    "the table of entry 1 is not a pattern that pg_dump accepts: it has too many dots": [
        {"database": "a", "table": "a.b.c"}
    ],
    "accepts: a closing quotation mark is missing": [{"database": "a", "table": '"b'}],
}


@pytest.mark.parametrize("reason", ENTRIES)
def test_the_message_names_the_entry(reason: str) -> None:
    assert reason in str(are_tables("public.log")(ENTRIES[reason], {}))
