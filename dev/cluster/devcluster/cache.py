# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Things that take long to make, kept outside of the checkout under a hash of what they are made from.

An entry is made in a folder of its own and gets its name only when it is whole, so that an interrupted
build leaves nothing that could be mistaken for one. Two that want the same entry wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT_UNUSED_SECONDS = 30 * 86400


def key(parts: Iterable[str | Path]) -> str:
    """Return a short hash of texts and of files; a folder stands for every file below it.

    A file counts with its name inside what was given, never with where the checkout lies.
    """
    digest = hashlib.sha256()

    def add(label: str, content: bytes) -> None:
        digest.update(f"{label}\0{len(content)}\0".encode())
        digest.update(content)

    for part in parts:
        if isinstance(part, str):
            add("text", part.encode())
        elif part.is_dir():
            for path in sorted(files_below(part)):
                add(f"file {path.relative_to(part).as_posix()}", path.read_bytes())
        else:
            add(f"file {part.name}", part.read_bytes())
    return digest.hexdigest()[:16]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that are sources: no compiled Python, nothing hidden."""
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and path.suffix != ".pyc" and not any(part.startswith(".") for part in relative.parts):
            yield path


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file; it ends with this process, however that ends. ``waiting`` is called if it is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Inherited by no program that is started meanwhile (Python opens files close-on-exec).
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Cache:
    """The folder of entries: one subfolder for each name, in it one for each key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, entry_key: str) -> Path:
        """Return where an entry lies once it is made."""
        return self.folder / name / entry_key

    def entry(self, name: str, entry_key: str, make: Callable[[Path], None]) -> Path:
        """Return an entry's folder; ``make`` fills an empty folder with it where it is missing.

        Entries of the same name that nobody asked for in a month are removed when a new one is made.
        """
        path = self.path(name, entry_key)
        if not path.is_dir():
            with exclusive(path.parent / ".lock"):
                if not path.is_dir():
                    self._make(path, make)
        os.utime(path)
        return path

    def _make(self, path: Path, make: Callable[[Path], None]) -> None:
        for other in path.parent.iterdir():
            unused_seconds = time.time() - other.stat().st_mtime
            if other.suffix == ".partial" or (other.is_dir() and unused_seconds > _KEPT_UNUSED_SECONDS):
                remove(other)
        temporary = path.with_suffix(".partial")
        temporary.mkdir()
        try:
            make(temporary)
        except BaseException:
            remove(temporary)
            raise
        temporary.rename(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder and all below it, without following links out of it."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)
