# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs the programs of a place, until its window closes. Their configuration is in variables of their environment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from typing import BinaryIO, cast

from .faults import PlaceError, WindowClosedError, fault

_CHUNK_BYTES = 1 << 20
_END_SECONDS = 10
# Prints what is read from the first descriptor, and fails unless a line can be read from the second one then: so it
# fails, too, when the process that writes has ended early.
_PRINT_FED = 'cat "/dev/fd/$1" && read -r _ <"/dev/fd/$2"'
# Called with each piece of a program's input, or of its output.
Write = Callable[[bytes], object]


class Processes:
    """Runs programs in one environment.

    `closes` is when the window of the place closes, in seconds of `clock`; what runs then is ended. No value of
    `secrets` remains in a text of `hidden`.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        secrets: Sequence[str],
        clock: Callable[[], float],
        closes: float | None,
    ) -> None:
        self.environment = dict(environment)
        self._secrets = [secret for secret in secrets if secret]
        self.clock = clock
        self._closes = closes

    def in_environment(self, environment: Mapping[str, str]) -> Processes:
        """The same in another environment."""
        return Processes(environment, self._secrets, self.clock, self._closes)

    def check_window(self) -> float | None:
        """The seconds until the window closes, None without one. Raises WindowClosedError."""
        left = None if self._closes is None else self._closes - self.clock()
        if left is not None and left <= 0:
            raise WindowClosedError
        return left

    def run(
        self,
        command: Sequence[str],
        *,
        text: bytes | None = None,
        feed: Callable[[Write], object] | None = None,
        chunk: Write,
        line: Callable[[bytes], PlaceError | None],
        seconds: float | None = None,
    ) -> int:
        """The exit status of the command. Raises PlaceError, also after `seconds`, or WindowClosedError.

        `text` is its input. `chunk` gets each piece of its output, `line` each line of its messages; an error that it
        returns ends the program, and is raised. With `feed`, the words of a shell command are added to the command,
        which prints what `feed` writes with the function that it gets. If `feed` raises an error, the shell command
        fails, and the error is raised here.
        """
        left = self.check_window()
        late: Exception = WindowClosedError()
        if seconds is not None and (left is None or left > seconds):
            left, late = seconds, fault("i/o timeout", 0)
        faults: list[Exception] = []
        with contextlib.ExitStack() as stack:
            threads = []
            inherited: tuple[int, ...] = ()
            if feed is not None:
                data, done = _Pipe(stack), _Pipe(stack)
                inherited = (data.reader.fileno(), done.reader.fileno())
                command = [*command, "sh", "-c", _PRINT_FED, "sh", *map(str, inherited)]
                threads.append(threading.Thread(target=_feed, args=(feed, data, done, faults), daemon=True))
            process = self._start(command, text, inherited)
            if feed is not None:
                data.reader.close()
                done.reader.close()

            def end(error: Exception) -> None:
                faults.append(error)
                _end(process)

            # Both are pipes (Popen).
            output, errors = cast(BinaryIO, process.stdout), cast(BinaryIO, process.stderr)
            # Fewer switches between the two processes. The kernel may not allow it.
            with contextlib.suppress(OSError):
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)
            threads.append(threading.Thread(target=_follow, args=(errors, line, end), daemon=True))
            for thread in threads:
                thread.start()
            timer = threading.Timer(left, end, (late,)) if left is not None else None
            if timer is not None:
                timer.daemon = True
                timer.start()
            try:
                _give(process, text)
                while found := output.read(_CHUNK_BYTES):
                    chunk(found)
                status = process.wait()
                for thread in threads:
                    thread.join()
            finally:
                if timer is not None:
                    timer.cancel()
                if process.poll() is None:
                    _end(process)
        if faults:
            raise faults[0]
        return status

    def _start(self, command: Sequence[str], text: bytes | None, inherited: Sequence[int]) -> subprocess.Popen[bytes]:
        try:
            # In a separate session, so that a signal to this process does not end it before its temporary objects are
            # removed.
            return subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=inherited,
            )
        except FileNotFoundError:
            raise PlaceError(
                f"expected the command {command[0]} in the image (postgres_backup_copy_image), found none",
                is_lasting=True,
            ) from None

    def hidden(self, message: str) -> str:
        """The message without secrets."""
        for secret in self._secrets:
            message = message.replace(secret, "***")
        return message


class _Pipe:
    """A pipe of which `stack` closes the ends."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        reader, writer = os.pipe()
        self.reader = stack.enter_context(os.fdopen(reader, "rb", buffering=0))
        self.writer = stack.enter_context(os.fdopen(writer, "wb", buffering=0))


def _give(process: subprocess.Popen[bytes], text: bytes | None) -> None:
    if text is not None and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(text)
            process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            # It waits for a server.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _follow(errors: BinaryIO, line: Callable[[bytes], PlaceError | None], end: Callable[[Exception], None]) -> None:
    for text in errors:
        error = line(text)
        if error is not None:
            end(error)


def _feed(feed: Callable[[Write], object], data: _Pipe, done: _Pipe, faults: list[Exception]) -> None:
    try:
        feed(lambda piece: _write(data.writer, piece))
        done.writer.write(b"done\n")
    except BrokenPipeError:
        pass  # the program's exit status and its messages say why
    except Exception as error:
        faults.append(error)
    finally:
        data.writer.close()
        done.writer.close()


def _write(stream: FileIO, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[stream.write(view) :]
