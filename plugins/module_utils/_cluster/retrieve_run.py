# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job that brings a backup back from a place of an installation to its volume."""

from __future__ import annotations

import secrets

from .._jobs.component_job import PREPARE
from .._jobs.copy_job import Retrieval, retrieve_job, retrieves
from .._jobs.job_outcome import GONE, JobEnd
from .._jobs.job_templates import job_name
from .._jobs.volume_jobs import COPY
from ..interruption import signals_raise
from .backup_run import script_has_ended, unfinished_jobs
from .connection import Connection, Object
from .job import Job, StartLimits

# How long Kubernetes may take to end a Job after its deadline.
_END_SECONDS = 60


def run_retrieval(
    connection: Connection,
    copies: Object,
    retrieval: Retrieval,
    *,
    timeout_seconds: float,
    limits: StartLimits,
) -> JobEnd:
    """The end of the Job, which is deleted; raises ClusterError, with the lines of its log as `partial`.

    A Job in progress that does the same is waited for, such as that of a call that was killed.
    """
    namespace = copies["metadata"]["namespace"]
    name = job_name(copies["metadata"]["name"], "retrieve", secrets.token_hex(3))
    manifest = retrieve_job(copies, name, retrieval, limit_seconds=timeout_seconds)

    def followed(job: Job) -> JobEnd:
        with signals_raise(), job:
            return job.wait_for_end(
                PREPARE,
                COPY,
                timeout_seconds=manifest["spec"]["activeDeadlineSeconds"] + _END_SECONDS,
                startup_seconds=limits.startup_seconds,
                trust_script_result=True,
            )

    for job in unfinished_jobs(connection, copies):
        same = str(job["metadata"]["name"])
        if retrieves(job, retrieval) and not script_has_ended(connection, namespace, same, COPY):
            end = followed(Job.attached(connection, namespace, same))
            if end.state != GONE or end.result is not None:
                return end
            # The call that it belongs to was interrupted, and has deleted it.
            break
    return followed(Job(connection, manifest))
