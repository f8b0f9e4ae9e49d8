# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The configuration of the copies: the places, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .window import Window, parse_window

S3, SFTP, NFS, CLAIM, RESTIC = "s3", "sftp", "nfs", "claim", "restic"
MOUNTED_KINDS = (NFS, CLAIM)


@dataclass(frozen=True)
class PlaceOptions:
    """A place: `name` is unique, `secrets` the folder with the files of its Secret, `mount` where it is mounted.

    `store` is the kind of the store: that of the place, or for a restic repository that of the place where it lies.
    `location` is where its files lie: another text after a change of the kind, the server, the folder and the like.
    `options` are those of the store, `policy` has the `keep_*` variables of its retention. `bandwidth_bytes` is for a
    second, None without a limit. `lock_days` is 0 without Object Lock. With `reads_back`, a copy is proven by reading
    it; otherwise by the hashes of the store. `is_offsite` and `max_delay` are for those who read the record.
    """

    name: str
    kind: str
    store: str
    location: str
    secrets: str
    mount: str
    options: Mapping[str, Any]
    policy: Mapping[str, Any]
    bandwidth_bytes: int | None
    window: Window | None
    lock_days: int
    lock_mode: str
    reads_back: bool
    is_offsite: bool
    max_delay: timedelta

    @property
    def is_mounted(self) -> bool:
        return self.store in MOUNTED_KINDS

    @property
    def folder(self) -> str:
        """The folder without slashes at its ends; on an SFTP server, the first one shows that it begins at the root."""
        given = str(self.options.get("folder") or "")
        return "/" * (self.store == SFTP and given.startswith("/")) + given.strip("/")


@dataclass(frozen=True)
class Configuration:
    """An installation and its places; `file_mode` is that of all files, `time_zone` that of the windows."""

    name: str
    namespace: str
    time_zone: str
    file_mode: int
    places: tuple[PlaceOptions, ...]

    @property
    def umask(self) -> int:
        """That of files with `file_mode`; a folder can be searched by those who may read its files."""
        searchable = (self.file_mode & 0o444) >> 2
        return 0o777 & ~(0o700 | self.file_mode | searchable)


def parse_configuration(content: Mapping[str, Any], secrets: str, mounts: str) -> Configuration:
    """The configuration that `copy_jobs` of the role has written.

    `secrets` and `mounts` are the folders of the places', each with a folder for each place, named by its number.
    Raises KeyError, TypeError or ValueError for another one.
    """
    return Configuration(
        name=content["name"],
        namespace=content["namespace"],
        time_zone=content["time_zone"],
        file_mode=int(content["file_mode"], 8),
        places=tuple(
            PlaceOptions(
                name=place["name"],
                kind=place["kind"],
                store=place.get("repository") or place["kind"],
                location=place["location"],
                secrets=f"{secrets}/{number}",
                mount=f"{mounts}/{number}",
                options=place["options"],
                policy=place["policy"],
                bandwidth_bytes=place["bandwidth_bytes"],
                window=parse_window(place["window"]) if place["window"] else None,
                lock_days=place["lock_days"],
                lock_mode=place["lock_mode"],
                # Only a store that computes hashes of what it receives can prove a copy without reading.
                reads_back=place["read_back"] or place["kind"] != S3,
                is_offsite=place["offsite"],
                max_delay=timedelta(seconds=place["max_delay_seconds"]),
            )
            for number, place in enumerate(content["places"])
        ),
    )
