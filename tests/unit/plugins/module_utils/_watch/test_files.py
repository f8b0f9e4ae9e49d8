# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role's list of the files of the watch's program."""

from __future__ import annotations

from tests.watch_program import FILES, imported_by


def test_the_files_are_those_that_the_program_imports() -> None:
    assert imported_by("_watch/program.py") == FILES
