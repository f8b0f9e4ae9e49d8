# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Tables in plain text."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._role.table import as_table
from plugins.module_utils.errors import ExpectationError

DATABASES: list[dict[str, Any]] = [
    {"name": "app", "tables": ["a", "b"], "rows": 12345, "size_bytes": 900},
    {"name": None, "tables": [], "rows": 0, "size_bytes": None},
    {"name": "total", "tables": 2, "rows": 12345, "size_bytes": 1000},
]


def table(*columns: dict[str, str], rows: Any = DATABASES) -> list[str]:
    return as_table(rows, columns, lambda size: f"{size} B")


def test_text_is_aligned_to_the_left_and_numbers_and_sizes_to_the_right() -> None:
    assert table(
        {"key": "name", "title": "database", "empty": "(not named)"},
        {"key": "tables", "title": "tables", "kind": "number"},
        {"key": "rows", "title": "rows", "kind": "number"},
        {"key": "size_bytes", "title": "text", "kind": "size", "empty": "?"},
    ) == [
        "database     tables   rows    text",
        "app               2  12345   900 B",
        "(not named)       0      0       ?",
        "total             2  12345  1000 B",
    ]


def test_a_table_without_titles_has_no_heading() -> None:
    assert table({"key": "name"}, {"key": "tables"}) == ["app    a, b", "", "total  2"]


def test_a_zero_is_a_value_and_a_missing_key_is_empty() -> None:
    assert table({"key": "rows", "kind": "number", "empty": "-"}, rows=[{"rows": 0}, {}]) == ["0", "-"]


def test_a_column_is_as_wide_as_its_longest_cell() -> None:
    long = "n" * 80
    columns = {"key": "name", "title": "a longer title"}, {"key": "state"}
    rows = [{"name": long, "state": "complete"}, {"name": "b", "state": "complete"}]
    assert table(*columns, rows=rows)[1:] == [f"{long}  complete", f"{'b':80}  complete"]


def test_a_table_without_rows_is_its_heading() -> None:
    assert table({"key": "name", "title": "database"}, rows=[]) == ["database"]
    assert table({"key": "name"}, rows=[]) == []
    assert table(rows=[]) == []


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"title": "database"}, "expected a column with key and perhaps title, kind and empty, found"),
        ({"key": "name", "width": "3"}, "'width': '3'"),
        ({"key": "name", "kind": "date"}, "expected the kind text, number or size of column name, found date"),
    ],
)
def test_a_column_that_is_not_one_is_an_error(column: dict[str, str], message: str) -> None:
    with pytest.raises(ExpectationError, match=message):
        table(column)
