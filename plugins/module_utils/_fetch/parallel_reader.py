# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup's contents, read by a separate process while the file is still growing.

Reading a dump keeps Python's interpreter busy: a thread would slow down the one that receives.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct
import traceback
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from .._dump.decryption import Identities
from .._progress.event import Event
from .._progress.reporter import SILENT, Reporter
from .._verify.verification import read_backup
from ..errors import FetchError
from ..findings import Failure

_SIZE = struct.Struct("<q")
_ENDED = -1


@dataclass(frozen=True)
class FileContents:
    """The contents of a file that was read to its end, as Contents.to_dict() returns them, and its failures."""

    sha256: str | None
    contents: dict[str, Any]
    failures: tuple[Failure, ...]


class ContentsProcess:
    """Reads a growing file: call `grown` with each new size, then `finish`, or `stop`.

    What is left to read when the file has its `total_bytes` is reported.
    """

    def __init__(
        self, descriptor: int, total_bytes: int = 0, reporter: Reporter = SILENT, identities: Identities = ()
    ) -> None:
        sizes, self._sizes = os.pipe()
        self._result, result = os.pipe()
        self._pid: int | None = os.fork()
        if self._pid == 0:
            status = 1
            try:
                os.close(self._sizes)
                os.close(self._result)
                _read_growing_file(_Growing(descriptor, sizes, total_bytes, reporter), result, identities)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(sizes)
        os.close(result)

    def grown(self, size: int) -> None:
        """The file has that many bytes now."""
        with contextlib.suppress(BrokenPipeError):  # finish() raises an error
            os.write(self._sizes, _SIZE.pack(size))

    def finish(self) -> FileContents:
        """The contents, after the last byte was written; raises FetchError when the process ended without a result."""
        self.grown(_ENDED)
        with os.fdopen(self._result, "rb", closefd=False) as stream:
            text = stream.read()
        status = self._end()
        if status != 0:
            raise FetchError(
                f"the process that reads the contents ended with {status} and without a result. Was there too little "
                "memory? Fetch the backup again, or fetch it with verify: false"
            )
        result = json.loads(text)
        failures = tuple(Failure(**failure) for failure in result["failures"])
        return FileContents(result["sha256"], result["contents"], failures)

    def stop(self) -> None:
        """End the process without a result; does nothing after `finish`."""
        if self._pid is not None:
            self._end()

    def _end(self) -> int:
        """Close the pipes, so that the process ends; returns its exit status, negative for a signal."""
        os.close(self._sizes)
        os.close(self._result)
        assert self._pid is not None
        _, status = os.waitpid(self._pid, 0)
        self._pid = None
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class _AbandonedError(Exception):
    """The process that fetches has ended."""


class _Growing:
    """The file as a stream, which waits for bytes that were not written yet."""

    def __init__(self, descriptor: int, sizes: int, total_bytes: int, reporter: Reporter) -> None:
        self._total_bytes = total_bytes
        self._reporter = reporter
        self._descriptor = descriptor
        self._sizes = sizes
        self._size = 0
        self._position = 0
        self._ended = False

    def read(self, number: int) -> bytes:
        while self._position >= self._size and not self._ended:
            sizes = os.read(self._sizes, 512 * _SIZE.size)
            if not sizes:
                raise _AbandonedError
            for (size,) in _SIZE.iter_unpack(sizes):
                if size == _ENDED:
                    self._ended = True
                else:
                    self._size = size
        data = os.pread(self._descriptor, min(number, self._size - self._position), self._position)
        if not data and self._position < self._size:
            raise OSError(errno.EIO, "the file is shorter than what was written to it")
        self._position += len(data)
        if self._size == self._total_bytes:
            self._reporter.report(Event("contents", None, self._position, self._total_bytes))
        return data


def _read_growing_file(stream: _Growing, result: int, identities: Identities) -> None:
    try:
        sha256, contents, failures = read_backup(cast(BinaryIO, stream), identities)
    except _AbandonedError:
        return
    text = json.dumps(
        {
            "sha256": sha256,
            "contents": contents.to_dict(),
            "failures": [failure.to_dict() for failure in failures],
        }
    )
    try:
        with os.fdopen(result, "w", encoding="utf-8", errors="surrogatepass") as pipe:
            pipe.write(text)
    except BrokenPipeError:
        pass  # the fetch was abandoned
