# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The modules carry the very script that the role installs."""

from __future__ import annotations

from pathlib import Path

import yaml

from plugins.module_utils.script import FILES, VERSION

ROOT = Path(__file__).parents[4]


def test_the_files_are_the_roles() -> None:
    folder = ROOT / "roles" / "postgres_backup" / "files"
    assert {path.name: path.read_text() for path in folder.iterdir()} == FILES, "run dev/embed-script"


def test_the_version_is_the_collections() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == VERSION


def test_each_file_fits_into_a_variable() -> None:
    # Linux: MAX_ARG_STRLEN, 32 pages (execve(2)); the name and the equals sign count too.
    assert all(len(text.encode()) < 32 * 4096 - 100 for text in FILES.values())
