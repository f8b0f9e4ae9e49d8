# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Deletes at a place what its retention does not keep.

The checksum file goes first, so that what is left by an interruption is not called a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone

from .._volume.backup_names import time_in_name
from .faults import PlaceError
from .plan import CHECKSUM_FILE, MANIFEST, Entry, backups_among, forgotten_uploads, without
from .steps import Steps

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


def apply_retention(entries: Mapping[str, Entry], installation: str, steps: Steps) -> None:
    """Apply retention to what lies there."""
    now = steps.clock()
    for name in forgotten_uploads(entries, installation, steps.before.token, now):
        steps.delete(name)
    plan = steps.judge.plan(entries, ())
    there = set(backups_among(entries, installation))
    due = [backup.name for backup in reversed(plan.backups) if backup.verdict == "delete" and backup.name in there]
    locks = {name: _locked_until(name, steps) for name in due}
    deletable = [name for name in due if locks[name] <= now]
    if plan.held_back and _is_unexplained(entries, there, locks, now, steps):
        steps.warn(
            f"retention would delete {len(deletable)} copies at once, and deletes none. Check the keep_* options "
            "of the place"
        )
        return
    for name in deletable:
        _delete_copy(name, entries, steps)
        steps.attempt.deleted.append(name)
        steps.log(f"deleted {name}")


def _is_unexplained(
    entries: Mapping[str, Entry], there: Iterable[str], locks: Mapping[str, datetime], now: datetime, steps: Steps
) -> bool:
    """Whether the brake also holds without what is new, or was locked, since retention was last applied.

    After an outage of the place, many copies are new at once, and many locks have ended.
    """
    since = min(steps.before.judged or steps.before.last_success or now, now)
    if steps.options.policy["max_deletions"] != "":
        since = now
    new = {name for name in there if (time_in_name(name) or since) > since}
    locked = {name for name, until in locks.items() if until > since}
    return steps.judge.plan(without(entries, new | locked), ()).held_back > 0


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


def _locked_until(name: str, steps: Steps) -> datetime:
    copy = steps.copies.get(name)
    if copy is not None and copy.locked_until is not None:
        return copy.locked_until
    return (steps.locked_until(name) if steps.options.lock_days else None) or _LONG_AGO
