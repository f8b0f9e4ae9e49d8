# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs restic for one repository, which rclone reads and writes, or which lies in a folder that is mounted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .faults import LOCKED, PLACE, SCRATCH, PlaceError, fault, restic_fault
from .process import Processes, Write
from .scratch import names_scratch

# restic starts rclone as the server of its repository. restic itself tries again, for up to 15 minutes.
_RCLONE = (
    "serve restic --stdio --b2-hard-delete --use-json-log --log-level=NOTICE --retries=1 --low-level-retries=3 "
    "--contimeout=15s --timeout=2m"
)
_FROM_RCLONE = b"rclone: "
_KEPT_LINES = 20


def restic_environment(repository: str, password_file: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which restic knows its repository. Other variables of restic must not change what it does."""
    others = {name: value for name, value in environment.items() if not name.startswith("RESTIC_")}
    return {**others, "RESTIC_REPOSITORY": repository, "RESTIC_PASSWORD_FILE": password_file}


class Restic:
    """restic in the environment of `processes`; its cache is in the folder `cache`. `locks` is false for one that only
    reads: it needs no right to write."""

    def __init__(self, processes: Processes, cache: str, bandwidth_bytes: int | None, *, locks: bool) -> None:
        self._processes = processes
        self._options = ["--json", "--quiet", f"--cache-dir={cache}", "-o", f"rclone.args={_RCLONE}"]
        self._options += [] if locks else ["--no-lock"]
        if bandwidth_bytes:
            kibibytes = max(1, bandwidth_bytes // 1024)
            self._options += [f"--limit-upload={kibibytes}", f"--limit-download={kibibytes}"]

    def run(self, *arguments: str, feed: Callable[[Write], object] | None = None) -> bytes:
        """Its standard output. Raises PlaceError, WindowClosedError, and what `feed` raises.

        With `feed`, the last argument is `--`: the words of a shell command that prints what `feed` writes are added.
        """
        output: list[bytes] = []
        self._run(arguments, feed, output.append)
        return b"".join(output)

    def read(self, *arguments: str, chunk: Write) -> None:
        """Calls `chunk` with each piece of its standard output. Raises PlaceError, or WindowClosedError."""
        self._run(arguments, None, chunk)

    def _run(self, arguments: Sequence[str], feed: Callable[[Write], object] | None, chunk: Write) -> None:
        status, messages = self._status(arguments, feed, chunk)
        if status == LOCKED:
            # It removes only locks of programs that have ended, which it takes for granted after 30 minutes.
            self._status(["unlock"], None, lambda _output: None)
            status, messages = self._status(["--retry-lock=2m", *arguments], feed, chunk)
        if status:
            text = "\n".join(messages)
            target = SCRATCH if names_scratch(text, self._processes.environment) else PLACE
            raise restic_fault(self._processes.hidden(text), status, target=target)

    def _status(
        self, arguments: Sequence[str], feed: Callable[[Write], object] | None, chunk: Write
    ) -> tuple[int, list[str]]:
        messages: list[str] = []
        command = ["restic", *self._options, *arguments]
        status = self._processes.run(command, feed=feed, chunk=chunk, line=lambda line: self._note(line, messages))
        return status, messages

    def _note(self, line: bytes, messages: list[str]) -> PlaceError | None:
        """Reads a line of the messages; returns an error of the store that lasts, which restic would try again."""
        is_of_store = line.startswith(_FROM_RCLONE)
        entry = _object(line[len(_FROM_RCLONE) :] if is_of_store else line)
        text = str(entry.get("msg" if is_of_store else "message", ""))
        messages.append(text or line.decode("utf-8", "replace").strip())
        del messages[:-_KEPT_LINES]
        if is_of_store and entry.get("level") == "error":
            error = fault(self._processes.hidden(text), 1)
            return error if error.is_lasting else None
        return None


def _object(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
