# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The cluster's own cgroup in every hierarchy (cgroup v1, v2 or both)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dev.buildkit.errors import ReportedError

from .settings import Settings

_CONTROLLERS = {"cpu", "cpuset", "hugetlb", "io", "memory", "pids"}


def make(settings: Settings) -> None:
    """Make the cgroup below which the kubelet makes those of the pods."""
    for folder in _folders(settings):
        _pass_on_controllers(folder.parent)
        folder.mkdir(exist_ok=True)


def remove(settings: Settings) -> None:
    """Remove the cgroup and all below it; no process may be left in them."""
    deadline = time.monotonic() + 10
    while remaining := [folder for folder in _folders(settings) if folder.exists()]:
        for folder in remaining:
            for path, _, _ in os.walk(folder, topdown=False):
                try:
                    Path(path).rmdir()
                except OSError as error:
                    # Processes that were killed a moment ago are still counted for a moment.
                    if time.monotonic() > deadline:
                        raise ReportedError(
                            f"expected the cgroup {path} to be empty ({error})",
                            f"see which processes are in it: cat {path}/cgroup.procs",
                        ) from error
        time.sleep(0.05)


def _pass_on_controllers(root: Path) -> None:
    """Let the cgroups below a v2 hierarchy's root have the controllers; in v1 they have them anyway."""
    available = root / "cgroup.controllers"
    if not available.exists():
        return
    control = root / "cgroup.subtree_control"
    wanted = _CONTROLLERS & set(available.read_text(encoding="ascii").split())
    wanted -= set(control.read_text(encoding="ascii").split())
    try:
        control.write_text(" ".join(f"+{name}" for name in sorted(wanted)), encoding="ascii")
    except OSError as error:
        raise ReportedError(
            f"expected to be able to enable the cgroup controllers {', '.join(sorted(wanted))} in {root} ({error})",
            "check that this is a physical or virtual machine, not a container",
        ) from error


def _folders(settings: Settings) -> list[Path]:
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in mounts]
    return [Path(place, settings.full_name) for _, place, kind, *_ in fields if kind in ("cgroup", "cgroup2")]
