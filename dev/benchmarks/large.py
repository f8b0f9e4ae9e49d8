# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a run makes of a database of 5 GB: too slow for dev/test. Takes some minutes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

from .backup import DATA, FILES, ROWS, Say, peak_memory
from .figures import Figure
from .servers import new_server

RUN = ["sh", str(FILES / "backup.sh"), "run"]
GROWTH = 5  # times the data of the benchmark `backup`, which is 1.1 GB of text


def _environment(server: Server, volume: Path) -> dict[str, str]:
    return {
        **server.environment(),
        "PATH": f"{server.programs.bin}:/usr/bin:/bin",
        "POSTGRES_BACKUP_DIR": str(volume),
        "POSTGRES_BACKUP_HOST": "127.0.0.1",
    }


def _only_backup(volume: Path) -> Path:
    (backup,) = volume.glob("*.sql.gz")
    return backup


def _big(server: Server, space: Workspace, say: Say) -> list[Figure]:
    say(f"creating {GROWTH * 1.1:.1f} GB of data")
    server.sql("CREATE DATABASE big")
    server.sql(DATA.replace(str(ROWS), str(ROWS * GROWTH)), "big")
    figures = []
    for compressor in ("gzip", "igzip"):
        volume = space.directory(compressor)
        environment = {**_environment(server, volume), "POSTGRES_BACKUP_COMPRESSOR": compressor}
        began = time.monotonic()
        peak = peak_memory(RUN, environment)
        say(f"{compressor}: {time.monotonic() - began:.0f} s, {_only_backup(volume).stat().st_size / 1e9:.2f} GB")
        shutil.rmtree(volume)
        name = f"memory of the run without pg_dumpall, {GROWTH * 1.1:.1f} GB, {compressor}"
        figures.append(Figure(name, peak / 2**20, "MiB", 64))
    return figures


def measure(say: Say) -> list[Figure]:
    """All figures of what is large."""
    with new_server() as (space, server):
        return _big(server, space, say)
