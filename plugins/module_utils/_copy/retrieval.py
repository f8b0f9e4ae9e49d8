# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Brings a copy back to the volume: no input or output, `Source` and `Target` have the functions for it.

The volume gets it as a run writes a backup: a partial file, its proof, manifest and checksum file, then the name.
"""

from __future__ import annotations

import errno
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Protocol

from .._volume.catalog import COMPLETE, Backup
from .._volume.manifest import wrong_identity_by_manifest
from ..units import format_size
from .faults import PlaceError, volume_fault
from .interface import Content, Progress
from .plan import KEEP_FILE, MANIFEST
from .recompression import origin
from .transfer_progress import READ, READ_VOLUME, RETRIEVE

_NAMED = 5
# What an error means that no better rights, and no other time, would mend: blocks that cannot be read, and a file that
# was deleted since the listing.
_LOST = {errno.EIO, errno.ENOENT}


@dataclass(frozen=True)
class Replacement:
    """The hash, the size, the manifest and the checksum file of a backup that was made again from its text."""

    sha256: str
    size_bytes: int
    texts: Mapping[str, bytes]


class Source(Protocol):
    """The place. Each method may raise PlaceError or WindowClosedError."""

    def download(self, name: str, path: str, progress: Progress) -> Replacement | None:
        """Write the backup to a path; None if it has the bytes of the copy."""

    def read(self, name: str, progress: Progress) -> Content:
        """Read the copy completely."""


class Target(Protocol):
    """The volume. Each method may raise OSError."""

    def partial_path(self, name: str) -> str:
        """Where the partial file of a backup is written."""

    def read(self, name: str, progress: Progress) -> Content:
        """Read a backup completely, past the page cache."""

    def read_partial(self, name: str, progress: Progress) -> Content:
        """Read the partial file of a backup in the same way."""

    def publish(self, name: str, texts: Mapping[str, bytes], *, replaces: bool) -> None:
        """Write the small files, which are `texts` by their suffixes, and give the partial file its name.

        Raises FileExistsError if the volume has a file of that name, unless it `replaces` it.
        """

    def manifest(self, name: str) -> bytes | None:
        """The manifest of a backup on the volume; None without one."""

    def discard(self, name: str) -> None:
        """Delete the partial file of a backup if it exists and can be deleted; raises nothing."""


@dataclass(frozen=True)
class Retrieved:
    """The backup that the volume has now.

    `is_new` where it was brought back now, `replaces_damaged` where the volume had a damaged file of it, and
    `copy_is_read` where the copy was read completely.
    """

    backup: str
    sha256: str
    size_bytes: int
    is_new: bool = False
    replaces_damaged: bool = False
    copy_is_read: bool = False


def choose(wanted: str | None, place: str, copies: Sequence[Backup], strangers: Container[str] = ()) -> Backup:
    """The wanted backup among the copies at a place, newest first; by default the newest complete one.

    Raises PlaceError, also if that is one of the `strangers`, which this installation has not made.
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
    if complete[0].name in strangers:
        own = next((backup.name for backup in complete if backup.name not in strangers), "none")
        raise PlaceError(
            f"expected the newest complete copy at the place {place} to be of this installation, found "
            f"{complete[0].name}, which its record does not have. The newest one that it has is {own}. Name the backup "
            "that you want",
            is_lasting=True,
        )
    return complete[0]


def require_recipient(copy: Backup, manifest: bytes | None, public_keys: Sequence[str]) -> None:
    """Raise PlaceError if identities with these public keys certainly do not decrypt the copy, which has the manifest.

    One that names another hash may be that of another file.
    """
    wrong = wrong_identity_by_manifest(public_keys, manifest or b"", copy.name, copy.sha256)
    if wrong:
        raise PlaceError(wrong, is_lasting=True)


def retrieve(
    copy: Backup,
    source: Source,
    texts: Mapping[str, bytes],
    target: Target,
    find: Callable[[str], Backup | None],
    *,
    reads_copy: bool,
    log: Callable[[str], None],
    progress: Callable[[str, int], Progress],
) -> Retrieved:
    """Bring the copy back unless the volume has the backup, undamaged. Raises PlaceError or WindowClosedError.

    `texts` has the copy's manifest, checksum file and keep file by their suffixes; `find` returns the backup of a name
    that the volume has now. With `reads_copy`, the copy is read even if it need not be brought back. `progress` is
    called with the activity (transfer_progress.py) and the size of the file.
    """
    name, sha256, size = copy.name, copy.sha256 or "", copy.size_bytes
    copied = origin(texts.get(MANIFEST), sha256)
    there = _same(find(name), name, target, copied)
    if there is not None:
        found = str(there.sha256)
        damage = _damage(target, name, found, progress(READ_VOLUME, there.size_bytes))
        if damage is None:
            log(f"the volume has {name}, undamaged")
            if reads_copy:
                _check(name, size, sha256, source.read(name, progress(READ, size)))
                log(f"proven: the copy of {name}")
            return Retrieved(name, found, there.size_bytes, copy_is_read=reads_copy)
        log(f"WARNING: {name} on the volume is damaged ({damage}): it is replaced")
        # Whether it is kept is known from the volume.
        texts = {suffix: text for suffix, text in texts.items() if suffix != KEEP_FILE}
    log(f"copying {name} ({format_size(size)}) to the volume")
    try:
        replacement = source.download(name, target.partial_path(name), progress(RETRIEVE, size))
        if replacement is not None:
            size, sha256 = replacement.size_bytes, replacement.sha256
            kept = {suffix: text for suffix, text in texts.items() if suffix == KEEP_FILE}
            texts = {**kept, **replacement.texts}
        _check(name, size, sha256, target.read_partial(name, progress(READ_VOLUME, size)))
        target.publish(name, texts, replaces=there is not None)
    except FileExistsError as error:
        # Another call, perhaps one whose Ansible was killed, has brought it back meanwhile.
        there = _same(find(name), name, target, copied)
        if there is None:
            raise volume_fault(error) from error
        log(f"the volume has {name} meanwhile")
        return Retrieved(name, str(there.sha256), there.size_bytes, copy_is_read=True)
    except OSError as error:
        raise volume_fault(error) from error
    finally:
        target.discard(name)
    log(f"proven: {name}")
    return Retrieved(name, sha256, size, is_new=True, replaces_damaged=there is not None, copy_is_read=True)


def _same(there: Backup | None, name: str, target: Target, copied: str) -> Backup | None:
    """The backup that the volume has; None without one. Raises PlaceError if its origin is not that of the copy."""
    if there is None or (there.sha256 and origin(target.manifest(name), there.sha256) == copied):
        return there
    raise PlaceError(
        f"the volume has another file of the name {name}: expected the sha256 {copied}, found "
        f"{there.sha256 or 'no checksum file'}. Verify it, and move it away",
        is_lasting=True,
    )


def _damage(target: Target, name: str, sha256: str, progress: Progress) -> str | None:
    """What is wrong with a backup on the volume; None if it has that hash."""
    try:
        found = target.read(name, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno not in _LOST:
            raise PlaceError(f"{name} on the volume cannot be read: {reason}", is_lasting=True) from error
        return reason
    return None if found.sha256 == sha256 else f"expected the sha256 {sha256}, found {found.sha256}"


def _check(name: str, size_bytes: int, sha256: str, found: Content) -> None:
    if found.sha256 != sha256:
        raise PlaceError(
            f"the copy of {name} is damaged: expected {size_bytes} bytes with the sha256 {sha256}, found "
            f"{found.size_bytes} bytes with {found.sha256}. Take an older backup, or another place",
            is_lasting=True,
        )
