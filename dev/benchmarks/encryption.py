# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A run that encrypts to two recipients, against the same run without encryption."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time

from tests.script.support.encryption import make_key

from .backup import DATA, image, run_environment
from .figures import Figure, NotMeasuredError
from .servers import new_server
from .verify import Say

ROUNDS = 5
_BAR = 1.05
_AGE = "/age"


def measure(say: Say) -> list[Figure]:
    """All figures of encryption: wall time and processor time of runs in pairs, the order of which alternates."""
    with new_server() as (space, server):
        say("creating 1.1 GB of data")
        server.sql("CREATE DATABASE bench")
        server.sql(DATA, "bench")
        root = image(space)
        shutil.copy2(shutil.which("age") or "age", f"{root}{_AGE}")
        plain = run_environment(server)
        recipients = "\n".join(make_key().recipient for _ in range(2))
        encrypted = {**plain, "POSTGRES_BACKUP_RECIPIENTS": recipients, "POSTGRES_BACKUP_AGE": _AGE}
        command = ["chroot", str(root), "sh", "/script/backup.sh", "run"]
        return [figure for name in ("gzip", "igzip") for figure in _compare(name, command, plain, encrypted, say)]


def _compare(
    compressor: str, command: list[str], plain: dict[str, str], encrypted: dict[str, str], say: Say
) -> list[Figure]:
    runs = {"plain": plain, "encrypted": encrypted}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(ROUNDS):
        for name in (*runs,) if number % 2 else (*reversed(runs),):
            taken[name].append(_run(command, {**runs[name], "POSTGRES_BACKUP_COMPRESSOR": compressor}))
            wall, processor = taken[name][-1]
            label = f"{compressor}, round {number + 1} of {ROUNDS}: {name}"
            say(f"{label}: {wall:.2f} s, {processor:.2f} s of processor time")
    figures = []
    for index, what, bar in ((0, "wall time", _BAR), (1, "processor time", None)):
        medians = {name: statistics.median(values[index] for values in taken[name]) for name in runs}
        label = f"a run with {compressor} that encrypts, {what}"
        figures.append(Figure(label, medians["encrypted"], "s", bar, "the same without encryption", medians["plain"]))
    return figures


def _run(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of wall time, and of processor time of the run's processes (not of the server's)."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - began, os.times()
    is_encrypted = '"encryption":{' in done.stdout or ".sql.gz.age" in done.stdout
    if done.returncode or is_encrypted != ("POSTGRES_BACKUP_RECIPIENTS" in environment):
        raise NotMeasuredError(f"the run failed, or it did not write the kind of backup that it should:\n{done.stderr}")
    user, system = after.children_user - before.children_user, after.children_system - before.children_system
    return wall, user + system
