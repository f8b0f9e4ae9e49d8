# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job that copies to the places of an installation: the one in progress or a new one, followed to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._jobs.component_job import PREPARE
from .._jobs.copy_job import copy_job, covers, places_of_job
from .._jobs.job_outcome import COPIES, JobEnd, JobOutcome, outcome_of, outcome_of_error
from .._jobs.volume_jobs import COPY
from ..errors import BusyError, ClusterError, ExpectationError
from .backup_run import advice_on, unfinished_jobs
from .connection import Connection, Object
from .copies import UNKNOWN_PLACES, configured_places
from .installation import component_of
from .job import Deletion, Job, StartLimits


@dataclass(frozen=True)
class CopyEnd:
    """How a Job ended: `result` is that of its program, empty if it is not known; `seconds` is None after an error."""

    outcome: JobOutcome
    result: Mapping[str, Any]
    seconds: float | None = None


def copies_of_installation(connection: Connection, cronjob: Object) -> Object:
    """The CronJob of the copies; raises NotInstalledError if there is none."""
    return component_of(connection, cronjob, COPY, "copies", "Set postgres_backup_copies")


def check_places(connection: Connection, copies: Object, places: Sequence[str], option: str = "places") -> None:
    """Raise ExpectationError if one of these places is not configured, as far as the CronJob shows that.

    `option` is that of the module.
    """
    if not places:
        return
    try:
        known = [place.name for place in configured_places(connection, copies, [])]
    except UNKNOWN_PLACES:
        return  # the program checks it, too
    unknown = [place for place in places if place not in known]
    if unknown:
        raise ExpectationError(
            f"{option}: expected places of postgres_backup_copies ({', '.join(known)}), found {', '.join(unknown)}"
        )


def copying_in_progress(connection: Connection, copies: Object, places: Sequence[str]) -> str | None:
    """The Job in progress that copies to these places, or to all if there are none; None if nothing is copied.

    Raises BusyError if a Job copies to other places: two at once would share their bandwidth, and may meet at a place.
    """
    jobs = [job for job in unfinished_jobs(connection, copies) if places_of_job(job) is not None]
    for job in jobs:
        if covers(job, places):
            return str(job["metadata"]["name"])
    if jobs:
        name, namespace = jobs[0]["metadata"]["name"], copies["metadata"]["namespace"]
        raise BusyError(
            f"the Job '{namespace}/{name}' copies to {', '.join(places_of_job(jobs[0]) or [])} only: expected none, or "
            f"one that copies to {', '.join(places) or 'all places'}. Wait for its end, or delete it: "
            f"kubectl delete job {name} -n {namespace}"
        )
    return None


def copying(connection: Connection, copies: Object, name: str, places: Sequence[str], *, attach: bool) -> Job:
    """The Job of that name, which is created on entering it; with `attach`, one that exists already."""
    if attach:
        return Job.attached(connection, copies["metadata"]["namespace"], name)
    return Job(connection, copy_job(copies, name, places), Deletion.IF_STUCK)


def follow_copying(job: Job, timeout_seconds: float, limits: StartLimits) -> CopyEnd:
    """The end of the Job, which is entered and left. An error while it is followed is its outcome.

    Raises ClusterError if the Job cannot be created.
    """
    try:
        with job:
            end: JobEnd = job.wait_for_end(
                PREPARE,
                COPY,
                timeout_seconds=timeout_seconds,
                startup_seconds=limits.startup_seconds,
                patient=True,
            )
    except ClusterError as error:
        if not job.is_created:
            raise
        return CopyEnd(outcome_of_error(error, advice_on(error, job)), {})
    return CopyEnd(outcome_of(COPIES, end), end.result or {}, end.duration_seconds)
