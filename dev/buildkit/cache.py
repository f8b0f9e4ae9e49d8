# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Things that take long to make, kept outside of the checkout under a hash of what they are made from.

An entry is made in a temporary folder and gets its name only when it is complete, so that an interrupted build leaves
nothing that could be taken for an entry. Two processes that need the same entry wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_KEPT_UNUSED_SECONDS = 30 * 86400


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of this project's cache, below XDG_CACHE_HOME or ~/.cache."""
    home = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME") or "/root", ".cache"))
    return Path(home, "homelab-postgres-backup")


def key(parts: Iterable[str | Path]) -> str:
    """A short hash of texts and files; a folder stands for every file below it.

    A file counts with its path inside the folder, never with where the checkout lies.
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
    """The files below a folder that are sources: no compiled Python, nothing hidden."""
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and path.suffix != ".pyc" and not any(part.startswith(".") for part in relative.parts):
            yield path


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds a lock file, at the latest until this process ends, however it ends.

    `waiting` is called when another process has it.
    """
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

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()

    def path(self, name: str, entry_key: str) -> Path:
        """Where an entry lies once it is made."""
        return self.folder / name / entry_key

    def entry(self, name: str, entry_key: str, make: Callable[[Path], None]) -> Path:
        """An entry's folder; `make` fills an empty folder when there is no such entry yet.

        When a new entry is made, those of the same name that nothing has used for a month are removed.
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
    """Removes a file, or a folder and all below it, without following links out of it."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)
