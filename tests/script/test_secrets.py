# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""No password in anything that a run writes or shows."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from .support.sandbox import Outcome, Sandbox
from .support.workspace import processes_of

# Fragments that remain readable whatever quoting or truncation a program applies.
FRAGMENTS = ("quoted", "pass*word", "$HOME", "wr0ng")
WRONG = "wr0ng $HOME pass*word quoted"


def _run_and_watch(sandbox: Sandbox, env: dict[str, str | None]) -> tuple[Outcome, set[str]]:
    """A run, and every command line of its processes that could be seen meanwhile."""
    process: subprocess.Popen[str] = sandbox.start("run", env=env)
    seen: set[str] = set()
    while process.poll() is None:
        seen.update(processes_of(sandbox.uid).values())
        time.sleep(0.002)
    return sandbox.finish(process), seen


def _assert_clean(where: str, text: str) -> None:
    found = [fragment for fragment in FRAGMENTS if fragment in text]
    assert not found, f"{found} in {where}: {text[:2000]}"


def _check_everything(sandbox: Sandbox, outcome: Outcome, commands: set[str]) -> None:
    _assert_clean("the log", outcome.log)
    _assert_clean("the result", outcome.out)
    _assert_clean("the termination message", sandbox.termination_log.read_text())
    for command in commands:
        _assert_clean("the process list", command)
    for folder in (sandbox.volume, sandbox.tmp):
        for path in folder.rglob("*"):
            _assert_clean(path.name, path.name)
            if path.is_file() and not path.name.endswith(".sql.gz"):
                _assert_clean(path.name, path.read_text(errors="replace"))


def test_a_good_run(sandbox: Sandbox) -> None:
    outcome, commands = _run_and_watch(sandbox, {})
    outcome.check()
    assert any("pg_dump" in command for command in commands), "the watch saw nothing"
    _check_everything(sandbox, outcome, commands)


@pytest.mark.parametrize(
    "env",
    [
        {"PGPASSWORD": WRONG},
        {"POSTGRES_BACKUP_PORT": "1"},
        {"POSTGRES_BACKUP_KEEP_LAST": "x"},
        {"POSTGRES_BACKUP_DATABASE": "nope"},
    ],
    ids=["wrong password", "unreachable", "configuration", "no such database"],
)
def test_a_failing_run(sandbox: Sandbox, env: dict[str, str | None]) -> None:
    outcome, commands = _run_and_watch(sandbox, env)
    assert outcome.code != 0
    _check_everything(sandbox, outcome, commands)


def test_nothing_of_the_password_stays_in_temporary_files_after_a_kill(sandbox: Sandbox) -> None:
    sandbox.shim(
        "pg_dumpall", 'case " $* " in *" --version "*|*" -V "*) exec $real "$@";; esac; kill -9 $PPID; sleep 0.2'
    )
    sandbox.finish(sandbox.start("run"))
    for path in [*sandbox.tmp.rglob("*"), *sandbox.volume.rglob("*")]:
        if path.is_file():
            _assert_clean(str(path), Path(path).read_text(errors="replace"))
