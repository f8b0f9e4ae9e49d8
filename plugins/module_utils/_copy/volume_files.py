# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The volume as retrieval.py uses it: a backup is written there as a run writes it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from .._volume.file_replacement import flush_folder, replace_file
from .interface import Progress
from .place import Content, Digest, read_flushed
from .plan import MANIFEST


class VolumeFiles:
    """The backup volume (`retrieval.Target`).

    A partial file is deleted by a run when it is a day old, if nobody else does.
    """

    def __init__(self, folder: str, mode: int, token: str) -> None:
        self._folder = Path(folder)
        self._mode = mode
        self._token = token

    def partial_path(self, name: str) -> str:
        return str(self._partial(name))

    def _partial(self, name: str) -> Path:
        return self._folder / f".{name}.{self._token}.partial"

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
