# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Damage to the files of a server, as a failing disk causes it."""

from __future__ import annotations

from pathlib import Path


def damage_page(path: Path, block: int = 0) -> None:
    """Overwrite a part of a page of a table."""
    with open(path, "r+b") as file:
        file.seek(block * 8192 + 4000)
        file.write(b"\xff" * 100)
