# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The CronJobs of the copies, and what the program of each reads of its places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..units import duration_seconds, parse_size
from .checks import Variables, is_true
from .copy_places import (
    CLAIM,
    COPY_SUFFIX,
    LOCK_MODES,
    MOUNTED_KINDS,
    NFS,
    RESTIC,
    S3,
    SFTP,
    SFTP_PORT,
    copy_secret_keys,
    is_set,
    location_text,
    mounted_job_name,
    policy_of,
    store_of,
    value_of,
)
from .copy_times import default_delay

# The options of each kind that the program's configuration has as `options`.
_CONFIGURED: dict[str, tuple[str, ...]] = {
    S3: ("endpoint", "bucket", "folder", "region", "provider", "storage_class"),
    SFTP: ("host", "port", "user", "folder"),
    NFS: ("server", "path", "folder"),
    CLAIM: ("claim_name", "folder"),
}


def copy_jobs(variables: Variables) -> list[dict[str, Any]]:
    """The CronJobs of the copies: one for the places that are reached over the network, and one for each mounted place.

    Each has its `name`, `place` (the name of the place that it mounts; empty for the first one), `file` (the key of its
    configuration in the ConfigMap), `places` (as the variable has them), `secrets` (the names of Secrets, each with the
    `keys` that are mounted into the `folder` of its place) and `configuration`, which is that of the program
    (_copy/configuration.py), without secrets. The variables are valid.
    """
    places = variables["postgres_backup_copies"]
    reached = [place for place in places if store_of(place) not in MOUNTED_KINDS]
    mounted = [place for place in places if store_of(place) in MOUNTED_KINDS]
    name = f"{variables['postgres_backup_name']}{COPY_SUFFIX}"
    first = [_job(name, "", reached, variables)] if reached else []
    return [
        *first,
        *(_job(mounted_job_name(place, variables), str(place["name"]), [place], variables) for place in mounted),
    ]


def _job(name: str, place: str, places: Sequence[Mapping[str, Any]], variables: Variables) -> dict[str, Any]:
    return {
        "name": name,
        "place": place,
        "file": f"copy-{place}.json" if place else "copy.json",
        "places": list(places),
        "secrets": [
            {"name": str(place["secret"]), "folder": str(number), "keys": copy_secret_keys(place)}
            for number, place in enumerate(places)
            if is_set(place, "secret")
        ],
        "configuration": {
            "name": str(variables["postgres_backup_name"]),
            "namespace": str(variables["postgres_backup_namespace"]),
            "time_zone": str(variables["postgres_backup_time_zone"]),
            "file_mode": str(variables["postgres_backup_file_mode"]),
            "places": [_configured(each, variables) for each in places],
        },
    }


def _configured(place: Mapping[str, Any], variables: Variables) -> dict[str, Any]:
    kind, store = str(place["kind"]), store_of(place)
    options: dict[str, Any] = {key: str(value_of(place, key, "")) for key in _CONFIGURED[store]}
    if "port" in options:
        options["port"] = int(value_of(place, "port", SFTP_PORT))
    return {
        "name": str(place["name"]),
        "kind": kind,
        "repository": store if kind == RESTIC else None,
        "secret": str(value_of(place, "secret", "")),
        "options": options,
        "location": location_text(place),
        "policy": policy_of(place, variables),
        "bandwidth_bytes": parse_size(place["bandwidth"]) if is_set(place, "bandwidth") else None,
        "window": str(place["window"]) if is_set(place, "window") else None,
        "lock_days": int(value_of(place, "lock_days", 0)),
        "lock_mode": str(value_of(place, "lock_mode", LOCK_MODES[0])),
        "read_back": is_true(value_of(place, "read_back", True)),
        "offsite": is_true(value_of(place, "offsite", store in (S3, SFTP))),
        "max_delay_seconds": _delay_seconds(place, variables),
    }


def _delay_seconds(place: Mapping[str, Any], variables: Variables) -> int:
    if is_set(place, "max_delay"):
        return duration_seconds(str(place["max_delay"]))
    window = str(place["window"]) if is_set(place, "window") else None
    return int(default_delay(str(variables["postgres_backup_copy_schedule"]), window).total_seconds())
