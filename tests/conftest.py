# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""No test is skipped silently: a skip is a failure, unless it stands below with its reason.

And none depends on another's order: TESTS_SHUFFLE=1 (or any other seed) runs them in another one.
Those marked `weekly` are left out unless TESTS_ALL=1.
"""

from __future__ import annotations

import os
import random
from collections.abc import Generator

import pytest

from tests import in_turn

# The beginning of a test's id → why it may be skipped.
MAY_BE_SKIPPED: dict[str, str] = {}
FORBIDDEN = "a skipped test counts as a failed one: make what it needs, or name it in tests/conftest.py. It was: "


# First: pytest itself then brings together again what shares a costly fixture, one of its parameters after another.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    in_turn.leave_out_weekly(config, items)
    in_turn.take_half(config, items)
    seed = os.environ.get("TESTS_SHUFFLE")
    if seed:
        random.Random(seed).shuffle(items)  # noqa: S311 - no secret


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and not report.nodeid.startswith(tuple(MAY_BE_SKIPPED)):
        report.outcome = "failed"
        report.longrepr = f"{FORBIDDEN}{report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report
