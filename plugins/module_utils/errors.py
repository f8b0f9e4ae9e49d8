# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What can go wrong, as exceptions whose messages say what was expected, what was found and what to do.

Every BackupError is defined here: a module reports it by its `check`. No message holds a row of data, a
statement's text or a password.
"""

from __future__ import annotations

from typing import Any


class BackupError(Exception):
    """The base of every error of this collection's core.

    `check` is the word under which a module reports the failure; `partial` is what was known when it happened
    (a `Contents`, or nothing).
    """

    check = "backup"

    def __init__(self, message: str, partial: Any | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class UnreadableError(BackupError):
    """The file cannot be opened or read."""

    check = "file"


class GzipError(BackupError):
    """The file is not one whole gzip stream (RFC 1952).

    `good_bytes` counts the text, `good_compressed_bytes` the compressed bytes, up to which the data was good.
    """

    check = "gzip"

    def __init__(self, message: str, good_bytes: int, good_compressed_bytes: int) -> None:
        super().__init__(message)
        self.good_bytes = good_bytes
        self.good_compressed_bytes = good_compressed_bytes


class NotGzipError(GzipError):
    """The file does not begin as gzip does."""


class TruncatedGzipError(GzipError):
    """The file ends in the middle of a gzip member."""


class CorruptGzipError(GzipError):
    """What should be compressed data, or a member's header, is not."""


class BadChecksumError(GzipError):
    """A member's text has another CRC-32 than its trailer says."""


class BadLengthError(GzipError):
    """A member's text has another length than its trailer says."""


class TrailingDataError(GzipError):
    """After the last member comes something else than zeros."""


class DumpError(BackupError):
    """The text is not one whole dump; `offset_bytes` is the place in the text that tells."""

    check = "dump"

    def __init__(self, message: str, offset_bytes: int, partial: Any | None = None) -> None:
        super().__init__(message, partial)
        self.offset_bytes = offset_bytes


class NotADumpError(DumpError):
    """The text is not what pg_dumpall or pg_dump write in their plain format."""


class ForeignTextError(DumpError):
    """Among the dump's statements or rows is something that psql does not read as one."""


class IncompleteDumpError(DumpError):
    """The text ends before the dump does."""


class MoreThanOneDumpError(DumpError):
    """A second dump begins in the same file."""


class TextAfterDumpError(DumpError):
    """Something that is no part of a dump follows its end."""


class ChecksumFileError(BackupError):
    """The sidecar cannot be used: unreadable, not one line of sha256sum's, or naming another file."""

    check = "sidecar"


class ExpectationError(BackupError):
    """An expectation that nothing can meet, as it is written."""

    check = "expectation"


class DestinationError(BackupError):
    """A file cannot be put where it was asked to be."""

    check = "dest"


class ConcurrentFetchError(DestinationError):
    """Another fetch to the same destination is going on."""


class FetchError(BackupError):
    """A backup could not be brought here."""

    check = "fetch"


class LostError(FetchError):
    """The connection or the pod was lost: worth another try."""


class CommandFailedError(BackupError):
    """A command in a pod ended with an exit status other than 0; `stderr` is what it printed there."""

    check = "fetch"

    def __init__(self, message: str, status: int, stderr: str) -> None:
        super().__init__(message)
        self.status = status
        self.stderr = stderr


class CommandRefusedError(BackupError):
    """The API server does not run a command in a pod, and will not later; `status` is the HTTP status."""

    check = "fetch"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class GoneError(FetchError):
    """The backup is no longer on the volume."""


class ChangedError(FetchError):
    """The backup is not, or no longer, what the volume's listing said."""


class DamagedError(FetchError):
    """The bytes came as they are on the volume, and are no whole backup; `partial` holds what was found of them."""


class ListingError(BackupError):
    """The volume's listing cannot be used; `partial` is the text that came instead."""

    check = "volume"


class ClusterError(BackupError):
    """Kubernetes did not do what was asked; `check` says what it was about."""

    check = "cluster"


class NotFoundError(ClusterError):
    """The object is not there."""


class ForbiddenError(ClusterError):
    """The user may not do that."""


class UnauthenticatedError(ForbiddenError):
    """The API server does not know the user."""


class TemplateError(BackupError):
    """A CronJob from which no Job of ours can be made."""

    check = "cronjob"


class StuckError(ClusterError):
    """A pod that will not start however long one waits."""

    check = "pod"


class WaitTimeoutError(ClusterError):
    """Something took longer than the user allowed."""

    check = "timeout"


class ConcurrentRestoreError(ClusterError):
    """Another restore to the same database is running."""

    check = "busy"


class InterruptedRestoreError(ClusterError):
    """Ansible was terminated during a restore; the Job was deleted."""

    check = "interrupted"


class DrillError(BackupError):
    """A rehearsed restore that failed, or of which too little was heard."""

    check = "drill"
