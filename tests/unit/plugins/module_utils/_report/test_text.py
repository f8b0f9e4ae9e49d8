# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The text of the page: every character can be shown, and nothing depends on the machine's language."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._report.text import (
    counted,
    enumerated,
    format_age,
    format_time,
    printable,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop", "shop"),
        ("Müller's <b>", "Müller's <b>"),
        ("two\nlines", "two\nlines"),
        ("tab\tbell\a", "tab\\u0009bell\\u0007"),
        ("\x85", "\\u0085"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\ud800", "\\ud800"),
        ("\ufdd0\uffff\U0010ffff", "\\ufdd0\\uffff\\U0010ffff"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("😀", "😀"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable({text: [(text, 1, None, True)]}) == {shown: [[shown, 1, None, True]]}


@given(st.text(st.characters()))
def test_everything_can_be_written_to_a_file_and_shown(text: str) -> None:
    shown = printable(text)
    assert shown.encode().decode() == shown
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs"} for character in shown.replace("\n", ""))


def test_long_text_is_cut() -> None:
    assert len(printable("x" * 100_000)) == 2001


def test_a_time() -> None:
    assert format_time(datetime(2026, 3, 5, 2, 7, 59, tzinfo=UTC)) == "5 Mar 2026, 02:07 UTC"


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=59), "59s ago"),
        (timedelta(hours=8, minutes=23, seconds=3), "8h 23m ago"),
        (timedelta(hours=1, seconds=59), "1h ago"),
        (timedelta(days=2, seconds=2), "2d ago"),
        (timedelta(minutes=-3), "in 3m"),
    ],
)
def test_ages(age: timedelta, text: str) -> None:
    assert format_age(age) == text


def test_counted() -> None:
    assert [counted(1, "backup"), counted(1234, "backup"), counted(2, "copy", "copies")] == [
        "1 backup",
        "1,234 backups",
        "2 copies",
    ]


def test_enumerated() -> None:
    assert enumerated(["a", "b"], 2) == "a, b"
    assert enumerated(["a", "b", "c"], 2) == "a, b and 1 more"
