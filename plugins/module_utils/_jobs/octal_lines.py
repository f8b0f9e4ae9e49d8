# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Texts for each database in one environment variable: names and texts may contain any character."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ExpectationError

# An environment variable has at most 32 pages (execve(2), MAX_ARG_STRLEN), with its name.
VARIABLE_BYTES = 32 * 4096 - 100


def is_text(value: object) -> bool:
    """Whether it is a text that such a line can have: not empty, and without NUL, which no variable can hold."""
    return isinstance(value, str) and bool(value) and "\0" not in value


def octal_lines(texts: Mapping[str, str]) -> str:
    """A line `NAME TEXT` for each, in octal digits for `printf %b`; raises ExpectationError if they are too long."""
    lines = "\n".join(f"{_octal(name)} {_octal(text)}" for name, text in texts.items())
    if len(lines) > VARIABLE_BYTES:
        characters = sum(len(name.encode()) + len(text.encode()) for name, text in texts.items())
        raise ExpectationError(f"expected at most {VARIABLE_BYTES // 5} bytes in all, found {characters}")
    return lines


def _octal(text: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in text.encode())
