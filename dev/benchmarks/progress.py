# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What it costs to show progress: backup_verify with and without it, in turn, and the processor time of both.

Other work on the machine makes a run slower, never faster: the least of each is compared.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from plugins.module_utils._progress.event_file import VARIABLE

from .figures import Figure, NotMeasuredError
from .verify import READ, Say, ansible_run, in_one_table, run, write

ROUNDS = 7
TEXT_BYTES = 1_100_000_000
_BAR = 1.01
ENVIRONMENT_VARIABLE = "POSTGRES_BACKUP_PROGRESS"


def _processor_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of the command and of its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(command, environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(say: Say) -> list[Figure]:
    """All figures of progress."""
    with tempfile.TemporaryDirectory(prefix="postgres-backup-bench.") as folder:
        return _measure(Path(folder), say)


def _measure(folder: Path, say: Say) -> list[Figure]:
    backup, events = folder / "backup.sql.gz", folder / "events"
    say("writing the dump")
    text = write(backup, in_one_table(TEXT_BYTES))
    ansible, environment = ansible_run(backup, folder / "home")
    reading = [sys.executable, "-c", READ, str(backup), "isal"]
    works: dict[str, Callable[[], float]] = {
        "reading, shown": lambda: _processor_seconds(reading, {**os.environ, VARIABLE: str(events)}),
        "reading, hidden": lambda: _processor_seconds(reading, dict(os.environ)),
        "ansible, shown": lambda: _processor_seconds(ansible, environment),
        "ansible, hidden": lambda: _processor_seconds(ansible, {**environment, ENVIRONMENT_VARIABLE: "false"}),
    }
    least = dict.fromkeys(works, math.inf)
    for number in range(ROUNDS):
        events.write_bytes(b"")
        for name, work in works.items():
            seconds = work()
            least[name] = min(least[name], seconds)
            say(f"round {number + 1} of {ROUNDS}: {name}: {seconds:.3f} s of processor time")
    if not events.read_bytes().startswith(b'{"type":"progress"'):
        raise NotMeasuredError("reading, shown: expected events in the file, found none")

    def figure(name: str, shown: str) -> Figure:
        return Figure(shown, least[f"{name}, shown"], "s", _BAR, "without progress", least[f"{name}, hidden"])

    return [
        figure("reading", f"reading {text / 1e9:.2f} GB of text"),
        figure("ansible", "the complete `ansible` run of backup_verify"),
    ]
