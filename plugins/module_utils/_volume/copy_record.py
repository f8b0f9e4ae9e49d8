# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The records of the copies, `<name>.copies/<place>.json`: what each place holds, and whether it works.

A record is a file on the volume: fields that are missing or of another form are taken for empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .backup_names import TIME_FORMAT, parse_time

DEFAULT_DELAY = timedelta(hours=24)


def is_elsewhere(recorded: str, configured: str) -> bool:
    """Whether a record is of another location than the configured one; False where one of them is not known."""
    return recorded != configured and "" not in (recorded, configured)


@dataclass(frozen=True)
class Copy:
    """A copy of a backup at a place; `proven` is when its bytes were found to be those of `sha256`, None if never.

    `proof` is how: `read_back`, or `store` for the hashes of a store. `locked_until` is None without Object Lock.
    """

    backup: str
    sha256: str
    size_bytes: int
    proven: datetime | None
    proof: str
    locked_until: datetime | None

    def proves(self, backup: str, sha256: str | None) -> bool:
        """Whether it is proven, and of this backup with this hash."""
        return self.proven is not None and self.backup == backup and self.sha256 == sha256


@dataclass(frozen=True)
class Place:
    """The record of a place: `state` is copied, nothing_to_do, outside_window, failed or copying, or empty.

    `time` is when the record was written, `last_success` when copying last succeeded, `failing_since` when the first of
    the failures since then was. `findings` are sentences about copies that are not as they should be. `location` is
    where the copies were proven, empty if it is not known. `is_moved` where another location is configured now, at
    which nothing was listed yet: then nothing is known of its copies.
    """

    name: str
    kind: str = ""
    is_offsite: bool = False
    time: datetime | None = None
    state: str = ""
    error: str | None = None
    failing_since: datetime | None = None
    last_success: datetime | None = None
    max_delay: timedelta = DEFAULT_DELAY
    findings: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    location: str = ""
    is_moved: bool = False

    def holds(self, backup: str, sha256: str | None) -> bool:
        """Whether a proven copy of this backup, with this hash, is at the place."""
        return any(copy.proves(backup, sha256) for copy in self.copies)

    def to_dict(self) -> dict[str, Any]:
        proven = [copy for copy in self.copies if copy.proven is not None]
        newest = max((copy.backup for copy in proven), default=None)
        return {
            "name": self.name,
            "kind": self.kind,
            "offsite": self.is_offsite,
            "state": self.state or None,
            "error": self.error,
            "failing_since": _text_of(self.failing_since),
            "last_success": _text_of(self.last_success),
            "newest": newest,
            "copies": len(proven),
            "size_bytes": sum(copy.size_bytes for copy in proven),
            "is_moved": self.is_moved,
        }


def parse_places(items: Iterable[Mapping[str, Any]]) -> tuple[Place, ...]:
    """The places whose records these lines of a listing have, each once, by their names.

    Of two records of a place, the one that was written last counts: somebody may have copied the file.
    """
    places: dict[str, Place] = {}
    for item in items:
        record = item.get("record")
        if isinstance(record, dict) and _text(record, "place"):
            place = _place(record)
            before = places.setdefault(place.name, place)
            if place.time and (before.time is None or place.time > before.time):
                places[place.name] = place
    return tuple(places[name] for name in sorted(places))


def _place(record: Mapping[str, Any]) -> Place:
    delay = _number(record, "max_delay_seconds")
    copies = (_copy(item) for item in _list(record, "copies") if isinstance(item, dict))
    return Place(
        name=_text(record, "place"),
        kind=_text(record, "kind"),
        is_offsite=record.get("offsite") is True,
        time=_time(record, "time"),
        state=_text(record, "state"),
        error=_text(record, "error") or None,
        failing_since=_time(record, "failing_since"),
        last_success=_time(record, "last_success"),
        max_delay=timedelta(seconds=delay) if 0 < delay < _LONGEST else DEFAULT_DELAY,
        findings=tuple(item for item in _list(record, "findings") if isinstance(item, str) and item),
        copies=tuple(copy for copy in copies if copy.backup),
        location=_text(record, "location"),
    )


_LONGEST = 2**31


def _copy(item: Mapping[str, Any]) -> Copy:
    return Copy(
        backup=_text(item, "backup"),
        sha256=_text(item, "sha256"),
        size_bytes=_number(item, "size_bytes"),
        proven=_time(item, "proven"),
        proof=_text(item, "proof"),
        locked_until=_time(item, "locked_until"),
    )


def _number(item: Mapping[str, Any], key: str) -> int:
    value = item.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _list(item: Mapping[str, Any], key: str) -> list[Any]:
    value = item.get(key)
    return value if isinstance(value, list) else []


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _time(item: Mapping[str, Any], key: str) -> datetime | None:
    return parse_time(_text(item, key))


def _text_of(time: datetime | None) -> str | None:
    return time.strftime(TIME_FORMAT) if time else None
