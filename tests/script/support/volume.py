# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Putting backups on a volume, and telling whether a volume is as it was."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HOUR = 3600
# Records of the installation postgres-backup. A run that succeeds writes the first and the last.
LAST_RUN, LAST_DRILL, HISTORY = (
    f"postgres-backup.{record}" for record in ("last-run.json", "last-drill.json", "history.jsonl")
)
RECORDS = (LAST_RUN, HISTORY)
END = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"
DUMP = b"--\n-- PostgreSQL database cluster dump\n--\n\nSELECT 1;\n\n" + END
_LARGEST_TO_READ = 1 << 24


def backup_name(prefix: str, moment: datetime) -> str:
    """The file name of the backup that was begun at a moment."""
    return f"{prefix}-{moment.year:04d}-{moment:%m-%d-%H%M%S}.sql.gz"


def created(name: str, prefix: str) -> datetime:
    """The moment in a backup's file name."""
    return datetime.strptime(name, f"{prefix}-%Y-%m-%d-%H%M%S.sql.gz").replace(tzinfo=UTC)


def checksum_line(name: str, content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def put(path: Path, content: bytes | str, age: float = 0, now: float | None = None) -> Path:
    """A file, `age` seconds old."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if age:
        when = (datetime.now(UTC).timestamp() if now is None else now) - age
        os.utime(path, (when, when))
    return path


def put_backup(volume: Path, name: str, dump: bytes = DUMP, *, checksum_file: bool = True, age: float = 0) -> Path:
    """A backup with, or without, its checksum file."""
    content = gzip.compress(dump, 1, mtime=0)
    path = put(volume / name, content, age)
    if checksum_file:
        put(volume / f"{name}.sha256", checksum_line(name, content), age)
    return path


def give(volume: Path, uid: int) -> None:
    """Hand everything in a volume to a user, whatever it is."""
    for entry in os.scandir(volume):
        os.chown(entry.path, uid, uid, follow_symlinks=False)


@dataclass(frozen=True)
class Entry:
    """Everything about a directory entry that a run must leave as it is."""

    mode: int
    owner: tuple[int, int]
    inode: int
    size: int
    modified: int
    content: str


def _content(path: bytes, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return repr(os.readlink(path))
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_TO_READ:
        return ""
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def snapshot(directory: Path) -> dict[bytes, Entry]:
    """A volume's entries, byte for byte."""
    entries: dict[bytes, Entry] = {}
    for item in os.scandir(os.fsencode(directory)):
        status = item.stat(follow_symlinks=False)
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        entries[item.name] = Entry(
            status.st_mode,
            (status.st_uid, status.st_gid),
            status.st_ino,
            size,
            status.st_mtime_ns if not stat.S_ISDIR(status.st_mode) else 0,
            _content(item.path, status),
        )
    return entries


def without(entries: dict[bytes, Entry], *names: str) -> dict[bytes, Entry]:
    """A snapshot without some of its entries."""
    dropped = {os.fsencode(name) for name in names}
    return {name: entry for name, entry in entries.items() if name not in dropped}
