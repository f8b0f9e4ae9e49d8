# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of scheduled drills that have a text for each database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._jobs.octal_lines import is_text, octal_lines
from ..errors import ExpectationError
from .checks import ONE_LINE, Check, Variables

_TEXTS = ("search_path", "before_sql", "after_sql")


def are_texts_of_databases(example: str, *, in_one_line: bool = False) -> Check:
    """A mapping of names of databases to texts that are not empty."""
    expected = f"a mapping of database names to texts, such as {example}"

    def check(value: Any, _variables: Variables) -> str | None:
        if not isinstance(value, Mapping) or not all(is_text(item) for pair in value.items() for item in pair):
            return expected
        if in_one_line and not all(ONE_LINE.fullmatch(text) for text in value.values()):
            return expected
        try:
            octal_lines(value)
        except ExpectationError as error:
            return f"{expected} ({error})"
        return None

    return check


def drill_environment(variables: Variables) -> dict[str, str]:
    """The environment variables of a scheduled drill for an image and for single databases: only those that are set.

    `variables` holds the role's variables by their full names.
    """
    texts = {f"DRILL_{name.upper()}": octal_lines(variables[f"postgres_backup_drill_{name}"]) for name in _TEXTS}
    if variables["postgres_backup_drill_image"]:
        texts["DRILL_UPGRADE"] = "yes"
    return {f"POSTGRES_BACKUP_{name}": text for name, text in texts.items() if text}
