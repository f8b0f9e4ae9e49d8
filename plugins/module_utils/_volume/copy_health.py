# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Whether every place has its copies, and whether what exists fulfils the rule 3-2-1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ..findings import Failure
from ..units import format_duration
from .catalog import COMPLETE, Backup, Catalog
from .copy_record import DEFAULT_DELAY, Place, is_elsewhere

# The copies may miss this many of their times before that is a problem: their Job may have to wait for a node.
_MISSED_TIMES = 3
_DEFAULT_INTERVAL = timedelta(hours=1)
_NAMED = 5
MOVED = "its location was changed, and nothing was listed at the new one yet"
_ADVICE = "Correct it, and run homelab.postgres_backup.copy"
# 3-2-1: the live data, the backup volume and a place; on two storages; one of them offsite.
_COPIES, _STORAGES = 3, 2


@dataclass(frozen=True)
class ConfiguredPlace:
    """A place as the installation has it.

    `storage` is where it stores, such as a server, and `location` where its files lie; empty if it is not known.
    """

    name: str
    kind: str
    is_offsite: bool = False
    max_delay: timedelta = DEFAULT_DELAY
    storage: str = ""
    location: str = ""


@dataclass(frozen=True)
class CopySchedule:
    """A CronJob of the copies: `interval` is the longest time between two Jobs, `since` when it last changed (UTC).

    Both are None where they are not known; `places` is None where the CronJob does not show them. `mounts` is the name
    of the place that it mounts, empty for the CronJob of the places that are reached over the network. `is_missing`
    where the installation should have the CronJob, and somebody has deleted it.
    """

    is_suspended: bool
    interval: timedelta | None
    since: datetime | None
    places: tuple[ConfiguredPlace, ...] | None = None
    mounts: str = ""
    is_missing: bool = False

    @property
    def limit(self) -> timedelta:
        """How long no Job may have written a record."""
        return _MISSED_TIMES * (self.interval or _DEFAULT_INTERVAL)


def places_of(schedules: Sequence[CopySchedule], catalog: Catalog) -> tuple[Place, ...]:
    """The places of the installation, in the order of its CronJobs; those without a record are empty.

    The records of a place that is no longer configured are left out, and so are copies at a location that is not.
    Nothing without copies.
    """
    if any(schedule.places is None for schedule in schedules):
        return catalog.places
    records = {place.name: place for place in catalog.places}
    return tuple(
        _as_configured(each, records.get(each.name)) for schedule in schedules for each in schedule.places or ()
    )


def _as_configured(configured: ConfiguredPlace, record: Place | None) -> Place:
    """What is known of the place. What a record of another location has is not known of this one, except attempts."""
    if record is not None and not is_elsewhere(record.location, configured.location):
        return record
    empty = Place(configured.name, configured.kind, configured.is_offsite, max_delay=configured.max_delay)
    if record is None:
        return empty
    return replace(
        empty,
        time=record.time,
        state=record.state,
        error=record.error,
        failing_since=record.failing_since,
        is_moved=True,
    )


def missing_backup(place: Place, catalog: Catalog, now: datetime) -> Backup | None:
    """The backup that makes the place be behind; None if it is not.

    It is the newest complete one that is older than the place's max_delay, if the place has neither it nor a newer one:
    retention keeps the newest copy at each place, so that no other reason explains it.
    """
    complete = [backup for backup in catalog.backups if backup.state == COMPLETE and not backup.is_future]
    due = next((backup for backup in complete if now - backup.created > place.max_delay), None)
    if due is None or any(
        place.holds(backup.name, backup.sha256) for backup in complete if backup.created >= due.created
    ):
        return None
    return due


def copy_problems(schedules: Sequence[CopySchedule], catalog: Catalog, now: datetime) -> Iterator[Failure]:
    """Why backups may not exist at another place; nothing without copies."""
    for schedule in schedules:
        yield from _problems_of(schedule, catalog, now)


def missing_cronjob(schedule: CopySchedule) -> str:
    """The message for one that is missing."""
    names = ", ".join(place.name for place in schedule.places or ())
    return f"expected a CronJob of the copies to {names}, found none: nothing is copied there. Run site.yml"


def _to(schedule: CopySchedule) -> str:
    return f" to {schedule.mounts}" if schedule.mounts else ""


def _problems_of(schedule: CopySchedule, catalog: Catalog, now: datetime) -> Iterator[Failure]:
    if schedule.is_suspended:
        yield Failure(
            "copy", f"the CronJob of the copies{_to(schedule)} is suspended: nothing is copied until it is resumed"
        )
    places = places_of([schedule], catalog)
    if schedule.is_missing:
        yield Failure("copy", missing_cronjob(schedule))
    is_new = schedule.since is not None and now - schedule.since <= schedule.limit
    if not (schedule.is_suspended or schedule.is_missing or is_new):
        yield from _no_run(schedule, places, now)
    for place in places:
        for finding in place.findings[:_NAMED]:
            yield Failure("copy", f"at the place {place.name}: {finding}")
        if len(place.findings) > _NAMED:
            yield Failure("copy", f"at the place {place.name}: {len(place.findings) - _NAMED} more findings")
        if not is_new:
            yield from _behind(place, catalog, now, is_known=schedule.since is not None)


def _no_run(schedule: CopySchedule, places: tuple[Place, ...], now: datetime) -> Iterator[Failure]:
    last = max((place.time for place in places if place.time is not None), default=None)
    since = last or schedule.since
    if since is not None and now - since > schedule.limit:
        found = f"the record of one at {last:%Y-%m-%d %H:%M} UTC" if last else "no record of one"
        yield Failure(
            "copy",
            f"expected a Job of the copies{_to(schedule)} in the last {format_duration(schedule.limit)}, found {found}"
            ". Check the Job of the copies and its pod",
        )


def _behind(place: Place, catalog: Catalog, now: datetime, *, is_known: bool) -> Iterator[Failure]:
    backup = missing_backup(place, catalog, now)
    since = f"{place.failing_since:%Y-%m-%d %H:%M} UTC" if place.failing_since else ""
    error = (place.error or "").rstrip(". ")
    kind = f" ({place.kind})" if place.kind else ""
    if backup is None:
        # Without a backup to copy, only a place that was never used shows that it does not work.
        if place.time is None and is_known:
            yield Failure(
                "copy",
                f"expected a record of the place {place.name}, found none. Check the Job of the copies and its pod",
            )
        elif error and place.failing_since and now - place.failing_since > place.max_delay:
            # It has the newest backup, and something else fails each time, such as retention or an old copy.
            yield Failure("copy", f"the place {place.name}{kind} has failed since {since}: {error}. {_ADVICE}")
        return
    reason = MOVED if place.is_moved else "nothing was copied to it yet"
    if error:
        failed = f"it has failed{f' since {since}' if since else ''}: {error}"
        reason = f"{reason}; {failed}" if place.is_moved else failed
    elif place.last_success:
        reason = f"it was last copied to at {place.last_success:%Y-%m-%d %H:%M} UTC"
    yield Failure(
        "copy",
        f"expected a copy of {backup.name}, which is {format_duration(now - backup.created)} old, at the place "
        f"{place.name}{kind} after {format_duration(place.max_delay)}, found none: {reason}. {_ADVICE}",
    )


def copies_of(backup: Backup, places: tuple[Place, ...]) -> list[str]:
    """The names of the places with a proven copy of exactly this backup."""
    return [place.name for place in places if place.holds(backup.name, backup.sha256)]


def place_results(schedules: Sequence[CopySchedule], catalog: Catalog, now: datetime) -> list[dict[str, Any]]:
    """Each place as modules return it."""
    return [
        {**place.to_dict(), "is_behind": missing_backup(place, catalog, now) is not None}
        for place in places_of(schedules, catalog)
    ]


def three_two_one(schedules: Sequence[CopySchedule], catalog: Catalog, storage: str) -> dict[str, Any] | None:
    """Whether the newest complete backup fulfils the rule 3-2-1; None without places.

    `storage` is where the backup volume is, such as the name of its NFS server; empty if it is not known. The live data
    and the volume are two of the three copies. Places of one kind count as one storage unless their servers are known.
    """
    places = places_of(schedules, catalog)
    if not places:
        return None
    newest = catalog.newest()
    if newest is None:
        return _rule(0, 0, offsite=False, reason="there is no complete backup")
    holders = [place for place in places if place.holds(newest.name, newest.sha256)]
    where = {each.name: each.storage for schedule in schedules for each in schedule.places or ()}
    storages = {storage, *(where.get(place.name) or place.kind for place in holders)}
    offsite = any(place.is_offsite for place in holders)
    missing = [f"{place.name} ({MOVED})" if place.is_moved else place.name for place in places if place not in holders]
    reason = None
    if not holders:
        reason = f"no place has a copy of {newest.name}"
    elif len(storages) < _STORAGES:
        reason = f"all copies of {newest.name} are on the storage of the backup volume, {storage}"
    elif not offsite:
        reason = f"no copy of {newest.name} is at another location"
    if reason is not None and missing:
        reason += f"; without one: {', '.join(missing)}"
    return _rule(2 + len(holders), len(storages), offsite=offsite, reason=reason)


def _rule(copies: int, storages: int, *, offsite: bool, reason: str | None) -> dict[str, Any]:
    holds = copies >= _COPIES and storages >= _STORAGES and offsite
    return {"holds": holds, "copies": copies, "storages": storages, "offsite": offsite, "reason": reason}
