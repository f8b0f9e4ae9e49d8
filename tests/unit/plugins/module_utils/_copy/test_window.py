# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The hours of the day in which a place may be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._copy.window import parse_window

MINUTES = st.integers(0, 24 * 60 - 1)


@pytest.mark.parametrize(
    ("window", "clock", "left"),
    [
        ("22:00-06:00", "21:59:59", None),
        ("22:00-06:00", "22:00:00", 8 * 3600),
        ("22:00-06:00", "00:00:00", 6 * 3600),
        ("22:00-06:00", "05:59:59", 1),
        ("22:00-06:00", "06:00:00", None),
        ("01:30-04:00", "01:29:59", None),
        ("01:30-04:00", "03:00:30", 3570),
        ("01:30-04:00", "04:00:00", None),
        ("00:00-23:59", "23:59:00", None),
    ],
)
def test_time_left(window: str, clock: str, left: int | None) -> None:
    found = parse_window(window).left(datetime.fromisoformat(f"2026-11-29T{clock}+00:00"))
    assert found == (None if left is None else timedelta(seconds=left))


@pytest.mark.parametrize(
    ("window", "moment", "minutes"),
    [
        # In the night to 29 March, the clocks of Berlin went from 02:00 to 03:00.
        ("22:00-06:00", "2026-03-28T21:00Z", 7 * 60),
        ("22:00-06:00", "2026-03-29T01:00Z", 3 * 60),
        ("01:00-02:30", "2026-03-29T00:30Z", 60),
        ("02:15-02:45", "2026-03-29T01:15Z", None),
        # In the night to 25 October, they went from 03:00 to 02:00.
        ("22:00-06:00", "2026-10-24T20:00Z", 9 * 60),
        ("22:00-06:00", "2026-10-25T01:30Z", 3 * 60 + 30),
        ("01:00-02:30", "2026-10-25T00:10Z", 20),
        ("01:00-02:30", "2026-10-25T00:45Z", None),
        ("01:00-02:30", "2026-10-25T01:10Z", 20),
    ],
)
def test_the_nights_in_which_the_clocks_change(window: str, moment: str, minutes: int | None) -> None:
    local = datetime.fromisoformat(moment).astimezone(ZoneInfo("Europe/Berlin"))
    assert parse_window(window).left(local) == (None if minutes is None else timedelta(minutes=minutes))


@given(begin=MINUTES, end=MINUTES, now=MINUTES)
def test_open_until_its_end(begin: int, end: int, now: int) -> None:
    """What is left leads to the end, and is never longer than the window."""
    if begin == end:
        return
    window = parse_window(f"{begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d}")
    moment = datetime(2026, 11, 29, tzinfo=UTC) + timedelta(minutes=now)
    left = window.left(moment)
    opens_today = begin <= now < end if begin < end else now >= begin or now < end
    assert (left is not None) == opens_today
    if left is not None:
        closes = moment + left
        assert closes.hour * 60 + closes.minute == end


@pytest.mark.parametrize("text", ["", "22:00", "22-06", "24:00-06:00", "22:60-06:00", "06:00-06:00", "22:00-06:00 "])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="22:00-06:00"):
        parse_window(text)
