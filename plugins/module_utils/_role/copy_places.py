# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a place of the copies can be: its kind, its options, the keys of its Secret, and where its files lie."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any
from urllib.parse import urlsplit

from .checks import Variables

S3, SFTP, NFS, CLAIM, RESTIC = "s3", "sftp", "nfs", "claim", "restic"
# Each has a separate CronJob: what cannot be mounted keeps a pod from starting, and must not stop the other places.
MOUNTED_KINDS = (NFS, CLAIM)
COPY_SUFFIX = "-copy"
# The keys of a place's Secret by its kind: one of each tuple must exist. OPTIONAL_KEYS are mounted if it has them.
SECRET_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    S3: (("access_key_id",), ("secret_access_key",)),
    SFTP: (("known_hosts",), ("private_key", "password")),
}
OPTIONAL_KEYS = {S3: ("ca.crt",)}
# The key of a restic repository's password, in addition to those of the place where it lies.
REPOSITORY_PASSWORD = "repository_password"  # noqa: S105 - a key
SFTP_PORT = 22
SCHEME_PORTS = {"https": 443, "http": 80}
LOCK_MODES = ("compliance", "governance")
KEEP_COUNTS = ("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
POLICY = (*KEEP_COUNTS, "keep_within", "max_deletions")
COMMON_OPTIONS: Set[str] = {"name", "kind", "bandwidth", "window", "read_back", "offsite", "max_delay", *POLICY}
# The options that only this kind has.
OPTIONS: dict[str, Set[str]] = {
    S3: {
        "secret",
        "endpoint",
        "bucket",
        "folder",
        "region",
        "provider",
        "storage_class",
        "lock_days",
        "lock_mode",
    },
    SFTP: {"secret", "host", "port", "user", "folder"},
    NFS: {"server", "path", "folder"},
    CLAIM: {"claim_name", "folder"},
}
# Those of them that a place with a restic repository does not have: prune deletes, and restic names what it stores.
_NOT_OF_REPOSITORIES = {"lock_days", "lock_mode", "storage_class"}


def store_of(place: Mapping[str, Any]) -> str:
    """The kind of the store: that of the place, or for a restic repository that of the place where it lies."""
    kind = str(place.get("kind"))
    return str(place.get("repository")) if kind == RESTIC else kind


def options_of(kind: str, store: str) -> Set[str]:
    """The options that a place of this kind may have, in addition to COMMON_OPTIONS."""
    if kind != RESTIC:
        return OPTIONS[kind]
    return (OPTIONS[store] | {"repository", "secret"}) - _NOT_OF_REPOSITORIES


def is_set(place: Mapping[str, Any], key: str) -> bool:
    """Whether the place has a value for an option. An empty string is none."""
    return place.get(key) is not None and place[key] != ""


def value_of(place: Mapping[str, Any], key: str, default: Any) -> Any:
    """The value that the place has for an option, or the default."""
    return place[key] if is_set(place, key) else default


def policy_of(place: Mapping[str, Any], variables: Variables) -> dict[str, Any]:
    """The retention of the place; what it does not set is that of the installation. An empty string is a value."""
    values = {key: variables[f"postgres_backup_{key}"] if place.get(key) is None else place[key] for key in POLICY}
    deletions = values["max_deletions"]
    return {
        **{key: int(values[key]) for key in KEEP_COUNTS},
        "keep_within": str(values["keep_within"]),
        "max_deletions": int(deletions) if str(deletions) else "",
    }


def required_keys(place: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The keys of the place's Secret: one of each tuple must exist."""
    own = [(REPOSITORY_PASSWORD,)] if place["kind"] == RESTIC else []
    return [*own, *SECRET_KEYS.get(store_of(place), ())]


def copy_secret_keys(place: Mapping[str, Any]) -> list[str]:
    """The keys of the place's Secret that its pod gets, as far as the Secret has them."""
    return [key for keys in required_keys(place) for key in keys] + [*OPTIONAL_KEYS.get(store_of(place), ())]


def port_of(place: Mapping[str, Any]) -> int | None:
    """The port to which a pod connects for the place; None for one that the node mounts."""
    if store_of(place) == SFTP:
        return int(value_of(place, "port", SFTP_PORT))
    if store_of(place) == S3:
        url = urlsplit(str(place["endpoint"]))
        return url.port or SCHEME_PORTS[url.scheme]
    return None


def location_of(place: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the files lie; it has the same value for two places in one folder. Unless it is a share, it is valid."""
    store, folder = store_of(place), str(value_of(place, "folder", ""))
    if store == S3:
        url = urlsplit(str(place["endpoint"]))
        address = f"{url.scheme}://{url.hostname}:{port_of(place)}{url.path.rstrip('/')}"
        return store, address, str(place["bucket"]), folder.rstrip("/")
    if store == NFS:
        return store, str(place.get("server")).lower().strip("[]"), joined(place.get("path"), folder)
    if store == CLAIM:
        return store, str(place["claim_name"]), folder.rstrip("/")
    # From the root, or from the home of the user.
    begin = "/" if folder.startswith("/") else str(place["user"])
    port = str(value_of(place, "port", SFTP_PORT))
    return store, str(place["host"]).lower().strip("[]"), port, begin, joined(folder)


def location_text(place: Mapping[str, Any]) -> str:
    """Where the copies of a valid place lie, as its record has it: another text after a change of server, folder, …"""
    location = location_of(place)
    return " ".join((RESTIC, *location) if place["kind"] == RESTIC else location)


def joined(*paths: object) -> str:
    """The path from the root, without empty parts."""
    return "/" + "/".join(part for path in paths for part in str(path).split("/") if part not in ("", "."))


def mounted_job_name(place: Mapping[str, Any], variables: Variables) -> str:
    """The name of the CronJob of a mounted place."""
    return f"{variables['postgres_backup_name']}{COPY_SUFFIX}-{place['name']}"
