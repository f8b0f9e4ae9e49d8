# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""dev/cluster is used by its commands and KUBECONFIG only; what others share with it is in dev/buildkit."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[4]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_cluster_is_imported_by_its_own_tests_only() -> None:
    own = (CHECKOUT / "dev" / "cluster", CHECKOUT / "tests" / "unit" / "dev" / "cluster")
    others = [path for folder in ("dev", "tests") for path in (CHECKOUT / folder).rglob("*.py")]
    others = [path for path in others if not any(path.is_relative_to(folder) for folder in own)]
    assert len(others) > 100
    assert [path for path in others if any(name.startswith("dev.cluster") for name in imported(path))] == []


def test_buildkit_imports_the_standard_library_only() -> None:
    names = {name.partition(".")[0] for path in (CHECKOUT / "dev" / "buildkit").glob("*.py") for name in imported(path)}
    assert names <= {*sys.stdlib_module_names}
