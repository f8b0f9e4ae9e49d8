# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A missing measurement is not a figure."""

from __future__ import annotations

import json
import math
import sys

import pytest

from dev.benchmarks import __main__ as bench
from dev.benchmarks.figures import Figure, NotMeasuredError, as_json, as_table


@pytest.mark.parametrize("value", [0, 0.0, -1.0, math.nan, math.inf])
def test_failed_measurement_is_shown_as_failed(value: float) -> None:
    with pytest.raises(NotMeasuredError, match="memory: expected a measurement above 0 MiB, found"):
        Figure("memory", value, "MiB", 100)
    with pytest.raises(NotMeasuredError, match="fetch, compared with kubectl cp: expected"):
        Figure("fetch", 1.0, "s", 1.0, "kubectl cp", value)


@pytest.mark.parametrize("value", [0.0, -0.2])
def test_difference_may_be_zero(value: float) -> None:
    assert Figure("less a start", value, "s", 1, "k8s_info", 1.0, is_difference=True).is_met


def test_difference_is_a_number() -> None:
    with pytest.raises(NotMeasuredError):
        Figure("less a start", math.nan, "s", is_difference=True)


def test_figure_is_shown_next_to_its_bar() -> None:
    figures = [Figure("fetch", 3.0, "s", 1.0, "kubectl cp", 2.0), Figure("memory", 45.0, "MiB", 100)]
    _, fetch, memory = as_table(figures).splitlines()
    assert fetch.endswith(" MISSED") and "1.50x" in fetch
    assert memory.endswith("ok")
    assert [(each["ratio"], each["is_met"]) for each in json.loads(as_json(figures))] == [(1.5, False), (None, True)]


def test_benchmark_that_could_not_measure_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.BENCHMARKS, "fetch", lambda _: [Figure("memory", 0.0, "MiB", 100)])
    monkeypatch.setattr(sys, "argv", ["dev/bench", "fetch"])
    with pytest.raises(SystemExit, match=r"dev/bench fetch: memory: expected a measurement above 0 MiB, found 0\.0"):
        bench.main()
