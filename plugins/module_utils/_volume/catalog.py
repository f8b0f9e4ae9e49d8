# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The listing that `backup.sh list` prints, as objects. Verdicts and their reasons are the script's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..errors import ListingError
from ..script_1_0 import with_fields
from ..script_output import is_object
from .backup_names import TIME_FORMAT, is_encrypted_name, parse_time, time_in_name
from .copy_record import Place, parse_places
from .history import Entry, Trend, parse_entry, parse_trend
from .key_record import Key, parse_keys

COMPLETE, INCOMPLETE, UNCHECKED, DAMAGED = "complete", "incomplete", "unchecked", "damaged"
# The script prints the content of these files unchanged, in this order, at the end of its last line.
_LAST_DRILL, _LAST_RUN = ',"last_drill":', ',"last_run":'


@dataclass(frozen=True)
class Backup:
    """One backup on the volume; `sha256` is that of its checksum file, None without a checksum file that names it.

    `is_future` where the time in its name is in the future. `has_manifest` where the volume has its manifest; from that
    are `dumped`, the databases in the file, `missing`, those that could not be dumped, and `left_out`, whether
    something was left out on request. They are None where the manifest does not say it.
    """

    name: str
    created: datetime
    size_bytes: int
    sha256: str | None
    state: str
    verdict: str
    reasons: tuple[str, ...]
    is_future: bool = False
    has_manifest: bool = False
    dumped: tuple[str, ...] | None = None
    missing: tuple[str, ...] | None = None
    left_out: bool | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether only an identity shows what is in it."""
        return is_encrypted_name(self.name)

    def to_dict(self, now: datetime) -> dict[str, Any]:
        return {
            "name": self.name,
            "created": self.created.strftime(TIME_FORMAT),
            "age_seconds": int((now - self.created).total_seconds()),
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "state": self.state,
            "future": self.is_future,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "manifest": self.has_manifest,
            "dumped": None if self.dumped is None else list(self.dumped),
            "missing": None if self.missing is None else list(self.missing),
            "left_out": self.left_out,
            "encrypted": self.is_encrypted,
        }


@dataclass(frozen=True)
class Catalog:
    """Every backup on a volume, newest first, and what the script reports about the volume itself.

    `source` is what is mounted (`server:/path` for NFS), None where nothing is; `policy` has the script's `keep_*` and
    `max_deletions` settings; `last_run` is the record of the last run, None where no run has written one, `last_drill`
    that of the last drill, and `last_watch` that of the watch's last look. `places` has the records of the copies, and
    `keys` those of the recipients of encrypted backups.
    `history` and `trend` are empty unless the listing was asked for the history.
    """

    backups: tuple[Backup, ...]
    path: str
    source: str | None
    size_bytes: int
    free_bytes: int
    policy: dict[str, Any]
    last_run: dict[str, Any] | None
    last_drill: dict[str, Any] | None = None
    history: tuple[Entry, ...] = ()
    trend: Trend = field(default_factory=Trend)
    last_watch: dict[str, Any] | None = None
    places: tuple[Place, ...] = ()
    keys: tuple[Key, ...] = ()

    def newest(self, *states: str) -> Backup | None:
        """The newest backup in one of the states, by default complete, that is not dated in the future."""
        accepted = states or (COMPLETE,)
        return next((backup for backup in self.backups if backup.state in accepted and not backup.is_future), None)

    def newest_with(self, database: str) -> Backup | None:
        """The newest backup whose manifest names the database as dumped, and that is complete or incomplete."""
        return next((backup for backup in self._with_manifests() if database in (backup.dumped or ())), None)

    def databases(self) -> dict[str, Backup | None]:
        """Each database that a manifest names, by its name, with the newest backup that holds it; None without one.

        Backups without a manifest are not considered.
        """
        result: dict[str, Backup | None] = {}
        for backup in self._with_manifests():
            for name in backup.dumped or ():
                if result.get(name) is None:
                    result[name] = backup
            for name in backup.missing or ():
                result.setdefault(name, None)
        return dict(sorted(result.items()))

    def newest_with_manifest(self, count: int) -> list[Backup]:
        """The newest `count` backups whose manifests name databases, newest first."""
        return self._with_manifests()[:count]

    def _with_manifests(self) -> list[Backup]:
        return [
            backup
            for backup in self.backups
            if backup.state in (COMPLETE, INCOMPLETE) and not backup.is_future and backup.dumped is not None
        ]

    def named(self, name: str) -> Backup | None:
        return next((backup for backup in self.backups if backup.name == name), None)


def _objects(lines: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The JSON objects among the lines, and the other lines, which are messages for people."""
    objects: list[dict[str, Any]] = []
    messages: list[str] = []
    for line in lines:
        if is_object(line):
            content = _parsed(line)
            if content is not None:
                objects.append(content)
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
            content: dict[str, Any] = json.loads(text, object_pairs_hook=_with_unique_keys)
        except ValueError:
            continue  # an invalid record of a run or a drill must not hide the backups
        return content
    return None


def _with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a record with a closing brace too many must not replace what the script printed before it."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("duplicate key")
    return content


def with_size_bytes(run: dict[str, Any] | None) -> dict[str, Any] | None:
    """The result of a run with `size_bytes`, the name that every other result has for what the script calls `bytes`."""
    if run is None or "bytes" not in run:
        return run
    return {**run, "size_bytes": run["bytes"]}


def parse_listing(lines: Iterable[str]) -> Catalog:
    """The catalog that the script's lines describe; raises ListingError when the listing has no end."""
    objects, messages = _objects(lines)
    volume = next((item for item in objects if item["type"] == "volume"), None)
    if volume is None:
        text = "\n".join(messages[-20:])
        raise ListingError(
            "the backup volume could not be listed: expected a listing, found "
            f"{text or 'nothing'}. Check the volume and the image's programs",
            text,
        )
    try:
        backups = tuple(_backup(item) for item in objects if item["type"] == "backup")
        records = (item.get("record") for item in objects if item["type"] == "watch")
        entries = (parse_entry(item) for item in objects if item["type"] == "history")
        trends = (parse_trend(item) for item in objects if item["type"] == "trend")
        return Catalog(
            backups=backups,
            path=volume["path"],
            source=volume["source"],
            size_bytes=volume["size_bytes"],
            free_bytes=volume["free_bytes"],
            policy=volume["policy"],
            last_run=with_size_bytes(with_fields(volume["last_run"])),
            last_drill=with_fields(volume.get("last_drill")),
            history=tuple(entry for entry in entries if entry is not None),
            trend=next(trends, Trend()),
            last_watch=next((record for record in records if isinstance(record, dict)), None),
            places=parse_places(item for item in objects if item["type"] == "copies"),
            keys=parse_keys(item for item in objects if item["type"] == "key"),
        )
    except (KeyError, TypeError) as error:
        raise ListingError(f"the backup volume's listing is not of this version: {error!r}") from error


@dataclass(frozen=True)
class Plan:
    """What `backup.sh prune` did, or with --dry-run would do: `backups` are those before it, newest first.

    `deleted` and `failed` are names of backups; the failed ones could not be deleted. `held_back` is how many deletions
    the brake held back; then nothing is deleted.
    """

    backups: tuple[Backup, ...]
    deleted: tuple[str, ...]
    failed: tuple[str, ...]
    freed_bytes: int
    held_back: int = 0


def parse_plan(lines: Iterable[str]) -> Plan:
    """The plan that the script's lines describe.

    Raises ListingError when it has no end, or not everything was deleted, because that failed or the brake held it
    back: `partial` is the Plan then.
    """
    objects, messages = _objects(lines)
    result = next((item for item in objects if item["type"] == "prune"), None)
    text = "\n".join(messages[-20:])
    if result is None:
        raise ListingError(
            f"retention could not be applied: expected its result, found {text or 'nothing'}. Check the volume", text
        )
    backups = tuple(_backup(item) for item in objects if item["type"] == "backup")
    held_back = result.get("held_back", 0)
    plan = Plan(
        backups=backups,
        deleted=() if held_back else tuple(result["deleted"]),
        failed=tuple(result["failed"]),
        freed_bytes=0 if held_back else result["freed_bytes"],
        held_back=held_back,
    )
    if held_back and not result["dry_run"]:
        raise ListingError(
            f"retention deleted nothing: it would delete {held_back} backups at once. Check postgres_backup_keep_* and "
            "the verdicts. To allow it, set postgres_backup_allow_deletions to the date of the day (UTC) on which they "
            "may be deleted",
            plan,
        )
    if plan.failed:
        raise ListingError(f"retention was applied in part, {len(plan.deleted)} deleted: {text}", plan)
    return plan


def _backup(item: dict[str, Any]) -> Backup:
    # A fetch creates a local file with this name: a path from a compromised pod must not be accepted.
    if "/" in item["name"] or time_in_name(item["name"]) is None:
        raise ListingError(f"invalid listing of the backup volume: {item['name']!r} is not a backup name")
    created = parse_time(item["created"])
    if created is None:
        raise KeyError(f"created: {item['created']}")
    return Backup(
        name=item["name"],
        created=created,
        size_bytes=item["size_bytes"],
        sha256=item["sha256"],
        state=item["state"],
        verdict=item["verdict"],
        reasons=tuple(item["reasons"]),
        is_future=item["future"],
        # Version 1.0 had no manifests.
        has_manifest=item.get("manifest", False),
        dumped=_names(item, "dumped"),
        missing=_names(item, "missing"),
        left_out=item.get("left_out"),
    )


def _names(item: dict[str, Any], key: str) -> tuple[str, ...] | None:
    """Names of databases; raises TypeError for another value."""
    names = item.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(key)
    return tuple(names)
