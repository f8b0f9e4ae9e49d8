# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The test of the channels of an installation's watch."""

from __future__ import annotations

import secrets

from .._jobs.component_job import PREPARE
from .._jobs.job_outcome import JobEnd
from .._jobs.job_templates import job_name
from .._jobs.volume_jobs import WATCH
from .._jobs.watch_job import watch_test_job
from ..interruption import signals_raise
from .connection import Connection, Object
from .installation import component_of
from .job import Job, StartLimits

# In addition to the deadline of the Job.
_END_SECONDS = 60


def watch_of(connection: Connection, cronjob: Object) -> Object:
    """The CronJob of the installation's watch; raises NotInstalledError if there is none."""
    return component_of(connection, cronjob, WATCH, "a watch", "Set postgres_backup_watch and its channels")


def run_watch_test(connection: Connection, watch: Object, limits: StartLimits) -> JobEnd:
    """The end of the Job, which is deleted; raises ClusterError, with the lines of its log as `partial`."""
    manifest = watch_test_job(watch, job_name(watch["metadata"]["name"], "test", secrets.token_hex(3)))
    deadline = manifest["spec"].get("activeDeadlineSeconds") or _END_SECONDS
    with signals_raise(), Job(connection, manifest) as job:
        return job.wait_for_end(
            PREPARE,
            WATCH,
            timeout_seconds=deadline + _END_SECONDS,
            startup_seconds=limits.startup_seconds,
            trust_script_result=True,
        )
