# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What has to be done at a place, from its listing, its checksum files and the record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from plugins.module_utils._copy.plan import (
    Copy,
    Entry,
    Task,
    backups_among,
    forgotten_uploads,
    oldest_proof,
    partial_name,
    still_proven,
    tasks,
)
from plugins.module_utils._volume.catalog import Backup

NOW = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
NAME = "b-2026-11-29-020000.sql.gz"
A, B = "a" * 64, "b" * 64
ENTRY = Entry(7, "2026-11-29T02:00:00Z")
SIDE = {f"{NAME}.sha256": ENTRY}
COPY = Copy(NAME, A, 7, NOW, "read_back", ENTRY.modified)


def backup(sha256: str = A, size_bytes: int = 7) -> Backup:
    return Backup(NAME, NOW, size_bytes, sha256, "complete", "keep", ())


@pytest.mark.parametrize(
    ("entries", "checksums", "is_kept", "is_lost"),
    [
        ({NAME: ENTRY, **SIDE}, {NAME: A}, True, False),
        ({NAME: Entry(8, ENTRY.modified), **SIDE}, {NAME: A}, False, False),
        ({NAME: Entry(7, "2026-11-29T03:00:00Z"), **SIDE}, {NAME: A}, False, False),
        ({NAME: ENTRY, **SIDE}, {NAME: B}, False, False),
        ({NAME: ENTRY}, {NAME: A}, False, False),
        ({NAME: ENTRY, **SIDE}, {}, False, False),
        (SIDE, {NAME: A}, False, True),
        ({}, {}, False, True),
    ],
)
def test_only_what_is_unchanged_is_still_proven(
    entries: dict[str, Entry], checksums: dict[str, str], is_kept: bool, is_lost: bool
) -> None:
    kept, lost = still_proven([COPY], entries, checksums)
    assert (kept == {NAME: COPY}, lost == [COPY]) == (is_kept, is_lost)


@pytest.mark.parametrize(
    ("sources", "entries", "checksums", "expected"),
    [
        # Only on the volume; there without a proof, as an interrupted attempt leaves it; there with another size.
        ([backup()], {}, {}, Task(NAME, A, backup(), False, False, None)),
        ([backup()], {NAME: ENTRY}, {}, Task(NAME, A, backup(), True, False, 7)),
        ([backup(size_bytes=8)], {NAME: ENTRY}, {}, Task(NAME, A, backup(size_bytes=8), False, False, 7)),
        # With a checksum file, and no longer on the volume.
        ([backup()], {NAME: ENTRY, **SIDE}, {NAME: A}, Task(NAME, A, backup(), True, True, 7)),
        ([], {NAME: ENTRY, **SIDE}, {NAME: A}, Task(NAME, A, None, True, True, 7)),
        # Nobody knows what it should be.
        ([], {NAME: ENTRY}, {}, None),
        # A checksum file that is left of a deleted copy.
        ([], SIDE, {NAME: A}, None),
        ([backup()], SIDE, {NAME: B}, Task(NAME, A, backup(), False, True, None)),
    ],
)
def test_tasks(
    sources: list[Backup], entries: dict[str, Entry], checksums: dict[str, str], expected: Task | None
) -> None:
    found = tasks([NAME], sources, entries, checksums, recorded=(), recompressed=())
    assert found == ([expected] if expected else [], [])


def test_a_copy_of_another_backup_is_a_conflict() -> None:
    """It is not replaced: another installation may have written it."""
    assert tasks([NAME], [backup()], {NAME: ENTRY, **SIDE}, {NAME: B}, recorded=(), recompressed=()) == ([], [NAME])


def test_a_copy_of_what_was_compressed_again_is_replaced() -> None:
    found, conflicts = tasks([NAME], [backup()], {NAME: ENTRY, **SIDE}, {NAME: B}, recorded=(), recompressed={NAME})
    assert ([task.is_recompressed for task in found], conflicts) == ([True], [])


def test_newest_first() -> None:
    older = "b-2026-11-28-020000.sql.gz"
    entries = {older: ENTRY, NAME: ENTRY}
    found, _conflicts = tasks([older, NAME], [], entries, {older: A, NAME: B}, recorded=(), recompressed=())
    assert [task.backup for task in found] == [NAME, older]


def test_files_of_others_are_left_alone() -> None:
    names = ["other-2026-11-29-020000.sql.gz", "b.txt", f"{NAME}.sha256", "b-x-2026-11-29-020000.sql.gz", NAME]
    assert backups_among(dict.fromkeys(names, ENTRY), "b") == [NAME]


def test_forgotten_uploads_are_old_and_ours() -> None:
    old, new = Entry(1, "2026-11-26T01:00:00.123456789Z"), Entry(1, "2026-11-29T01:00:00Z")
    ours = [f"{NAME}.1.partial", f"{NAME}.1.partial.0a1b2c3d.partial", f"{NAME}.json.0a1b2c3d.partial"]
    # Of a person, and of an installation whose name begins with ours.
    others = ["other.3.partial", f"{NAME}.4", "b-film.mkv.partial", f"b-{NAME}.5.partial"]
    entries = {f"{NAME}.2.partial": new, **dict.fromkeys((*ours, *others), old)}
    assert forgotten_uploads(entries, "b", "", NOW) == ours
    assert forgotten_uploads({f"{NAME}.1.partial": Entry(1, "")}, "b", "", NOW) == []


def test_forgotten_uploads_of_earlier_attempts() -> None:
    """Where the record has the token in their names, however new they are."""
    uploaded = [partial_name(NAME, f"{token}89abcdef") for token in ("01234567", "76543210")]
    entries = dict.fromkeys([uploaded[0], f"{uploaded[0]}.0a1b2c3d.partial", uploaded[1], NAME], ENTRY)
    now = datetime.fromisoformat(ENTRY.modified)
    assert forgotten_uploads(entries, "b", "01234567", now) == [*entries][:2]
    assert forgotten_uploads(entries, "other", "01234567", now) == []


@pytest.mark.parametrize(("days", "is_due"), [(0, False), (30, False), (31, True), (-1, False), (-31, True)])
def test_old_proofs_are_renewed_and_those_of_a_wrong_clock(days: int, is_due: bool) -> None:
    found = oldest_proof([COPY], NOW + timedelta(days=days))
    assert found == (COPY if is_due else None)
