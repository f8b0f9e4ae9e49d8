# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The upload of a local file to the volume: resumed after interruptions, hashed there, and only then named."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .._progress.event import Event
from .._progress.reporter import SILENT, Reporter
from ..errors import BackupError, LostError, UploadError
from .attempts import Attempts, RetryPolicy
from .upload_source import LocalBackup


class Target(Protocol):
    """The folder of the backups on the volume.

    Each method raises LostError where another attempt may succeed, UploadError where it may not.
    """

    def partial_size(self, partial: str) -> int:
        """The size of the partial file in bytes, 0 if there is none; the file exists afterwards."""

    def sha256(self, name: str, length: int | None = None) -> str:
        """The hash of a file, or of its first `length` bytes."""

    def send(self, partial: str, offset: int, length: int, pieces: Iterator[memoryview]) -> str:
        """Write `length` bytes to the partial file from `offset`, and flush it; the hash of the file."""

    def remove(self, partial: str) -> None:
        """Delete the partial file."""

    def publish(self, partial: str, backup: LocalBackup, keep: bool) -> bool:
        """Write checksum file and manifest, then give the partial file its name; False if the name is taken."""

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""


@dataclass(frozen=True)
class Uploaded:
    """`duration_seconds` is from the first byte that was sent to the final name; None if nothing was sent."""

    changed: bool
    resumed_bytes: int = 0
    interruptions: int = 0
    duration_seconds: float | None = None


def partial_name(backup: LocalBackup) -> str:
    """The partial file, which two files of the same name do not share; a run deletes it when it is a day old."""
    return f".{backup.name}.upload-{backup.sha256[:12]}.partial"


def upload(
    target: Target, backup: LocalBackup, retry_policy: RetryPolicy, *, keep: bool, reporter: Reporter = SILENT
) -> Uploaded:
    """Upload the file unless the volume has it. Raises UploadError; only after a LostError is the partial file kept."""
    attempts = Attempts(retry_policy, "uploading", "sending data")
    reporter.report(Event("compare_hash"))
    if attempts.retry(lambda: target.exists(backup.name)):
        require_same(backup, attempts.retry(lambda: target.sha256(backup.name)))
        return Uploaded(False, interruptions=attempts.interruptions)
    partial = partial_name(backup)
    try:
        return _Upload(target, backup, partial, attempts, reporter).run(keep)
    except LostError as error:
        raise LostError(
            f"{error}. What was sent is kept on the volume for a day: run it again to resume there"
        ) from error
    except BackupError:
        with contextlib.suppress(BackupError):  # a run deletes it later
            target.remove(partial)
        raise


def require_same(backup: LocalBackup, sha256: str | None) -> None:
    """Raises UploadError unless the backup that has the name on the volume has that hash."""
    if sha256 != backup.sha256:
        raise UploadError(
            f"{backup.name} is on the volume already, with other content: expected the sha256 {backup.sha256}, found "
            f"{sha256}. No file is replaced: fetch and compare it, or give the local file another time in its name"
        )


@dataclass(frozen=True)
class _Upload:
    target: Target
    backup: LocalBackup
    partial: str
    attempts: Attempts
    reporter: Reporter

    def run(self, keep: bool) -> Uploaded:
        target, backup, partial = self.target, self.backup, self.partial
        resumed: int | None = None
        began = time.monotonic()
        size = 0
        while True:
            self.attempts.require_time()
            before = size
            try:
                size = target.partial_size(partial)
                if size > backup.size_bytes or (
                    size and target.sha256(partial, size) != backup.sha256_of_beginning(size)
                ):
                    target.remove(partial)
                    size = target.partial_size(partial)
                if resumed is None:
                    resumed, before, began = size, size, time.monotonic()
                if size < backup.size_bytes:
                    _compare(backup, target.send(partial, size, backup.size_bytes - size, self._pieces(size)))
                if not target.publish(partial, backup, keep):
                    # Its own publication, whose answer was lost, or another file.
                    require_same(backup, target.sha256(backup.name))
                    target.remove(partial)
                return Uploaded(True, resumed, self.attempts.interruptions, time.monotonic() - began)
            except LostError as error:
                self.attempts.wait_or_give_up(error, size > before)

    def _pieces(self, offset: int) -> Iterator[memoryview]:
        meter = self.reporter.meter(Event("upload", self.backup.name, offset, self.backup.size_bytes))
        yield from meter.pieces(self.backup.pieces(offset))
        self.reporter.report(Event("check_upload"))


def _compare(backup: LocalBackup, sha256: str) -> None:
    if sha256 != backup.sha256:
        raise UploadError(
            f"{backup.name} was damaged on its way to the volume: expected the sha256 {backup.sha256}, found "
            f"{sha256}. What "
            "was sent was deleted: check the volume, and upload it again"
        )
