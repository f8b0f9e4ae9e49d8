# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Deletes at a place what its retention does not keep.

The checksum file goes first, so that what is left by an interruption is not called a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from .faults import PlaceError
from .plan import CHECKSUM_FILE, MANIFEST, Entry, backups_among, forgotten_uploads
from .steps import Steps


def apply_retention(entries: Mapping[str, Entry], installation: str, steps: Steps) -> None:
    """Apply retention to what lies there."""
    now = steps.clock()
    for name in forgotten_uploads(entries, installation, now):
        steps.delete(name)
    plan = steps.judge.plan(entries, ())
    there = set(backups_among(entries, installation))
    due = [name for name in plan.deleted if name in there]
    if plan.held_back:
        steps.warn(
            f"retention would delete {plan.held_back} copies at once, and deletes none. Check the keep_* options "
            "of the place"
        )
        return
    for name in due:
        if _is_locked(name, now, steps):
            continue
        _delete_copy(name, entries, steps)
        steps.attempt.deleted.append(name)
        steps.log(f"deleted {name}")


def _delete_copy(name: str, entries: Mapping[str, Entry], steps: Steps) -> None:
    # First in the record: what an attempt that is killed has deleted is not missed.
    copy = steps.copies.pop(name, None)
    steps.remember()
    try:
        if f"{name}{CHECKSUM_FILE}" in entries:
            steps.delete(f"{name}{CHECKSUM_FILE}")
    except PlaceError:
        if copy is not None:
            steps.copies[name] = copy
        raise
    # No manifest is left without its backup.
    for file in (f"{name}{MANIFEST}", name):
        if file in entries:
            steps.delete(file)


def _is_locked(name: str, now: datetime, steps: Steps) -> bool:
    copy = steps.copies.get(name)
    if copy is not None and copy.locked_until is not None:
        return copy.locked_until > now
    if not steps.options.lock_days:
        return False
    found = steps.locked_until(name)
    return found is not None and found > now
