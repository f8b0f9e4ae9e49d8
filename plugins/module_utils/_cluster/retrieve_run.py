# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job that brings a backup back from a place of an installation to its volume."""

from __future__ import annotations

import secrets

from .._jobs.component_job import PREPARE
from .._jobs.copy_job import retrieve_job
from .._jobs.job_outcome import JobEnd
from .._jobs.job_templates import job_name
from .._jobs.volume_jobs import COPY
from ..interruption import signals_raise
from .connection import Connection, Object
from .job import Job, StartLimits

# How long Kubernetes may take to end a Job after its deadline.
_END_SECONDS = 60


def run_retrieval(
    connection: Connection,
    copies: Object,
    place: str,
    backup: str | None,
    *,
    reads_copy: bool,
    timeout_seconds: float,
    limits: StartLimits,
) -> JobEnd:
    """The end of the Job, which is deleted; raises ClusterError, with the lines of its log as `partial`."""
    name = job_name(copies["metadata"]["name"], "retrieve", secrets.token_hex(3))
    manifest = retrieve_job(copies, name, place, backup, reads_copy=reads_copy, limit_seconds=timeout_seconds)
    with signals_raise(), Job(connection, manifest) as job:
        return job.wait_for_end(
            PREPARE,
            COPY,
            timeout_seconds=manifest["spec"]["activeDeadlineSeconds"] + _END_SECONDS,
            startup_seconds=limits.startup_seconds,
            trust_script_result=True,
        )
