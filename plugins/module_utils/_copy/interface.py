# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What an attempt needs of a place, and of what judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from .._volume.catalog import Backup, Plan
from .plan import Entry
from .record import Unfinished

Progress = Callable[[int], None]


class Content(Protocol):
    """What was read of a file."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def sha256(self) -> str: ...


class Uploaded(Protocol):
    """A file that was uploaded, which can be read under its name.

    If the store's hash shall prove it, `source` is what was read of the backup meanwhile, and `etag` the hash that the
    store should have of it. Else both are None.
    """

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> Content | None: ...

    @property
    def etag(self) -> str | None: ...


class Place(Protocol):
    """What is done at a place. Each method may raise PlaceError or WindowClosedError."""

    def list_files(self) -> dict[str, Entry]: ...

    def upload(self, name: str, lock_until: datetime | None, progress: Progress) -> Uploaded:
        """Copy a backup of the volume. May raise OSError."""

    def read(self, name: str, progress: Progress) -> Content: ...

    def read_source(self, name: str) -> Content:
        """Read the backup on the volume. May raise OSError."""

    def read_text(self, name: str) -> bytes | None:
        """The manifest, checksum file or keep file of a backup on the volume; None without it. May raise OSError."""

    def rename(self, uploaded: str, name: str) -> None: ...

    def write_text(self, name: str, text: bytes, lock_until: datetime | None) -> None: ...

    def locked_until(self, name: str) -> datetime | None: ...

    def read_etag(self, name: str) -> str | None:
        """The hash that the store has of a file, None if it shows none."""

    def delete(self, name: str) -> None: ...

    def remove_unlisted_uploads(self, prefix: str, is_forgotten: Callable[[str, str], bool]) -> int:
        """Remove unfinished uploads of names with the prefix which `list_files` does not have; the number of them.

        `is_forgotten` is called with the name and the time of each of them.
        """

    def finish(self) -> None:
        """What has to be done after the last deletion."""

    @property
    def unfinished(self) -> Unfinished:
        """What the next attempt has to do if this one ends now."""


class Judge(Protocol):
    """What the script finds at a place."""

    def checksums(self) -> Mapping[str, str]:
        """The hashes of the checksum files at the place, by the names of the backups. May raise PlaceError."""

    def manifest_of(self, name: str) -> bytes | None:
        """The manifest of a copy at the place, after `checksums`; None without one."""

    def plan(self, entries: Mapping[str, Entry], sources: Iterable[Backup]) -> Plan:
        """What retention would do at the place if the `sources` were there too. May raise PlaceError."""
