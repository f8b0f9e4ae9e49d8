# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs of a CronJob of the copies: one that copies now, perhaps to some places only, and one that retrieves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .component_job import component_job, container_of
from .job_templates import Object, backup_mount
from .volume_jobs import COPY, TTL_SECONDS

# The role sets it, on the CronJob of the backups to the names of the places that are mounted, and on the CronJob of
# such a place to its name.
MOUNTED_ANNOTATION = "postgres-backup.homelab/mounted-places"
# Likewise, on the CronJob of the backups to the names of the places that are reached over the network.
REACHED_ANNOTATION = "postgres-backup.homelab/reached-places"
_COMMAND, _RETRIEVE = "copy", "retrieve"
_READ_COPY, _PUBLIC_KEYS = "--read-copy", "--public-keys"
# How long the pod may take to start, in addition to the time that the work may take.
_START_SECONDS = 300


def mounted_places(cronjob: Mapping[str, Any]) -> list[str]:
    """The places that the installation, or its CronJob, mounts."""
    return _recorded(cronjob, MOUNTED_ANNOTATION)


def reached_places(cronjob: Mapping[str, Any]) -> list[str]:
    """The places that the installation reaches over the network."""
    return _recorded(cronjob, REACHED_ANNOTATION)


def _recorded(cronjob: Mapping[str, Any], annotation: str) -> list[str]:
    """The names in the annotation of a CronJob; none if it is missing, or was set by something else."""
    text = (cronjob["metadata"].get("annotations") or {}).get(annotation) or "[]"
    try:
        names = json.loads(text)
    except ValueError:
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def copy_job(cronjob: Mapping[str, Any], name: str, places: Sequence[str]) -> Object:
    """The Job; without places, for all. Raises TemplateError for a CronJob that is not one of the copies."""
    return component_job(cronjob, name, COPY, [_COMMAND, *places])


@dataclass(frozen=True)
class Retrieval:
    """Brings a backup back from the place, by default the newest complete one.

    With `reads_copy`, it also reads a copy that need not be brought back. It brings nothing back that is encrypted to
    others than identities that have these `public_keys`; without them, it does not compare.
    """

    place: str
    backup: str | None
    reads_copy: bool = False
    public_keys: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Those of the program."""
        options = [_READ_COPY] if self.reads_copy else []
        if self.public_keys:
            options += [_PUBLIC_KEYS, ",".join(self.public_keys)]
        return [_RETRIEVE, *options, self.place, *([self.backup] if self.backup else [])]


def retrieve_job(cronjob: Mapping[str, Any], name: str, retrieval: Retrieval, *, limit_seconds: float) -> Object:
    """The Job of the retrieval; only its container has the volume writable.

    Raises TemplateError as copy_job does, and where it is not clear which volume has the backups.
    """
    job = component_job(cronjob, name, COPY, retrieval.arguments())
    path = backup_mount(cronjob).mount["mountPath"]
    for mount in container_of(job["spec"]["template"]["spec"], cronjob, COPY)["volumeMounts"]:
        if mount["mountPath"] == path:
            mount.pop("readOnly", None)
    job["spec"] |= {
        "activeDeadlineSeconds": math.ceil(limit_seconds) + _START_SECONDS,
        "ttlSecondsAfterFinished": TTL_SECONDS,
    }
    return job


def places_of_job(job: Mapping[str, Any]) -> list[str] | None:
    """The places that the Job copies to, an empty list for all of its CronJob; None if it does something else."""
    arguments = _arguments(job)
    return arguments[1:] if arguments[:1] == [_COMMAND] else None


def retrieves(job: Mapping[str, Any], retrieval: Retrieval) -> bool:
    """Whether the Job is that of an equal retrieval."""
    return _arguments(job) == retrieval.arguments()


def _arguments(job: Mapping[str, Any]) -> list[str]:
    containers = job["spec"]["template"]["spec"]["containers"]
    return [str(word) for word in next((one.get("args") or [] for one in containers if one["name"] == COPY), [])]


def covers(job: Mapping[str, Any], places: Sequence[str]) -> bool:
    """Whether the Job copies to these places, or to all if there are none."""
    copied = places_of_job(job)
    if copied is None:
        return False
    return not copied or (bool(places) and set(places) <= set(copied))
