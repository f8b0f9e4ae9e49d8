# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A folder with records on the volume, such as `<name>.watch`: files that are replaced atomically, and a lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from .file_replacement import flush_folder, replace_file

_LOCK, _RESERVE = "lock", "reserve"
_RESERVE_BYTES = 256 << 10
_READ_BYTES = 4 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class RecordFolder:
    """The folder; every method may raise OSError.

    It can hold a reserve of space: on a full volume, the watch must be able to record what it has reported.
    """

    def __init__(self, path: str, mode: int) -> None:
        self._path = Path(path)
        self._mode = mode
        self._lock = -1

    def acquire(self, name: str = _LOCK) -> bool:
        """Whether no other process has the lock of that name, until this one ends or `release`.

        True where files cannot be locked.
        """
        self._lock = os.open(self._path / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True

    def release(self) -> None:
        """Close the lock; does nothing without one."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def read(self, name: str) -> str | None:
        """The text of a file of the folder; None if it does not exist."""
        try:
            descriptor = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_READ_BYTES).decode("utf-8", "replace")

    def names(self, suffix: str) -> list[str]:
        """The names in the folder that end with a suffix."""
        return sorted(path.name for path in self._path.iterdir() if path.name.endswith(suffix))

    def write(self, name: str, text: str) -> None:
        """Replace a file of the folder."""
        data = f"{text}\n".encode()
        try:
            self._replace(name, data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            (self._path / _RESERVE).unlink(missing_ok=True)
            self._replace(name, data)

    def keep_reserve(self) -> None:
        """Make the reserve if it does not exist and there is space for it."""
        if not (self._path / _RESERVE).exists():
            # Not zeros, which some file systems store without using space.
            with contextlib.suppress(OSError):
                self._replace(_RESERVE, os.urandom(_RESERVE_BYTES))

    def _replace(self, name: str, data: bytes) -> None:
        replace_file(self._path / name, data, self._mode, self._path / f".{name}.partial")
        flush_folder(self._path)
