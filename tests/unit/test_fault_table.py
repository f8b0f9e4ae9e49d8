# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The fault matrix is complete: a cell for every fault and operation, tests that exist, and an up-to-date page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.faults import page
from tests.faults.table import FAULTS, OPERATIONS

CHECKOUT = Path(__file__).resolve().parents[2]


def test_table_has_a_cell_for_every_fault_and_operation() -> None:
    for name, fault in FAULTS.items():
        assert list(fault.cells) == list(OPERATIONS), name
        for operation, cell in fault.cells.items():
            where = f"{name}, {operation}"
            # A cell of another operation, or a separate one.
            assert bool(cell.like) != bool(cell.expected), where
            if cell.like:
                assert not fault.cells[cell.like].like, where
                assert fault.cells[cell.like].word == cell.word, where
                assert not (cell.seen or cell.tests), where


def test_tests_named_in_the_table_exist() -> None:
    named = {test for fault in FAULTS.values() for cell in fault.cells.values() for test in cell.tests}
    for path in {test.partition("::")[0] for test in named}:
        tree = ast.parse((CHECKOUT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        missing = {test for test in named if test.startswith(f"{path}::") and test.rpartition("::")[2] not in functions}
        assert not missing


@pytest.mark.parametrize("name", FAULTS)
def test_recorded_results_match_the_table(name: str) -> None:
    seen = page.what_was_seen().get(name, {})
    expected = {operation: cell.seen for operation, cell in FAULTS[name].cells.items() if cell.seen}
    assert seen.keys() == expected.keys()
    for operation, pattern in expected.items():
        assert re.search(pattern, seen[operation]), f"{operation}: expected {pattern}, seen {seen[operation]}"


def test_page_is_up_to_date() -> None:
    """`python -m tests.faults.page --write` makes it."""
    assert page.PAGE.read_text() == page.page(page.what_was_seen())
