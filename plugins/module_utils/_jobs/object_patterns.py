# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The patterns by which pg_dump and pg_dumpall choose objects, as far as they can be checked without a server.

The programs make regular expressions of them (patternToSQLRegex in src/fe_utils/string_utils.c): `*` becomes `.*`, `?`
becomes `.`, dots separate schema and name, and double quotes protect everything but the closing one. What
remains has its meaning in a regular expression, so that an unbalanced parenthesis makes the server refuse the dump.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REPETITION = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
# DUP_MAX in src/include/regex/regguts.h.
_MOST_REPETITIONS = 255


@dataclass
class _Part:
    """A part of a pattern, between dots, while it is read."""

    is_empty: bool = True
    parentheses: int = 0
    # Whether `+` or a number of repetitions may follow.
    is_repeatable: bool = False

    def take(self, *, repeatable: bool) -> None:
        self.is_empty, self.is_repeatable = False, repeatable


def pattern_problem(pattern: str, most_dots: int) -> str | None:
    """What is wrong with a pattern that has at most `most_dots` dots outside quotation marks; None if nothing is."""
    try:
        parts = _parts(pattern)
    except _ProblemError as problem:
        return str(problem)
    if any(part.is_empty for part in parts):
        return "a name is empty"
    if len(parts) > most_dots + 1:
        return "it has too many dots outside quotation marks" if most_dots else "it has a dot outside quotation marks"
    return None


class _ProblemError(Exception):
    pass


def _parts(pattern: str) -> list[_Part]:
    parts = [_Part()]
    position = 0
    while position < len(pattern):
        part, character = parts[-1], pattern[position]
        if character == '"':
            position = _after_quotation(pattern, position, part)
        elif character == ".":
            _close(part)
            parts.append(_Part())
            position += 1
        elif character == "[":
            position = _after_bracket(pattern, position, part)
        elif character == "{" and pattern[position + 1 : position + 2].isdigit():
            position = _after_repetition(pattern, position, part)
        elif character == "\\":
            if pattern[position + 1 : position + 2] in ("", ".", '"'):
                raise _ProblemError("a backslash must be in quotation marks")
            part.take(repeatable=True)
            position += 2
        else:
            _take(character, part)
            position += 1
    _close(parts[-1])
    return parts


def _take(character: str, part: _Part) -> None:
    """A character whose meaning does not depend on the next ones."""
    if character == "+":
        _repeat(part)
    elif character == "(":
        part.parentheses += 1
        part.take(repeatable=False)
    elif character == ")":
        part.parentheses -= 1
        if part.parentheses < 0:
            raise _ProblemError("its parentheses are not balanced")
        part.take(repeatable=True)
    else:
        # `*` is a repetition already; nothing precedes what follows `|` or `^`.
        part.take(repeatable=character not in "*|^")


def _after_quotation(pattern: str, position: int, part: _Part) -> int:
    end = pattern.find('"', position + 1)
    if end < 0:
        raise _ProblemError("a closing quotation mark is missing")
    # A doubled quotation mark within a quotation stands for one.
    if end > position + 1 or pattern[end + 1 : end + 2] == '"':
        part.take(repeatable=True)
    return end + 1


def _after_bracket(pattern: str, position: int, part: _Part) -> int:
    match = re.compile(r'\[\^?[^]."]+\]').match(pattern, position)
    if match is None:
        raise _ProblemError("a closing bracket is missing")
    part.take(repeatable=True)
    return match.end()


def _after_repetition(pattern: str, position: int, part: _Part) -> int:
    match = _REPETITION.match(pattern, position)
    least = int(match[1]) if match else 0
    most = int(match[3] or _MOST_REPETITIONS) if match and match[2] else least
    if match is None or not least <= most <= _MOST_REPETITIONS:
        raise _ProblemError("its number of repetitions is invalid")
    _repeat(part)
    return match.end()


def _repeat(part: _Part) -> None:
    if not part.is_repeatable:
        raise _ProblemError("nothing precedes a sign of repetition (+ or {})")
    part.take(repeatable=False)


def _close(part: _Part) -> None:
    if part.parentheses:
        raise _ProblemError("its parentheses are not balanced")
