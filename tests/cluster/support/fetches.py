# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs of backup_fetch into a directory of the test, and backups to fetch."""

from __future__ import annotations

import gzip
import hashlib
import json
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.support.ansible_runs import Ansible, signal_all, warm
from tests.cluster.support.kube import CHECKOUT, NAME, names, wait_until

DUMP = CHECKOUT / "tests" / "unit" / "plugins" / "module_utils" / "dumps" / "18-all.sql"
BACKUP = gzip.compress(DUMP.read_bytes(), mtime=0)
# Far more than what all buffers between the volume and here hold.
BIG_BYTES = 100_000_000
STARTED_BYTES = 5_000_000


def of_day(day: int) -> str:
    return f"{NAME}-2026-11-{day:02d}-020000.sql.gz"


def put(folder: Path, name: str, data: bytes = BACKUP, checksum_file: bool = True) -> str:
    """A backup on the volume; returns its sha256."""
    (folder / name).write_bytes(data)
    (folder / name).chmod(0o644)
    sha256 = hashlib.sha256(data).hexdigest()
    if checksum_file:
        (folder / f"{name}.sha256").write_text(f"{sha256}  {name}\n")
    return sha256


@dataclass
class Running:
    """A run of the module that may still be in progress."""

    process: subprocess.Popen[str]
    tree: Path
    dest: Path

    def result(self) -> dict[str, Any]:
        if self.process.poll() is None:
            signal_all(self.process, signal.SIGCONT)
        output, _ = self.process.communicate(timeout=240)
        assert (self.tree / "localhost").exists(), output
        result: dict[str, Any] = json.loads((self.tree / "localhost").read_text())
        assert "Traceback" not in output + json.dumps(result), output
        return {**result, "failed": self.process.returncode != 0, "shown": output}

    def hold_when_it_comes(self, name: str) -> None:
        """Stops it when a small part of the bytes has arrived; `result` lets it continue."""
        partial = self.dest / f".{name}.partial"
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size > STARTED_BYTES):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        signal_all(self.process, signal.SIGSTOP)
        assert partial.stat().st_size < BIG_BYTES * 0.8

    def kill(self) -> None:
        """Kills Ansible and its descendants at once: its workers are in separate sessions."""
        signal_all(self.process, signal.SIGKILL)
        self.process.communicate()


@dataclass
class Fetch:
    """Runs the module for one namespace, into one directory."""

    namespace: str
    folder: Path
    collections: Path

    @property
    def dest(self) -> Path:
        return self.folder / "here"

    @property
    def here(self) -> set[str]:
        return {path.name for path in self.dest.iterdir()}

    def start(self, *extra: str, within: str = "", **options: Any) -> Running:
        """`within` is a shell command that is run first, in a separate mount namespace."""
        tree = self.folder / "tree"
        if (tree / "localhost").exists():
            (tree / "localhost").unlink()
        given = {"namespace": self.namespace, "name": NAME, "dest": str(self.dest), **options}
        ansible = Ansible(self.folder, self.collections)
        command = ansible.command("backup_fetch", "--tree", str(tree), *extra, **given)
        if within:
            command = ["unshare", "--mount", "sh", "-ec", f"{within}\nexec {shlex.join(command)}"]
        environment = ansible.environment({"ANSIBLE_HOME": str(self.folder / "home")})
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder
        )
        return Running(process, tree, self.dest)

    def __call__(self, *extra: str, within: str = "", **options: Any) -> dict[str, Any]:
        if extra or within:
            return self.start(*extra, *(() if within else warm()), within=within, **options).result()
        given = {"namespace": self.namespace, "name": NAME, "dest": str(self.dest), **options}
        return Ansible(self.folder, self.collections).module("backup_fetch", **given)


def require_no_reader(namespace: str) -> None:
    """Deleted at the end; the pods go with it."""
    wait_until(lambda: not names("jobs", namespace) and not names("pods", namespace), "no Job and no pod is there", 30)
