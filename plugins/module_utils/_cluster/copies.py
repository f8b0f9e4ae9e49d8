# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server knows of the copies of an installation: their CronJobs, and the places in their annotations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from .._jobs.copy_job import mounted_places, reached_places
from .._jobs.job_templates import pod_spec
from .._jobs.volume_jobs import COPY
from .._volume.backup_names import parse_time
from .._volume.copy_health import ConfiguredPlace, CopySchedule
from ..errors import ForbiddenError, NotFoundError
from .connection import Connection, Object
from .installation import component_cronjob, nfs_of

# The role sets it, to the places of the program's configuration.
PLACES_ANNOTATION = "postgres-backup.homelab/places"
# What reading an annotation raises that is missing, or that something else has set.
UNKNOWN_PLACES = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class CopyCronjobs:
    """The CronJobs of the copies of an installation; none without copies.

    The first one `found` is that of the places that are reached over the network, if there are any; each of the others
    mounts one place. `missing` are those that the installation records and that somebody has deleted. With notes about
    what this user may not read.
    """

    found: list[Object]
    missing: list[CopySchedule]
    notes: list[str]


def copy_cronjobs(connection: Connection, cronjob: Object) -> CopyCronjobs:
    """Those of the installation whose backups `cronjob` makes."""
    result = CopyCronjobs([], [], [])
    for mounts in ("", *mounted_places(cronjob)):
        one, notes = component_cronjob(connection, cronjob, COPY, f"-{mounts}" if mounts else "")
        result.notes.extend(notes)
        places = [mounts] if mounts else reached_places(cronjob)
        if one is not None:
            result.found.append(one)
        elif places and not notes:
            configured = tuple(ConfiguredPlace(name, "") for name in places)
            result.missing.append(CopySchedule(False, None, None, configured, mounts, is_missing=True))
    return result


def copy_schedules(
    connection: Connection, cronjobs: CopyCronjobs, interval_of: Callable[[str], timedelta | None]
) -> tuple[tuple[CopySchedule, ...], list[str]]:
    """What the installation's health depends on; `interval_of` is the longest interval of a schedule. With notes."""
    schedules, notes = [], [*cronjobs.notes]
    for cronjob in cronjobs.found:
        one, more = copy_schedule(connection, cronjob, interval_of(cronjob["spec"]["schedule"]))
        schedules.append(one)
        notes += more
    return (*schedules, *cronjobs.missing), notes


def copy_schedule(
    connection: Connection, cronjob: Object, interval: timedelta | None
) -> tuple[CopySchedule, list[str]]:
    """The part of a CronJob of the copies that the installation's health depends on.

    `interval` is that of its schedule. With notes about what this user may not read.
    """
    notes: list[str] = []
    places: tuple[ConfiguredPlace, ...] | None = None
    try:
        places = configured_places(connection, cronjob, notes)
    except UNKNOWN_PLACES as error:
        notes.append(f"the configuration of the copies is not of this version: {error!r}. Run site.yml again")
    mounts = "".join(mounted_places(cronjob)[:1])
    return CopySchedule(bool(cronjob["spec"].get("suspend")), interval, _last_change(cronjob), places, mounts), notes


def names_of_places(cronjob: Object) -> list[str]:
    """Those of a CronJob of the copies. Raises one of UNKNOWN_PLACES if it does not show them."""
    return [str(place["name"]) for place in _places(cronjob)]


def _places(cronjob: Object) -> list[dict[str, Any]]:
    places: list[dict[str, Any]] = json.loads(cronjob["metadata"]["annotations"][PLACES_ANNOTATION])
    return places


def configured_places(connection: Connection, cronjob: Object, notes: list[str]) -> tuple[ConfiguredPlace, ...]:
    """The places in the annotation of the CronJob; `notes` is extended. Raises UNKNOWN_PLACES for other content."""
    metadata = cronjob["metadata"]
    volumes = {volume["name"]: volume for volume in pod_spec(cronjob).get("volumes") or []}
    return tuple(
        ConfiguredPlace(
            name=place["name"],
            kind=place["kind"],
            is_offsite=place["offsite"],
            max_delay=timedelta(seconds=place["max_delay_seconds"]),
            storage=_storage(connection, metadata["namespace"], place, volumes.get(f"place-{number}") or {}, notes),
            location=str(place.get("location", "")),
        )
        for number, place in enumerate(_places(cronjob))
    )


@dataclass(frozen=True)
class MountedPlace:
    """A place that a CronJob mounts; `share` is `server:path` of an NFS share, or the name of a claim."""

    name: str
    kind: str
    share: str


def mounted_place(cronjob: Object) -> MountedPlace | None:
    """The place of a CronJob of the copies that mounts one; None for another one."""
    names = mounted_places(cronjob)
    if not names:
        return None
    volumes: list[Object] = pod_spec(cronjob).get("volumes") or []
    volume = next((each for each in volumes if each["name"] == "place-0"), {})
    if volume.get("nfs"):
        return MountedPlace(names[0], "nfs", f"{volume['nfs']['server']}:{volume['nfs']['path']}")
    return MountedPlace(names[0], "claim", str((volume.get("persistentVolumeClaim") or {}).get("claimName") or ""))


def _storage(connection: Connection, namespace: str, place: Mapping[str, Any], volume: Object, notes: list[str]) -> str:
    """Where the place stores its copies, as `storage_of` has it for a volume; empty if it is not known."""
    options = place["options"]
    if options.get("endpoint"):
        return urlsplit(str(options["endpoint"])).hostname or ""
    if options.get("host"):
        return str(options["host"])
    if volume.get("nfs"):
        return str(volume["nfs"]["server"])
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    if claim is None:
        return ""
    try:
        found = connection.claim(namespace, claim)
        nfs = nfs_of(connection, found) or {}
    except (ForbiddenError, NotFoundError) as error:
        notes.append(str(error))
        return ""
    return storage_of({"nfs_server": nfs.get("server"), "class": found["spec"].get("storageClassName"), "claim": claim})


def storage_of(volume: Mapping[str, Any]) -> str:
    """Where a volume stores its data (installation.volume): its NFS server, or else its class or its claim."""
    return str(volume.get("nfs_server") or volume.get("class") or volume.get("claim") or "")


def _last_change(cronjob: Object) -> datetime | None:
    """When somebody last changed the CronJob, apart from its status; None if it is not known."""
    metadata = cronjob["metadata"]
    changes = [entry for entry in metadata.get("managedFields") or [] if not entry.get("subresource")]
    texts = [metadata.get("creationTimestamp"), *(entry.get("time") for entry in changes)]
    return max((time for time in (parse_time(text or "") for text in texts) if time is not None), default=None)
