# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a run makes of a thousand databases, and of one of 5 GB: too slow for dev/test. Takes about ten minutes."""

from __future__ import annotations

import gzip
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from tests.script.support.programs import DEFAULT_VERSION, root_filesystem, wrap
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

from .backup import DATA, FILES, ROWS, Say, peak_memory, seconds
from .figures import Figure

RUN = ["sh", str(FILES / "backup.sh"), "run"]
DATABASES = 1000
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


def _many(server: Server, space: Workspace, say: Say) -> list[Figure]:
    say(f"creating {DATABASES} databases")
    for number in range(DATABASES):
        server.sql(f"CREATE DATABASE many_{number} STRATEGY file_copy")
        server.sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i", f"many_{number}")
    say("dumping them without checks, then with all checks")
    environment = _environment(server, space.directory("many"))
    plain = seconds(["sh", "-c", "pg_dumpall > /dev/null"], environment)
    proven = seconds(RUN, environment)
    with gzip.open(_only_backup(Path(environment["POSTGRES_BACKUP_DIR"]))) as dump:
        found = sum(line.startswith(b"\\connect many_") for line in dump)
    if found != DATABASES:
        raise SystemExit(f"expected {DATABASES} databases in the backup, found {found}")
    return [Figure(f"run, {DATABASES} databases", proven, "s", None, "pg_dumpall > /dev/null", plain)]


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
    figures = []
    with ExitStack() as stack:
        space = Workspace()
        stack.callback(space.close)
        programs = wrap(space.show(root_filesystem(DEFAULT_VERSION)), DEFAULT_VERSION, space.directory("postgresql"))
        for work in (_big, _many):
            directory = space.directory("server", mode=0o777)
            with Server(programs, directory).create() as server:
                figures += work(server, space, say)
            space.remove(directory)
    return figures
