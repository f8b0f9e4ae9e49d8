# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The copies at other places: what each place has, and whether the rule 3-2-1 holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._volume.copy_health import MOVED
from ..units import format_size
from .facts import Facts, number
from .text import counted, format_short_time


@dataclass(frozen=True)
class PlaceRow:
    """A place: `newest` is the time of its newest copy, or the name of one that the volume does not have any more."""

    name: str
    kind: str
    copies: str
    size: str
    newest: str
    state: str
    is_behind: bool


def place_rows(facts: Facts) -> list[PlaceRow]:
    """None without copies."""
    created = {backup.name: backup.created for backup in facts.backups}
    rows = []
    for place in facts.places:
        newest = str(place.get("newest") or "")
        is_behind = place.get("is_behind") is True
        time = created.get(newest)
        rows.append(
            PlaceRow(
                name=str(place["name"]),
                kind=str(place.get("kind") or ""),
                copies=counted(number(place, "copies") or 0, "copy", "copies"),
                size=format_size(number(place, "size_bytes") or 0),
                newest=format_short_time(time) if time else newest or "none",
                state=": ".join(["behind" if is_behind else "not behind", *_reasons(place)]),
                is_behind=is_behind,
            )
        )
    return rows


def _reasons(place: Mapping[str, Any]) -> list[str]:
    error = place.get("error")
    reasons = [MOVED] if place.get("is_moved") is True else []
    if error:
        reasons.append(f"its last attempt failed: {error}")
    return ["; ".join(reasons)] if reasons else []


def rule_in_words(facts: Facts) -> str:
    """Whether the newest complete backup follows the rule 3-2-1; empty without copies."""
    rule = facts.three_two_one
    if not facts.places or not rule:
        return ""
    copies, storages = (number(rule, key) or 0 for key in ("copies", "storages"))
    counts = f"{counted(copies, 'copy', 'copies')} of the data on {counted(storages, 'storage')}"
    if rule.get("holds") is True:
        return f"The newest complete backup follows the rule 3-2-1: {counts}, one of them in another house."
    return f"The newest complete backup does not follow the rule 3-2-1: {rule.get('reason') or counts}."
