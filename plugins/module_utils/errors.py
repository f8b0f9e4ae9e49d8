# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What can go wrong, as exceptions whose messages contain what was expected, what was found and what to do.

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
    """The file is not one complete gzip stream (RFC 1952).

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
    """The file ends before a gzip member does."""


class CorruptGzipError(GzipError):
    """The compressed data, or a member's header, is not valid."""


class BadChecksumError(GzipError):
    """A member's text does not have the CRC-32 that its trailer records."""


class BadLengthError(GzipError):
    """A member's text does not have the length that its trailer records."""


class TrailingDataError(GzipError):
    """The last member is followed by something other than zeros."""


class EncryptionError(BackupError):
    """An encrypted file that cannot be decrypted to its end."""

    check = "encryption"


class TruncatedFileError(EncryptionError):
    """The encrypted file ends before it should."""

    check = "cut_off"


class AlteredFileError(EncryptionError):
    """The encrypted file is not what age wrote."""

    check = "changed"


class CutOffOrAlteredFileError(EncryptionError):
    """One or the other: age cannot distinguish them within the last 64 KiB of a file whose size is not known."""

    check = "cut_off_or_changed"


class IdentityError(EncryptionError):
    """There is no identity, it is not valid, or the file was encrypted to others."""

    check = "identity"


class DumpError(BackupError):
    """The text is not one complete dump; `offset_bytes` is where in the text this was detected."""

    check = "dump"

    def __init__(self, message: str, offset_bytes: int, partial: Any | None = None) -> None:
        super().__init__(message, partial)
        self.offset_bytes = offset_bytes


class NotADumpError(DumpError):
    """The text is not what pg_dumpall or pg_dump writes in its plain format."""


class ForeignTextError(DumpError):
    """Something among the dump's statements or rows is neither a statement nor a row to psql."""


class IncompleteDumpError(DumpError):
    """The text ends before the dump does."""


class MoreThanOneDumpError(DumpError):
    """A second dump begins in the same file."""


class TextAfterDumpError(DumpError):
    """The end of the dump is followed by something that does not belong to a dump."""


class ChecksumFileError(BackupError):
    """The checksum file cannot be used: unreadable, not one line of sha256sum's, or naming another file."""

    check = "sidecar"


class ManifestError(BackupError):
    """The manifest of a backup cannot be used: damaged, of another format, or naming another backup."""

    check = "manifest"


class ExpectationError(BackupError):
    """An invalid value, or an expectation that no backup can meet as it is written."""

    check = "expectation"


class DestinationError(BackupError):
    """A file cannot be written at its destination."""

    check = "dest"


class ConcurrentFetchError(DestinationError):
    """Another fetch to the same destination is in progress."""


class FetchError(BackupError):
    """A backup could not be fetched."""

    check = "fetch"


class UndecryptedError(FetchError):
    """An encrypted backup was transferred, and no identity that was given decrypts it."""


class LostError(FetchError):
    """The connection or the pod was lost: another attempt may succeed."""


class CommandFailedError(BackupError):
    """A command in a pod ended with the exit status `status`, which is not 0; `stderr` is its standard error."""

    check = "fetch"

    def __init__(self, message: str, status: int, stderr: str) -> None:
        super().__init__(message)
        self.status = status
        self.stderr = stderr


class CommandRefusedError(BackupError):
    """The API server refuses to run a command in a pod, and always will; `status` is the HTTP status."""

    check = "fetch"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class GoneError(FetchError):
    """The backup is no longer on the volume."""


class ChangedError(FetchError):
    """The backup is not, or no longer, what the volume's listing describes."""


class SourceError(BackupError):
    """The local file of an upload cannot be read, or is not the backup that it should be."""

    check = "src"


class UploadError(BackupError):
    """A backup could not be uploaded."""

    check = "upload"


class DamagedError(FetchError):
    """The backup was received as it is on the volume, and is damaged; `partial` has what could be read of it."""


class ListingError(BackupError):
    """The volume's listing cannot be used; `partial` is the text that was received instead."""

    check = "volume"


class ClusterError(BackupError):
    """A request to Kubernetes failed; `check` is the subject of the request."""

    check = "cluster"


class NotFoundError(ClusterError):
    """The object does not exist."""


class NotInstalledError(NotFoundError):
    """The CronJob of the installation does not exist; playbooks/disaster.yml then runs the role."""

    check = "installation"


class ForbiddenError(ClusterError):
    """The user lacks the permission."""


class UnauthenticatedError(ForbiddenError):
    """The API server does not know the user."""


class TemplateError(BackupError):
    """A CronJob from which no Job of this collection can be made."""

    check = "cronjob"


class StuckError(ClusterError):
    """A pod that does not start, for a reason that does not resolve itself."""

    check = "pod"


class WaitTimeoutError(ClusterError):
    """Something took longer than the user allowed."""

    check = "timeout"


class ConcurrentRestoreError(ClusterError):
    """Another restore to the same database is running."""

    check = "busy"


class BusyError(ClusterError):
    """Another Job does what this one would do, in part."""

    check = "busy"


class InterruptedRestoreError(ClusterError):
    """Ansible was terminated during a restore; the Job was deleted."""

    check = "interrupted"


class RetrievalError(BackupError):
    """A backup could not be brought back from another place."""

    check = "copy"


class DrillError(BackupError):
    """A restore drill that failed, or whose result is missing."""

    check = "drill"


class BackupUserError(BackupError):
    """A role for backups that cannot be created on the live server, or must not be changed there."""

    check = "backup_user"
