# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The progress of a running module: when it is shown, and that results are the same as without.

backup_verify runs for some seconds, since its interpreter waits before it starts. All runs are started together.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils._progress.follower import Follower, Pace
from tests.warm_python import warm_python

ROOT = Path(__file__).parents[4]
DUMP = ROOT / "tests" / "unit" / "plugins" / "module_utils" / "dumps" / "18-all.sql"
NAME = "postgres-backup-2026-11-22-020000.sql.gz"
MODULE = "homelab.postgres_backup.backup_verify"
HOSTS = tuple(f"host{number:02d}" for number in range(20))
# Reports what a module would, and then runs it.
INTERPRETER = """#!/bin/sh
if [ -n "$POSTGRES_BACKUP_PROGRESS_FILE" ]; then
    echo '{{"type":"progress","activity":"verify","done_bytes":3221225472,"total_bytes":8589934592}}' \
        >> "$POSTGRES_BACKUP_PROGRESS_FILE"
fi
case $1 in *backup_verify*) sleep {seconds} ;; esac
exec {python} "$@"
"""
# Until the module has reported something, and then.
LINE = re.compile(rf"{re.escape(NAME)}: verifying, (\d+ s so far|\d\.\d of [^(]* \(\d+ %\), \d+ s so far)\n")
REPORTED = f"{NAME}: verifying, 3.0 of 8.0 GiB (37 %), "


@dataclass
class Place:
    """A folder with a backup, and how Ansible is run there."""

    folder: Path

    @property
    def backup(self) -> str:
        return str(self.folder / NAME)

    def interpreter(self, seconds: float) -> str:
        path = self.folder / f"python-{seconds}"
        if not path.exists():
            path.write_text(INTERPRETER.format(seconds=seconds, python=warm_python()))
            path.chmod(0o755)
        return str(path)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [Path(sys.executable).with_name(command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self, **more: str) -> dict[str, str]:
        there = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
        return {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": f"{self.folder}:{there}".rstrip(":"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(self.folder / "home"),
            **more,
        }

    def ad_hoc(self, *arguments: str, seconds: float = 3, **options: Any) -> list[str]:
        """The command that runs the module for so many seconds, and a moment."""
        given = json.dumps({"path": self.backup, **options})
        slow = ["-e", f"ansible_python_interpreter={self.interpreter(seconds)}"]
        return ["ansible", "localhost", "-c", "local", "-m", MODULE, "-a", given, *slow, *arguments]

    def in_root(self) -> list[str]:
        """The same through a connection that is not local, to the root directory of this machine."""
        _, _, _, _, *rest = self.ad_hoc()
        return ["ansible", "/", "-i", "/,", "-c", "community.general.chroot", *rest]

    def play(self, name: str, *tasks: dict[str, Any], hosts: tuple[str, ...] = ("localhost",)) -> list[str]:
        """A playbook with these tasks, and the command that runs it."""
        play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": list(tasks)}
        path = self.folder / f"{name}.yml"
        path.write_text(yaml.safe_dump([play]))
        # Many hosts wait for the processors before they begin.
        slow = ["-e", f"ansible_python_interpreter={self.interpreter(3 if len(hosts) == 1 else 8)}"]
        return ["ansible-playbook", str(path), "-f", "20", "-i", ",".join([*hosts, ""]), *slow]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("progress")
    (folder / "ansible_collections" / "homelab").mkdir(parents=True)
    (folder / "ansible_collections" / "homelab" / "postgres_backup").symlink_to(ROOT)
    (folder / NAME).write_bytes(gzip.compress(DUMP.read_bytes()))
    return Place(folder)


@dataclass(frozen=True)
class Case:
    """A run: its command, its environment, and what must hold for its two outputs."""

    command: Callable[[Place], list[str]]
    holds: Callable[[str, str], None]
    environment: dict[str, str]
    status: int = 0


def shown(output: str, errors: str) -> None:
    """On standard error, and nothing of it among the results."""
    assert LINE.match(errors), errors
    assert LINE.sub("", errors) == ""
    assert "verifying" not in output
    assert '"contents"' in output


def silent(output: str, errors: str) -> None:
    assert errors == ""
    assert "verifying" not in output


def changed_nothing(output: str, errors: str) -> None:
    shown(output, errors)
    assert '"changed": false' in output


def elsewhere(output: str, errors: str) -> None:
    """The module's events are in no file that could be read here."""
    shown(output, errors)
    assert REPORTED not in errors


def json_of_hosts(output: str, errors: str) -> None:
    hosts = json.loads(output)["plays"][0]["tasks"][0]["hosts"]
    assert all(host["contents"]["complete"] and host["path"].endswith(NAME) for host in hosts.values())
    lines = [line.partition(": ") for line in errors.splitlines(keepends=True)]
    assert {host for host, _, _ in lines} == set(hosts)
    assert all(LINE.fullmatch(line) for _, _, line in lines), errors


def yaml_of_a_loop(output: str, errors: str) -> None:
    assert len(LINE.findall(errors)) >= 2, errors
    assert "verifying" not in output
    assert output.count("sha256_compared_with:") == 2
    assert "item: a" in output


def failed(output: str, errors: str) -> None:
    assert LINE.match(errors), errors
    assert "is not the backup that was expected" in output + errors


TASK = {"path": "{{ playbook_dir }}/" + NAME}
AS_JSON = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
AS_YAML = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}
LOOP = {MODULE: TASK, "loop": ["a", "b"], "delegate_to": "localhost", "environment": {"A": "{{ item }}"}}
CASES = {
    "ad hoc": Case(lambda place: place.ad_hoc(), shown, {}),
    "check mode": Case(lambda place: place.ad_hoc("--check"), changed_nothing, {}),
    "a variable": Case(lambda place: place.ad_hoc("-e", "postgres_backup_progress=false"), silent, {}),
    "the environment": Case(lambda place: place.ad_hoc(), silent, {"POSTGRES_BACKUP_PROGRESS": "no"}),
    "an empty environment": Case(lambda place: place.ad_hoc(), shown, {"POSTGRES_BACKUP_PROGRESS": ""}),
    "asynchronous": Case(lambda place: place.ad_hoc("-B", "60", "-P", "1"), silent, {}),
    "no log": Case(lambda place: place.play("no_log", {MODULE: TASK, "no_log": True}), silent, {}),
    "another machine": Case(lambda place: place.in_root(), elsewhere, {}),
    "a failure": Case(lambda place: place.ad_hoc(sha256="0" * 64), failed, {}, 2),
    "hosts": Case(lambda place: place.play("hosts", {MODULE: TASK}, hosts=HOSTS[:3]), json_of_hosts, AS_JSON),
    "a loop, delegated": Case(lambda place: [*place.play("loop", LOOP), "-v"], yaml_of_a_loop, AS_YAML),
}


@pytest.fixture(scope="module")
def ended(place: Place) -> dict[str, tuple[int, str, str]]:
    """Exit status, output and errors of each run."""
    started = {}
    for name, case in CASES.items():
        started[name] = place.start(*case.command(place), **case.environment)
    outputs = {name: process.communicate() for name, process in started.items()}
    return {name: (started[name].returncode, *texts) for name, texts in outputs.items()}


def test_what_the_module_reports_is_shown(ended: dict[str, tuple[int, str, str]]) -> None:
    assert any(REPORTED in errors for _, _, errors in ended.values())


@pytest.mark.parametrize("name", CASES)
def test_who_sees_it(ended: dict[str, tuple[int, str, str]], name: str) -> None:
    status, output, errors = ended[name]
    assert status == CASES[name].status, output + errors
    CASES[name].holds(output, errors)


@pytest.mark.weekly
def test_twenty_hosts_at_once(place: Place) -> None:
    process = place.start(*place.play("hosts", {MODULE: TASK}, hosts=HOSTS), **AS_JSON)
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    assert set(json.loads(output)["stats"]) == set(HOSTS)
    json_of_hosts(output, errors)


def test_the_first_line_and_the_gaps(place: Place) -> None:
    """No gap above 10 s, and two more on a busy machine; at a terminal, a line every few seconds."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [Path(sys.executable).with_name("ansible"), *place.ad_hoc(seconds=13)[1:]],
        cwd=place.folder,
        env=place.environment(),
        stdout=subprocess.DEVNULL,
        stderr=slave,
    ) as at_terminal:
        os.close(slave)
        elsewhere = place.start(*place.ad_hoc(seconds=13))
        assert elsewhere.stderr is not None
        lines = [(line, time.monotonic()) for line in elsewhere.stderr]
        elsewhere.communicate()
        at_terminal.wait()
    assert len(lines) >= 2, "after 2 s and after 11.5 s"
    assert all(LINE.fullmatch(line) for line, _ in lines)
    assert all(later - earlier < 12 for (_, earlier), (_, later) in pairwise(lines))
    text = os.read(master, 1 << 16).decode().replace("\r", "")
    os.close(master)
    assert len(LINE.findall(text)) >= 4
    assert REPORTED in text


def test_an_interrupted_task_ends_at_once(place: Place) -> None:
    process = place.start(*place.ad_hoc(seconds=60))
    assert process.stderr is not None
    assert LINE.fullmatch(process.stderr.readline())
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_a_line(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    masks: list[set[int]] = []
    was_handled = threading.Event()

    def display(_self: Any, _text: str, **_options: Any) -> None:
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        os.kill(os.getpid(), number)
        time.sleep(0.3)
        happened.append("displayed")

    def handle(_number: int, _frame: Any) -> None:
        happened.append("handled")
        was_handled.set()

    # ansible-core, which it is derived from, has no types.
    progress_action = importlib.import_module(
        "ansible_collections.homelab.postgres_backup.plugins.plugin_utils.progress_action"
    )
    monkeypatch.setattr(progress_action.Display, "display", display)
    before = signal.signal(number, handle)
    try:
        follower = Follower("data/postgres-backup", "verify", Pace(0.0, 60.0), time.monotonic())
        with progress_action._shown(follower, None):
            assert was_handled.wait(10)
        assert happened == ["displayed", "handled"]
        assert masks == [{signal.SIGINT, signal.SIGTERM}], "only the main thread is given them"
        assert signal.getsignal(number) is handle, "the handler is restored"
    finally:
        signal.signal(number, before)


def test_nothing_is_left(place: Place, ended: dict[str, tuple[int, str, str]]) -> None:
    assert ended
    assert list((place.folder / "home").rglob("postgres-backup-progress-*")) == []
