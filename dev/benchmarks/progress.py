# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What it costs to show progress while backup_verify reads a backup.

Times of equal runs differ by more than the bar, so that nothing is compared that depends on the machine's speed:

- the module: its instructions with and without progress, counted by Callgrind. A run takes longer there, so that it
  reports more often for the same text;
- the `ansible` run: the processor time of the thread that shows the progress, within the processor time of the run.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from plugins.module_utils._progress.event_file import VARIABLE

from .figures import Figure, NotMeasuredError
from .verify import READ, Say, ansible_run, in_one_table, write

_BAR = 1.01
_COUNTED_BYTES, _SHOWN_BYTES = 200_000_000, 1_100_000_000
_SAMPLE_SECONDS = 0.05


def measure(say: Say) -> list[Figure]:
    """All figures of progress."""
    with tempfile.TemporaryDirectory(prefix="postgres-backup-bench.") as name:
        folder = Path(name)
        return [_reading(folder, say), _showing(folder, say)]


def _reading(folder: Path, say: Say) -> Figure:
    backup, events = folder / "counted.sql.gz", folder / "events"
    text = write(backup, in_one_table(_COUNTED_BYTES))
    say("counting the instructions of a run without progress (some minutes)")
    hidden = _instructions(backup, dict(os.environ))
    say("counting the instructions of a run with progress")
    events.touch()
    shown = _instructions(backup, {**os.environ, VARIABLE: str(events)})
    if not events.read_bytes().startswith(b'{"type":"progress"'):
        raise NotMeasuredError("the run with progress: expected events in the file, found none")
    name = f"the module's instructions for {text / 1e9:.1f} GB of text"
    return Figure(name, shown / 1e6, "million", _BAR, "without progress", hidden / 1e6)


def _instructions(backup: Path, environment: dict[str, str]) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-c", READ, str(backup), "isal"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    counted = re.search(r"^==\d+== Collected : (\d+)$", done.stderr, re.MULTILINE)
    if done.returncode != 0 or not counted:
        raise NotMeasuredError(f"{command[0]}: expected a line 'Collected : ...', found\n{done.stdout}{done.stderr}")
    return int(counted[1])


def _showing(folder: Path, say: Say) -> Figure:
    backup = folder / "shown.sql.gz"
    write(backup, in_one_table(_SHOWN_BYTES))
    command, environment = ansible_run(backup, folder / "home")
    say("running backup_verify with ansible")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    threads: dict[str, float] = {}
    while process.poll() is None:
        threads.update(_threads_of_workers(process.pid))
        time.sleep(_SAMPLE_SECONDS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.stderr is not None
    messages = process.stderr.read()
    if process.returncode != 0 or "verifying" not in messages or len(threads) != 1:
        raise NotMeasuredError(
            f"expected a line of progress and one thread that shows it, found {len(threads)} threads and {messages!r}"
        )
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    name = "processor time of the complete `ansible` run of backup_verify"
    return Figure(name, total, "s", _BAR, "without the thread that shows progress", total - sum(threads.values()))


def _threads_of_workers(ansible: int) -> Iterator[tuple[str, float]]:
    """Each thread but the first of the processes that the `ansible` process started, with its processor seconds.

    A worker of Ansible starts no other thread. The first number of schedstat is in nanoseconds
    (https://docs.kernel.org/scheduler/sched-stats.html).
    """
    for worker in _numbers(Path(f"/proc/{ansible}/task/{ansible}/children")):
        for thread in Path(f"/proc/{worker}/task").glob("*/schedstat"):
            if thread.parent.name != worker:
                for nanoseconds in _numbers(thread)[:1]:
                    yield f"{worker}/{thread.parent.name}", int(nanoseconds) / 1e9


def _numbers(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        # The process ended in between.
        return []
