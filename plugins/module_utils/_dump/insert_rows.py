# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Count the rows of INSERTs in bulk."""

from __future__ import annotations

import re
from re import Pattern

from .sql_patterns import SPACE, WORD, WORD_BYTES

# Rows of one INSERT are counted in bulk in windows of at most and at least so many bytes; after a window of the least
# size that did not serve, so many rows are read one by one.
MOST_WINDOW_BYTES = 1 << 16
LEAST_WINDOW_BYTES = 1 << 10
REST_ROWS = 16
VALUES = re.compile(rb"(?<![" + WORD + rb"])VALUES\Z", re.I)
DEFAULT = re.compile(rb"DEFAULT\Z", re.I)
BLANKS = b" \t\n\r\f"
_BEFORE_A_BLANK = re.compile(rb":[" + SPACE + rb"]")
_SEPARATOR = re.compile(rb"\),[" + SPACE + rb"]*\(")
_USUAL_SEPARATOR = b"),\n\t("
# In place of the text between two INSERTs that begin the same.
_OTHER_INSERT = b")\x01("
_NOT_PARENTHESES = bytes(code for code in range(256) if code not in b"()")
# What rows have outside of strings, each of which became an apostrophe.
_IN_ROWS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_ \t\n\r.,()+-:'\x01"
_STRING = re.compile(rb"(?<![" + WORD + rb"])[eE]'[^'\\]*(?:(?:\\[\s\S]|'')[^'\\]*)*'(?!')|'[^']*'")


def rows_after(
    text: bytes, close: int, window: int, until_values: bytes, standard_strings: bool
) -> tuple[int, int, int] | None:
    """From the parenthesis that ends a row: where the last row of the window ends, how many more there are, and how
    many of them are in the last INSERT, 0 where that is the one that the first row is in.

    No rows where they are not simple enough to be counted so; None where none follows.
    """
    separator = _USUAL_SEPARATOR
    if text[close : close + 5] != separator:
        match = _SEPARATOR.match(text, close)
        if match is not None:
            separator = match[0]
    stop = text.rfind(separator, close + 1, close + window)
    if stop < 0 and until_values:
        stop = _row_before(text, until_values, close, close + window)
    if stop < 0:
        return None
    region = text[close : stop + 1]
    if until_values and until_values in region:
        if _OTHER_INSERT in region:
            return stop, 0, 0
        for end in (b";\n", b" ON CONFLICT DO NOTHING;\n", b";\r\n", b" ON CONFLICT DO NOTHING;\r\n"):
            region = region.replace(b")" + end + until_values + b"(", _OTHER_INSERT)
            if until_values not in region:
                break
    outside = _outside_of_strings(region, standard_strings)
    if outside is None:
        return stop, 0, 0
    rows = outside.count(separator)
    last = outside.rfind(_OTHER_INSERT)
    if last >= 0:
        rows += outside.count(_OTHER_INSERT)
    if (
        outside.translate(None, _NOT_PARENTHESES) != b")" + b"()" * rows
        or outside.translate(None, _IN_ROWS)
        or (b"-" in outside and b"--" in outside)
        or (b":" in outside and _BEFORE_A_BLANK.search(outside))
    ):
        return stop, 0, 0
    return stop, rows, outside.count(b"(", last) if last >= 0 else 0


def _row_before(text: bytes, until_values: bytes, start: int, end: int) -> int:
    """Where the row ends that stands before the last INSERT that begins so; -1 where there is none."""
    found = text.rfind(until_values + b"(", start, end)
    if found < 0:
        return -1
    at = text.rfind(b")", max(start, found - WORD_BYTES), found)
    return at if at > start else -1


def _outside_of_strings(text: bytes, standard_strings: bool) -> bytes | None:
    """The text with an apostrophe in place of each string; None if that cannot be determined easily."""
    is_escaped = b"\\'" in text and (not standard_strings or b"E'" in text or b"e'" in text)
    if is_escaped:
        # Outside of strings, rows have no backslash, and none of what takes its place.
        pairs_gone = text.replace(b"\\\\", b"\2\2")
        if standard_strings and _MAY_END_A_STRING.search(pairs_gone):
            outside = _STRING.sub(b"\0", text)
            return None if b"'" in outside else outside.replace(b"\0", b"'")
        text = pairs_gone.replace(b"\\'", b"\2\2")
    parts = text.split(b"'")
    if len(parts) % 2 == 0:  # the text ends within a string
        return None
    outside = b"'".join(parts[::2])
    return None if is_escaped and not standard_strings and _NO_ESCAPES.search(outside) else outside


# A quote after a backslash that is the end of a string without escapes has no letter behind it.
_MAY_END_A_STRING = re.compile(rb"\\'(?![A-Za-z0-9_\x80-\xff])")
# Strings in which a backslash means nothing.
_NO_ESCAPES = re.compile(rb"[bBxX&]'")


def before_blanks(word: Pattern[bytes], text: bytes) -> bytes:
    """What stands before that word at the text's end, where only blanks may follow; empty when it is not there."""
    text = text.rstrip(BLANKS)
    found = word.search(text, max(0, len(text) - WORD_BYTES))
    return text[: found.start()] if found else b""
