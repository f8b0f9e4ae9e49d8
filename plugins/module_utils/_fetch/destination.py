# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Where a fetched backup is put: its partial, its sidecar, its final name, and the older ones beside it."""

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

from .._volume.backup_names import prefix_in_name, time_in_name
from .._volume.checksum_file import LIMIT_BYTES, SUFFIX, format_sidecar, parse_sidecar
from ..errors import BusyError, DestinationError, SidecarError

PARTIAL_SUFFIX = ".partial"
_PRIVATE = 0o600
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_STALE_SECONDS = 86400
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Destination:
    """The path that a backup gets; `in_directory` when the user named the directory alone.

    `elsewhere` is what the user can do where the disk is too small.
    """

    path: str
    in_directory: bool
    elsewhere: str = "take another dest"

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def directory(self) -> str:
        return os.path.dirname(self.path) or "."

    @property
    def partial(self) -> str:
        """Where the file grows; the next fetch finds it there."""
        return os.path.join(self.directory, f".{self.name}{PARTIAL_SUFFIX}")

    @property
    def sidecar(self) -> str:
        return self.path + SUFFIX


def resolve(dest: str, backup: str) -> Destination:
    """The destination of `backup` when the user asks for `dest`, a directory or a file.

    Raises DestinationError where no file can be put.
    """
    try:
        in_directory = stat.S_ISDIR(os.stat(dest).st_mode)
    except FileNotFoundError:
        in_directory = False
    except OSError as error:
        raise _cannot(dest, error) from error
    if not in_directory and dest.endswith("/"):
        raise DestinationError(f"{dest} does not exist: expected a directory. Create it, or take another dest")
    destination = Destination(os.path.join(dest, backup) if in_directory else dest, in_directory)
    try:
        _require_usable(destination)
    except OSError as error:
        raise _cannot(destination.path, error) from error
    return destination


def _require_usable(destination: Destination) -> None:
    directory = destination.directory
    if not os.path.isdir(directory):
        what = "is no directory" if os.path.lexists(directory) else "does not exist"
        raise DestinationError(
            f"{directory} {what}: expected a directory for {destination.name}. Create it, or take another dest"
        )
    for path in (destination.path, destination.sidecar):
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            raise DestinationError(
                f"{path} is a symbolic link to {os.readlink(path)}: expected a file or nothing, since putting the "
                "backup there would replace the link. Name the file itself as dest, or remove the link"
            )
        if stat.S_ISDIR(mode):
            raise DestinationError(
                f"{path} is a directory: expected a file or nothing. Remove it, or take another dest"
            )
        if not stat.S_ISREG(mode):
            raise DestinationError(f"{path} is a device, pipe or socket: expected a file or nothing. Take another dest")
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DestinationError(_not_writable(directory))


def _not_writable(path: str) -> str:
    if os.path.exists(path) and os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only: expected to write there. Take another dest"
    return (
        f"{path} cannot be written by user id {os.geteuid()}: change its owner or mode, become another user, or take "
        "another dest"
    )


def _cannot(path: str, error: OSError) -> DestinationError:
    """The error of a local file, in the words of this collection."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DestinationError(_not_writable(path if error.filename is None else os.fsdecode(error.filename)))
    if error.errno in _NO_SPACE:
        return DestinationError(
            f"the local disk of {path} is full ({error.strerror}), and what was fetched was removed again. Free some "
            "space, or take another dest"
        )
    return DestinationError(f"{path} cannot be written: {error.strerror}. Look at the path, or take another dest")


@contextmanager
def local_errors(path: str) -> Iterator[None]:
    """OSErrors of local files become DestinationErrors about `path`."""
    try:
        yield
    except OSError as error:
        raise _cannot(path, error) from error


def is_full(error: BaseException) -> bool:
    """Whether a DestinationError came from a full disk."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _NO_SPACE


def require_room(destination: Destination, needed_bytes: int) -> None:
    """Raises DestinationError when the disk cannot hold that many more bytes."""
    with local_errors(destination.directory):
        found = os.statvfs(destination.directory)
    free = found.f_bavail * found.f_frsize
    if found.f_blocks and free < needed_bytes:
        raise DestinationError(
            f"the local disk of {destination.directory} is too full: expected {needed_bytes} free bytes, found {free}. "
            f"Free some space, or {destination.elsewhere}"
        )


@contextmanager
def open_partial(destination: Destination) -> Iterator[int]:
    """The partial's descriptor, locked: no other fetch to this destination goes on meanwhile.

    An empty partial is removed at the end.
    """
    with local_errors(destination.partial):
        descriptor = _open_locked(destination)
    try:
        yield descriptor
    finally:
        try:
            found = os.fstat(descriptor)
            if found.st_size == 0 and _is_at(found, destination.partial):
                os.unlink(destination.partial)
        finally:
            os.close(descriptor)


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
                raise DestinationError(f"{path} is no file: expected the part of a fetch. Remove it") from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DestinationError(f"{path} is no file: expected the part of a fetch. Remove it")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"another fetch to {destination.path} is going on: it holds {path}. Wait for its end"
                ) from error
            found = os.fstat(descriptor)
            # The one that held it may just have given it its final name, or removed it.
            if _is_at(found, path):
                if is_new or _is_own(found, destination.directory):
                    os.fchmod(descriptor, _PRIVATE)
                    return descriptor
                os.unlink(path)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_own(found: os.stat_result, directory: str) -> bool:
    """Whether nobody else has put the file there: who owns it reads what comes into it, and under its final name too.

    A share may give all files to one user (squashing), whose directory it is then.
    """
    return found.st_nlink == 1 and found.st_uid in {os.geteuid(), os.stat(directory).st_uid}


def _is_at(found: os.stat_result, path: str) -> bool:
    try:
        return os.path.samestat(found, os.lstat(path))
    except FileNotFoundError:
        return False


def write_sidecar(destination: Destination, sha256: str, mode: int) -> None:
    """Write the sidecar beside its final name, flush it, and put it there."""
    partial = os.path.join(destination.directory, f".{destination.name}{SUFFIX}{PARTIAL_SUFFIX}")
    with local_errors(destination.sidecar):
        # One that is there was left by a fetch that was killed, or is somebody else's.
        with suppress(FileNotFoundError):
            os.unlink(partial)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, _PRIVATE), "wb") as stream:
            stream.write(format_sidecar(sha256, destination.name))
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.rename(partial, destination.sidecar)
        sync_directory(destination.directory)


def sync_directory(directory: str) -> None:
    """Flush the names in a directory; some file systems cannot, and then need not."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sidecar_says(path: str, sha256: str | None = None) -> bool:
    """Whether the backup at `path` has a sidecar that names it (and, where given, that hash)."""
    try:
        with open(path + SUFFIX, "rb") as stream:
            data = stream.read(LIMIT_BYTES)
        if sha256 is not None and data == format_sidecar(sha256, Path(path).name):
            return True
        found = parse_sidecar(data, Path(path).name)
    except (OSError, SidecarError):
        return False
    return sha256 is None or found == sha256


def surplus(destination: Destination, keep: int, backup: str) -> tuple[str, ...]:
    """The paths that go when, `backup` included, `keep` fetched ones stay in its directory, the oldest first.

    A fetched one is a file with the same prefix in its name and a sidecar that names it. Parts of fetches that ended
    more than a day ago go too.
    """
    prefix = prefix_in_name(backup)
    older, stale = [], []
    with local_errors(destination.directory), os.scandir(destination.directory) as entries:
        for entry in entries:
            if entry.name == backup or not entry.is_file(follow_symlinks=False):
                continue
            created = time_in_name(entry.name)
            if created is not None and prefix_in_name(entry.name) == prefix and sidecar_says(entry.path):
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
    """Remove files and then their sidecars."""
    for path in paths:
        with local_errors(path):
            os.unlink(path)
            if os.path.lexists(path + SUFFIX):
                os.unlink(path + SUFFIX)
