# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A volume that is slow, unresponsive, gone, read-only or full: a FUSE file system whose server (bindfs) is changed.

A hard NFS mount looks the same to what uses it: with a server that does not answer, calls wait; without one they fail.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.own_cluster import FaultCluster, processes, wait_until

_SIZE = "800M"
# Of each tenth of a second the server works this long when it is slow.
_SLOW_SECONDS, _ROUND_SECONDS = 0.01, 0.1


@dataclass(frozen=True)
class SharedVolume:
    """`name` is the volume's; `disk` is what the server has, a tmpfs, and `mount` what pods see, on the node."""

    cluster: FaultCluster
    name: str

    @property
    def disk(self) -> Path:
        return Path("/run/faults") / self.name / "disk"

    @property
    def mount(self) -> Path:
        return Path("/run/faults") / self.name / "mount"

    @property
    def folder(self) -> Path:
        """What the server has, as this machine sees it."""
        return self.cluster.root / str(self.disk).lstrip("/")

    def make(self) -> None:
        self.cluster.enter("mkdir", "-p", self.disk, self.mount)
        self.cluster.enter("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0777", self.name, self.disk)
        self.serve()

    def serve(self) -> None:
        # Nothing is remembered: what pods ask for, the server must answer.
        options = "allow_other,attr_timeout=0,entry_timeout=0,negative_timeout=0"
        self.cluster.enter("bindfs", "--multithreaded", "-o", options, self.disk, self.mount)
        wait_until(lambda: bool(self.server()), "the share's server runs")

    def server(self) -> int:
        found = processes("bindfs", str(self.mount))
        return found[0] if found else 0

    def volume(self) -> dict[str, Any]:
        """The PersistentVolume."""
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": self.name},
            "spec": {
                "capacity": {"storage": "800Mi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(self.mount)},
            },
        }

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """The server does not answer; every call waits."""
        server = self.server()
        os.kill(server, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(server, signal.SIGCONT)

    @contextlib.contextmanager
    def slow(self) -> Iterator[None]:
        """The server works a tenth of the time."""
        server, ended = self.server(), threading.Event()

        def hinder() -> None:
            while not ended.is_set():
                os.kill(server, signal.SIGSTOP)
                time.sleep(_ROUND_SECONDS - _SLOW_SECONDS)
                os.kill(server, signal.SIGCONT)
                time.sleep(_SLOW_SECONDS)

        thread = threading.Thread(target=hinder)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        """The server is dead, and every call on the remaining mount fails with an error."""
        os.kill(self.server(), signal.SIGKILL)
        wait_until(lambda: not self.server(), "the share's server is gone")
        try:
            yield
        finally:
            self.cluster.enter("umount", "--lazy", self.mount)
            self.serve()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """As a server does that found errors on its disk."""
        self.cluster.enter("mount", "-o", "remount,ro", self.disk)
        try:
            yield
        finally:
            self.cluster.enter("mount", "-o", "remount,rw", self.disk)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        filler = self.folder / "other-files"
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        try:
            yield
        finally:
            filler.unlink()
