# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The directory, the user ids and the mounts of one test process, and their removal, also after a kill."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PREFIX = "postgres-backup-script-tests."
OWNER_FILE = "owner"
# The user that PostgreSQL servers run as: any but root, and initdb wants one with a passwd entry.
SERVER_UID = 65534
_FIRST_SCRIPT_UID = 1_000_000


def script_uid(owner: int) -> int:
    """The user id for one test process's scripts: nobody else's, and without a passwd entry, as in a pod."""
    return _FIRST_SCRIPT_UID + owner


def processes_of(uid: int) -> dict[int, str]:
    """Every living process of a user: its id and its command line."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if entry.stat().st_uid != uid or (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def kill_all(uid: int) -> None:
    """End every process of a user that is ours alone."""
    for _ in range(100):
        victims = processes_of(uid)
        if not victims:
            return
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def as_user(uid: int) -> list[str]:
    """What stands before a command that a user without a name runs, with every signal's default action.

    (What a shell's background job, or nohup, ignores cannot be trapped by a shell below it.) Programs do this, since
    Python would fork for it: 10 ms for a process of pytest's size, where vfork takes one.
    """
    user = ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [*user, "/usr/bin/env", "--default-signal=HUP,INT,QUIT,TERM"]


def die_with_parent() -> None:
    """For preexec_fn: the kernel stops the process (SIGQUIT: PostgreSQL's immediate shutdown) when pytest dies."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGQUIT)


def _start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _mounts_below(directory: Path) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{directory}/")]


def _unmount_below(directory: Path) -> None:
    for point in reversed(_mounts_below(directory)):
        subprocess.run(["umount", "--lazy", point], check=False)
    assert not _mounts_below(directory), f"cannot unmount what is mounted below {directory}"


def _remove(directory: Path, owner: int) -> None:
    kill_all(script_uid(owner))
    for pid, command in processes_of(SERVER_UID).items():
        if str(directory) in command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
    _unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _remove_abandoned() -> None:
    """What a killed test process left behind."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            pid, started = (directory / OWNER_FILE).read_text().split()
            if _start_time(int(pid)) != started:
                _remove(directory, int(pid))


class Workspace:
    """Directories that other users may enter, made for one test process and removed at its end.

    In memory on demand, so that a busy disk does not slow the tests; `on_disk` gives one that is not.
    """

    def __init__(self, memory: str = "") -> None:
        _remove_abandoned()
        self.owner = os.getpid()
        self.uid = script_uid(self.owner)
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.root.chmod(0o755)
        (self.root / OWNER_FILE).write_text(f"{self.owner} {_start_time(self.owner)}\n")
        self._serial = 0
        self._usual = self.root
        if memory:
            self._usual = self.on_disk("memory")
            self.mount_tmpfs(self._usual, memory)

    def directory(self, label: str, uid: int | None = None, mode: int = 0o755) -> Path:
        """A new, empty directory."""
        return self._make(self._usual, label, uid, mode)

    def on_disk(self, label: str, uid: int | None = None, mode: int = 0o755) -> Path:
        """The same on the disk, where reading past the cache is possible."""
        return self._make(self.root, label, uid, mode)

    def _make(self, parent: Path, label: str, uid: int | None, mode: int) -> Path:
        self._serial += 1
        path = parent / f"{label}-{self._serial}"
        path.mkdir()
        path.chmod(mode)
        if uid is not None:
            os.chown(path, uid, uid)
        return path

    def mount_tmpfs(self, path: Path, size: str, source: str = "tmpfs") -> None:
        """Put a memory file system of a fixed size on a directory; it keeps the directory's owner and mode."""
        status = path.stat()
        options = f"size={size},uid={status.st_uid},gid={status.st_gid},mode={status.st_mode & 0o7777:o}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, source, str(path)], check=True)

    @staticmethod
    def remove(path: Path) -> None:
        """Give its memory back early."""
        shutil.rmtree(path)

    def show(self, path: Path) -> Path:
        """A directory at a place where every user may enter, to read."""
        shown = self.directory("shown")
        subprocess.run(["mount", "--bind", str(path), str(shown)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(shown)], check=True)
        return shown

    def unmount(self, path: Path) -> None:
        subprocess.run(["umount", "--lazy", str(path)], check=True)

    def close(self) -> None:
        _remove(self.root, self.owner)
