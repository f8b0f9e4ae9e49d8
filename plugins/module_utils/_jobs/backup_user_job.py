# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job that works on the role for backups: like a run of the CronJob, but without its volume.

All objects are plain dictionaries as the Kubernetes API has them (batch/v1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .backup_user_secret import NEW_PASSWORD, NEW_PASSWORD_KEY, PASSWORD, SecretKey
from .credentials import Credentials, secret_reference
from .job_templates import Object, backup_mount
from .volume_jobs import VolumeWork, volume_job

BACKUP_USER = "backup-user"
DEADLINE_SECONDS = 600


@dataclass(frozen=True)
class BackupUserWork:
    """The work of the Job: `statements` is a text for psql, which sets the password that `sets` names, if any.

    It connects as `administrator`. The Secret of the role may not exist yet.
    """

    role: str
    query: str
    administrator: Credentials
    secret: SecretKey
    statements: str = ""
    sets: str = ""


def backup_user_job(cronjob: Mapping[str, Any], name: str, script: Mapping[str, str], work: BackupUserWork) -> Object:
    """The Job.

    `script` has the texts of the script's files, by their names. Raises TemplateError for a CronJob that is not clear.
    """
    volume_work = VolumeWork(
        kind=BACKUP_USER,
        words=("_backup_user",),
        deadline_seconds=DEADLINE_SECONDS,
        variables={
            "BACKUP_USER_ROLE": work.role,
            "BACKUP_USER_QUERY": work.query,
            "BACKUP_USER_STATEMENTS": work.statements,
            "BACKUP_USER_SETS": work.sets,
        },
        credentials=True,
        reaches_server=True,
        sources={
            **work.administrator.environment(),
            f"BACKUP_USER_{PASSWORD}": secret_reference(work.secret.name, work.secret.key, optional=True),
            f"BACKUP_USER_{NEW_PASSWORD}": secret_reference(work.secret.name, NEW_PASSWORD_KEY, optional=True),
        },
    )
    job = volume_job(cronjob, name, script, volume_work)
    backups = backup_mount(cronjob).volume["name"]
    spec = job["spec"]["template"]["spec"]
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != backups]
    for container in spec["containers"]:
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != backups]
    return job
