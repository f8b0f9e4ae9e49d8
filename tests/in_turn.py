# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What would take too long with every alternative (a shell, a version of PostgreSQL) takes them in turn.

Each case is held under one of them, the same in every run, and all of them are used. TESTS_ALL=1 holds each case under
all of them. `pytest --collect-only` says how many are left out ("deselected").
"""

from __future__ import annotations

import os
import zlib
from collections import defaultdict
from collections.abc import Callable

import pytest

ALL = bool(os.environ.get("TESTS_ALL"))


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


def leave_out(config: pytest.Config, items: list[pytest.Item], is_meant: Callable[[pytest.Item], bool]) -> None:
    """Without the items that are meant, which pytest counts as deselected. Changes `items`."""
    left_out = {item for item in items if is_meant(item)}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=[*left_out])


def parameters(item: pytest.Item) -> dict[str, object]:
    return dict(item.callspec.params) if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
