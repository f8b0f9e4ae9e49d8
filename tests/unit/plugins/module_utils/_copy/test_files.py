# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role's list of the files of the program of the copies."""

from __future__ import annotations

from tests.copy_program import FILES
from tests.watch_program import imported_by


def test_the_files_are_those_that_the_program_imports() -> None:
    assert imported_by("_copy/program.py") == FILES
