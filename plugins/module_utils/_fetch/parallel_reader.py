# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup's contents, read while the file still grows, by a process of its own.

Reading a dump keeps Python's interpreter busy: as a thread it would hold up the one that receives.
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

from .._verify.verification import read_backup
from ..errors import FetchError
from ..findings import Failure

_SIZE = struct.Struct("<q")
_ENDED = -1


@dataclass(frozen=True)
class Followed:
    """What was found in a file that has its whole length; `contents` as Contents.to_dict() gives it."""

    sha256: str | None
    contents: dict[str, Any]
    failures: tuple[Failure, ...]


class Follower:
    """Follows the file behind a descriptor: tell it the size that is there, then `finish`, or `stop`."""

    def __init__(self, descriptor: int) -> None:
        sizes, self._sizes = os.pipe()
        self._result, result = os.pipe()
        self._pid: int | None = os.fork()
        if self._pid == 0:
            status = 1
            try:
                os.close(self._sizes)
                os.close(self._result)
                _follow(descriptor, sizes, result)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(sizes)
        os.close(result)

    def grown(self, size: int) -> None:
        """The file has that many bytes now."""
        with contextlib.suppress(BrokenPipeError):  # finish() says why
            os.write(self._sizes, _SIZE.pack(size))

    def finish(self) -> Followed:
        """No more bytes come. Raises FetchError when the process ended without a result."""
        self.grown(_ENDED)
        with os.fdopen(self._result, "rb", closefd=False) as stream:
            text = stream.read()
        status = self._end()
        if status != 0:
            raise FetchError(
                f"the process that reads the contents ended with {status}: expected a result. Was the memory short? "
                "Fetch it again, or fetch it with verify: false"
            )
        found = json.loads(text)
        failures = tuple(Failure(**failure) for failure in found["failures"])
        return Followed(found["sha256"], found["contents"], failures)

    def stop(self) -> None:
        """End it without a result; nothing to do after `finish`."""
        if self._pid is not None:
            self._end()

    def _end(self) -> int:
        """Without its pipes it ends by itself; returns its exit status, negative for a signal."""
        os.close(self._sizes)
        os.close(self._result)
        assert self._pid is not None
        _, status = os.waitpid(self._pid, 0)
        self._pid = None
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class _AbandonedError(Exception):
    """The process that fetches is gone."""


class _Growing:
    """The file as a stream, which waits for bytes that have not come yet."""

    def __init__(self, descriptor: int, sizes: int) -> None:
        self._descriptor = descriptor
        self._sizes = sizes
        self._size = 0
        self._position = 0
        self._ended = False

    def read(self, number: int) -> bytes:
        while self._position >= self._size and not self._ended:
            told = os.read(self._sizes, 512 * _SIZE.size)
            if not told:
                raise _AbandonedError
            for (size,) in _SIZE.iter_unpack(told):
                if size == _ENDED:
                    self._ended = True
                else:
                    self._size = size
        data = os.pread(self._descriptor, min(number, self._size - self._position), self._position)
        if not data and self._position < self._size:
            raise OSError(errno.EIO, "the file is shorter than what was written to it")
        self._position += len(data)
        return data


def _follow(descriptor: int, sizes: int, result: int) -> None:
    try:
        sha256, contents, failures = read_backup(cast(BinaryIO, _Growing(descriptor, sizes)))
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
        with os.fdopen(result, "w", encoding="utf-8", errors="surrogatepass") as stream:
            stream.write(text)
    except BrokenPipeError:
        pass  # nobody wants it any more
