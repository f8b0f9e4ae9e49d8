# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""backup_fetch and backup_upload against `kubectl cp` of the same file, which checks nothing; on dev/cluster."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.foreign_cronjobs import BACKUPS, IMAGE, install
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import CHECKOUT, apply, kubectl

from .figures import Figure
from .role import workplace
from .verify import in_one_table, write

ROUNDS = 5
TRIES = 3
TEXT_BYTES = 1_100_000_000
LEAST_BYTES = 250_000_000
NAMESPACE = "bench-fetch"
NAME = "postgres-backup-2026-11-22-020000.sql.gz"

Say = Callable[[str], None]


def _pod() -> None:
    """A pod that keeps running, with the volume, from which and to which kubectl copies."""
    apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "look", "namespace": NAMESPACE},
            "spec": {
                "containers": [
                    {
                        "name": "look",
                        "image": IMAGE,
                        "command": ["sleep", "3600"],
                        "volumeMounts": [{"name": "backups", "mountPath": BACKUPS}],
                    }
                ],
                "terminationGracePeriodSeconds": 0,
                "volumes": [{"name": "backups", "persistentVolumeClaim": {"claimName": "postgres-backup"}}],
            },
        },
        how="create",
    )
    kubectl("wait", "--for=condition=Ready", "pod/look", "-n", NAMESPACE, "--timeout=60s")


def _ansible(folder: Path) -> Ansible:
    return Ansible(folder, CHECKOUT / ".ansible" / "collections")


def _options(folder: Path, verify: bool) -> dict[str, Any]:
    return {"namespace": NAMESPACE, "name": "postgres-backup", "dest": str(folder / NAME), "verify": verify}


def _run_module(folder: Path, verify: bool) -> dict[str, Any]:
    """The module's result."""
    result = _ansible(folder).module("backup_fetch", **_options(folder, verify))
    if result["failed"]:
        raise SystemExit(f"backup_fetch failed:\n{result['shown']}")
    return result


def _memory_under_ansible(folder: Path, verify: bool) -> _Memory:
    """What the module's processes hold where Ansible runs it: a new Python, and the module out of its archive."""
    with _Memory() as memory:
        process = _ansible(folder).start("backup_fetch", **_options(folder, verify))
        output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"backup_fetch failed:\n{output}")
    return memory


class _Memory:
    """The most that the module's processes held: the largest one, and all together (shared pages in parts)."""

    def __init__(self) -> None:
        self.largest = self.together = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            held = [each for each in map(_held, Path("/proc").iterdir()) if each is not None]
            if held:
                self.largest = max(self.largest, *(peak for peak, _ in held))
                self.together = max(self.together, sum(share for _, share in held))
            time.sleep(0.05)


def _held(process: Path) -> tuple[float, float] | None:
    """The peak of a process's own memory and its share now, in MiB; None for a process of something else."""
    if not process.name.isdigit():
        return None
    try:
        if b"AnsiballZ_backup_fetch" not in (process / "cmdline").read_bytes():
            return None
        peak = _line(process / "status", "VmHWM")
        return peak, _line(process / "smaps_rollup", "Pss")
    except OSError:
        return None


def _line(path: Path, name: str) -> float:
    found = next((line for line in path.read_text().splitlines() if line.startswith(f"{name}:")), f"{name}: 0")
    return int(found.split()[1]) / 1024


def measure(say: Say) -> list[Figure]:
    """All figures of fetching."""
    with workplace(NAMESPACE, say) as folder:
        return _measure(folder, say)


def _measure(folder: Path, say: Say) -> list[Figure]:
    install(NAMESPACE)
    there = volume_folder(NAMESPACE) / NAME
    say("writing the backup")
    write(there, in_one_table(TEXT_BYTES))
    size = there.stat().st_size
    if size < LEAST_BYTES:
        raise SystemExit(f"expected a backup of at least {LEAST_BYTES} bytes, found {size}")
    sha256 = hashlib.file_digest(there.open("rb"), "sha256").hexdigest()
    there.with_name(f"{NAME}.sha256").write_text(f"{sha256}  {NAME}\n")
    _pod()
    here = folder / NAME

    def copy() -> float:
        """Only a complete copy counts: kubectl's connection is sometimes reset."""
        for _ in range(TRIES):
            began = time.monotonic()
            kubectl("cp", f"{NAMESPACE}/look:{BACKUPS}/{NAME}", str(here), check=False)
            seconds = time.monotonic() - began
            if here.exists() and here.stat().st_size == size:
                return seconds
            say("kubectl cp was interrupted; trying again")
        raise SystemExit(f"kubectl cp was interrupted {TRIES} times")

    def fetch(verify: bool) -> Callable[[], float]:
        def run() -> float:
            result = _run_module(folder, verify)
            assert result["resumed_bytes"] == 0
            return float(result["duration_seconds"])

        return run

    works = {"kubectl cp": copy, "backup_fetch": fetch(False), "backup_fetch, verify": fetch(True)}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS):
        for name, work in works.items():
            taken[name].append(work())
            if here.stat().st_size != size:
                raise SystemExit(f"{name}: expected {size} bytes, found {here.stat().st_size}")
            here.unlink()
            here.with_name(f"{NAME}.sha256").unlink(missing_ok=True)
            os.sync()  # nobody pays for the flush of another one's file
            rate = size / taken[name][-1] / 1e6
            say(f"round {number + 1} of {ROUNDS}: {name}: {taken[name][-1]:.2f} s, {rate:.0f} MB/s")
    memory = {}
    for verify in (False, True):
        memory[verify] = _memory_under_ansible(folder, verify)
        here.unlink()
    upward = _upload(folder, there, size, say)
    shutil.rmtree(folder / "home", ignore_errors=True)
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    shown = f"kubectl cp, {size / 1e6:.0f} MB"
    return [
        Figure("backup_fetch, first to last byte", median["backup_fetch"], "s", 1.0, shown, median["kubectl cp"]),
        Figure("the same with verify: true", median["backup_fetch, verify"], "s", 1.1, shown, median["kubectl cp"]),
        Figure("memory of the module's process", memory[False].largest, "MiB", 100),
        Figure("memory of the larger process, verify: true", memory[True].largest, "MiB", 100),
        Figure("memory of both processes, verify: true", memory[True].together, "MiB"),
        Figure(
            "backup_upload, first byte to name",
            upward["backup_upload"],
            "s",
            1.25,
            f"{shown}, upward",
            upward["kubectl cp"],
        ),
    ]


def _upload(folder: Path, there: Path, size: int, say: Say) -> dict[str, float]:
    """The median seconds of backup_upload and of `kubectl cp` in the same direction."""
    local = folder / NAME.replace("-22-", "-23-")
    shutil.copyfile(there, local)
    target = there.with_name(local.name)

    def copy() -> float:
        for _ in range(TRIES):
            began = time.monotonic()
            kubectl("cp", str(local), f"{NAMESPACE}/look:{BACKUPS}/{local.name}", check=False)
            seconds = time.monotonic() - began
            if target.exists() and target.stat().st_size == size:
                return seconds
            say("kubectl cp was interrupted; trying again")
        raise SystemExit(f"kubectl cp was interrupted {TRIES} times")

    def upload() -> float:
        result = _ansible(folder).module(
            "backup_upload", namespace=NAMESPACE, name="postgres-backup", src=str(local), keep=True
        )
        if result["failed"]:
            raise SystemExit(f"backup_upload failed:\n{result['shown']}")
        return float(result["duration_seconds"])

    works = {"kubectl cp": copy, "backup_upload": upload}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS):
        for name, work in works.items():
            taken[name].append(work())
            target.unlink()
            os.sync()
            rate = size / taken[name][-1] / 1e6
            say(f"round {number + 1} of {ROUNDS}: {name} upward: {taken[name][-1]:.2f} s, {rate:.0f} MB/s")
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
