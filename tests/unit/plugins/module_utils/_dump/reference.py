# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A slow, obvious lexer, one byte after the other, to compare the fast one with. It needs the entire text at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Event = tuple[Any, ...]

SPACE = b" \t\n\r\f"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_" + bytes(range(128, 256))
DIGITS = b"0123456789"


@dataclass
class Settings:
    """What statements change for the text after them."""

    standard_strings: bool = True


@dataclass
class Recorder:
    """A handler that records its calls, and responds as a server would."""

    lexer: Any = None
    settings: Settings = field(default_factory=Settings)
    events: list[Event] = field(default_factory=list)
    rows: int = 0

    def comment(self, line: bytes, offset: int) -> None:
        self.events.append(("comment", line, offset))

    def statement(self, text: bytes, offset: int, rows: int) -> bool:
        self.events.append(("statement", text, offset, rows))
        changed = re.match(rb"SET standard_conforming_strings = (on|off);", text)
        if changed is not None:
            self.settings.standard_strings = changed[1] == b"on"
            if self.lexer is not None:
                self.lexer.set_standard_strings(self.settings.standard_strings)
        return text.startswith(b"COPY ")

    def command(self, line: bytes, offset: int, end: int) -> None:
        self.events.append(("command", line, offset, end))

    def not_sql(self, offset: int, line: int) -> None:
        """What a dump would not have is read all the same here."""

    def not_ended(self, offset: int, line: int) -> None:
        """The same."""

    def not_a_row(self, offset: int, line: int, reason: str, rows: int) -> None:
        """The same."""

    def copied(self, rows: int, ended: bool) -> None:
        self.rows += rows
        if ended:
            self.events.append(("rows", self.rows))
            self.rows = 0


def merged(events: list[Event]) -> Iterator[Event]:
    """The events with neighbouring INSERTs of the same beginning taken together, as the fast lexer may."""
    prefix, rows = b"", 0
    for event in events:
        begin = b""
        if event[0] == "statement" and event[1].upper().startswith(b"INSERT") and event[3]:
            begin = re.split(rb"VALUES", event[1], flags=re.I)[0]
        if prefix and begin != prefix:
            yield ("inserted", prefix, rows)
            prefix, rows = b"", 0
        if begin:
            prefix, rows = begin, rows + event[3]
        else:
            yield event
    if prefix:
        yield ("inserted", prefix, rows)


class ReferenceLexer:
    """psqlscan.l, mainloop.c and copy.c in plain words."""

    def __init__(self, handler: Recorder, comments: re.Pattern[bytes]) -> None:
        self.handler = handler
        self.comments = comments

    def read(self, text: bytes) -> None:
        at = 0
        while at < len(text):
            at = self.gap(text, at)
            if at >= len(text):
                return
            if text[at : at + 1] == b"\\":
                at = self.command(text, at)
            elif text[at : at + 2] == b"/*":
                at = comment_end(text, at)
            else:
                at = self.statement(text, at)

    def gap(self, text: bytes, start: int) -> int:
        at = start
        while at < len(text):
            if text[at] in SPACE:
                at += 1
            elif text[at : at + 2] == b"--":
                at = line_end(text, at)
            else:
                break
        for found in self.comments.finditer(text, start, at):
            self.handler.comment(found[0], found.start())
        return at

    def command(self, text: bytes, start: int) -> int:
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        after = min(end + 1, len(text))
        self.handler.command(text[start:end], start, after)
        return after

    def statement(self, text: bytes, start: int) -> int:  # noqa: PLR0912, PLR0915 - plain words, one after the other
        at = start
        parens = begins = 0
        rows: int | None = None
        is_routine = re.match(rb"CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)(?![\w$\x80-\xff])", text[start:], re.I)
        is_insert = re.match(rb"INSERT\s+INTO(?![\w$\x80-\xff])", text[start:], re.I)
        while at < len(text):
            byte = text[at : at + 1]
            pair = text[at : at + 2]
            if byte[0] in LETTERS:
                end = at
                while end < len(text) and (text[end] in LETTERS or text[end] in DIGITS or text[end] == 36):
                    end += 1
                word = text[at:end].lower()
                quote = text[end : end + 1] == b"'"
                if word in (b"e", b"b", b"x") and quote:
                    at = string_end(text, end, word == b"e")
                elif word == b"u" and text[end : end + 2] == b"&'":
                    at = string_end(text, end + 1, False)
                else:
                    if is_routine and parens == 0:
                        if word == b"begin" or (word == b"case" and begins):
                            begins += 1
                        elif word == b"end" and begins:
                            begins -= 1
                    at = end
            elif byte == b"'":
                at = string_end(text, at, not self.handler.settings.standard_strings)
            elif byte == b'"':
                end = text.find(b'"', at + 1)
                at = len(text) if end < 0 else end + 1
            elif pair == b"--":
                at = line_end(text, at)
            elif pair == b"/*":
                at = comment_end(text, at)
            elif byte == b"$":
                at = dollar_end(text, at)
            elif byte == b"\\":
                at = at + 2 if pair in (b"\\;", b"\\:") else self.command(text, at)
            elif byte == b"(":
                if parens == 0 and is_insert:
                    if rows is not None:
                        rows += 1
                    elif re.search(rb"(?<![\w$\x80-\xff])VALUES\s*\Z", text[start:at], re.I):
                        rows = 1
                parens += 1
                at += 1
            elif byte == b")":
                parens = max(0, parens - 1)
                at += 1
            elif byte == b";":
                at += 1
                if parens == 0 and begins == 0:
                    whole = text[start:at]
                    if is_insert and rows is None and re.search(rb"DEFAULT\s+VALUES\s*;\Z", whole, re.I):
                        rows = 1
                    if self.handler.statement(whole, start, rows or 0):
                        return self.copy(text, at)
                    return at
            else:
                at += 1
        return at

    def copy(self, text: bytes, at: int) -> int:
        end = text.find(b"\n", at)
        if end < 0:
            return len(text)
        at = end + 1
        while at < len(text):
            end = text.find(b"\n", at)
            if end < 0:
                return len(text)
            line = text[at : end + 1]
            at = end + 1
            if line in (b"\\.\n", b"\\.\r\n"):
                self.handler.copied(0, True)
                return at
            self.handler.copied(1, False)
        return at


def line_end(text: bytes, at: int) -> int:
    while at < len(text) and text[at] not in b"\n\r":
        at += 1
    return min(at + 1, len(text))


def comment_end(text: bytes, at: int) -> int:
    depth = 0
    while at < len(text):
        pair = text[at : at + 2]
        if pair == b"/*":
            depth += 1
            at += 2
        elif pair == b"*/":
            depth -= 1
            at += 2
            if depth == 0:
                return at
        else:
            at += 1
    return at


def string_end(text: bytes, quote: int, escapes: bool) -> int:
    at = quote + 1
    while at < len(text):
        if (escapes and text[at : at + 1] == b"\\") or text[at : at + 2] == b"''":
            at += 2
        elif text[at : at + 1] == b"'":
            return at + 1
        else:
            at += 1
    return min(at, len(text))


def dollar_end(text: bytes, at: int) -> int:
    end = at + 1
    while end < len(text) and (text[end] in LETTERS or (text[end] in DIGITS and end > at + 1)):
        end += 1
    if text[end : end + 1] != b"$":
        return at + 1
    tag = text[at : end + 1]
    close = text.find(tag, end + 1)
    return len(text) if close < 0 else close + len(tag)
