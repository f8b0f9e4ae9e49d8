# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Brings a copy back to the volume: no input or output, `Source` and `Target` have the functions for it.

The volume gets it as a run writes a backup: a partial file, its proof, manifest and checksum file, then the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Protocol

from .._volume.catalog import COMPLETE, Backup, Catalog
from ..units import format_size
from .faults import PlaceError, volume_fault
from .plan import MANIFEST
from .recompression import origin

_NAMED = 5


@dataclass(frozen=True)
class Replacement:
    """The hash, the size, the manifest and the checksum file of a backup that was made again from its text."""

    sha256: str
    size_bytes: int
    texts: Mapping[str, bytes]


class Source(Protocol):
    """The place. May raise PlaceError or WindowClosedError."""

    def download(self, name: str, path: str, progress: Callable[[int], None]) -> Replacement | None:
        """Write the backup to a path; None if it has the bytes of the copy."""


class Target(Protocol):
    """The volume. Each method may raise OSError."""

    def partial_path(self, name: str) -> str:
        """Where the partial file of a backup is written."""

    def read(self, name: str) -> tuple[int, str]:
        """The size and the sha256 of a file, read past the page cache."""

    def publish(self, name: str, texts: Mapping[str, bytes]) -> None:
        """Write manifest and checksum file, which are `texts` by their suffixes, and give the partial file its name."""

    def manifest(self, name: str) -> bytes | None:
        """The manifest of a backup on the volume; None without one."""

    def discard(self, name: str) -> None:
        """Delete the partial file of a backup if it exists and can be deleted; raises nothing."""


@dataclass(frozen=True)
class Retrieved:
    """The backup that the volume has now; `is_new` where it was brought back now."""

    backup: str
    sha256: str
    size_bytes: int
    is_new: bool


def choose(wanted: str | None, place: str, copies: Sequence[Backup]) -> Backup:
    """The wanted backup among the copies at a place, newest first; by default the newest complete one.

    Raises PlaceError.
    """
    proven = [backup for backup in copies if backup.sha256 is not None]
    if wanted is not None:
        found = next((backup for backup in proven if backup.name == wanted), None)
        if found is None:
            known = ", ".join(backup.name for backup in proven[:_NAMED]) or "none"
            raise PlaceError(f"expected a copy of {wanted} at the place {place}, found {known}", is_lasting=True)
        return found
    complete = [backup for backup in proven if backup.state == COMPLETE and not backup.is_future]
    if not complete:
        raise PlaceError(
            f"expected a copy of a complete backup at the place {place}, found none. Check its options, and "
            "postgres_backup_name, with which the names of the files begin",
            is_lasting=True,
        )
    return complete[0]


def retrieve(
    copy: Backup,
    source: Source,
    texts: Mapping[str, bytes],
    target: Target,
    catalog: Catalog,
    *,
    log: Callable[[str], None],
    progress: Callable[[int], None],
) -> Retrieved:
    """Bring the copy back unless the volume has it. Raises PlaceError or WindowClosedError.

    `texts` has the copy's manifest and checksum file by their suffixes.
    """
    name, sha256 = copy.name, copy.sha256 or ""
    there = catalog.named(name)
    if there is not None:
        if there.sha256 and origin(target.manifest(name), there.sha256) == origin(texts.get(MANIFEST), sha256):
            log(f"the volume has {name}")
            return Retrieved(name, there.sha256, there.size_bytes, False)
        raise PlaceError(
            f"the volume has another file of the name {name}: expected the sha256 {sha256}, found "
            f"{there.sha256 or 'no checksum file'}. Verify it, and move it away",
            is_lasting=True,
        )
    size = copy.size_bytes
    log(f"copying {name} ({format_size(size)}) to the volume")
    try:
        replacement = source.download(name, target.partial_path(name), progress)
        if replacement is not None:
            size, sha256, texts = replacement.size_bytes, replacement.sha256, replacement.texts
        found_bytes, found = target.read(name)
        if found != sha256:
            raise PlaceError(
                f"the copy of {name} is damaged: expected {size} bytes with the sha256 {sha256}, found {found_bytes} "
                f"bytes with {found}. Take an older backup, or another place",
                is_lasting=True,
            )
        target.publish(name, texts)
    except OSError as error:
        raise volume_fault(error) from error
    finally:
        target.discard(name)
    log(f"proven: {name}")
    return Retrieved(name, sha256, found_bytes, True)
