# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs a module as ansible-core does, and shows on standard error what the module is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display
from ansible_collections.homelab.postgres_backup.plugins.module_utils._progress.event import parse_event
from ansible_collections.homelab.postgres_backup.plugins.module_utils._progress.event_file import VARIABLE
from ansible_collections.homelab.postgres_backup.plugins.module_utils._progress.follower import Follower, Pace

# Of the play, and of the environment of Ansible: false shows nothing.
PLAY_VARIABLE, ENVIRONMENT_VARIABLE = "postgres_backup_progress", "POSTGRES_BACKUP_PROGRESS"
_POLL_SECONDS = 0.25
_READ_BYTES = 1 << 20
# Displaying a line takes microseconds.
_LINE_SECONDS = 5.0
# What ends a worker of ansible-core.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# ansible-core loads action plugins before it forks its workers, which have no terminal.
_PACE = Pace(2.0, 3.0 if sys.stderr.isatty() else 9.5)


class ProgressAction(NormalAction):  # type: ignore[misc]  # ansible-core has no types
    """The base of an action plugin whose module reports its progress. `activity` is a key of line.WORDS."""

    activity = ""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        if not self._is_shown(variables):
            return self._run(tmp, task_vars)
        follower = Follower(self._where(variables), self.activity, _PACE, time.monotonic())
        with self._event_file() as path, _shown(follower, path):
            return self._run(tmp, task_vars)

    def _run(self, tmp: Any, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def subject(self) -> str:
        """What the lines begin with: the installation, from the options of the task."""
        return f"{self._task.args.get('namespace', 'data')}/{self._task.args.get('name', 'postgres-backup')}"

    def _is_shown(self, variables: dict[str, Any]) -> bool:
        # What is asynchronous continues in the background; what has no log must not be seen.
        if self._task.async_val or self._task.no_log:
            return False
        wanted = self._templar.template(variables.get(PLAY_VARIABLE, True))
        return all(
            boolean(value, strict=False) for value in (wanted, os.environ.get(ENVIRONMENT_VARIABLE, "true") or "true")
        )

    def _where(self, variables: dict[str, Any]) -> str:
        if len(variables.get("ansible_play_hosts_all") or []) > 1:
            return f"{variables.get('inventory_hostname')}: {self.subject()}"
        return self.subject()

    @contextlib.contextmanager
    def _event_file(self) -> Iterator[Path | None]:
        """The file for the events of a module that runs on this machine; None for one that runs on another."""
        if self._connection.transport != "local":
            yield None
            return
        descriptor, name = tempfile.mkstemp(prefix="postgres-backup-progress-", dir=constants.DEFAULT_LOCAL_TMP)
        os.close(descriptor)
        before = self._task.environment
        # A new list: the items of a loop share the old one.
        self._task.environment = [*(before if isinstance(before, list) else [before]), {VARIABLE: name}]
        try:
            yield Path(name)
        finally:
            self._task.environment = before
            Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def _shown(follower: Follower, path: Path | None) -> Iterator[None]:
    """Prints the follower's lines, each when it is due; it gets the events that are appended to the file."""
    ended, displaying = threading.Event(), threading.Lock()
    thread = threading.Thread(target=_show, args=(follower, path, ended, displaying), daemon=True)
    with _signals_wait_for(displaying):
        # A signal that the kernel gives to the thread would not end the main thread's waiting for the module.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        thread.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextlib.contextmanager
def _signals_wait_for(displaying: threading.Lock) -> Iterator[None]:
    """Handles interrupts and terminations when no line is being displayed.

    ansible-core's workers end at once (worker.py, `_term`). If one ends while its thread holds the lock of the queue to
    the main process, that process waits for the lock for ever.
    """
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        is_held = displaying.acquire(timeout=_LINE_SECONDS)
        try:
            handlers[number](number, frame)
        finally:
            if is_held:
                displaying.release()

    # Only the main thread handles signals.
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _show(follower: Follower, path: Path | None, ended: threading.Event, displaying: threading.Lock) -> None:
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(path.open("rb")) if path is not None else None
        rest = b""
        while not ended.wait(_POLL_SECONDS):
            now = time.monotonic()
            if stream is not None:
                *lines, rest = (rest + stream.read(_READ_BYTES)).split(b"\n")
                for line in lines:
                    event = parse_event(line.decode("utf-8", "replace"))
                    if event is not None:
                        follower.add(event, now)
            text = follower.due_line(now)
            if text is not None:
                # On standard output, it would be among what a callback prints as JSON.
                with displaying:
                    Display().display(text, stderr=True)
