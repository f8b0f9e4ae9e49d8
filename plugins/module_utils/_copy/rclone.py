# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs rclone for one place. Its configuration is in environment variables, which other users cannot read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, cast

from .faults import PlaceError, WindowClosedError, fault

REMOTE = "PLACE"
# rclone's own attempts are quick; those with pauses are ours.
_OPTIONS = (
    *("--use-json-log", "--log-level=NOTICE", "--retries=1", "--low-level-retries=3", "--contimeout=15s"),
    *("--stats-log-level=NOTICE", "--use-server-modtime"),
)
# So often rclone writes how many bytes it has transferred.
STATS_SECONDS = 10
# A connection without a byte for this time is given up; rclone opens another one several times.
IDLE_SECONDS = 60
# So long may take what transfers no backup, with all its connections.
SHORT_SECONDS = 60
_SHORT = ("lsjson", "rcat", "moveto", "deletefile")
_END_SECONDS = 10
_CHUNK_BYTES = 1 << 20
_KEPT_LINES = 20
Progress = Callable[[int], None]


class Rclone:
    """rclone with the configuration of one place: `variables` are those of its backend, without their prefix.

    `closes` is when the window of the place closes, in seconds of `clock`; what runs then is ended. No value of
    `secrets` appears in an error.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        secrets: Sequence[str],
        environment: Mapping[str, str],
        clock: Callable[[], float],
        closes: float | None,
    ) -> None:
        prefix = f"RCLONE_CONFIG_{REMOTE}_"
        # Variables of rclone in this environment must not change what it does. Its configuration file would be in HOME.
        others = {name: value for name, value in environment.items() if not name.startswith("RCLONE_")}
        self._environment = {
            **others,
            "RCLONE_CONFIG": "",
            **{f"{prefix}{name.upper()}": value for name, value in variables.items()},
        }
        self._secrets = [secret for secret in secrets if secret]
        self._clock = clock
        self._closes = closes

    def run(self, *arguments: str, text: bytes | None = None, progress: Progress | None = None) -> bytes:
        """Its standard output; `text` is its input. Raises PlaceError, or WindowClosedError.

        `progress` gets the bytes transferred, each STATS_SECONDS.
        """
        output: list[bytes] = []
        self._run(arguments, text, output.append, progress)
        return b"".join(output)

    def read(self, *arguments: str, chunk: Callable[[bytes], None]) -> None:
        """Calls `chunk` with each piece of its standard output. Raises PlaceError, or WindowClosedError."""
        self._run(arguments, None, chunk, None)

    def _run(
        self, arguments: Sequence[str], text: bytes | None, chunk: Callable[[bytes], None], progress: Progress | None
    ) -> None:
        left = None if self._closes is None else self._closes - self._clock()
        if left is not None and left <= 0:
            raise WindowClosedError
        command, *others = arguments
        late: Exception = WindowClosedError()
        if command in _SHORT and (left is None or left > SHORT_SECONDS):
            left, late = SHORT_SECONDS, fault("i/o timeout", 0)
        try:
            # In a separate session, so that a signal to this process does not end it before its temporary objects are
            # removed.
            process = subprocess.Popen(
                ["rclone", command, *_OPTIONS, f"--stats={STATS_SECONDS}s", f"--timeout={IDLE_SECONDS}s", *others],
                env=self._environment,
                stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise PlaceError(
                "expected the command rclone in the image (postgres_backup_copy_image), found none", is_lasting=True
            ) from None
        messages: list[str] = []
        # Both are pipes (Popen).
        output, errors = cast(BinaryIO, process.stdout), cast(BinaryIO, process.stderr)
        moved = [time.monotonic()]
        log = threading.Thread(target=self._follow, args=(errors, messages, progress, moved), daemon=True)
        log.start()
        is_late = threading.Event()
        timer = threading.Timer(left, self._end, (process, is_late)) if left is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            if text is not None and process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(text)
                    process.stdin.close()
            while data := output.read(_CHUNK_BYTES):
                chunk(data)
            status = process.wait()
            log.join()
        finally:
            if timer is not None:
                timer.cancel()
            if process.poll() is None:
                self._end(process, None)
        if is_late.is_set():
            raise late
        if status:
            # The last bytes may have been reported late.
            is_silent = time.monotonic() - moved[0] >= IDLE_SECONDS - 2 * STATS_SECONDS
            raise fault(self._hidden(messages[-1] if messages else ""), status, is_silent=is_silent)

    @staticmethod
    def _end(process: subprocess.Popen[bytes], is_late: threading.Event | None) -> None:
        if is_late is not None:
            is_late.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                # It waits for a server.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @staticmethod
    def _follow(errors: BinaryIO, messages: list[str], progress: Progress | None, moved: list[float]) -> None:
        """Reads the log: statistics for `progress`, when more bytes were transferred, and the last messages."""
        transferred, has_failed = 0, False
        for line in errors:
            try:
                entry: Any = json.loads(line)
            except ValueError:
                entry = {"msg": line.decode("utf-8", "replace")}
            if not isinstance(entry, dict):
                continue
            stats = entry.get("stats")
            if isinstance(stats, dict):
                done = stats.get("bytes")
                # With an error, it counts what it had not yet sent.
                if isinstance(done, int) and done > transferred and not has_failed:
                    transferred, moved[0] = done, time.monotonic()
                if progress is not None and isinstance(done, int):
                    progress(done)
            else:
                has_failed = has_failed or entry.get("level") == "error"
                messages.append(str(entry.get("msg")))
                del messages[:-_KEPT_LINES]

    def _hidden(self, message: str) -> str:
        for secret in self._secrets:
            message = message.replace(secret, "***")
        return message
