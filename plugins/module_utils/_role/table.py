# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Tables in plain text, as the playbooks print them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ExpectationError

_GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column: the `key` in the rows, the `title` in the heading, and the text `empty` for rows without a value.

    `kind` is `text` (aligned to the left; a list is joined with commas), `number` (aligned to the right; a list is
    counted) or `size` (a number of bytes, shown with a unit).
    """

    key: str
    title: str = ""
    kind: str = "text"
    empty: str = ""

    @property
    def is_aligned_right(self) -> bool:
        return self.kind != "text"

    def cell(self, row: Mapping[str, Any], format_size: Callable[[int], str]) -> str:
        value = row.get(self.key)
        if value is None or value == "":
            return self.empty
        if self.kind == "size":
            return format_size(value)
        if isinstance(value, (list, tuple)):
            return str(len(value)) if self.kind == "number" else ", ".join(map(str, value))
        return str(value)


_FIELDS = frozenset(Column.__dataclass_fields__)
_KINDS = frozenset({"text", "number", "size"})


def as_table(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[Mapping[str, str]], format_size: Callable[[int], str]
) -> list[str]:
    """The lines of a table, without spaces at their ends; the first one is the heading when a column has a title.

    `columns` are mappings with the fields of Column. Each column is as wide as its longest cell. `format_size` turns
    bytes into text. Raises ExpectationError for an invalid column.
    """
    layout = [_column(fields) for fields in columns]
    heading = [column.title for column in layout]
    cells = [[column.cell(row, format_size) for column in layout] for row in rows]
    lines = [heading, *cells] if any(heading) else cells
    widths = [max(map(len, texts)) for texts in zip(*lines)]
    return [
        _GAP.join(
            text.rjust(width) if column.is_aligned_right else text.ljust(width)
            for column, text, width in zip(layout, line, widths)
        ).rstrip()
        for line in lines
    ]


def _column(fields: Mapping[str, str]) -> Column:
    if "key" not in fields or not _FIELDS.issuperset(fields):
        raise ExpectationError(f"expected a column with key and perhaps title, kind and empty, found {dict(fields)}")
    column = Column(**fields)
    if column.kind not in _KINDS:
        raise ExpectationError(f"expected the kind text, number or size of column {column.key}, found {column.kind}")
    return column
