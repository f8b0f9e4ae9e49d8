# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Values over time as the coordinates of a line: the charts of the report page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from .text import format_date

# The size of a chart in its own units; its lines are drawn with whole numbers.
WIDTH, HEIGHT = 240, 60
# The line at its top is not cut in half.
_TOP = 2
# With at most this many values, each of them gets a dot.
_DOTS = 60
_LEAST_VALUES = 2


@dataclass(frozen=True)
class Series:
    """Values by day, oldest first. `format` writes one of them for people.

    `limit` is a value that they cannot exceed, and `reaches_limit` the day on which they probably will reach it.
    """

    title: str
    values: Sequence[tuple[date, float]]
    format: Callable[[float], str]
    limit: float | None = None
    reaches_limit: date | None = None


@dataclass(frozen=True)
class Chart:
    """A line of a series, in a field of WIDTH by HEIGHT, from its own beginning to its end.

    `line` begins and ends outside of the field at the bottom, so that the area below can be filled; `dots` are lines
    without a length, empty where there are many values. `forecast` is a line to the limit, or empty. `scale` is the
    value at the top, in words. `summary` are the first, least, greatest and last value.
    """

    title: str
    latest: str
    scale: str
    first_day: str
    last_day: str
    line: str
    dots: str
    forecast: str
    summary: str


def chart(series: Series, since: date, most_values: int) -> Chart | None:
    """The chart of the values from the day `since` on; None for fewer than two.

    Of more than `most_values` values, the median of some that follow each other is shown.
    """
    values = [(day, value) for day, value in series.values if day >= since]
    if len(values) < _LEAST_VALUES:
        return None
    first, last = values[0][0], values[-1][0]
    end = max(last, series.reaches_limit) if series.reaches_limit else last
    span = max((end - first).days, 1)
    numbers = [value for _time, value in values]
    top = series.limit or max(numbers) or 1
    points = [
        (round((day - first).days / span * WIDTH), round(HEIGHT - min(value / top, 1) * (HEIGHT - _TOP)))
        for day, value in _thinned(values, most_values)
    ]
    write = series.format
    return Chart(
        title=series.title,
        latest=write(numbers[-1]),
        scale=f"{'of' if series.limit else 'at most'} {write(top)}",
        first_day=format_date(first),
        last_day=format_date(end),
        line=_line(points),
        forecast=f"M{points[-1][0]} {points[-1][1]}L{WIDTH} {_TOP}" if end > last else "",
        dots="".join(f"M{x} {y}h0" for x, y in points) if len(values) <= min(_DOTS, most_values) else "",
        summary=f"{series.title}: {write(numbers[0])} on {format_date(first)}, between {write(min(numbers))} and "
        f"{write(max(numbers))}, {write(numbers[-1])} on {format_date(last)}",
    )


def _thinned(values: Sequence[tuple[date, float]], most: int) -> list[tuple[date, float]]:
    """At most `most` values: the first and the last day are kept, so that the line has its full width."""
    if len(values) <= most:
        return list(values)
    first, last = values[0][0], values[-1][0]
    days = (last - first).days
    groups: dict[int, list[tuple[date, float]]] = {}
    for day, value in values:
        groups.setdefault((day - first).days * most // (days + 1), []).append((day, value))
    thinned = [(group[len(group) // 2][0], median(value for _time, value in group)) for group in groups.values()]
    thinned[0], thinned[-1] = (first, thinned[0][1]), (last, thinned[-1][1])
    return thinned


def _line(points: Sequence[tuple[int, int]]) -> str:
    """A line to each point from the one before, in as few characters as possible."""
    x, y = points[0]
    begin = f"M-9 {HEIGHT + 9}V{y}H{x}l"
    numbers: list[int] = []
    for next_x, next_y in points[1:]:
        numbers += (next_x - x, next_y - y)
        x, y = next_x, next_y
    return begin + _joined(numbers) + (f"H{WIDTH + 9}" if x == WIDTH else "") + f"V{HEIGHT + 9}"


def _joined(numbers: Sequence[int]) -> str:
    """Numbers of a path: a minus sign separates, too."""
    return "".join(f" {number}" if number >= 0 and index else str(number) for index, number in enumerate(numbers))
