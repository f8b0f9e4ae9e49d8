# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What lies at a place, and what is to do there: pure functions of the listing, the record and the verdicts."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from .._volume.backup_names import prefix_in_name, time_in_name
from .._volume.catalog import COMPLETE, INCOMPLETE, Backup, Catalog
from .._volume.checksum_file import SUFFIX

CHECKSUM_FILE, MANIFEST, KEEP_FILE, PARTIAL = SUFFIX, ".json", ".keep", ".partial"
# An upload that another copier began before, or that no record has, has ended, or never will.
_PARTIAL_AGE = timedelta(days=2)
# After this time a copy is read again: what a store keeps can be damaged without a change of its listing.
_PROOF_AGE = timedelta(days=30)


@dataclass(frozen=True)
class Entry:
    """A file at a place: `modified` is when it was written, as rclone shows it."""

    size_bytes: int
    modified: str


@dataclass(frozen=True)
class Copy:
    """A copy that was proven at the time `proven` (UTC), when its file was the one of `modified`.

    `proof` is `read_back` or `store` (by its hashes). `locked_until` is None without Object Lock.
    """

    backup: str
    sha256: str
    size_bytes: int
    proven: datetime
    proof: str
    modified: str
    locked_until: datetime | None = None


@dataclass(frozen=True)
class Task:
    """A backup that should be proven at the place, from the newest on.

    `sha256` is the expected hash. `source` is the backup on the volume, None where only the place has it. `is_there`
    where the place has a file of this name and of the expected size: it may only lack its proof. `was_copy` where it
    had a checksum file, or was proven earlier. `found_bytes` is the size of the file there, None without one.
    `is_recompressed` where the volume's file was made again from the text of the one there.
    """

    backup: str
    sha256: str
    source: Backup | None
    is_there: bool
    was_copy: bool
    found_bytes: int | None
    is_recompressed: bool = False


def backups_among(entries: Mapping[str, Entry], installation: str) -> list[str]:
    """The names of the installation's backups among the files of a place, newest first."""
    names = [name for name in entries if time_in_name(name) and prefix_in_name(name) == installation]
    return sorted(names, reverse=True)


def complete_among(entries: Mapping[str, Entry], installation: str) -> set[str]:
    """The names of the installation's backups that have a checksum file there."""
    return {name for name in backups_among(entries, installation) if f"{name}{CHECKSUM_FILE}" in entries}


def without(entries: Mapping[str, Entry], backups: Container[str]) -> dict[str, Entry]:
    """The files of a place without those of these backups."""
    endings = (CHECKSUM_FILE, MANIFEST, KEEP_FILE)
    owners = {name: next((name[: -len(end)] for end in endings if name.endswith(end)), name) for name in entries}
    return {name: entry for name, entry in entries.items() if owners[name] not in backups}


def candidates(catalog: Catalog) -> list[Backup]:
    """The backups on the volume that may be copied: those that a run has proven."""
    return [
        backup
        for backup in catalog.backups
        if backup.state in (COMPLETE, INCOMPLETE) and backup.sha256 and not backup.is_future
    ]


def still_proven(
    copies: Iterable[Copy], entries: Mapping[str, Entry], checksums: Mapping[str, str]
) -> tuple[dict[str, Copy], list[Copy]]:
    """The copies that lie there as they were proven, by name; and those that are no longer there."""
    kept, lost = {}, []
    for copy in copies:
        entry = entries.get(copy.backup)
        if entry is None:
            lost.append(copy)
        elif (
            entry == Entry(copy.size_bytes, copy.modified)
            and checksums.get(copy.backup) == copy.sha256
            and f"{copy.backup}{CHECKSUM_FILE}" in entries
        ):
            kept[copy.backup] = copy
    return kept, lost


def tasks(
    missing: Iterable[str],
    sources: Iterable[Backup],
    entries: Mapping[str, Entry],
    checksums: Mapping[str, str],
    *,
    recorded: Container[str],
    recompressed: Container[str],
) -> tuple[list[Task], list[str]]:
    """What has to be uploaded or proven again, newest first; and the names whose content differs from the volume's.

    `missing` has the backups that retention would keep there and that are not proven, `checksums` the hashes of the
    checksum files there, `recorded` the backups that were proven earlier, `recompressed` those whose files there and on
    the volume have the same text.
    """
    by_name = {backup.name: backup for backup in sources}
    result, conflicts = [], []
    for name in sorted(missing, reverse=True):
        source, entry, there = by_name.get(name), entries.get(name), checksums.get(name)
        is_recompressed = name in recompressed
        is_other = source is not None and there is not None and entry is not None and there != source.sha256
        if is_other and not is_recompressed:
            conflicts.append(name)
            continue
        expected = source.sha256 if source is not None else there
        if expected is None:
            # It is not known what it should be.
            continue
        is_there = entry is not None and (source is None or entry.size_bytes == source.size_bytes)
        if source is None and not is_there:
            continue
        result.append(
            Task(
                name,
                expected,
                source,
                is_there,
                there is not None or name in recorded,
                entry.size_bytes if entry else None,
                is_recompressed,
            )
        )
    return result, conflicts


def oldest_proof(copies: Iterable[Copy], now: datetime) -> Copy | None:
    """The copy that should be read again, None if each was proven not long ago.

    A proof that is far in the future was dated by a wrong clock.
    """
    oldest = max(copies, key=lambda copy: abs(now - copy.proven), default=None)
    return oldest if oldest is not None and abs(now - oldest.proven) > _PROOF_AGE else None


def partial_name(backup: str, upload: str) -> str:
    """The name of a backup at a place until it is proven; `upload` begins with the token of the record."""
    return f"{backup}.{upload}{PARTIAL}"


def forgotten_uploads(entries: Mapping[str, Entry], installation: str, token: str, now: datetime) -> list[str]:
    """Files of uploads that were interrupted: long ago, or by an earlier attempt with the same record.

    Only one attempt at a time has the record, whose token is in their names.
    """
    return [
        name
        for name, entry in entries.items()
        if name.endswith(PARTIAL)
        and (
            is_forgotten_upload(name, entry.modified, installation, now)
            or (token != "" and f".{token}" in name and is_of(name, installation))
        )
    ]


def is_forgotten_upload(name: str, began: str, installation: str, now: datetime) -> bool:
    """Whether an upload of that file has begun so long ago that nobody continues it."""
    return is_of(name, installation) and _is_old(began, now)


def is_of(name: str, installation: str) -> bool:
    """Whether a name is that of a backup, also with a point and more: rclone adds more to it than this program does."""
    ends = (at for at, character in enumerate(f"{name}.") if character == ".")
    return any(prefix_in_name(name[:end]) == installation for end in ends)


def _is_old(modified: str, now: datetime) -> bool:
    try:
        # rclone writes nanoseconds, which fromisoformat refuses before Python 3.11.
        return now - datetime.fromisoformat(f"{modified[:19]}+00:00") > _PARTIAL_AGE
    except ValueError:
        return False
