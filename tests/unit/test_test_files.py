# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What two test files share is in a helper file: no test file imports from another one."""

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
