# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The record of the last restore drill, `<name>.last-drill.json`: its errors, and what it needed.

The record is a file on the volume: fields that are missing or of another form are taken for empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# How many errors and notes are named.
_NAMED = 5


def other_errors(record: Mapping[str, Any]) -> list[str]:
    """The causes of a failed drill, without the first one, which is its reason."""
    causes = [error for error in _objects(record, "error_list") if error.get("follows") is None]
    texts = [f"{_place(error)}: {_text(error, 'message')}" for error in causes[1 : _NAMED + 1]]
    return [*texts, f"and {len(causes) - 1 - _NAMED} more"] if len(causes) - 1 > _NAMED else texts


def drill_notes(record: Mapping[str, Any]) -> Iterator[str]:
    """What a drill needed so that the backup could be restored, and what it could not restore in its pod."""
    backup = record.get("backup")
    for need in _objects(record, "needs")[:_NAMED]:
        yield (
            f"the last restore drill restored {_place(need)} of {backup} only with search_path="
            f"{_text(need, 'search_path')}. {_text(need, 'cure')}"
        )
    for part in _objects(record, "left_out")[:_NAMED]:
        yield f"the last restore drill of {backup} left out {_place(part)}: {_text(part, 'reason')}"


def _place(item: Mapping[str, Any]) -> str:
    names = (_text(item, "database"), _text(item, "object"))
    return ", ".join(filter(None, (names[0] and f"database {names[0]}", names[1]))) or "roles and other globals"


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _objects(record: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = record.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
