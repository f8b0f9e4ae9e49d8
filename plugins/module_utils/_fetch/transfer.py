# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Chunks to a file: taken up again where they broke off, hashed on the way, proven, and only then given its name.

The file grows as a partial beside its destination. One thread receives, another writes and hashes, a third flushes to
the disk; a process of its own reads the contents where they are wanted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol, TypeVar

from .._verify.verification import read_backup
from ..errors import ChangedError, DamagedError, DestinationError, FetchError, LostError
from ..findings import Failure
from .destination import (
    Destination,
    is_full,
    local_errors,
    open_partial,
    require_room,
    sidecar_says,
    sync_directory,
    write_sidecar,
)
from .parallel_reader import Followed, Follower

_BATCH_BYTES = 1 << 18
_QUEUED = 8
_VECTORS = 512  # of one writev: at least 1,024 are allowed everywhere (POSIX: IOV_MAX is 16 at least; Linux: 1,024)
_FLUSH_BYTES = 1 << 25
_READ_BYTES = 1 << 20
_T = TypeVar("_T")


class Source(Protocol):
    """The file on the other side.

    Both methods raise LostError where another try may help, GoneError when the file is no longer there.
    """

    def chunks(self, offset: int) -> Iterator[memoryview]:
        """The file's bytes from `offset` to its end."""

    def sha256(self, length: int | None = None) -> str:
        """Of its first `length` bytes, or of all."""


@dataclass(frozen=True)
class Wanted:
    """A backup as its listing says it is; `sha256` is None when nothing but the file itself says it."""

    name: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Patience:
    """How often to try again: `retries` times in a row without a new byte, with growing pauses, until `deadline`."""

    retries: int = 6
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0
    deadline: float | None = None  # of `clock`
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Transferred:
    """What was done; `duration_seconds` is from the first byte received to the final name."""

    sha256: str
    resumed_bytes: int
    interruptions: int
    duration_seconds: float
    contents: dict[str, Any] | None


def transfer(
    source: Source,
    wanted: Wanted,
    destination: Destination,
    mode: int,
    patience: Patience,
    *,
    reads_contents: bool = False,
) -> Transferred:
    """Bring the file to its destination, with its sidecar.

    Raises FetchError and DestinationError. Only after a LostError there is a partial left, for the next time.
    """
    attempts = _Attempts(patience)
    with open_partial(destination) as descriptor:
        try:
            return _Transfer(source, wanted, destination, mode, attempts, descriptor).run(reads_contents)
        except LostError as error:
            kept = os.fstat(descriptor).st_size
            raise LostError(
                f"{error}. {kept} of {wanted.size_bytes} bytes are here and kept: run it again to go on from there"
            ) from error
        except FetchError:
            os.ftruncate(descriptor, 0)
            raise
        except DestinationError as error:
            if is_full(error):
                os.ftruncate(descriptor, 0)
            raise


def read_through(source: Source, wanted: Wanted, patience: Patience) -> Transferred:
    """Read the file to its end, and compare it, without keeping it: `contents` says what is in it.

    On the way it is a file without a name in the temporary folder, so that nothing of it is left however this ends.
    Raises FetchError and DestinationError.
    """
    directory = tempfile.gettempdir()
    destination = Destination(os.path.join(directory, wanted.name), True, "let TMPDIR name another folder")
    with contextlib.ExitStack() as stack:
        with local_errors(directory):
            stream = stack.enter_context(tempfile.TemporaryFile(buffering=0, dir=directory))
        try:
            work = _Transfer(source, wanted, destination, 0, _Attempts(patience), stream.fileno(), keeps=False)
            return work.run(reads_contents=True)
        except DestinationError as error:
            if not is_full(error):
                raise
            raise DestinationError(
                f"the disk of the temporary folder {directory} is full: expected {wanted.size_bytes} bytes of free "
                f"space while the backup is read. Free some space, or {destination.elsewhere}"
            ) from error


def hash_file(path: str) -> str:
    """A local file's sha256."""
    with local_errors(path), open(path, "rb", buffering=0) as stream:
        return _hash_of(stream.fileno()).hexdigest()


def what_is_here(source: Source, wanted: Wanted, destination: Destination, patience: Patience) -> str | None:
    """The sha256 of the local file when it is the wanted one, all of it compared; else None."""
    try:
        found = os.stat(destination.path)
    except FileNotFoundError:
        return None
    if found.st_size != wanted.size_bytes:
        return None
    here = hash_file(destination.path)
    there = wanted.sha256 or _Attempts(patience).answer(source.sha256)
    return here if here == there else None


def mend(destination: Destination, sha256: str, mode: int, is_dry_run: bool) -> tuple[str, ...]:
    """What was, or would be, done to a file that is here already: `sidecar` written, `mode` changed."""
    done = []
    with local_errors(destination.path):
        if stat.S_IMODE(os.stat(destination.path).st_mode) != mode:
            done.append("mode")
            if not is_dry_run:
                os.chmod(destination.path, mode)
    if not sidecar_says(destination.path, sha256):
        done.append("sidecar")
        if not is_dry_run:
            write_sidecar(destination, sha256, mode)
    return tuple(done)


def read_contents(path: str, sha256: str) -> dict[str, Any]:
    """The contents of a local file with that hash; raises DamagedError."""
    with local_errors(path), open(path, "rb", buffering=0) as stream:
        found, contents, failures = read_backup(stream)
    _require_whole(Followed(found, contents.to_dict(), tuple(failures)), sha256, path)
    return contents.to_dict()


def _require_whole(found: Followed, sha256: str, name: str) -> None:
    failures = found.failures
    if found.sha256 is not None and found.sha256 != sha256:
        failures = (
            Failure("sha256", f"expected the sha256 {sha256}, read {found.sha256}: the local disk gave other bytes"),
            *failures,
        )
    if failures:
        raise DamagedError(
            f"{name} came here as it is on the volume, and is not one whole backup: {_reasons(failures)}", found
        )


def _reasons(failures: tuple[Failure, ...]) -> str:
    return "; ".join(failure.message for failure in failures)


def _hash_of(descriptor: int) -> hashlib._Hash:
    """Of a file from its beginning to its end."""
    result = hashlib.sha256()
    offset = 0
    while True:
        data = os.pread(descriptor, _READ_BYTES, offset)
        if not data:
            return result
        result.update(data)
        offset += len(data)


class _Attempts:
    """Counts what failed, and waits before the next try."""

    def __init__(self, patience: Patience) -> None:
        self.interruptions = 0
        self._patience = patience
        self._fruitless = 0

    def require_time(self) -> None:
        """Raises LostError after the deadline."""
        if self._patience.deadline is not None and self._patience.clock() > self._patience.deadline:
            raise LostError("the time allowed for fetching is over. Allow more, if the connection is that slow")

    def again(self, error: LostError, has_progressed: bool) -> None:
        """Wait, or raise what says why there is no other try."""
        patience = self._patience
        self.interruptions += 1
        self._fruitless = 1 if has_progressed else self._fruitless + 1
        if self._fruitless > patience.retries:
            raise LostError(f"{error}; tried {self._fruitless} times without a new byte") from error
        pause = min(patience.pause_seconds * 2 ** (self._fruitless - 1), patience.longest_pause_seconds)
        if patience.deadline is not None and patience.clock() + pause > patience.deadline:
            raise LostError(f"{error}; no time is left for another try") from error
        patience.sleep(pause)

    def answer(self, ask: Callable[[], _T]) -> _T:
        """What `ask` returns once it is not lost."""
        while True:
            self.require_time()
            try:
                return ask()
            except LostError as error:
                self.again(error, False)


@dataclass
class _Transfer:
    source: Source
    wanted: Wanted
    destination: Destination
    mode: int
    attempts: _Attempts
    descriptor: int
    began: float | None = field(default=None)
    keeps: bool = True

    def run(self, reads_contents: bool) -> Transferred:
        with local_errors(self.destination.partial):
            resumed, hashed = self._what_is_here()
        require_room(self.destination, self.wanted.size_bytes - resumed)
        follower = Follower(self.descriptor) if reads_contents else None
        try:
            # Who reads the contents hashes them too.
            sink = _Sink(
                self.descriptor, resumed, None if follower else hashed, follower.grown if follower else _nobody
            )
            try:
                # What follows the bytes runs beside the last flush.
                sha256, contents = self._receive_all(sink, resumed, follower)
            finally:
                sink.stop()
            with local_errors(self.destination.partial):
                sink.raise_error()
        finally:
            if follower:
                follower.stop()
        began = time.monotonic() if self.began is None else self.began
        if self.keeps:
            self._give_name(sha256)
        return Transferred(sha256, resumed, self.attempts.interruptions, time.monotonic() - began, contents)

    def _receive_all(self, sink: _Sink, resumed: int, follower: Follower | None) -> tuple[str, dict[str, Any] | None]:
        if resumed < self.wanted.size_bytes:
            self._receive(sink)
        with local_errors(self.destination.partial):
            sha256 = sink.finish()
        if follower is None:
            assert sha256 is not None
            self._compare(sha256)
            return sha256, None
        found = follower.finish()
        if found.sha256 is None:
            raise DestinationError(f"{self.destination.partial} cannot be read: {_reasons(found.failures)}")
        self._compare(found.sha256)
        _require_whole(found, found.sha256, self.wanted.name)
        return found.sha256, found.contents

    def _what_is_here(self) -> tuple[int, hashlib._Hash]:
        """How much of the partial is the wanted file's beginning, and its hash; what is not is cut away."""
        size = os.fstat(self.descriptor).st_size
        if 0 < size <= self.wanted.size_bytes:
            here = _hash_of(self.descriptor)
            is_whole = size == self.wanted.size_bytes and self.wanted.sha256 is not None
            there = self.wanted.sha256 if is_whole else self.attempts.answer(lambda: self.source.sha256(size))
            if here.hexdigest() == there:
                return size, here
        os.ftruncate(self.descriptor, 0)
        return 0, hashlib.sha256()

    def _receive(self, sink: _Sink) -> None:
        size = self.wanted.size_bytes
        while True:
            before = sink.received
            self.attempts.require_time()
            try:
                for chunk in self.source.chunks(sink.received):
                    if self.began is None:
                        self.began = time.monotonic()
                    if sink.put(chunk):
                        self._send(sink)
                    if sink.received > size:
                        break
            except LostError as error:
                if sink.received == size:
                    return  # all came, only the good-bye is missing; the hash decides
                self.attempts.again(error, sink.received > before)
                continue
            if sink.received != size:
                found = f"more than {size}" if sink.received > size else str(sink.received)
                raise ChangedError(
                    f"{self.wanted.name} is changing on the volume: expected {size} bytes as listed, found {found}. "
                    "When another program still writes it, wait for its end; else fetch another backup"
                )
            return

    def _send(self, sink: _Sink) -> None:
        with local_errors(self.destination.partial):
            sink.send()
        self.attempts.require_time()

    def _compare(self, sha256: str) -> None:
        name, expected = self.wanted.name, self.wanted.sha256
        if sha256 == expected:
            return
        there = self.attempts.answer(self.source.sha256)
        if expected is None:
            if sha256 == there:
                return
            raise ChangedError(
                f"{name} changed on the volume while it was fetched: it has the sha256 {there} now, {sha256} was "
                "received. When another program still writes it, wait for its end, then fetch it again"
            )
        if there == expected:
            raise FetchError(
                f"{name} was damaged on its way: expected the sha256 {expected}, which it has on the volume, received "
                f"{sha256}. What came was removed: fetch it again"
            )
        if there == sha256:
            raise ChangedError(
                f"{name} on the volume is not what its sidecar says: expected the sha256 {expected}, found {there}. It "
                "was damaged there or replaced: take another backup, or fetch an older one"
            )
        raise ChangedError(
            f"{name} changed on the volume while it was fetched: its sidecar says the sha256 {expected}, {sha256} was "
            f"received, and it has {there} now. Look at what writes to the volume, then fetch it again"
        )

    def _give_name(self, sha256: str) -> None:
        write_sidecar(self.destination, sha256, self.mode)
        with local_errors(self.destination.path):
            os.fchmod(self.descriptor, self.mode)
            os.rename(self.destination.partial, self.destination.path)
            sync_directory(self.destination.directory)


def _nobody(_size: int) -> None:
    pass


class _Sink:
    """Writes and hashes what was received, and keeps the disk busy, so that the last flush is short."""

    def __init__(
        self, descriptor: int, offset: int, hashed: hashlib._Hash | None, grown: Callable[[int], None]
    ) -> None:
        self.received = offset
        self._descriptor = descriptor
        self._written = offset
        self._flushed = offset
        self._hash = hashed
        self._grown = grown
        self._batch: list[memoryview] = []
        self._batch_bytes = 0
        self._batches: queue.Queue[list[memoryview]] = queue.Queue(_QUEUED)
        self._to_flush: queue.Queue[bool] = queue.Queue()
        self._error: OSError | None = None
        os.lseek(descriptor, offset, os.SEEK_SET)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._write, self._flush)]
        for thread in self._threads:
            thread.start()
        if offset:
            grown(offset)

    def put(self, chunk: memoryview) -> bool:
        """Takes bytes that never change again; whether enough came together to `send` them."""
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self.received += len(chunk)
        return self._batch_bytes >= _BATCH_BYTES or len(self._batch) >= _VECTORS

    def send(self) -> None:
        """Have what was put written. Raises the OSError of what was sent before, as the methods below do."""
        self.raise_error()
        if self._batch:
            self._batches.put(self._batch)
            self._batch, self._batch_bytes = [], 0

    def finish(self) -> str | None:
        """All is written, though perhaps not on the disk before `stop`; returns the hash, where one is made."""
        self.send()
        self._batches.put([])
        self._threads[0].join()
        self.raise_error()
        self._to_flush.put(True)
        return self._hash.hexdigest() if self._hash else None

    def stop(self) -> None:
        """What was put is written and on the disk, and both threads have ended; raises nothing."""
        if self._threads[0].is_alive():
            self._batches.put(self._batch)
            self._batches.put([])
            self._threads[0].join()
        self._to_flush.put(True)
        self._threads[1].join()

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        while True:
            batch = self._batches.get()
            if not batch:
                return
            if self._error is not None:
                continue  # whoever sends must not wait for ever
            try:
                self._write_batch(batch)
            except OSError as error:
                self._error = error

    def _write_batch(self, batch: list[memoryview]) -> None:
        left = sum(map(len, batch))
        views = batch
        while left:
            written = os.writev(self._descriptor, views)
            left -= written
            self._written += written
            if left:
                views = _after(views, written)
        self._grown(self._written)
        if self._hash:
            for view in batch:
                self._hash.update(view)
        if self._written - self._flushed >= _FLUSH_BYTES:
            self._flushed = self._written
            self._to_flush.put(False)

    def _flush(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._to_flush.get()
            try:
                # macOS has no fdatasync.
                getattr(os, "fdatasync", os.fsync)(self._descriptor)
            except OSError as error:
                self._error = error


def _after(views: list[memoryview], number: int) -> list[memoryview]:
    """What is left of the views after that many bytes."""
    for index, view in enumerate(views):
        if number < len(view):
            return [view[number:], *views[index + 1 :]]
        number -= len(view)
    return []
