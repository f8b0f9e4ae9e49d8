# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The listing that `backup.sh list` prints, as objects. Verdicts and their reasons are the script's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import ListingError
from .backup_names import TIME_FORMAT, parse_time, time_in_name

COMPLETE, UNCHECKED, DAMAGED = "complete", "unchecked", "damaged"
# What retention.awk says of a backup whose name lies ahead of the clock.
_FUTURE = "dated in the future"
# The script shows the content of these files as it is, in this order, at the end of its last line.
_LAST_DRILL, _LAST_RUN = ',"last_drill":', ',"last_run":'


@dataclass(frozen=True)
class Backup:
    """One backup on the volume; `sha256` is the sidecar's, None where there is none that names it."""

    name: str
    created: datetime
    size_bytes: int
    sha256: str | None
    state: str
    verdict: str
    reasons: tuple[str, ...]

    @property
    def is_future(self) -> bool:
        return _FUTURE in self.reasons

    def to_dict(self, now: datetime) -> dict[str, Any]:
        return {
            "name": self.name,
            "created": self.created.strftime(TIME_FORMAT),
            "age_seconds": int((now - self.created).total_seconds()),
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "state": self.state,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class Catalog:
    """Every backup on a volume, newest first, and what the script says of the volume itself.

    `source` is what is mounted there (`server:/path` for NFS), None where nothing is; `policy` has the script's
    `keep_*` settings; `last_run` is the content of last-run.json, None where no run left one, and `last_drill` that of
    last-drill.json.
    """

    backups: tuple[Backup, ...]
    path: str
    source: str | None
    size_bytes: int
    free_bytes: int
    policy: dict[str, Any]
    last_run: dict[str, Any] | None
    last_drill: dict[str, Any] | None = None

    def newest(self, state: str = COMPLETE) -> Backup | None:
        """The newest backup in that state that is not dated in the future."""
        return next((backup for backup in self.backups if backup.state == state and not backup.is_future), None)

    def named(self, name: str) -> Backup | None:
        return next((backup for backup in self.backups if backup.name == name), None)


def _objects(lines: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The JSON objects among the lines, and the other lines, which are messages for people."""
    objects: list[dict[str, Any]] = []
    messages: list[str] = []
    for line in lines:
        if line.startswith('{"type":'):
            found = _parsed(line)
            if found is not None:
                objects.append(found)
                continue
        if line.strip():
            messages.append(line)
    return objects, messages


def _parsed(line: str) -> dict[str, Any] | None:
    before_run, _, run = line.partition(_LAST_RUN)
    before_drill = before_run.partition(_LAST_DRILL)[0]
    for text in (
        line,
        f"{before_run}{_LAST_RUN}null}}",
        f"{before_drill}{_LAST_RUN}{run}",
        f"{before_drill}{_LAST_RUN}null}}",
    ):
        try:
            found: dict[str, Any] = json.loads(text, object_pairs_hook=_once)
        except ValueError:
            continue  # somebody else's last-run.json or last-drill.json must not hide the backups
        return found
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a last-run.json that closes its own must not say anew what the script said before it."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def parse_listing(lines: Iterable[str]) -> Catalog:
    """The catalog that the script's lines describe; raises ListingError when the listing did not come to its end."""
    objects, messages = _objects(lines)
    volume = next((found for found in objects if found["type"] == "volume"), None)
    if volume is None:
        text = "\n".join(messages[-20:])
        raise ListingError(
            "the backup volume could not be listed: expected a listing, found "
            f"{text or 'nothing'}. Look at the volume and at the image's programs",
            text,
        )
    try:
        backups = tuple(_backup(found) for found in objects if found["type"] == "backup")
        return Catalog(
            backups=backups,
            path=volume["path"],
            source=volume["source"],
            size_bytes=volume["size_bytes"],
            free_bytes=volume["free_bytes"],
            policy=volume["policy"],
            last_run=volume["last_run"],
            last_drill=volume.get("last_drill"),
        )
    except (KeyError, TypeError) as error:
        raise ListingError(f"the backup volume's listing is not of this version: {error!r}") from error


@dataclass(frozen=True)
class Plan:
    """What `backup.sh prune` did, or with --dry-run would do: `backups` are those that were there, newest first."""

    backups: tuple[Backup, ...]
    deleted: tuple[str, ...]
    freed_bytes: int


def parse_plan(lines: Iterable[str]) -> Plan:
    """The plan that the script's lines describe.

    Raises ListingError when it did not come to its end; `partial` is the Plan of what was deleted, where one is known.
    """
    objects, messages = _objects(lines)
    found = next((found for found in objects if found["type"] == "prune"), None)
    text = "\n".join(messages[-20:])
    if found is None:
        raise ListingError(
            f"retention could not be applied: expected its result, found {text or 'nothing'}. Look at the volume", text
        )
    backups = tuple(_backup(found) for found in objects if found["type"] == "backup")
    plan = Plan(backups, tuple(found["deleted"]), found["freed_bytes"])
    if any("FAILED" in message for message in messages):
        raise ListingError(f"retention was applied in part, {len(plan.deleted)} deleted: {text}", plan)
    return plan


def _backup(found: dict[str, Any]) -> Backup:
    # Whoever fetches puts a file of this name on this machine: it is no path, whatever a pod says.
    if "/" in found["name"] or time_in_name(found["name"]) is None:
        raise ListingError(f"the backup volume's listing is not to be trusted: {found['name']!r} is no backup's name")
    created = parse_time(found["created"])
    if created is None:
        raise KeyError(f"created: {found['created']}")
    return Backup(
        name=found["name"],
        created=created,
        size_bytes=found["size_bytes"],
        sha256=found["sha256"],
        state=found["state"],
        verdict=found["verdict"],
        reasons=tuple(found["reasons"]),
    )
