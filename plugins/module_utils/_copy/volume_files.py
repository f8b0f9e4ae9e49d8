# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The volume as retrieval.py uses it: a backup is written there as a run writes it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .._volume.file_replacement import flush_folder, replace_file
from .interface import Progress
from .place import Content, Digest, read_flushed
from .plan import MANIFEST, PARTIAL, is_of

_RETRIEVE = "retrieve-"
# The file that is locked while a process writes partial files.
_LOCK = ".retrieve.lock"


@contextlib.contextmanager
def without_forgotten_partials(volume: str, installation: str, records: str) -> Iterator[None]:
    """First delete the partial files of calls that were killed; meanwhile, no other call deletes those of this one.

    They take space when it is needed most. While another call is active, and where files cannot be locked, they remain:
    a run deletes them when they are a day old. `records` is the folder of the lock.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # what goes wrong with the volume is found when the backup is written
            lock = os.open(Path(records, _LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, lock)
            with contextlib.suppress(BlockingIOError, PermissionError):  # another call is active
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _delete_partials(Path(volume), installation)
            fcntl.lockf(lock, fcntl.LOCK_SH)
        yield


def _delete_partials(volume: Path, installation: str) -> None:
    for path in volume.glob(f".{installation}-*.{_RETRIEVE}*{PARTIAL}"):
        if is_of(path.name[1:], installation):
            with contextlib.suppress(OSError):
                path.unlink()


class VolumeFiles:
    """The backup volume (`retrieval.Target`).

    A partial file is deleted by the next call, or by a run when it is a day old, if this process does not.
    """

    def __init__(self, folder: str, mode: int, token: str) -> None:
        self._folder = Path(folder)
        self._mode = mode
        self._token = token

    def partial_path(self, name: str) -> str:
        return str(self._partial(name))

    def _partial(self, name: str) -> Path:
        return self._folder / f".{name}.{_RETRIEVE}{self._token}{PARTIAL}"

    def read(self, name: str, progress: Progress) -> Content:
        return _read(self._folder / name, progress)

    def read_partial(self, name: str, progress: Progress) -> Content:
        return _read(self._partial(name), progress)

    def publish(self, name: str, texts: Mapping[str, bytes], *, replaces: bool) -> None:
        if not replaces and (self._folder / name).exists():
            # Its checksum file must not be replaced by that of another file.
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        with contextlib.suppress(OSError):  # not every share lets its mode be set
            self._partial(name).chmod(self._mode)
        for suffix, text in texts.items():
            path = self._folder / f"{name}{suffix}"
            replace_file(path, text, self._mode, self._partial(path.name))
        if replaces:
            self._partial(name).rename(self._folder / name)
        else:
            self._link(name)
        flush_folder(self._folder)

    def _link(self, name: str) -> None:
        # Unlike a rename, a link replaces no file that was written meanwhile; not every file system has links.
        try:
            os.link(self._partial(name), self._folder / name)
        except OSError:
            if (self._folder / name).exists():
                raise
            self._partial(name).rename(self._folder / name)

    def manifest(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / f"{name}{MANIFEST}").read_bytes()
        return None

    def discard(self, name: str) -> None:
        with contextlib.suppress(OSError):  # what went wrong before counts
            self._partial(name).unlink()


def _read(path: Path, progress: Progress) -> Content:
    digest = Digest(progress)
    read_flushed(path, digest)
    return digest.content
