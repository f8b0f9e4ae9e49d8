# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The transfer of a backup to a local file: resumed after interruptions, hashed, verified, and only then named.

The data is written to a partial file next to the destination. One thread receives, another writes and hashes, a third
flushes to the disk; a separate process reads the contents if they are requested.
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
from typing import Any, BinaryIO, Callable, Protocol, cast

from .._dump.decryption import Identities
from .._progress.event import Event
from .._progress.reporter import SILENT, CountedStream, Reporter
from .._verify.verification import read_backup
from ..errors import (
    ChangedError,
    DamagedError,
    DestinationError,
    FetchError,
    IdentityError,
    LostError,
    UndecryptedError,
)
from ..findings import Failure
from .attempts import Attempts, RetryPolicy
from .destination import (
    Destination,
    checksum_file_matches,
    is_full,
    local_errors,
    open_partial,
    require_space,
    sync_directory,
    write_checksum_file,
)
from .parallel_reader import ContentsProcess, FileContents

_BATCH_BYTES = 1 << 18
_QUEUED = 8
_VECTORS = 512  # of one writev: at least 1,024 are allowed everywhere (POSIX: IOV_MAX is 16 at least; Linux: 1,024)
_FLUSH_BYTES = 1 << 25
_READ_BYTES = 1 << 20


class Source(Protocol):
    """The file on the volume.

    Both methods raise LostError where another attempt may succeed, GoneError when the file no longer exists.
    """

    def chunks(self, offset: int) -> Iterator[memoryview]:
        """The file's bytes from `offset` to its end."""

    def sha256(self, length: int | None = None) -> str:
        """The sha256 of the file's first `length` bytes, or of the complete file."""


@dataclass(frozen=True)
class RemoteFile:
    """A backup as the listing describes it; `sha256` is None when it has no checksum file."""

    name: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Transferred:
    """The result of a transfer; `duration_seconds` is from the first received byte to the final name."""

    sha256: str
    resumed_bytes: int
    interruptions: int
    duration_seconds: float
    contents: dict[str, Any] | None


def transfer(
    source: Source,
    remote: RemoteFile,
    destination: Destination,
    mode: int,
    retry_policy: RetryPolicy,
    *,
    reads_contents: bool = False,
    identities: Identities = (),
    reporter: Reporter = SILENT,
) -> Transferred:
    """Fetch the file to its destination, and write its checksum file.

    Raises FetchError and DestinationError. Only after a LostError, the partial file is kept for the next fetch.
    """
    attempts = Attempts(retry_policy)
    with open_partial(destination) as descriptor:
        try:
            work = _Transfer(source, remote, destination, mode, attempts, descriptor, reporter, identities)
            return work.run(reads_contents)
        except LostError as error:
            kept = os.fstat(descriptor).st_size
            raise LostError(
                f"{error}. {kept} of {remote.size_bytes} bytes were received and are kept: run it again to resume there"
            ) from error
        except FetchError:
            os.ftruncate(descriptor, 0)
            raise
        except DestinationError as error:
            if is_full(error):
                os.ftruncate(descriptor, 0)
            raise


def read_through(
    source: Source,
    remote: RemoteFile,
    retry_policy: RetryPolicy,
    reporter: Reporter = SILENT,
    identities: Identities = (),
) -> Transferred:
    """Read the file to its end and compare it, without keeping it; the result has its `contents`.

    It is written to a file without a name in the temporary folder, so that nothing is left over however this ends.
    Raises FetchError and DestinationError.
    """
    directory = tempfile.gettempdir()
    destination = Destination(os.path.join(directory, remote.name), True, "set TMPDIR to another folder")
    with contextlib.ExitStack() as stack:
        with local_errors(directory):
            stream = stack.enter_context(tempfile.TemporaryFile(buffering=0, dir=directory))
        try:
            attempts = Attempts(retry_policy)
            descriptor = stream.fileno()
            work = _Transfer(source, remote, destination, 0, attempts, descriptor, reporter, identities, keeps=False)
            return work.run(reads_contents=True)
        except DestinationError as error:
            if not is_full(error):
                raise
            raise DestinationError(
                f"the disk of the temporary folder {directory} is full: expected {remote.size_bytes} bytes of free "
                f"space while the backup is read. Free some space, or {destination.alternative}"
            ) from error


def hash_file(path: str, reporter: Reporter = SILENT) -> str:
    """A local file's sha256."""
    with local_errors(path), open(path, "rb", buffering=0) as stream:
        return _hash_of(stream.fileno(), reporter).hexdigest()


def matching_local_sha256(
    source: Source,
    remote: RemoteFile,
    destination: Destination,
    retry_policy: RetryPolicy,
    reporter: Reporter = SILENT,
) -> str | None:
    """The sha256 of the local file when its content is that of the remote file; otherwise None."""
    try:
        size = os.stat(destination.path).st_size
    except FileNotFoundError:
        return None
    if size != remote.size_bytes:
        return None
    local = hash_file(destination.path, reporter)
    reporter.report(Event("compare_hash"))
    expected = remote.sha256 or Attempts(retry_policy).retry(source.sha256)
    return local if local == expected else None


def repair_metadata(destination: Destination, sha256: str, mode: int, is_dry_run: bool) -> tuple[str, ...]:
    """Write a missing checksum file and set the mode of a local backup.

    Returns what was changed, or would be: `mode`, `sidecar` (the checksum file).
    """
    changes = []
    with local_errors(destination.path):
        if stat.S_IMODE(os.stat(destination.path).st_mode) != mode:
            changes.append("mode")
            if not is_dry_run:
                os.chmod(destination.path, mode)
    if not checksum_file_matches(destination.path, sha256):
        changes.append("sidecar")
        if not is_dry_run:
            write_checksum_file(destination, sha256, mode)
    return tuple(changes)


def read_contents(path: str, sha256: str, reporter: Reporter = SILENT, identities: Identities = ()) -> dict[str, Any]:
    """The contents of a local file with that hash; raises DamagedError."""
    with local_errors(path), open(path, "rb", buffering=0) as stream:
        meter = reporter.meter(Event("contents", done_bytes=0, total_bytes=os.fstat(stream.fileno()).st_size))
        actual_sha256, contents, failures = read_backup(cast(BinaryIO, CountedStream(stream, meter)), identities)
    _require_undamaged(FileContents(actual_sha256, contents.to_dict(), tuple(failures)), sha256, path)
    return contents.to_dict()


def _require_undamaged(file: FileContents, sha256: str, name: str) -> None:
    failures = file.failures
    if file.sha256 is not None and file.sha256 != sha256:
        message = f"the local disk returned other data: expected the sha256 {sha256}, found {file.sha256}"
        failures = (Failure("sha256", message), *failures)
    if [failure.check for failure in failures] == [IdentityError.check]:
        raise UndecryptedError(f"{name} was transferred unchanged, and could not be verified: {_reasons(failures)}")
    if failures:
        raise DamagedError(
            f"{name} was transferred unchanged, but the backup on the volume is damaged: {_reasons(failures)}", file
        )


def _reasons(failures: tuple[Failure, ...]) -> str:
    return "; ".join(failure.message for failure in failures)


def _hash_of(descriptor: int, reporter: Reporter) -> hashlib._Hash:
    """The sha256 of a file from its beginning to its end."""
    result = hashlib.sha256()
    meter = reporter.meter(Event("read_local", done_bytes=0, total_bytes=os.fstat(descriptor).st_size))
    offset = 0
    while True:
        data = os.pread(descriptor, _READ_BYTES, offset)
        if not data:
            return result
        result.update(data)
        offset += len(data)
        meter.reach(offset)


@dataclass
class _Transfer:
    source: Source
    remote: RemoteFile
    destination: Destination
    mode: int
    attempts: Attempts
    descriptor: int
    reporter: Reporter
    identities: Identities = ()
    began: float | None = field(default=None)
    keeps: bool = True

    def run(self, reads_contents: bool) -> Transferred:
        with local_errors(self.destination.partial):
            resumed, hashed = self._resumable_part()
        require_space(self.destination, self.remote.size_bytes - resumed)
        process = None
        if reads_contents:
            process = ContentsProcess(self.descriptor, self.remote.size_bytes, self.reporter, self.identities)
        try:
            # The process that reads the contents hashes them too.
            grown = process.grown if process else _ignore_size
            sink = _Sink(self.descriptor, resumed, None if process else hashed, grown)
            try:
                # The comparison of the hash runs during the last flush.
                sha256, contents = self._receive_all(sink, resumed, process)
            finally:
                sink.stop()
            with local_errors(self.destination.partial):
                sink.raise_error()
        finally:
            if process:
                process.stop()
        began = time.monotonic() if self.began is None else self.began
        if self.keeps:
            self._give_name(sha256)
        return Transferred(sha256, resumed, self.attempts.interruptions, time.monotonic() - began, contents)

    def _receive_all(
        self, sink: _Sink, resumed: int, process: ContentsProcess | None
    ) -> tuple[str, dict[str, Any] | None]:
        if resumed < self.remote.size_bytes:
            self._receive(sink)
        self.reporter.report(Event("flush"))
        with local_errors(self.destination.partial):
            sha256 = sink.finish()
        if process is None:
            assert sha256 is not None
            self._compare(sha256)
            return sha256, None
        file = process.finish()
        if file.sha256 is None:
            raise DestinationError(f"{self.destination.partial} cannot be read: {_reasons(file.failures)}")
        self._compare(file.sha256)
        _require_undamaged(file, file.sha256, self.remote.name)
        return file.sha256, file.contents

    def _resumable_part(self) -> tuple[int, hashlib._Hash]:
        """The length of the partial file, and its hash; it is emptied unless the remote file begins with it."""
        size = os.fstat(self.descriptor).st_size
        if 0 < size <= self.remote.size_bytes:
            local_hash = _hash_of(self.descriptor, self.reporter)
            is_known = size == self.remote.size_bytes and self.remote.sha256 is not None
            remote_sha256 = self.remote.sha256 if is_known else self.attempts.retry(lambda: self.source.sha256(size))
            if local_hash.hexdigest() == remote_sha256:
                return size, local_hash
        os.ftruncate(self.descriptor, 0)
        return 0, hashlib.sha256()

    def _receive(self, sink: _Sink) -> None:
        size = self.remote.size_bytes
        meter = self.reporter.meter(Event("fetch", self.remote.name, sink.received, size))
        while True:
            before = sink.received
            self.attempts.require_time()
            try:
                for chunk in self.source.chunks(sink.received):
                    if self.began is None:
                        self.began = time.monotonic()
                    if sink.put(chunk):
                        self._send(sink)
                        meter.reach(sink.received)
                    if sink.received > size:
                        break
            except LostError as error:
                if sink.received == size:
                    return  # everything was received, only the exit status is missing; the hash decides
                self.attempts.wait_or_give_up(error, sink.received > before)
                continue
            if sink.received != size:
                received = f"more than {size}" if sink.received > size else str(sink.received)
                raise ChangedError(
                    f"{self.remote.name} is changing on the volume: expected {size} bytes as listed, found {received}. "
                    "If another program is still writing it, wait until it has finished; otherwise fetch another backup"
                )
            return

    def _send(self, sink: _Sink) -> None:
        with local_errors(self.destination.partial):
            sink.send()
        self.attempts.require_time()

    def _compare(self, sha256: str) -> None:
        name, expected = self.remote.name, self.remote.sha256
        if sha256 == expected:
            return
        self.reporter.report(Event("compare_hash"))
        current = self.attempts.retry(self.source.sha256)
        if expected is None:
            if sha256 == current:
                return
            raise ChangedError(
                f"{name} changed on the volume while it was fetched: it has the sha256 {current} now, {sha256} was "
                "received. If another program is still writing it, wait until it has finished, then fetch it again"
            )
        if current == expected:
            raise FetchError(
                f"{name} was damaged in transit: expected the sha256 {expected}, which it has on the volume, received "
                f"{sha256}. What was received was deleted: fetch it again"
            )
        if current == sha256:
            raise ChangedError(
                f"{name} on the volume does not match its checksum file: expected the sha256 {expected}, found "
                f"{current}. It was damaged or replaced there: run another backup, or fetch an older one"
            )
        raise ChangedError(
            f"{name} changed on the volume while it was fetched: its checksum file has the sha256 {expected}, {sha256} "
            f"was received, and it has {current} now. Find out what writes to the volume, then fetch it again"
        )

    def _give_name(self, sha256: str) -> None:
        write_checksum_file(self.destination, sha256, self.mode)
        with local_errors(self.destination.path):
            os.fchmod(self.descriptor, self.mode)
            os.rename(self.destination.partial, self.destination.path)
            sync_directory(self.destination.directory)


def _ignore_size(_size: int) -> None:
    pass


class _Sink:
    """Writes and hashes what is received, and flushes it early, so that the last flush is short."""

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
        """Add bytes that do not change any more; returns whether there are enough to `send` them."""
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self.received += len(chunk)
        return self._batch_bytes >= _BATCH_BYTES or len(self._batch) >= _VECTORS

    def send(self) -> None:
        """Queue the added bytes for writing. Raises the OSError of an earlier write, as `finish` does."""
        self.raise_error()
        if self._batch:
            self._batches.put(self._batch)
            self._batch, self._batch_bytes = [], 0

    def finish(self) -> str | None:
        """Wait until everything is written, though flushed only by `stop`; returns the hash, None without one."""
        self.send()
        self._batches.put([])
        self._threads[0].join()
        self.raise_error()
        self._to_flush.put(True)
        return self._hash.hexdigest() if self._hash else None

    def stop(self) -> None:
        """Write and flush the added bytes, and wait until both threads have ended; raises nothing."""
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
                continue  # the sending thread must not wait for ever
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
    """The views without their first `number` bytes."""
    for index, view in enumerate(views):
        if number < len(view):
            return [view[number:], *views[index + 1 :]]
        number -= len(view)
    return []
