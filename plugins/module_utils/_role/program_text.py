# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The programs in Python as the role puts them into a ConfigMap: an annotation has no space for what nobody runs."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator

# The licence.
_KEPT_LINES = 2


def without_docstrings(text: str) -> str:
    """The text of a Python file without docstrings and lines of comments, except the first lines.

    The other lines keep their numbers, which a traceback shows.
    """
    lines = text.splitlines(keepends=True)
    result = list(lines)
    for number, placeholder in (*_comments(lines), *_docstrings(text, lines)):
        if number >= _KEPT_LINES:
            result[number] = f"{placeholder}\n"
    return "".join(result)


def _comments(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The numbers, from 0 on, of the lines that have nothing but a comment, and what replaces each."""
    for token in tokenize.generate_tokens(iter(lines).__next__):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            yield token.start[0] - 1, ""


def _docstrings(text: str, lines: list[str]) -> Iterator[tuple[int, str]]:
    """The same for the lines of docstrings. One that shares a line with something else remains."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        string = node.body[0]
        first, last = string.lineno - 1, (string.end_lineno or string.lineno) - 1
        # Columns are bytes of UTF-8.
        indentation = lines[first].encode()[: string.col_offset]
        if indentation.strip() or lines[last].encode()[string.end_col_offset :].strip():
            continue
        # A body must not be empty.
        is_body = len(node.body) == 1 and not isinstance(node, ast.Module)
        yield first, f"{indentation.decode()}pass" if is_body else ""
        yield from ((number, "") for number in range(first + 1, last + 1))
