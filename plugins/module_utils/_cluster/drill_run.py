# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job of a restore drill, and the backup that it restores."""

from __future__ import annotations

import secrets
from dataclasses import replace

from .._jobs.drill_job import START_SECONDS, DrillRequest, drill_work
from .._jobs.job_outcome import JobEnd
from .._jobs.job_templates import job_name
from .._jobs.volume_jobs import DRILL, PREPARE, volume_job
from .._script.drill import FILES
from .._volume.catalog import Backup
from ..errors import DrillError
from ..interruption import signals_raise
from .connection import Connection, Object
from .job import Job, StartLimits
from .key_record import note_opening
from .reader import node_of_volume, read_catalog

# How long Kubernetes may take to end a Job after its deadline.
_END_SECONDS = 60


def find_backup(
    connection: Connection,
    cronjob: Object,
    *,
    name: str | None,
    sha256: str | None,
    directory: str | None,
    limits: StartLimits,
) -> Backup:
    """The backup of that name, or the newest complete one; raises DrillError if it does not exist or has changed."""
    with signals_raise():
        catalog = read_catalog(connection, cronjob, directory, limits)
    backup = catalog.named(name) if name else catalog.newest()
    if backup is None:
        existing = ", ".join(backup.name for backup in catalog.backups[:10]) or "none"
        raise DrillError(f"expected {name or 'a complete backup'} on the volume, found of backups: {existing}")
    if sha256 is not None and sha256.lower() != backup.sha256:
        raise DrillError(
            f"sha256: expected {backup.name} to have {sha256.lower()}, found {backup.sha256 or 'no checksum file'}. "
            "Nothing was restored. Fetch it again, and find out who changed the volume"
        )
    return backup


def run_drill(
    connection: Connection, cronjob: Object, request: DrillRequest, *, timeout_seconds: float, startup_seconds: float
) -> JobEnd:
    """The end of the drill's Job, which is deleted; raises ClusterError, with the lines of its log as `partial`."""
    request = replace(request, node=node_of_volume(connection, cronjob, request.directory))
    name = job_name(cronjob["metadata"]["name"], DRILL, secrets.token_hex(3))
    manifest = volume_job(cronjob, name, FILES, drill_work(request, name))
    with signals_raise(), Job(connection, manifest, identity=request.identity) as job:
        end = job.wait_for_end(
            PREPARE,
            DRILL,
            timeout_seconds=timeout_seconds + START_SECONDS + _END_SECONDS,
            startup_seconds=startup_seconds,
            trust_script_result=True,
        )
    return note_opening(connection, cronjob, end, "drill", directory=request.directory, startup_seconds=startup_seconds)
