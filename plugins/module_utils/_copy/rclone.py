# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs rclone for one place. Its configuration is in environment variables, which other users cannot read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .faults import PLACE, fault
from .process import Processes, Write

REMOTE = "PLACE"
# rclone's own attempts are quick; those with pauses are ours.
_OPTIONS = (
    *("--use-json-log", "--log-level=NOTICE", "--retries=1", "--low-level-retries=3", "--contimeout=15s"),
    *("--stats-log-level=NOTICE", "--use-server-modtime"),
)
# So often rclone writes how many bytes it has transferred.
STATS_SECONDS = 2
# A connection without a byte for this time is given up; rclone opens another one several times.
IDLE_SECONDS = 60
# So long may take what transfers no backup, with all its connections.
SHORT_SECONDS = 60
_SHORT = ("lsjson", "rcat", "moveto", "deletefile")
Progress = Callable[[int], None]


def rclone_environment(
    variables: Mapping[str, str], authority: str | None, environment: Mapping[str, str]
) -> dict[str, str]:
    """The environment in which rclone knows the remote REMOTE.

    `variables` are those of its backend, without their prefix. `authority` is a file with trusted certificates.
    """
    prefix = f"RCLONE_CONFIG_{REMOTE}_"
    # Variables of rclone in this environment must not change what it does. Its configuration file would be in HOME.
    others = {name: value for name, value in environment.items() if not name.startswith("RCLONE_")}
    return {
        **others,
        "RCLONE_CONFIG": "",
        **({"RCLONE_CA_CERT": authority} if authority else {}),
        **{f"{prefix}{name.upper()}": value for name, value in variables.items()},
    }


class Rclone:
    """rclone with the configuration of one place, in the environment of `processes`."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def run(
        self, *arguments: str, text: bytes | None = None, progress: Progress | None = None, target: str = PLACE
    ) -> bytes:
        """Its standard output; `text` is its input. Raises PlaceError, or WindowClosedError.

        `progress` gets the bytes transferred, each STATS_SECONDS. `target` is where it writes to, for an error.
        """
        output: list[bytes] = []
        self._run(arguments, text, output.append, progress, target)
        return b"".join(output)

    def read(self, *arguments: str, chunk: Write) -> None:
        """Calls `chunk` with each piece of its standard output. Raises PlaceError, or WindowClosedError."""
        self._run(arguments, None, chunk, None, PLACE)

    def _run(
        self, arguments: Sequence[str], text: bytes | None, chunk: Write, progress: Progress | None, target: str
    ) -> None:
        command, *others = arguments
        log = _Log(progress, self._processes.clock)
        status = self._processes.run(
            ["rclone", command, *_OPTIONS, f"--stats={STATS_SECONDS}s", f"--timeout={IDLE_SECONDS}s", *others],
            text=text,
            chunk=chunk,
            line=log.add,
            seconds=SHORT_SECONDS if command in _SHORT else None,
        )
        if status:
            # The last bytes may have been reported late.
            is_silent = self._processes.clock() - log.moved >= IDLE_SECONDS - 2 * STATS_SECONDS
            raise fault(self._processes.hidden(log.last_message), status, is_silent=is_silent, target=target)


class _Log:
    """What is in rclone's log: statistics for `progress`, and messages. `moved` is when more bytes were transferred."""

    def __init__(self, progress: Progress | None, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock
        self._transferred = 0
        self._has_failed = False
        self.moved = clock()
        self.last_message = ""

    def add(self, line: bytes) -> None:
        """Read a line."""
        try:
            entry: Any = json.loads(line)
        except ValueError:
            entry = {"msg": line.decode("utf-8", "replace")}
        if not isinstance(entry, dict):
            return
        stats = entry.get("stats")
        if not isinstance(stats, dict):
            self._has_failed = self._has_failed or entry.get("level") == "error"
            self.last_message = str(entry.get("msg"))
        elif isinstance(stats.get("bytes"), int):
            done = stats["bytes"]
            # With an error, it counts what it had not yet sent.
            if done > self._transferred and not self._has_failed:
                self._transferred, self.moved = done, self._clock()
            if self._progress is not None:
                self._progress(done)
