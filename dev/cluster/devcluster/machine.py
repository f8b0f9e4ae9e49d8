# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The cluster as a process on the machine: find it, start it, end it, run something inside it.

The cluster is one process (the supervisor) in separate namespaces, and its descendants. It is found by
its command line, so there is no file that could name a process that is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dev.buildkit import commands
from dev.buildkit.errors import ReportedError

from . import supervisor
from .settings import Settings

_SUPERVISOR = Path(supervisor.__file__).resolve()


def require_root() -> None:
    """Raise an error unless the user is root."""
    if os.geteuid() != 0:
        raise ReportedError(
            f"expected to run as root (namespaces and mounts are made), found user id {os.geteuid()}",
            "run it with sudo",
        )


def find(settings: Settings) -> int | None:
    """The process id of the cluster's supervisor as the machine sees it."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                # It ended meanwhile.
                continue
            program, *arguments = line.rstrip("\0").split("\0")
            # It may have been started from another checkout: the state folder identifies the cluster.
            if (
                Path(program).name.startswith("python")
                and len(arguments) >= 2
                and Path(arguments[-2]).name == _SUPERVISOR.name
                and arguments[-1] == str(settings.state)
            ):
                return int(folder.name)
    return None


def start(settings: Settings) -> int:
    """Start the supervisor, detached from this terminal; return its process id."""
    settings.logs.mkdir(parents=True, exist_ok=True)
    log = settings.logs / "supervisor.log"
    with log.open("w", encoding="utf-8") as output:
        # The process that remains here only waits for its child, the supervisor.
        outer = subprocess.Popen(
            [
                *("unshare", "--pid", "--fork", "--mount", "--propagation", "slave", "--net", "--ipc"),
                *(sys.executable, "-I", "-B", str(_SUPERVISOR), str(settings.state)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and outer.poll() is None:
        process = find(settings)
        if process is not None and settings.supervisor_report.exists():
            return process
        time.sleep(0.02)
    stop(settings)
    raise ReportedError(
        "expected the cluster's supervisor to start",
        "check that this is a physical or virtual machine, not a container without privileges",
        commands.tail_of_file(log),
    )


def stop(settings: Settings) -> bool:
    """End the supervisor, and so every process of the cluster; return whether there was one."""
    process = find(settings)
    if process is None:
        return False
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 60
    # It is gone only after every process in its namespace is.
    while Path("/proc", str(process)).exists():
        if time.monotonic() > deadline:
            raise ReportedError(
                f"expected the cluster's processes to end within a minute after process {process} was killed",
                "list processes that wait for a disk: ps -eo pid,state,cmd | grep ' D '",
            )
        time.sleep(0.02)
    return True


def inside(settings: Settings, arguments: Sequence[str | Path]) -> list[str]:
    """The command line that runs something in the cluster's namespaces."""
    process = find(settings)
    if process is None:
        raise ReportedError("expected the cluster to run, but it does not", "run dev/cluster/up")
    return ["nsenter", f"--target={process}", "--mount", "--net", "--pid", "--ipc", "--", *map(str, arguments)]
