# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role's list of the files of the watch's program."""

from __future__ import annotations

import ast

from tests.watch_program import FILES, UTILS


def imported(name: str) -> set[str]:
    """The files of module_utils that a file imports."""
    found = set()
    package = name.split("/")[:-1]
    for node in ast.walk(ast.parse((UTILS / name).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            found.add("/".join(parts) + ".py")
    return found


def imported_by(program: str) -> list[str]:
    """The program and all files of module_utils that it needs, sorted."""
    found, new = {program}, {program}
    while new:
        new = {other for name in new for other in imported(name)} - found
        found |= new
    return sorted(found)


def test_the_files_are_those_that_the_program_imports() -> None:
    assert imported_by("_watch/program.py") == FILES
