# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
r"""Count the rows of COPY data up to the line `\.`, and find those that PostgreSQL refuses.

The rules are those of PostgreSQL's src/bin/psql/copy.c (what ends the data) and src/backend/commands/copyfromparse.c
(what a row is).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from .ascii_bytes import BACKSLASH, CARRIAGE_RETURN, NEWLINE

# All bytes but those that mean something in COPY data, or that no row has; and all but those that end a column.
_NO_MARKS = bytes(code for code in range(256) if code not in b"\t\n\r\\\0")
_NO_COLUMN_ENDS = bytes(code for code in range(256) if code not in b"\t\n")
_ESCAPED = re.compile(rb"\\([\s\S])")
_ONE_LINE_END = "expected one kind of line ends, LF or CRLF, and no other carriage return"


class CopyData:
    """The data of one COPY after the other, each from `begin` on."""

    def __init__(self, refuse: Callable[[int, str, int], None]) -> None:
        """`refuse` is called for a row that PostgreSQL refuses.

        With the offset of the row, the reason, and the number of rows that end before it in the bytes being read.
        """
        self.columns = 0  # how many each row must have, 0 for any number
        self.is_utf8 = False  # whether the server expects UTF-8
        self._refuse = refuse
        self._base = 0  # the offset of the first of the bytes being read
        self._line_begins = False
        self._copy_offset = 0  # where the data begins
        self._row_offset = 0  # where the row begins that is not all there yet
        self._tabs = self._returns = 0  # in it
        self._ends_in_return = False
        self._line_end = b""  # of all rows, once it is known
        self._begun_character = b""  # at the end of what was read

    def begin(self, offset: int) -> None:
        """The data of a COPY begins at this offset."""
        self._line_begins = True
        self._row_offset = self._copy_offset = offset
        self._tabs = self._returns = 0
        self._ends_in_return = False
        self._line_end = self._begun_character = b""

    def read_rows(self, chunk: bytes, offset: int) -> int | None:
        """How many rows end in a chunk that is nothing but rows; None for one that `read` has to read.

        Most of a large table is read here, in one pass: without the bytes that have no meaning in COPY data, what
        remains of a chunk shows how many rows and columns it has, and whether it contains anything else.
        """
        if self._returns or self._line_end == b"\r\n":
            return None
        if offset - self._copy_offset < len(chunk):
            return None  # not known as large: its end may well be in this chunk
        marks = chunk.translate(None, _NO_MARKS)
        if b"\0" in marks or b"\r" in marks:
            return None
        if b"\\" in marks:
            is_marker_possible = (
                b"\n\\\n" in marks
                or (self._line_begins and chunk[0] == BACKSLASH)
                or chunk.endswith((b"\n\\", b"\n\\."))
            )
            if is_marker_possible:
                return None
            marks = marks.translate(None, b"\\")
        self._base = offset
        rows, last = self._check_columns(chunk, 0, len(chunk), marks)
        self._check_characters(chunk)
        if rows:
            self._line_end = b"\n"
            self._row_offset = offset + last
        self._line_begins = chunk[-1] == NEWLINE
        return rows

    def read(self, buffer: bytes, start: int, base: int, final: bool) -> tuple[int, int, bool]:
        r"""Count rows up to the line `\.` (handleCopyIn() in copy.c; it may end in \r\n).

        The buffer's first byte has the offset `base`. Returns where the data was read up to, how many rows end there,
        and whether that is after the marker. What may be the beginning of the marker waits for the rest.
        """
        self._base = base
        if self._line_begins and buffer[start] == BACKSLASH:
            length = _marker_length(buffer, start)
            if length:
                return self._end(buffer, start, start, length)
            if length is None and not final:
                return start, 0, False
        # A search for one byte is many times as fast as one for four, and that faster than one for three.
        marker = buffer.find(b"\\", start)
        if marker > start and buffer.startswith(b"\n\\.\n", marker - 1):
            return self._end(buffer, start, marker, 3)
        line = b"\n\\." if marker >= 0 and buffer.find(b"\r", start) >= 0 else b"\n\\.\n"
        while marker >= 0:
            marker = buffer.find(line, max(start, marker - 1))
            if marker < 0:
                break
            length = _marker_length(buffer, marker + 1)
            if length:
                return self._end(buffer, start, marker + 1, length)
            if length is None and not final:
                break
            marker += 2
        end = len(buffer)
        if marker >= 0:
            end = marker + 1
        elif not final and buffer.endswith((b"\n\\", b"\n\\."), start):
            end = buffer.rfind(b"\n", start) + 1
        rows = self._count(buffer, start, end)
        self._line_begins = buffer[end - 1] == NEWLINE
        return end, rows, False

    def _end(self, buffer: bytes, start: int, marker: int, length: int) -> tuple[int, int, bool]:
        rows = self._count(buffer, start, marker) if marker > start else 0
        # Up to version 17 psql sends the marker too, and the server refuses one that does not end as the rows do.
        if self._line_end and len(self._line_end) != length - 2:
            self._refuse(self._base + marker, _ONE_LINE_END, rows)
        return marker + length, rows, True

    def _count(self, buffer: bytes, start: int, end: int) -> int:
        """How many rows end in this piece of COPY data; reports one that PostgreSQL refuses.

        CopyReadLineText() in copyfromparse.c: all of a COPY's lines end as its first one does, and no other carriage
        return is in them. NextCopyFrom(): each has as many columns as were named.
        """
        piece = buffer[start:end]
        rows, last = self._check_columns(buffer, start, end, piece.translate(None, _NO_COLUMN_ENDS))
        self._check_characters(piece, start)
        if self._returns or self._line_end == b"\r\n" or buffer.find(b"\r", start, end) >= 0:
            self._check_line_ends(buffer, start, last, end, rows)
        elif rows:
            self._line_end = b"\n"
        if rows:
            self._row_offset = self._base + last
        return rows

    def _check_columns(self, buffer: bytes, start: int, end: int, ends: bytes) -> tuple[int, int]:
        """How many rows end in a piece of which these are the tabs and newlines, and where the last of them ends."""
        columns = self.columns
        if columns:
            ends = b"\t" * self._tabs + ends
            rows = len(ends) // columns
            rest = ends[rows * columns :]
            is_good = b"\n" not in rest and ends.startswith((b"\t" * (columns - 1) + b"\n") * rows)
            if not is_good:
                rows = ends.count(b"\n")
                rest = ends[ends.rfind(b"\n") + 1 :]
        else:
            rows, rest, is_good = ends.count(b"\n"), b"", True
        last = (buffer.rfind(b"\n", start, end) + 1 if rows else 0) or start
        if rows and not is_good:
            self._find_bad_row(buffer, start, last)
        self._tabs = len(rest)
        return rows, last

    def _check_characters(self, piece: bytes, start: int = 0) -> None:
        """Report the first row with bytes that are not UTF-8, if the server expects that.

        The piece begins at `start` in the bytes being read. (pg_verify_mbstr() in mbutils.c)
        """
        if not self.is_utf8 or (not self._begun_character and piece.isascii()):
            return
        data = self._begun_character + piece
        try:
            read = codecs.utf_8_decode(data, "strict", False)[1]
        except UnicodeDecodeError as error:
            row = data.rfind(b"\n", 0, error.start) + 1
            offset = self._base + start - len(self._begun_character) + row if row else self._row_offset
            reason = "expected UTF-8, the dump's client_encoding, found other bytes"
            self._refuse(offset, reason, data.count(b"\n", 0, error.start))
        else:
            self._begun_character = data[read:]

    def _check_line_ends(self, buffer: bytes, start: int, last: int, end: int, rows: int) -> None:
        if rows:
            pairs = buffer.count(b"\r\n", start, last) + int(self._ends_in_return and buffer[start] == NEWLINE)
            returns = self._returns + buffer.count(b"\r", start, last)
            is_good = returns == 0 if self._line_end == b"\n" else returns == pairs == rows
            if not is_good:
                self._find_mixed_line_end(buffer, start, last)
            self._line_end = self._line_end or b"\r\n"
            self._returns = buffer.count(b"\r", last, end)
        else:
            self._returns += buffer.count(b"\r", start, end)
        self._ends_in_return = end > start and buffer[end - 1] == CARRIAGE_RETURN

    def _find_bad_row(self, buffer: bytes, start: int, last: int) -> None:
        """Report the first row with another number of columns than the COPY; a tab after a backslash ends none."""
        tabs = self._tabs
        row_offset = self._row_offset
        offset = self._base + start
        for number, row in enumerate(buffer[start:last].split(b"\n")[:-1]):
            tabs += row.count(b"\t") - (_ESCAPED.findall(row).count(b"\t") if b"\\\t" in row else 0)
            if tabs != self.columns - 1:
                self._refuse(row_offset, f"expected {self.columns} columns, found {tabs + 1}", number)
                return
            offset += len(row) + 1
            row_offset = offset
            tabs = 0

    def _find_mixed_line_end(self, buffer: bytes, start: int, last: int) -> None:
        before, ends_in_return = self._returns, self._ends_in_return
        row_offset = self._row_offset
        offset = self._base + start
        for number, row in enumerate(buffer[start:last].split(b"\n")[:-1]):
            ends_in_return = row.endswith(b"\r") or (not row and ends_in_return)
            line_end = b"\r\n" if ends_in_return else b"\n"
            if before + row.count(b"\r") != int(ends_in_return) or (self._line_end or line_end) != line_end:
                self._refuse(row_offset, _ONE_LINE_END, number)
                return
            self._line_end = line_end
            offset += len(row) + 1
            row_offset = offset
            before, ends_in_return = 0, False


def _marker_length(buffer: bytes, start: int) -> int | None:
    r"""The length of the line `\.` at this place with its end, 0 when it is another line, None when it is cut off."""
    piece = buffer[start : start + 4]
    if piece[:3] == b"\\.\n":
        return 3
    if piece == b"\\.\r\n":
        return 4
    return None if b"\\.\r\n".startswith(piece) or b"\\.\n".startswith(piece) else 0
