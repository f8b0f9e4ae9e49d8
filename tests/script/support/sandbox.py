# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A run of the script as in a pod: an own volume, an own /tmp, a user without a name, a clean environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .combinations import Combination, program
from .server import HOST, PASSWORD, SUPERUSER, Server
from .volume import LAST_RUN
from .workspace import Workspace, as_user, kill_all, processes_of

Json = dict[str, Any]

POLICY = {
    "POSTGRES_BACKUP_KEEP_LAST": "7",
    "POSTGRES_BACKUP_KEEP_DAILY": "7",
    "POSTGRES_BACKUP_KEEP_WEEKLY": "0",
    "POSTGRES_BACKUP_KEEP_MONTHLY": "0",
    "POSTGRES_BACKUP_KEEP_YEARLY": "0",
    "POSTGRES_BACKUP_KEEP_WITHIN": "",
}


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Json:
    assert len({key for key, _ in pairs}) == len(pairs), f"a key stands twice: {pairs}"
    return dict(pairs)


def parse(text: str) -> Json:
    """One JSON object, strictly: no key twice."""
    value = json.loads(text, object_pairs_hook=_no_duplicates)
    assert isinstance(value, dict)
    return value


@dataclass(frozen=True)
class Outcome:
    """What one run of the script gave back."""

    code: int
    out: str
    log: str

    @property
    def objects(self) -> list[Json]:
        return [parse(line) for line in self.out.splitlines()]

    def of_type(self, kind: str) -> list[Json]:
        return [item for item in self.objects if item.get("type") == kind]

    @property
    def backups(self) -> list[Json]:
        return self.of_type("backup")

    @property
    def result(self) -> Json:
        """The last line of standard output."""
        return self.objects[-1]

    def check(self, code: int = 0) -> Outcome:
        assert self.code == code, f"exit {self.code}, expected {code}\n--- stdout\n{self.out}\n--- log\n{self.log}"
        return self


class Sandbox:
    """Where a script runs: one combination of shell and awk, one volume."""

    def __init__(self, workspace: Workspace, combination: Combination, path: Sequence[Path], script: Path) -> None:
        self.workspace = workspace
        self.combination = combination
        self.script = script
        self.uid = workspace.uid
        self.volume = workspace.directory("volume", self.uid)
        self.tmp = workspace.directory("tmp", self.uid)
        self.shims = workspace.directory("shims")
        self.extra_path: list[Path] = []
        self._path = list(path)
        self.termination_log = self.tmp.parent / f"{self.tmp.name}.termination-log"
        self._clear_termination_log()
        self.server: Server | None = None
        self.name = "postgres-backup"

    def _clear_termination_log(self) -> None:
        self.termination_log.write_text("")
        os.chown(self.termination_log, self.uid, self.uid)

    def environment(self) -> dict[str, str]:
        """As the role's CronJob sets it."""
        values = {
            "PATH": ":".join(str(part) for part in [self.shims, *self.extra_path, *self._path]),
            "HOME": "/",
            "TMPDIR": str(self.tmp),
            "PGPASSWORD": PASSWORD,
            "POSTGRES_BACKUP_NAME": self.name,
            "POSTGRES_BACKUP_DIR": str(self.volume),
            "POSTGRES_BACKUP_HOST": HOST,
            "POSTGRES_BACKUP_PORT": "1",
            "POSTGRES_BACKUP_USER": SUPERUSER,
            "POSTGRES_BACKUP_DATABASE": "postgres",
            "POSTGRES_BACKUP_SSLMODE": "",
            "POSTGRES_BACKUP_SSLROOTCERT": "",
            "POSTGRES_BACKUP_COMPRESSOR": "auto",
            "POSTGRES_BACKUP_FILE_MODE": "0640",
            **POLICY,
            "POSTGRES_BACKUP_TIME_LIMIT": "10m",
            "POSTGRES_BACKUP_EXTRA_ARGS": "",
            "POSTGRES_BACKUP_RESTART_SECONDS": "2",
            "POSTGRES_BACKUP_EXPECTED_MOUNT": "",
            "POSTGRES_BACKUP_POD": "postgres-backup-29000000-abcde",
            "POSTGRES_BACKUP_JOB": "postgres-backup-29000000",
            "POSTGRES_BACKUP_TERMINATION_LOG": str(self.termination_log),
        }
        if self.server is not None:
            values["POSTGRES_BACKUP_PORT"] = str(self.server.port)
            values["PATH"] += f":{self.server.programs.bin}"
        return values

    def start(self, *arguments: str, env: Mapping[str, str | None] | None = None) -> subprocess.Popen[str]:
        """Begin a run; the caller ends it with `finish`."""
        values = self.environment()
        for name, value in (env or {}).items():
            if value is None:
                del values[name]
            else:
                values[name] = value
        shell = next(part / "sh" for part in self._path if (part / "sh").exists())
        enter, values = self._enter(values)
        return subprocess.Popen(
            [*enter, str(shell), str(self.script), *arguments],
            cwd="/",
            env=values,
            umask=0o022,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def _enter(self, values: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """What stands before the shell, and its environment."""
        # Not into what runs as root: libfaketime would make its names in shared memory there.
        preloaded = [f"LD_PRELOAD={values['LD_PRELOAD']}"] if "LD_PRELOAD" in values else []
        left = {name: value for name, value in values.items() if name != "LD_PRELOAD"}
        return [*as_user(self.uid), *preloaded], left

    @staticmethod
    def finish(process: subprocess.Popen[str], timeout: float = 120) -> Outcome:
        out, log = process.communicate(timeout=timeout)
        return Outcome(process.returncode, out, log)

    def run(self, *arguments: str, env: Mapping[str, str | None] | None = None, timeout: float = 120) -> Outcome:
        """Run the script to its end. No process of it may outlive it."""
        self._clear_termination_log()
        process = self.start(*arguments, env=env)
        try:
            outcome = self.finish(process, timeout)
        except BaseException:
            kill_all(self.uid)
            process.communicate()
            raise
        self.assert_nothing_left()
        return outcome

    def wait_until(
        self, condition: Callable[[], bool], what: str, process: subprocess.Popen[str] | None = None
    ) -> None:
        """Wait for something that happens during a run."""
        deadline = time.monotonic() + 60
        while not condition():
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > deadline:
                kill_all(self.uid)
                log = self.finish(process).log if process is not None else ""
                raise AssertionError(f"{'the run ended before' if ended else 'waited a minute for'}: {what}\n{log}")
            time.sleep(0.005)

    def assert_nothing_left(self) -> None:
        """No process, no partial file and no temporary file of a run remains."""
        deadline = time.monotonic() + 2
        while (left := processes_of(self.uid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        if left:
            kill_all(self.uid)
        assert not left, f"processes outlive the run: {left}"
        assert not (files := self._temporary_files()), f"left in /tmp: {files}"
        assert not list(self.tmp.iterdir()), f"left in TMPDIR: {list(self.tmp.iterdir())}"

    def _temporary_files(self) -> list[str]:
        """The files of the script's user in /tmp, except the directories created for it."""
        return [entry.path for entry in os.scandir("/tmp") if self._is_ours(entry)]

    def _is_ours(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.stat(follow_symlinks=False).st_uid == self.uid
        except FileNotFoundError:
            return False

    # What a test checks.

    @property
    def last_run(self) -> Json | None:
        path = self.volume / LAST_RUN
        if not path.exists():
            return None
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") and text.count("\n") == 1, f"{LAST_RUN} is not one line: {text!r}"
        return parse(text)

    @property
    def termination(self) -> Json:
        raw = self.termination_log.read_bytes()
        assert len(raw) <= 4096, f"{len(raw)} bytes of termination message"
        return parse(raw.decode())

    def backup_files(self) -> list[Path]:
        """Every file that looks like a backup, newest first."""
        return sorted(self.volume.glob(f"{self.name}-????-??-??-??????.sql.gz"), reverse=True)

    def partials(self) -> list[Path]:
        return [path for path in self.volume.iterdir() if "partial" in path.name]

    # What a test puts in the script's way.

    def shim(self, name: str, body: str) -> None:
        """A program in front of every other of its name; `$real` is the one that it hides."""
        real = ""
        for part in self.environment()["PATH"].split(":")[1:]:
            if (Path(part) / name).exists():
                real = str(Path(part) / name)
                break
        path = self.shims / name
        path.write_text(f"#!/bin/sh\nreal='{real}'\n{body}\n")
        path.chmod(0o755)

    def freeze_clock(self, epoch: float) -> None:
        """Let `date` tell this time. Only for tests whose subject is the clock."""
        date = program("date")
        passed = f'for word; do case $word in -r*|-d*|--reference*|--date*) exec {date} "$@";; esac; done'
        self.shim("date", f'{passed}\nexec {date} -d @{epoch:.0f} "$@"')

    def add_programs(self, *names: str) -> None:
        """Put programs that a minimal image does not have on the PATH."""
        directory = self.workspace.directory("programs")
        for name in names:
            (directory / name).symlink_to(program(name))
        self.extra_path.append(directory)

    def terminate(self, process: subprocess.Popen[str], sig: signal.Signals = signal.SIGTERM) -> Outcome:
        process.send_signal(sig)
        return self.finish(process)
