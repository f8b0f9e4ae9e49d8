# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a daily run leaves out, and TESTS_ALL=1 (dev/test --weekly) does not.

What would take too long with every alternative (a shell, a version of PostgreSQL) takes them in turn: each case is
tested with one of them, the same in every run, and all of them are used. Other alternatives, or full tests, are marked
`weekly`. Of the slow folders, dev/test tests one half on each of two days (TESTS_HALF).
`pytest --collect-only` reports how many are left out ("deselected").
"""

from __future__ import annotations

import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest
from _pytest.mark.structures import ParameterSet

ALL = bool(os.environ.get("TESTS_ALL"))
# 0 or 1 for one half of the tests in HALVED; without it, all are tested.
HALF = os.environ.get("TESTS_HALF")
HALVED = (
    "tests/cluster/",
    "tests/dump/",
    "tests/script/",
    "tests/unit/playbooks/",
    "tests/unit/plugins/action/",
    "tests/unit/plugins/module_utils/_copy/test_program.py",
    "tests/unit/plugins/module_utils/_copy/test_restic_place.py",
    "tests/unit/plugins/modules/",
)
# Those of them that are tested every day: runs, retention, secrets, and the first steps in a cluster.
DAILY = (
    "tests/cluster/modules/test_backup_job.py",
    "tests/cluster/role/test_lifecycle.py::test_installation_is_created_then_removed",
    "tests/script/run/test_run.py",
    "tests/script/test_secrets.py",
    "tests/script/volume/test_prune.py",
    "tests/script/volume/test_retention",
)


def take_in_turn(
    config: pytest.Config, items: list[pytest.Item], parameter: str, is_meant: Callable[[pytest.Item], bool]
) -> None:
    """Leaves, of the items that are meant and differ in that parameter only, one. Changes `items`."""
    if ALL:
        return
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if parameter in parameters(item) and is_meant(item):
            # Its name in the tests' list without that of the alternative.
            cases[item.nodeid.replace(str(parameters(item)[parameter]), "*", 1)].append(item)
    left_out = {
        item
        for case, alternatives in cases.items()
        for number, item in enumerate(alternatives)
        if number != zlib.crc32(case.encode()) % len(alternatives)
    }
    leave_out(config, items, left_out.__contains__)


def take_every_third(config: pytest.Config, items: list[pytest.Item], is_meant: Callable[[pytest.Item], bool]) -> None:
    """Leaves every third alternative of a test, one at least, the same in every run. Changes `items`."""
    if ALL:
        return
    alternatives: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if is_meant(item):
            alternatives[item.nodeid.partition("[")[0]].append(item)
    left_out = {
        item
        for test, of_test in alternatives.items()
        for number, item in enumerate(of_test)
        if number % 3 != zlib.crc32(test.encode()) % min(3, len(of_test))
    }
    leave_out(config, items, left_out.__contains__)


def take_half(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves one half of the tests in HALVED, with all their alternatives, if TESTS_HALF is set. Changes `items`."""
    if ALL or not HALF:
        return

    def is_of_the_other(item: pytest.Item) -> bool:
        test = item.nodeid.partition("[")[0]
        is_halved = test.startswith(HALVED) and not test.startswith(DAILY)
        return is_halved and zlib.crc32(test.encode()) % 2 != int(HALF)

    leave_out(config, items, is_of_the_other)


def leave_out_weekly(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without what is marked `weekly`, unless TESTS_ALL=1. Changes `items`.

    Of a test with alternatives one at least must be tested every day.
    """
    if ALL:
        return
    before = {item.nodeid.partition("[")[0] for item in items if not _is_weekly(item)}
    leave_out(config, items, lambda item: item.get_closest_marker("weekly") is not None)
    lost = before - {item.nodeid.partition("[")[0] for item in items}
    if lost:
        raise pytest.UsageError(f"marked weekly, as each alternative of it is: run with TESTS_ALL=1: {sorted(lost)}")


def _is_weekly(item: pytest.Item) -> bool:
    """Whether the entire test is marked, not one of its alternatives."""
    marks = getattr(item.function, "pytestmark", []) if isinstance(item, pytest.Function) else []
    return any(mark.name == "weekly" for mark in marks)


def leave_out(config: pytest.Config, items: list[pytest.Item], is_meant: Callable[[pytest.Item], bool]) -> None:
    """Without the items that are meant, which pytest counts as deselected. Changes `items`."""
    left_out = {item for item in items if is_meant(item)}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=[*left_out])


def weekly(*values: object, id: str | None = None) -> ParameterSet:
    """An alternative of a test's parameter that is tested with TESTS_ALL=1 only; the others are tested every day."""
    return pytest.param(*values, marks=pytest.mark.weekly, id=id)


def weekly_but(names: Iterable[str], *daily: str) -> list[str | ParameterSet]:
    """The names of a table's cases: those of `daily` are tested every day, the others with TESTS_ALL=1 only."""
    names = list(names)
    assert set(daily) <= set(names), f"expected some of {names}, found {daily}"
    return [name if name in daily else weekly(name) for name in names]


def parameters(item: pytest.Item) -> dict[str, object]:
    return dict(item.callspec.params) if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
