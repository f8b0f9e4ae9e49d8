# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What two test files share is in a helper file: no test file imports from another one. No test is lost."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FILES = {path.relative_to(TESTS): ast.parse(path.read_text()) for path in TESTS.rglob("*.py")}


def test_test_files_are_not_imported() -> None:
    assert len(FILES) > 150
    importing = [
        f"{path}: {node.module}"
        for path, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and re.search(r"(^|\.)test_\w+$", node.module or "")
    ]
    assert importing == []


def test_no_test_is_lost_by_its_decorator() -> None:
    """`weekly` of in_turn.py is for parameters: pytest does not collect a function that it decorates."""
    decorated = [
        f"{path}: {node.name}"
        for path, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Name) and decorator.id in {"weekly", "weekly_but"}
    ]
    assert decorated == []
