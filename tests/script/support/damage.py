# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Damage to the files of a server, as a failing disk causes it."""

from __future__ import annotations

from pathlib import Path

from .server import Server


def damage_page(path: Path, block: int = 0) -> None:
    """Overwrite a part of a page of a table."""
    with open(path, "r+b") as file:
        file.seek(block * 8192 + 4000)
        file.write(b"\xff" * 100)


def damage_table(server: Server, table: str, database: str) -> None:
    """Overwrite a part of a table's first page; the server is restarted, so that it reads the page again."""
    server.sql("CHECKPOINT;")
    path = server.data / server.sql(f"SELECT pg_relation_filepath('{table}');", database)
    server.stop()
    damage_page(path)
    server.start()
