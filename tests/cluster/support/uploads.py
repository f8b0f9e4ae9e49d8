# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs of backup_upload from a directory of the test."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.support.ansible_runs import Ansible, signal_all
from tests.cluster.support.fetches import STARTED_BYTES, Running
from tests.cluster.support.kube import NAME


@dataclass
class Upload:
    """Runs the module for one namespace; `volume` is the folder of the volume on this machine."""

    namespace: str
    folder: Path
    collections: Path
    volume: Path

    def __call__(self, *arguments: str, **options: Any) -> dict[str, Any]:
        return self.start(*arguments, **options).result()

    def start(self, *arguments: str, **options: Any) -> Running:
        tree = self.folder / "tree"
        (tree / "localhost").unlink(missing_ok=True)
        given = {"namespace": self.namespace, "name": NAME, **options}
        ansible = Ansible(self.folder, self.collections)
        process = subprocess.Popen(
            ansible.command("backup_upload", "--tree", str(tree), *arguments, **given),
            env=ansible.environment({"ANSIBLE_HOME": str(self.folder / "home")}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
        )
        return Running(process, tree, self.folder)

    @property
    def partials(self) -> list[Path]:
        return list(self.volume.glob(".*.partial"))

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.volume.iterdir()}

    def hold_when_it_comes(self, running: Running, limit: int) -> None:
        """Stops it when a small part of the bytes is on the volume."""
        deadline = time.monotonic() + 120
        while not any(path.stat().st_size > STARTED_BYTES for path in self.partials):
            assert running.process.poll() is None, running.process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        signal_all(running.process, signal.SIGSTOP)
        assert all(path.stat().st_size < limit * 0.8 for path in self.partials)
