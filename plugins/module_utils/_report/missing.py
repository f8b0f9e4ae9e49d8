# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is missing: in the newest backup, and around it."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts, texts
from .text import enumerated

_NAMED = 8
_DRILLS = "postgres_backup_drill_schedule"


def missing(facts: Facts) -> list[str]:
    """A sentence for everything that the newest backup does not have, or that nobody has set up."""
    return [*_databases(facts), *_not_dumped(facts), *_drills(facts), *_copies(facts)]


def _databases(facts: Facts) -> Iterator[str]:
    for database in [item for item in facts.databases if item["missing"]][:_NAMED]:
        age = database["age_seconds"]
        where = f"its newest backup is {database['newest']}" if age is not None else "no backup contains it"
        yield f"Database {database['name']}: it could not be dumped; {where}."


def _not_dumped(facts: Facts) -> Iterator[str]:
    reasons = {
        "excluded_databases": "Databases that were excluded on request: {}.",
        "skipped_databases": "Databases that do not allow connections: {}.",
        "invalid_databases": "Databases that an interrupted DROP DATABASE left invalid: {}.",
        "inaccessible_databases": "Databases that the backup user may not connect to: {}.",
    }
    invalid = texts(facts.last_run, "invalid_databases")
    for key, sentence in reasons.items():
        names = texts(facts.last_run, key)
        if key == "skipped_databases":
            # Runs of earlier versions do not distinguish the two.
            names = [name for name in names if name not in invalid]
        if names:
            yield sentence.format(enumerated(names, _NAMED))
    newest = facts.newest
    if newest is not None and newest.left_out and not texts(facts.last_run, "excluded_databases"):
        yield "Tables or rows that were left out on request: the header of the backup names them."


def _drills(facts: Facts) -> Iterator[str]:
    if facts.result["drill_schedule"] is None:
        yield f"A scheduled restore drill ({_DRILLS}): nobody has measured that the backups can be restored."
    elif facts.drill is None:
        yield "A restore drill that succeeded."


def _copies(facts: Facts) -> Iterator[str]:
    if not facts.places:
        yield f"A copy at another place: all backups are on one volume, {location(facts)}."
    behind = [str(place["name"]) for place in facts.places if place.get("is_behind") is True]
    if behind:
        yield f"Copies of the newest backups, at places that are behind: {enumerated(behind, _NAMED)}."
    if facts.places and facts.three_two_one.get("holds") is False:
        yield f"The rule 3-2-1: {facts.three_two_one.get('reason')}."


def location(facts: Facts) -> str:
    """Where the volume is, as far as it is known."""
    volume = facts.volume
    server, path, claim = (volume.get(key) for key in ("nfs_server", "nfs_path", "claim"))
    if server:
        return f"{server}:{path}"
    return f"the claim {facts.namespace}/{claim}" if claim else "that of the CronJob"
