# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A measured figure with its bar, and how figures are shown."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass


class NotMeasuredError(Exception):
    """What should be a figure is none: nothing was there to measure, or its measuring failed."""


@dataclass(frozen=True)
class Figure:
    """One measurement; `value`, `compared_to` and `bar` are in `unit`, but a bar over a comparison is a ratio.

    A difference of two measurements may be zero or less; nothing else that is measured here takes no time or memory.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    compared_with: str | None = None
    compared_to: float | None = None
    is_difference: bool = False

    def __post_init__(self) -> None:
        if self.compared_to is not None:
            self._check(self.compared_to, self.compared_with or "", False)
        self._check(self.value, "", self.is_difference)

    def _check(self, value: float, of: str, is_difference: bool) -> None:
        if not math.isfinite(value) or (value <= 0 and not is_difference):
            what = f"{self.name}, compared with {of}" if of else self.name
            raise NotMeasuredError(
                f"{what}: expected a measurement above 0 {self.unit}, found {value}; check what the benchmark watches"
            )

    @property
    def ratio(self) -> float | None:
        return None if self.compared_to is None else self.value / self.compared_to

    @property
    def is_met(self) -> bool:
        measured = self.value if self.ratio is None else self.ratio
        return self.bar is None or measured <= self.bar


def as_json(figures: list[Figure]) -> str:
    return json.dumps([{**asdict(figure), "ratio": figure.ratio, "is_met": figure.is_met} for figure in figures])


def _row(figure: Figure) -> list[str]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
    bar = "" if figure.bar is None else f"{figure.bar:g}{'x' if ratio else ' ' + figure.unit}"
    against = ""
    if figure.compared_to is not None:
        against = f"{figure.compared_with}: {figure.compared_to:.2f} {figure.unit}"
    verdict = "" if figure.bar is None else ("ok" if figure.is_met else "MISSED")
    return [figure.name, f"{figure.value:.2f} {figure.unit}", against, ratio, bar, verdict]


def as_table(figures: list[Figure]) -> str:
    rows = [["figure", "measured", "compared with", "ratio", "bar", ""], *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
