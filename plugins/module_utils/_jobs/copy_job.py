# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job that copies to the places of an installation now: one of its CronJob, perhaps for some places only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .component_job import component_job
from .job_templates import Object
from .volume_jobs import COPY

_COMMAND = "copy"


def copy_job(cronjob: Mapping[str, Any], name: str, places: Sequence[str]) -> Object:
    """The Job; without places, for all. Raises TemplateError for a CronJob that is not that of the copies."""
    return component_job(cronjob, name, COPY, [_COMMAND, *places])


def places_of_job(job: Mapping[str, Any]) -> list[str] | None:
    """The places that the Job copies to, an empty list for all; None for a Job that does something else."""
    containers = job["spec"]["template"]["spec"]["containers"]
    arguments = next((one.get("args") or [] for one in containers if one["name"] == COPY), [])
    return [str(place) for place in arguments[1:]] if arguments[:1] == [_COMMAND] else None


def covers(job: Mapping[str, Any], places: Sequence[str]) -> bool:
    """Whether the Job copies to these places, or to all if there are none."""
    copied = places_of_job(job)
    if copied is None:
        return False
    return not copied or (bool(places) and set(places) <= set(copied))
