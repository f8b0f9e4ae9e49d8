# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The lines of the charts."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._report.charts import HEIGHT, WIDTH, Chart, Series, chart

FIRST = date(2026, 1, 1)
Values = list[tuple[date, float]]


def values(numbers: list[float]) -> Values:
    return [(FIRST + timedelta(days=index), number) for index, number in enumerate(numbers)]


def drawn(numbers: list[float], most: int = 1000, limit: float | None = None, full: int | None = None) -> Chart:
    day = None if full is None else FIRST + timedelta(days=full)
    result = chart(Series("Size", values(numbers), "{:.0f} B".format, limit, day), FIRST, most)
    assert result is not None
    return result


def points(line: str) -> list[tuple[int, int]]:
    """The points of the line, without the part outside of the field, read as a browser does."""
    found = re.fullmatch(rf"M-9 {HEIGHT + 9}V(\d+)H(\d+)l([-\d ]*?)(H{WIDTH + 9})?V{HEIGHT + 9}", line)
    assert found, line
    y, x = int(found[1]), int(found[2])
    steps = list(map(int, re.findall(r"-?\d+", found[3])))
    result = [(x, y)]
    for right, down in zip(steps[::2], steps[1::2], strict=True):
        x, y = x + right, y + down
        result.append((x, y))
    return result


def test_a_line() -> None:
    result = drawn([10, 0, 20])
    assert points(result.line) == [(0, 31), (120, 60), (240, 2)]
    assert result.dots == "M0 31h0M120 60h0M240 2h0"
    assert (result.latest, result.scale) == ("20 B", "at most 20 B")
    assert (result.first_day, result.last_day) == ("1 Jan 2026", "3 Jan 2026")
    assert result.summary == "Size: 10 B on 1 Jan 2026, between 0 B and 20 B, 20 B on 3 Jan 2026"
    assert result.forecast == ""
    assert result.line.endswith("H249V69"), "it ends to the right of the field, where its edge is not seen"


def test_only_zeros() -> None:
    assert points(drawn([0, 0]).line) == [(0, HEIGHT), (WIDTH, HEIGHT)]


@pytest.mark.parametrize("numbers", [[], [5.0]])
def test_too_few_values(numbers: list[float]) -> None:
    assert chart(Series("Size", values(numbers), str), FIRST, 9) is None


def test_values_before_are_left_out() -> None:
    assert chart(Series("Size", values([1, 2, 3]), str), FIRST + timedelta(days=2), 9) is None


def test_the_day_when_a_limit_is_reached() -> None:
    result = drawn([10, 20, 30], limit=60, full=10)
    assert points(result.line)[-1] == (48, 31)
    assert result.forecast == f"M48 31L{WIDTH} 2"
    assert "H249" not in result.line, "it ends where the forecast begins"
    assert (result.scale, result.last_day) == ("of 60 B", "11 Jan 2026")
    assert drawn([10, 20, 30], limit=60).forecast == ""


@given(st.lists(st.floats(0, 1e15), min_size=2, max_size=400), st.integers(2, 60))
def test_a_line_stays_in_its_field(numbers: list[float], most: int) -> None:
    result = drawn(numbers, most)
    line = points(result.line)
    assert len(line) <= max(most, 2)
    assert [line[0][0], line[-1][0]] == [0, WIDTH]
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)
    assert bool(result.dots) == (len(numbers) <= min(60, most))
