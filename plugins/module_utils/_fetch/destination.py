# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The destination of a fetch: its partial file, its checksum file, its final name, and older backups next to it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .._volume import manifest
from .._volume.backup_names import prefix_in_name, time_in_name
from .._volume.checksum_file import LIMIT_BYTES, SUFFIX, format_checksum_file, parse_checksum_file
from ..errors import ChecksumFileError, ConcurrentFetchError, DestinationError

PARTIAL_SUFFIX = ".partial"
_PRIVATE = 0o600
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_STALE_SECONDS = 86400
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Destination:
    """The path of a fetched backup; `in_directory` when the user has named only its directory.

    `alternative` is what the user can do, apart from freeing space, where the disk is too full.
    """

    path: str
    in_directory: bool
    alternative: str = "choose another dest"

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def directory(self) -> str:
        return os.path.dirname(self.path) or "."

    @property
    def partial(self) -> str:
        """The path of the partial file, from which the next fetch resumes."""
        return os.path.join(self.directory, f".{self.name}{PARTIAL_SUFFIX}")

    @property
    def checksum_file(self) -> str:
        return self.path + SUFFIX


def resolve(dest: str, backup: str) -> Destination:
    """The destination of `backup` for the option `dest`, a directory or a file.

    Raises DestinationError where no file can be written.
    """
    try:
        in_directory = stat.S_ISDIR(os.stat(dest).st_mode)
    except FileNotFoundError:
        in_directory = False
    except OSError as error:
        raise _cannot(dest, error) from error
    if not in_directory and dest.endswith("/"):
        raise DestinationError(f"{dest} does not exist: expected a directory. Create it, or choose another dest")
    destination = Destination(os.path.join(dest, backup) if in_directory else dest, in_directory)
    try:
        _require_usable(destination)
    except OSError as error:
        raise _cannot(destination.path, error) from error
    return destination


def _require_usable(destination: Destination) -> None:
    directory = destination.directory
    if not os.path.isdir(directory):
        problem = "is not a directory" if os.path.lexists(directory) else "does not exist"
        raise DestinationError(
            f"{directory} {problem}: expected a directory for {destination.name}. Create it, or choose another dest"
        )
    for path in (destination.path, destination.checksum_file):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            raise DestinationError(
                f"{path} is a symbolic link to {os.readlink(path)}: expected a file or nothing, since the backup would "
                "replace the link. Name the file itself as dest, or delete the link"
            )
        if stat.S_ISDIR(mode):
            raise DestinationError(
                f"{path} is a directory: expected a file or nothing. Delete it, or choose another dest"
            )
        if not stat.S_ISREG(mode):
            raise DestinationError(
                f"{path} is a device, pipe or socket: expected a file or nothing. Choose another dest"
            )
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DestinationError(_not_writable(directory))


def _not_writable(path: str) -> str:
    if os.path.exists(path) and os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only. Choose another dest"
    return (
        f"{path} cannot be written by user id {os.geteuid()}: change its owner or mode, become another user, or choose "
        "another dest"
    )


def _cannot(path: str, error: OSError) -> DestinationError:
    """The DestinationError for an OSError of a local file."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DestinationError(_not_writable(path if error.filename is None else os.fsdecode(error.filename)))
    if error.errno in _NO_SPACE:
        return DestinationError(
            f"the local disk of {path} is full ({error.strerror}), and what had been fetched was deleted. Free some "
            "space, or choose another dest"
        )
    return DestinationError(f"{path} cannot be written: {error.strerror}. Check the path, or choose another dest")


@contextmanager
def local_errors(path: str) -> Iterator[None]:
    """OSErrors of local files become DestinationErrors about `path`."""
    try:
        yield
    except OSError as error:
        raise _cannot(path, error) from error


def is_full(error: BaseException) -> bool:
    """Whether the cause of a DestinationError is a full disk."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _NO_SPACE


def require_space(destination: Destination, needed_bytes: int) -> None:
    """Raise DestinationError when the disk cannot hold that many more bytes."""
    with local_errors(destination.directory):
        disk = os.statvfs(destination.directory)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < needed_bytes:
        raise DestinationError(
            f"the local disk of {destination.directory} is too full: expected {needed_bytes} free bytes, found {free}. "
            f"Free some space, or {destination.alternative}"
        )


@contextmanager
def open_partial(destination: Destination) -> Iterator[int]:
    """The descriptor of the partial file, which is locked against other fetches to this destination.

    An empty partial file is deleted at the end.
    """
    with local_errors(destination.partial):
        descriptor = _open_locked(destination)
    try:
        yield descriptor
    finally:
        try:
            status = os.fstat(descriptor)
            if status.st_size == 0 and _is_at(status, destination.partial):
                os.unlink(destination.partial)
        finally:
            os.close(descriptor)


_NOT_REGULAR = "{} is not a regular file: expected a partial download. Delete it"


def _open_locked(destination: Destination) -> int:
    path = destination.partial
    while True:
        is_new = not os.path.lexists(path)
        try:
            descriptor = os.open(path, _OPEN_FLAGS | (os.O_EXCL if is_new else 0), _PRIVATE)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise DestinationError(_NOT_REGULAR.format(path)) from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DestinationError(_NOT_REGULAR.format(path))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConcurrentFetchError(
                    f"another fetch to {destination.path} is in progress: it has locked {path}. Wait until it has ended"
                ) from error
            status = os.fstat(descriptor)
            # The fetch that had locked it may just have given it its final name, or deleted it.
            if _is_at(status, path):
                if is_new or _is_own(status, destination.directory):
                    os.fchmod(descriptor, _PRIVATE)
                    return descriptor
                os.unlink(path)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_own(status: os.stat_result, directory: str) -> bool:
    """Whether no other user has created the file: its owner can read what is written to it, also under its final name.

    On a share that maps all users to one (squashing), that user owns both the file and the directory.
    """
    return status.st_nlink == 1 and status.st_uid in {os.geteuid(), os.stat(directory).st_uid}


def _is_at(status: os.stat_result, path: str) -> bool:
    try:
        return os.path.samestat(status, os.lstat(path))
    except FileNotFoundError:
        return False


def write_checksum_file(destination: Destination, sha256: str, mode: int) -> None:
    """Write the checksum file under a temporary name, flush it, and give it its final name."""
    write_companion(destination, SUFFIX, format_checksum_file(sha256, destination.name), mode)


def write_companion(destination: Destination, suffix: str, content: bytes, mode: int) -> None:
    """Write a file whose name is that of the backup with a suffix, under a temporary name first, and flush it."""
    partial = os.path.join(destination.directory, f".{destination.name}{suffix}{PARTIAL_SUFFIX}")
    path = destination.path + suffix
    with local_errors(path):
        # An existing one is left over from a fetch that was killed, or another user's.
        with suppress(FileNotFoundError):
            os.unlink(partial)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, _PRIVATE), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.rename(partial, path)
        sync_directory(destination.directory)


def sync_directory(directory: str) -> None:
    """Flush the names in a directory; file systems that do not support this do not need it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def checksum_file_matches(path: str, sha256: str | None = None) -> bool:
    """Whether the backup at `path` has a checksum file that names it and, unless None, has the hash `sha256`."""
    try:
        with open(path + SUFFIX, "rb") as stream:
            data = stream.read(LIMIT_BYTES)
        if sha256 is not None and data == format_checksum_file(sha256, Path(path).name):
            return True
        recorded = parse_checksum_file(data, Path(path).name)
    except (OSError, ChecksumFileError):
        return False
    return sha256 is None or recorded == sha256


def backups_to_delete(destination: Destination, keep: int, backup: str) -> tuple[str, ...]:
    """The paths to delete so that its directory has `keep` fetched backups, `backup` included; the oldest first.

    A fetched backup is a file with the same prefix in its name and a checksum file that names it. Partial files of
    fetches that ended more than a day ago are deleted too.
    """
    prefix = prefix_in_name(backup)
    older, stale = [], []
    with local_errors(destination.directory), os.scandir(destination.directory) as entries:
        for entry in entries:
            if entry.name == backup or not entry.is_file(follow_symlinks=False):
                continue
            created = time_in_name(entry.name)
            if created is not None and prefix_in_name(entry.name) == prefix and checksum_file_matches(entry.path):
                older.append((created, entry.path))
            elif _is_stale(entry, prefix, backup):
                stale.append(entry.path)
    older.sort()
    return tuple(sorted(stale)) + tuple(path for _, path in older[: max(0, len(older) - (keep - 1))])


def _is_stale(entry: os.DirEntry[str], prefix: str | None, backup: str) -> bool:
    if not (entry.name.startswith(".") and entry.name.endswith(PARTIAL_SUFFIX)):
        return False
    name = entry.name[1 : -len(PARTIAL_SUFFIX)]
    return (
        name != backup
        and time_in_name(name) is not None
        and prefix_in_name(name) == prefix
        and time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS
    )


def remove(paths: tuple[str, ...]) -> None:
    """Delete files and then their checksum files and manifests."""
    for path in paths:
        with local_errors(path):
            os.unlink(path)
            if os.path.lexists(path + SUFFIX):
                os.unlink(path + SUFFIX)
            if read_manifest(path) is not None:
                os.unlink(path + manifest.SUFFIX)


def read_manifest(path: str) -> bytes | None:
    """The text of the manifest next to the local backup `path`; None if there is none. Raises OSError.

    Another file of that name is not a manifest.
    """
    name = path + manifest.SUFFIX
    try:
        if not stat.S_ISREG(os.lstat(name).st_mode):
            return None
        with open(name, "rb") as stream:
            text = stream.read(manifest.LIMIT_BYTES)
    except FileNotFoundError:
        return None
    return text if manifest.is_manifest(text) else None
