# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A run of a CronJob's backup: the one in progress or a new one, followed to its end, and its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .._jobs.job_outcome import BACKUP, COMPLETE, JobEnd, JobOutcome, outcome_of, outcome_of_error
from .._jobs.job_templates import is_ours, is_run, manual_job
from .._jobs.pod_diagnosis import has_failed, has_succeeded, job_end, running_beside
from .._volume.catalog import with_size_bytes
from ..errors import BackupError, ClusterError, StuckError
from ..script_1_0 import with_fields
from ..script_output import LOG_LINES
from .connection import Connection, Object
from .job import Deletion, Job, StartLimits
from .reader import read_catalog


@dataclass(frozen=True)
class BackupEnd:
    """How a run ended: `result` is its own, None if it is not known; `log` has the last lines as they were printed."""

    outcome: JobOutcome
    log: list[str]
    result: dict[str, Any] | None = None

    @property
    def is_proven(self) -> bool:
        """Whether the run's own result is success."""
        return (self.result or {}).get("state") == "succeeded"


def run_in_progress(connection: Connection, cronjob: Object, container: str) -> str | None:
    """The oldest unfinished run of the CronJob; `container` is the one that makes the backup."""
    namespace = cronjob["metadata"]["namespace"]
    names = (
        str(job["metadata"]["name"]) for job in unfinished_jobs(connection, cronjob) if is_run(job, cronjob, container)
    )
    if not is_ours(cronjob):
        return next(names, None)
    return next((name for name in names if not script_has_ended(connection, namespace, name, container)), None)


def unfinished_jobs(connection: Connection, cronjob: Object) -> list[Object]:
    """The Jobs of the CronJob that have not ended, the oldest first; without those that are suspended or deleted."""
    jobs = [
        job
        for job in connection.jobs(cronjob["metadata"]["namespace"])
        if any(owner["uid"] == cronjob["metadata"]["uid"] for owner in job["metadata"].get("ownerReferences", []))
        and job_end(job) is None
        and "deletionTimestamp" not in job["metadata"]
        and not job["spec"].get("suspend")
    ]
    return sorted(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]))


def script_has_ended(connection: Connection, namespace: str, job: str, container: str) -> bool:
    """Whether the program of this container ended, and the Job only continues for another container of its pod.

    After a failure, Kubernetes makes another attempt once all containers of the pod have ended: until then, nobody does
    the work.
    """
    pods = connection.pods_of_job(namespace, job)
    return any(has_succeeded(pod, container) for pod in pods) or any(
        has_failed(pod, container) and running_beside(pod, container) for pod in pods[-1:]
    )


def backup_run(connection: Connection, cronjob: Object, name: str, *, attach: bool, followed: bool = True) -> Job:
    """The Job of that name, which is created on entering it; with `attach`, one that exists already."""
    if attach:
        return Job.attached(connection, cronjob["metadata"]["namespace"], name)
    return Job(connection, manual_job(cronjob, name), Deletion.IF_STUCK, followed=followed)


def follow_run(
    connection: Connection,
    cronjob: Object,
    job: Job,
    container: str,
    *,
    directory: str | None,
    timeout_seconds: float,
    limits: StartLimits,
) -> BackupEnd:
    """The end of a run, for which `job` is entered and left. An error while it is followed is its outcome.

    Raises ClusterError if the Job cannot be created.
    """
    try:
        with job:
            end = job.wait_for_end(
                container, timeout_seconds=timeout_seconds, startup_seconds=limits.startup_seconds, patient=True
            )
    except ClusterError as error:
        if not job.is_created:
            raise
        lines = error.partial if isinstance(error.partial, tuple) else ()
        return BackupEnd(outcome_of_error(error, advice_on(error, job)), [*lines[-LOG_LINES:]])
    log = [*end.log[-LOG_LINES:]]
    if not is_ours(cronjob):
        if end.state == COMPLETE and end.result is None:
            return BackupEnd(JobOutcome(log, warnings=(_unknown_script(end),)), log)
        return BackupEnd(outcome_of(BACKUP, end), log, with_size_bytes(end.result))
    result, volume_result = _own_result(connection, cronjob, job, end, directory=directory, limits=limits)
    return BackupEnd(outcome_of(BACKUP, replace(end, result=result), volume_result), log, with_size_bytes(result))


def advice_on(error: ClusterError, job: Job) -> str:
    """What to do about a Job whose pod cannot start; empty for another error."""
    if not isinstance(error, StuckError):
        return ""
    if job.is_attached:
        return f"This Job existed before. To cancel it: kubectl delete job {job.name} -n {job.namespace}"
    return "The Job that was created for this run is deleted" if job.is_deleted else ""


def _unknown_script(end: JobEnd) -> str:
    return (
        f"the Job '{end.job}' is complete, but nothing else is known: its CronJob does not run this collection's "
        "script. Verify the backup (backup_fetch with verify)"
    )


def _own_result(
    connection: Connection, cronjob: Object, job: Job, end: JobEnd, *, directory: str | None, limits: StartLimits
) -> tuple[dict[str, Any] | None, str]:
    """The result of the run, which contains the name of its Job; if it is not known, also what the volume has."""
    if end.result is not None and end.result.get("job") in {None, job.name}:
        return with_fields(end.result), ""
    # The Job or its pod was deleted before its log was read: the volume has the result, if it can be read.
    try:
        last_run = read_catalog(connection, cronjob, directory, limits).last_run
    except BackupError as error:
        return None, f"the volume could not be read: {error}"
    if last_run is None:
        return None, "the volume has no record of a run either"
    if last_run.get("job") == job.name:
        return last_run, f"in its record on the volume, its state is {last_run.get('state')}"
    return None, f"the record on the volume is that of {last_run.get('job') or 'a run without a Job'}"
