# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Split the text of a dump as psql does: into statements, backslash commands, COPY data and comments between them.

The rules are those of PostgreSQL's src/fe_utils/psqlscan.l (statements), src/bin/psql/mainloop.c (commands, what
ends a line) and src/bin/psql/copy.c (COPY data). Text is fed in chunks of any size, and is never kept: a statement or
row may be larger than memory.

Most of a dump is COPY data, for which one search and one count per chunk are enough; most statements are simple, and
one regular expression matches each of them. The slow path reads everything else: a state machine that can be
interrupted at any byte.
"""

from __future__ import annotations

import re
from enum import Enum
from re import Pattern
from typing import Protocol

from .ascii_bytes import (
    APOSTROPHE,
    BACKSLASH,
    CLOSING_PARENTHESIS,
    COLON,
    DOLLAR_SIGN,
    DOUBLE_QUOTE,
    HYPHEN,
    OPENING_PARENTHESIS,
    SEMICOLON,
    SLASH,
)
from .copy_data import CopyData
from .encodings import canonical_encoding
from .insert_rows import (
    BLANKS,
    DEFAULT,
    LEAST_WINDOW_BYTES,
    MOST_WINDOW_BYTES,
    REST_ROWS,
    VALUES,
    before_blanks,
    rows_after,
)
from .masking import MASKS, masked
from .sql_patterns import (
    BEFORE_A_CASE,
    BEFORE_A_CASE_BEGUN,
    BEGUN,
    BLANK_BYTES,
    COMMENT,
    DOLLAR,
    DOLLAR_BEGUN,
    FIRST_WORD,
    GAP,
    IDENTIFIER_SET,
    INSERT,
    LINE_END,
    NOT_A_WORD_YET,
    PATTERNS,
    ROUTINE,
    STATEMENT_LINE,
    STOP,
    STOP_IN_ROUTINE,
    WORD_BYTES,
    WORD_BYTES_SET,
)

# How much of a statement is kept: more than the longest possible column list (1,600 columns with names of 63 characters
# of up to four bytes, each doubled and quoted), so that every COPY is understood.
HEAD_BYTES = 1 << 20
# No comment of interest, and no backslash command, is longer.
LINE_BYTES = 1 << 16
# No comment that means anything is longer (it may name thousands of databases).
COMMENT_BYTES = 1 << 22
# Bytes before the position that are kept for looking back.
_CONTEXT = 3
# How much of a statement is fed before it is matched: `CREATE OR REPLACE PROCEDURE`, and space for blanks.
_START_BYTES = 64
# Text in an encoding whose characters hold ASCII bytes is masked in pieces of this size.
_MASKED_PIECE_BYTES = 1 << 14
# A table's INSERTs are counted in bulk from this many on.
_RUN_AFTER = 32
_RUN_BYTES = 1 << 16


class Handler(Protocol):
    """Receives the parts of the text. Offsets are bytes from the beginning of the text."""

    def comment(self, line: bytes, offset: int) -> None:
        """A comment between statements that matches the lexer's pattern."""

    def statement(self, text: bytes, offset: int, rows: int) -> bool:
        """The first HEAD_BYTES of a complete statement; `rows` is how many rows it has after VALUES.

        Several INSERTs that begin the same may be reported as one. Returns whether COPY data follows.
        """

    def command(self, line: bytes, offset: int, end: int) -> None:
        """A backslash command, the first LINE_BYTES of its line; the next line begins at `end`."""

    def copied(self, rows: int, ended: bool) -> None:
        """The number of rows of COPY data since the last call; `ended` when its end marker was reached."""

    def not_sql(self, offset: int, line: int) -> None:
        """Text that no statement of a dump contains; it begins at `offset`, in this line, counted from 1."""

    def not_ended(self, offset: int, line: int) -> None:
        """A statement that begins at `offset`, in this line, before the one before it has ended."""

    def not_a_row(self, offset: int, line: int, reason: str, rows: int) -> None:
        """A row for which PostgreSQL refuses this COPY; `rows` precede it since the last call of `copied`."""


class _State(Enum):
    BETWEEN = "between statements"
    TEXT = "in a statement"
    STRING = "in a string"
    IDENTIFIER = "in a quoted identifier"
    DOLLAR = "in a dollar-quoted string"
    COMMENT = "in a comment"
    LINE_COMMENT = "in a comment's line"
    COMMAND = "in a backslash command"
    COPY_LINE = "in the line of a COPY statement"
    COPY = "in COPY data"

    # Enum's own is Python code, and a table takes some steps.
    __hash__ = object.__hash__


class SqlLexer:
    """Feed it chunks, then `finish`; it calls the handler."""

    def __init__(self, handler: Handler, comments: Pattern[bytes], hint: bytes = b"") -> None:
        """`comments` matches complete lines: the comments between statements that are to be reported.

        Each of them contains the `hint`: the slower pattern is only tried where that is found.
        """
        self._handler = handler
        self._comments = comments
        self._hint = hint
        self._buffer = b""
        self._lexed = b""  # the buffer, masked where the client encoding asks for it
        self._base = 0  # the offset of the buffer's first byte
        self._position = 0
        self._undecided = b""  # the beginning of a character
        self._is_stale = False  # whether the rest of the buffer is to be masked anew
        self._state = _State.BETWEEN
        self._final = False
        self._encoding = ""
        self._standard_strings = True
        self._patterns = PATTERNS[True]
        # of the statement that is being read
        self._offset = 0
        self._head = bytearray()
        self._head_from = 0
        self._parens = 0
        self._begins = 0
        self._is_routine = False
        self._is_insert = False
        self._rows = -1  # -1: before VALUES
        self._escapes = False
        self._tag = b""
        self._floor = 0  # no word begins before this place: a dollar-quoted string ended here
        self._depth = 0
        self._outer = _State.TEXT  # what a comment is in
        self._copy_data = CopyData(self._not_a_row)
        # lines before the place in the buffer up to which they were counted
        self._lines = 0
        self._lines_to = 0
        # of INSERTs that begin the same
        self._prefix = b""
        self._streak = 0
        self._run: tuple[Pattern[bytes], Pattern[bytes], bytes] = (re.compile(b""), re.compile(b""), b"")
        # of an INSERT's rows
        self._until_values = b""  # the statement up to its first row; empty where it may not be compared
        self._window = MOST_WINDOW_BYTES
        self._rest = 0

    # ------------------------------------------------------------------------------------------------- for the handler

    @property
    def where(self) -> str:
        """The part of the SQL text that is being read, for messages."""
        return self._state.value

    @property
    def end(self) -> int:
        """Where the statement that is being reported ends, also when it was too long for all of its text."""
        return self._base + self._position

    def line_at(self, offset: int) -> int:
        """The line, counted from 1, of a place that is still in the buffer."""
        at = max(self._lines_to, offset - self._base)
        return self._lines + self._buffer.count(b"\n", self._lines_to, at) + 1

    def set_columns(self, columns: int) -> None:
        """Set the number of columns of the COPY that is being reported, 0 where it is not known."""
        self._copy_data.columns = columns

    def skip_mark(self, length: int) -> None:
        """Called before `feed`: `length` bytes precede the text, and are not fed."""
        self._base = length

    def set_standard_strings(self, on: bool) -> None:
        """Set standard_conforming_strings, from the next statement on."""
        self._standard_strings = on
        self._patterns = PATTERNS[on]
        self._prefix, self._streak = b"", 0

    def set_encoding(self, name: str) -> None:
        """Set client_encoding, from the next statement on; empty where it is not known."""
        canonical = canonical_encoding(name)
        self._copy_data.is_utf8 = canonical == "UTF8"
        self._encoding = canonical if canonical in MASKS else ""
        self._is_stale = True
        self._prefix, self._streak = b"", 0

    # -------------------------------------------------------------------------------------------------------- feeding

    def feed(self, chunk: bytes) -> None:
        """Read any number of bytes more."""
        if not self._encoding:
            self._add(chunk)
            return
        for start in range(0, len(chunk), _MASKED_PIECE_BYTES):
            self._add(chunk[start : start + _MASKED_PIECE_BYTES])

    def feed_rows(self, chunk: bytes) -> bool:
        """Read a chunk that is nothing but rows of the COPY data that is being read, else return False: feed it then.

        Most of a large table is read here.
        """
        is_in_rows = self._state is _State.COPY and self._position == len(self._buffer) and not self._encoding
        if not chunk or not is_in_rows:
            return False
        rows = self._copy_data.read_rows(chunk, self._base + self._position)
        if rows is None:
            return False
        self._replace_buffer(chunk)
        self._position = self._lines_to = len(chunk)
        self._lines += rows
        self._handler.copied(rows, False)
        return True

    def finish(self) -> None:
        """The text is at its end."""
        self._final = True
        self._add(b"")

    def _add(self, chunk: bytes) -> None:
        """Put a chunk behind what is left of the buffer, and read."""
        keep = self._position - _CONTEXT if self._position > _CONTEXT else 0
        if self._undecided:
            chunk = self._undecided + chunk
            self._undecided = b""
        if self._position == len(self._buffer) and self._state is _State.COPY:
            self._replace_buffer(chunk)
        else:
            self._save_head(keep)
            self._count_lines(keep)
            self._lines_to -= keep
            self._base += keep
            self._position -= keep
            self._floor = max(0, self._floor - keep)
            left = self._buffer[keep:]
            is_masked = self._lexed is not self._buffer
            left_lexed = self._lexed[keep:] if is_masked else left
            if self._encoding and self._state is not _State.COPY:
                chunk, lexed = self._mask(chunk)
                self._buffer, self._lexed = left + chunk, left_lexed + lexed
            elif is_masked:
                self._buffer, self._lexed = left + chunk, left_lexed + chunk
            else:
                self._buffer = self._lexed = left + chunk
        self._read()

    def _replace_buffer(self, chunk: bytes) -> None:
        self._count_lines(len(self._buffer))
        self._base += len(self._buffer)
        self._position = self._floor = self._lines_to = 0
        self._buffer = self._lexed = chunk

    def _count_lines(self, until: int) -> None:
        if until > self._lines_to:
            self._lines += self._buffer.count(b"\n", self._lines_to, until)
            self._lines_to = until

    def _mask(self, data: bytes) -> tuple[bytes, bytes]:
        """Complete characters of the data, and their masked form; the beginning of a character is kept."""
        whole, lexed = masked(data, self._encoding, self._final)
        self._undecided = data[len(whole) :]
        return whole, lexed

    def _mask_rest(self) -> None:
        """Mask the rest of the buffer again, or unmask it, after a new encoding or the end of COPY data."""
        self._is_stale = False
        rest, self._undecided = self._buffer[self._position :] + self._undecided, b""
        if self._encoding:
            rest, lexed = self._mask(rest)
            self._buffer = self._buffer[: self._position] + rest
            self._lexed = self._lexed[: self._position] + lexed
        elif self._lexed is not self._buffer:
            self._buffer = self._lexed = self._buffer[: self._position] + rest

    # -------------------------------------------------------------------------------------------------------- reading

    def _read(self) -> None:
        steps = {
            _State.BETWEEN: self._between,
            _State.TEXT: self._text,
            _State.STRING: self._string,
            _State.IDENTIFIER: self._identifier,
            _State.DOLLAR: self._dollar,
            _State.COMMENT: self._comment,
            _State.LINE_COMMENT: self._line_comment,
            _State.COMMAND: self._command,
            _State.COPY_LINE: self._copy_line,
            _State.COPY: self._copy,
        }
        while steps[self._state]():
            pass

    def _between(self) -> bool:
        """Blanks, comments and simple statements; False when more text is needed."""
        while True:
            lexed, position = self._lexed, self._position
            found = GAP.match(lexed, position)
            assert found is not None  # the pattern matches nothing, too
            end = found.end()
            size = len(lexed)
            if end == size or (lexed[end] == HYPHEN and not lexed[end + 1 : end + 2].strip(b"-")):
                if not self._final:
                    return self._long_gap(position, end)
                if lexed[end : end + 2] == b"--":
                    end = size
            # More than blank lines.
            if end - position > 4 and self._buffer.find(self._hint, position, end) >= 0:
                self._report(position, end)
            self._position = end
            if end == size:
                return False
            if lexed[end] == BACKSLASH:
                self._outer = _State.BETWEEN
                self._state = _State.COMMAND
                return True
            simple = self._patterns.statement.match(lexed, end)
            if simple is None or not self._simple_statement(end, simple.end()):
                return self._begin_statement(end)
            if self._state is not _State.BETWEEN:
                return True

    def _report(self, start: int, end: int) -> None:
        for comment in self._comments.finditer(self._buffer, start, end):
            self._handler.comment(comment[0], self._base + comment.start())

    def _long_gap(self, position: int, end: int) -> bool:
        """The text ends in blanks or comments: wait for more of it, but do not keep too much. Returns False."""
        if len(self._lexed) - position <= COMMENT_BYTES:
            return False
        self._report(position, end)
        self._position = end
        if len(self._lexed) - end > COMMENT_BYTES:
            self._outer = _State.BETWEEN
            self._state = _State.LINE_COMMENT
            return True
        return False

    def _simple_statement(self, start: int, end: int) -> bool:
        """Report a statement that one pattern matched; False when it needs the slow path."""
        text = self._buffer[start:end]
        rows = 0
        first = text[:6].upper()
        if not FIRST_WORD.match(text):
            self._handler.not_sql(self._base + start, self.line_at(self._base + start))
        if first == b"CREATE":
            if ROUTINE.match(text):
                return False
        elif first == b"INSERT":
            single = self._patterns.one_row.match(self._lexed, start)
            if single is None:
                return False
            rows = 1
            if single[1] != self._prefix:
                if single[1].upper().count(b"VALUES") > 1:  # in a name, or where it does not belong
                    return False
                self._prefix, self._streak = single[1], 0
            self._streak += 1
            if self._streak >= _RUN_AFTER:
                more, end = self._count_run(end)
                rows += more
        if first != b"INSERT" and STATEMENT_LINE.search(text):
            return False
        self._position = end
        if self._handler.statement(text, self._base + start, rows):
            self._state = _State.COPY_LINE
        if self._is_stale:
            self._mask_rest()
        return True

    def _count_run(self, start: int) -> tuple[int, int]:
        """How many INSERTs that begin as the last ones did follow at once, and where they end.

        They are removed from a copy of the text: when nothing is left, nothing else was between them.
        """
        prefix = self._prefix
        if self._run[2] != prefix:
            patterns = self._patterns
            begin, end_of_it = rb"\n" + re.escape(prefix), rb"\)(?: ON CONFLICT DO NOTHING)?;"
            self._run = (
                re.compile(begin + patterns.values + end_of_it),
                re.compile(begin + patterns.values_with_messages + end_of_it),
                prefix,
            )
        end = self._lexed.rfind(b";\n" + prefix, start, start + _RUN_BYTES) + 1
        if end - start < len(prefix):
            return 0, start
        run = self._lexed[start:end]
        strict, loose, _ = self._run
        left, number = (strict if b":" in run else loose).subn(b"", run)
        if left:
            self._streak = 0
            return 0, start
        return number, end

    # ------------------------------------------------------------------------------------- the slow path: a statement

    def _begin_statement(self, start: int) -> bool:
        """Read a statement that is not simple, or of which a part was not fed yet."""
        lexed = self._lexed
        if not self._final:
            size = len(lexed) - start
            if size < _START_BYTES or (size < LINE_BYTES and BEGUN.match(lexed, start)):
                return False
        if not FIRST_WORD.match(lexed, start) and not NOT_A_WORD_YET.match(lexed, start):
            self._handler.not_sql(self._base + start, self.line_at(self._base + start))
        self._enter_statement(start)
        self._is_routine = ROUTINE.match(lexed, start) is not None
        self._is_insert = INSERT.match(lexed, start) is not None
        return True

    def _enter_statement(self, start: int) -> None:
        self._state = _State.TEXT
        self._offset = self._base + start
        self._head = bytearray()
        self._head_from = start
        self._parens = self._begins = 0
        self._is_routine = self._is_insert = False
        self._rows = -1
        self._until_values = b""
        self._rest = 0

    def _save_head(self, until: int) -> None:
        """Keep the statement's text up to a place in the buffer, before this is discarded."""
        if self._state in (_State.BETWEEN, _State.COPY, _State.COPY_LINE):
            return
        room = HEAD_BYTES - len(self._head)
        if room > 0 and until > self._head_from:
            self._head += self._buffer[self._head_from : min(until, self._head_from + room)]
        self._head_from = max(self._head_from, until) - until

    def _head_text(self, until: int = -1) -> bytes:
        """The statement so far, up to a place in the buffer."""
        until = self._position if until < 0 else until
        room = max(0, HEAD_BYTES - len(self._head))
        return bytes(self._head) + self._buffer[self._head_from : min(until, self._head_from + room)]

    def _limit(self) -> int:
        """Where to stop searching: a word at the end may continue in the next chunk."""
        size = len(self._lexed)
        if self._final:
            return size
        limit = size
        lowest = max(self._position, size - WORD_BYTES)
        while limit > lowest and self._lexed[limit - 1] in WORD_BYTES_SET:
            limit -= 1
        return limit

    def _text(self) -> bool:  # noqa: PLR0911, PLR0912, PLR0915 - one branch for each byte that means something
        lexed = self._lexed
        search = (STOP_IN_ROUTINE if self._is_routine else STOP).search
        limit = self._limit()
        while True:
            found = search(lexed, self._position, limit)
            start, end = (limit, limit) if found is None else found.span()
            another = STATEMENT_LINE.search(lexed, max(0, self._offset - self._base, self._position - 1), start)
            if another is not None:
                begin = self._base + another.start() + 1
                self._handler.not_ended(begin, self.line_at(begin))
            if found is None:
                self._position = limit
                return False
            first = lexed[start]
            if first == APOSTROPHE:
                return self._begin_string(start)
            if first == DOUBLE_QUOTE:
                self._position = end
                self._state = _State.IDENTIFIER
                return True
            if first == OPENING_PARENTHESIS:
                if self._parens == 0 and self._is_insert:
                    self._open_row(start)
                self._parens += 1
            elif first == CLOSING_PARENTHESIS:
                if self._parens == 1 and self._is_insert and self._rows > 0:
                    end = self._more_rows(start)
                if self._parens == 0:
                    self._handler.not_sql(self._base + start, self.line_at(self._base + start))
                self._parens = max(0, self._parens - 1)
            elif first == SEMICOLON:
                if self._parens == 0 and self._begins == 0:
                    self._end_statement(end)
                    return True
            elif first == DOLLAR_SIGN:
                after = self._begin_dollar(start)
                if after < 0:
                    return False
                end = after
            elif first == BACKSLASH:
                if end == len(lexed) and not self._final:
                    self._position = start
                    return False
                if lexed[end : end + 1] in (b";", b":"):
                    end += 1
                else:
                    self._position = start
                    self._outer = _State.TEXT
                    self._state = _State.COMMAND
                    return True
            elif first in (HYPHEN, SLASH):
                self._position = end
                # A comment before the statement is none of its text.
                is_begun = bool(self._head) or self._head_from < start
                self._outer = _State.TEXT if is_begun else _State.BETWEEN
                self._depth = 0
                self._state = _State.LINE_COMMENT if first == HYPHEN else _State.COMMENT
                return True
            elif first == COLON:
                if end == len(lexed) and not self._final:
                    self._position = start
                    return False
                if BEFORE_A_CASE_BEGUN.match(lexed, start) and len(lexed) - start < LINE_BYTES:
                    self._position = start
                    if not self._final:
                        return False
                elif lexed[end : end + 1] in BLANK_BYTES and not BEFORE_A_CASE.match(lexed, start):
                    self._message(start)
            elif self._parens == 0:
                self._count_begin(found[0].lower())
            self._position = end
            if self._state is not _State.TEXT:
                return True

    def _message(self, colon: int) -> None:
        """Report a colon that does not occur in SQL."""
        self._handler.not_sql(self._base + colon, self.line_at(self._base + colon))

    def _count_begin(self, word: bytes) -> None:
        """BEGIN ATOMIC … END, with CASE … END inside."""
        if word == b"begin" or (word == b"case" and self._begins):
            self._begins += 1
        elif word == b"end" and self._begins:
            self._begins -= 1

    def _open_row(self, start: int) -> None:
        """A parenthesis opens at the outer level of an INSERT."""
        if self._rows > 0:
            before = self._lexed[max(self._floor, start - WORD_BYTES) : start].rstrip(BLANKS)
            if before and not before.endswith(b","):
                self._handler.not_sql(self._base + start, self.line_at(self._base + start))
            self._rows += 1
        elif before_blanks(VALUES, self._head_text(start)):
            self._rows = 1
            # Masked characters may stand for others.
            is_comparable = self._lexed is self._buffer and not self._head and start - self._head_from < LINE_BYTES
            self._until_values = self._lexed[self._head_from : start] if is_comparable else b""
            if b"'" in self._until_values:
                self._until_values = b""

    def _more_rows(self, close: int) -> int:
        """At the parenthesis that ends a row of an INSERT: where the last of the rows ends that are as simple.

        They may belong to further INSERTs that begin the same.
        """
        if self._rest:
            self._rest -= 1
            return close + 1
        while True:
            found = rows_after(self._lexed, close, self._window, self._until_values, self._standard_strings)
            if found is None:  # nothing follows that could be counted
                return close + 1
            end, rows, in_the_last = found
            if not rows:
                if self._window <= LEAST_WINDOW_BYTES:
                    self._rest = REST_ROWS
                    return close + 1
                self._window //= 2
                continue
            self._window = min(2 * self._window, MOST_WINDOW_BYTES)
            self._rows += rows
            close = end
            if in_the_last:
                # The statements before the last one are complete.
                self._handler.statement(self._until_values, self._offset, self._rows - in_the_last)
                self._rows = in_the_last

    def _begin_string(self, quote: int) -> bool:
        """Begin a string, whose kind depends on what precedes its quote (psqlscan.l, xestart, xusstart, …)."""
        lexed = self._lexed
        before = lexed[quote - 1 : quote].upper() if quote > self._floor else b""
        alone = quote - 2 < self._floor or lexed[quote - 2] not in IDENTIFIER_SET
        self._escapes = not self._standard_strings
        if before == b"E" and alone:
            self._escapes = True
        elif before in (b"B", b"X") and alone:
            self._escapes = False
        elif before == b"&" and lexed[max(self._floor, quote - 2) : quote - 1].upper() == b"U":
            self._escapes = self._escapes and quote - 3 >= self._floor and lexed[quote - 3] in IDENTIFIER_SET
        self._position = quote + 1
        self._state = _State.STRING
        return True

    def _begin_dollar(self, dollar: int) -> int:
        """At a dollar sign: where to continue; below 0 when more text is needed."""
        lexed = self._lexed
        first = dollar
        while first > self._floor and lexed[first - 1] in IDENTIFIER_SET and dollar - first < WORD_BYTES:
            first -= 1
        # An identifier may contain dollar signs and digits, but cannot begin with one.
        while first < dollar and lexed[first] in b"$0123456789":
            first += 1
        if first < dollar:
            return dollar + 1
        found = DOLLAR.match(lexed, dollar)
        if found is not None:
            self._tag = found[0]
            self._state = _State.DOLLAR
            return found.end()
        if not self._final and DOLLAR_BEGUN.match(lexed, dollar) and len(lexed) - dollar < LINE_BYTES:
            self._position = dollar
            return -1
        return dollar + 1

    def _end_statement(self, end: int) -> None:
        text = self._head_text(end)
        self._position = end
        self._state = _State.BETWEEN
        self._prefix, self._streak = b"", 0
        rows = max(self._rows, 0)
        if self._is_insert and self._rows < 0:
            values = before_blanks(VALUES, text[:-1])
            rows = int(bool(values) and bool(before_blanks(DEFAULT, values)))
        self._head = bytearray()
        if self._handler.statement(text, self._offset, rows):
            self._state = _State.COPY_LINE
        if self._is_stale:
            self._mask_rest()

    def _string(self) -> bool:
        lexed, position = self._lexed, self._position
        size = len(lexed)
        while True:
            end = lexed.find(b"'", position)
            if self._escapes:
                backslash = lexed.find(b"\\", position, end if end >= 0 else size)
                if backslash >= 0:
                    if backslash + 1 >= size:
                        self._position = size if self._final else backslash
                        return False
                    position = backslash + 2
                    continue
            if end < 0:
                self._position = size
                return False
            if end + 1 == size and not self._final:
                self._position = end
                return False
            position = end + 1
            if lexed[position : position + 1] == b"'":
                position += 1
                continue
            self._position = position
            self._state = _State.TEXT
            return True

    def _identifier(self) -> bool:
        # A doubled quote closes the string and opens it again, with the same result.
        end = self._lexed.find(b'"', self._position)
        if end < 0:
            self._position = len(self._lexed)
            return False
        self._position = end + 1
        self._state = _State.TEXT
        return True

    def _dollar(self) -> bool:
        end = self._lexed.find(self._tag, self._position)
        if end < 0:
            self._position = max(self._position, len(self._lexed) - len(self._tag) + 1)
            return False
        self._position = self._floor = end + len(self._tag)
        self._state = _State.TEXT
        return True

    def _comment(self) -> bool:
        """In a comment of C's kind, which nests."""
        while True:
            found = COMMENT.search(self._lexed, self._position)
            if found is None:
                self._position = max(self._position, len(self._lexed) - (1 if self._lexed[-1:] in (b"/", b"*") else 0))
                return False
            self._position = found.end()
            if found[0] == b"/*":
                self._depth += 1
            elif self._depth:
                self._depth -= 1
            else:
                self._floor = self._position
                self._state = self._outer
                return True

    def _line_comment(self) -> bool:
        found = LINE_END.search(self._lexed, self._position)
        if found is None:
            self._position = len(self._lexed)
            return False
        self._position = self._floor = found.end()
        self._state = self._outer
        return True

    # ----------------------------------------------------------------------------------------- commands and COPY data

    def _command(self) -> bool:
        end = self._lexed.find(b"\n", self._position)
        if end < 0:
            if not self._final:
                if len(self._lexed) - self._position > LINE_BYTES:
                    self._state = _State.LINE_COMMENT  # no command of a dump's: pass over it
                    return True
                return False
            end = len(self._lexed)
        after = min(end + 1, len(self._lexed))
        start = self._position
        self._position = after
        self._state = self._outer
        self._handler.command(
            self._buffer[start : min(end, start + LINE_BYTES)], self._base + start, self._base + after
        )
        if self._is_stale:
            self._mask_rest()
        return True

    def _copy_line(self) -> bool:
        """COPY data begins with the line after the statement's."""
        end = self._lexed.find(b"\n", self._position)
        if end < 0:
            self._position = len(self._lexed)
            return False
        self._position = end + 1
        self._copy_data.begin(self._base + end + 1)
        self._is_stale = bool(self._encoding)
        self._state = _State.COPY
        return True

    def _copy(self) -> bool:
        buffer, start = self._buffer, self._position
        if start == len(buffer):
            return False
        end, rows, is_at_end = self._copy_data.read(buffer, start, self._base, self._final)
        if end == start:
            return False
        self._count_lines(start)
        self._lines += rows + is_at_end  # the marker is a line, too
        self._position = self._lines_to = end
        if is_at_end:
            self._state = _State.BETWEEN
        self._handler.copied(rows, is_at_end)
        if is_at_end and self._is_stale:
            self._mask_rest()
        return is_at_end

    def _not_a_row(self, offset: int, reason: str, rows: int) -> None:
        """At a row that PostgreSQL refuses, so many after the position."""
        self._handler.not_a_row(offset, self.line_at(self._base + self._position) + rows, reason, rows)
