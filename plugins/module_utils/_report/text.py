# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Text of the report page: what may be in it, and how times and numbers are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from ..units import format_duration

# Not strftime: it would use the language of the machine.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Longer texts are cut: the page is an overview, and a name or a message may be of any length.
_LONGEST = 2000
_LONGEST_SECONDS = 10**9
# Control characters, halves of surrogate pairs (no file may contain them), and format characters such as those that
# reverse the direction of text.
_NOT_PRINTABLE = frozenset({"Cc", "Cs", "Cf"})
_LAST_TWO = 0xFFFE
_ARABIC_NONCHARACTERS = range(0xFDD0, 0xFDF0)


def printable(value: Any) -> Any:
    """A result of a module in which each character of each text can be shown, also those of names of keys.

    Others become their number, such as `\\u202e`. Line feeds are kept.
    """
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))
    if isinstance(value, Mapping):
        return {printable(str(key)): printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable(item) for item in value]
    return value


def _shown(character: str) -> str:
    code = ord(character)
    is_noncharacter = code & _LAST_TWO == _LAST_TWO or code in _ARABIC_NONCHARACTERS
    if character == "\n" or not (is_noncharacter or unicodedata.category(character) in _NOT_PRINTABLE):
        return character
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def format_date(day: date) -> str:
    """A day, such as `3 Nov 2026`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def format_time(time: datetime) -> str:
    """A time (UTC) to the minute, such as `3 Nov 2026, 02:00 UTC`."""
    return f"{format_date(time.date())}, {time:%H:%M} UTC"


def format_short_time(time: datetime) -> str:
    """A time for a table, on whose page it is written that times are UTC: `3 Nov 2026, 02:00`."""
    return f"{format_date(time.date())}, {time:%H:%M}"


def format_age(age: timedelta) -> str:
    """How long ago something was, such as `3h 20m ago`; without seconds from an hour on."""
    return f"in {format_span(-age)}" if age < timedelta() else f"{format_span(age)} ago"


def format_span(span: timedelta) -> str:
    """A duration; without seconds from an hour on, where they mean nothing."""
    if span >= timedelta(hours=1):
        span -= timedelta(seconds=span.seconds % 60)
    return format_duration(span)


def format_seconds(seconds: float) -> str:
    """A duration in seconds; one that no clock can have measured is shown as the longest one."""
    return format_span(timedelta(seconds=min(seconds, _LONGEST_SECONDS)))


def format_number(number: int) -> str:
    return f"{number:,}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 backup`, `2 backups`, `2 copies`."""
    return f"{format_number(number)} {noun if number == 1 else plural or f'{noun}s'}"


def enumerated(names: list[str], limit: int) -> str:
    """The first names, and how many others there are: `a, b and 3 more`."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")
