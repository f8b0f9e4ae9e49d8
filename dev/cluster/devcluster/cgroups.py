# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The cluster's own cgroup in every hierarchy (cgroup v1, v2 or both)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .errors import ClusterError
from .settings import Settings


def make(settings: Settings) -> None:
    """Make the cgroup below which the kubelet makes those of the pods."""
    for folder in _folders(settings):
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
                        raise ClusterError(
                            f"expected the cgroup {path} to be empty ({error})",
                            f"see which processes are in it: cat {path}/cgroup.procs",
                        ) from error
        time.sleep(0.05)


def _folders(settings: Settings) -> list[Path]:
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in mounts]
    return [Path(place, settings.full_name) for _, place, kind, *_ in fields if kind in ("cgroup", "cgroup2")]
