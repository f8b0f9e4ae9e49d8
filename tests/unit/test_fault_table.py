# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The fault matrix is complete: a cell for every fault and operation, tests that exist, and an up-to-date page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.cluster import fault_page
from tests.cluster.fault_table import FAULTS, OPERATIONS

CHECKOUT = Path(__file__).resolve().parents[2]


def test_every_cell_is_there() -> None:
    for name, fault in FAULTS.items():
        assert list(fault.cells) == list(OPERATIONS), name
        for operation, cell in fault.cells.items():
            where = f"{name}, {operation}"
            # Another one's cell, or one of its own.
            assert bool(cell.like) != bool(cell.expected), where
            if cell.like:
                assert not fault.cells[cell.like].like, where
                assert fault.cells[cell.like].word == cell.word, where
                assert not (cell.seen or cell.tests), where


def test_every_named_test_exists() -> None:
    named = {test for fault in FAULTS.values() for cell in fault.cells.values() for test in cell.tests}
    for path in {test.partition("::")[0] for test in named}:
        tree = ast.parse((CHECKOUT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        missing = {test for test in named if test.startswith(f"{path}::") and test.rpartition("::")[2] not in functions}
        assert not missing


@pytest.mark.parametrize("name", FAULTS)
def test_what_was_seen_is_what_is_expected(name: str) -> None:
    seen = fault_page.what_was_seen().get(name, {})
    expected = {operation: cell.seen for operation, cell in FAULTS[name].cells.items() if cell.seen}
    assert seen.keys() == expected.keys()
    for operation, pattern in expected.items():
        assert re.search(pattern, seen[operation]), f"{operation}: expected {pattern}, seen {seen[operation]}"


def test_the_page_is_up_to_date() -> None:
    """`python -m tests.cluster.fault_page --write` makes it."""
    assert fault_page.PAGE.read_text() == fault_page.page(fault_page.what_was_seen())
