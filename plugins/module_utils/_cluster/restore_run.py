# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A restore's Job: made unless another one is at work on the same database, followed, and deleted."""

from __future__ import annotations

import secrets
import time

from .._jobs.job_templates import job_name
from .._jobs.pod_diagnosis import job_end
from .._jobs.volume_jobs import COMPONENT, RESTORE, VolumeWork, volume_job
from ..errors import ClusterError, StuckError, WaitTimeoutError
from ..interruption import InterruptedBySignal, signals_raise
from ..script import FILES
from .connection import Connection, Object
from .job_run import JobEnd, JobRun
from .reader import node_of_volume

# How long the pod may take to drop what it made, also where the server has to come back first.
GRACE_SECONDS = 90
SCRIPT_FILES = ("backup.sh", "retention.awk", "feeding.sh", "globals.awk", "restore.sh")
_PREFIX = "postgres-backup.homelab"
_CRONJOB, _TARGET = f"{_PREFIX}/cronjob", f"{_PREFIX}/restore-target"


class InterruptedRestoreError(ClusterError):
    """Somebody ended Ansible; the Job was deleted."""

    check = "interrupted"


def run_restore(
    connection: Connection, cronjob: Object, variables: dict[str, str], *, directory: str | None, target: str | None,
    timeout_seconds: float, stuck_seconds: float,
) -> tuple[str, JobEnd]:  # fmt: skip
    """The Job's name and end. `target` is the database that only one restore at a time may make; None in check mode.

    Raises ClusterError: StuckError for a pod that does not start, InterruptedRestoreError on a signal. Whatever ends
    this early deletes the Job, and its pod drops what it made. One whose API server cannot be reached goes on.
    """
    namespace, owner = cronjob["metadata"]["namespace"], cronjob["metadata"]["name"]
    work = VolumeWork(
        kind=RESTORE,
        words=("_restore",),
        files=SCRIPT_FILES,
        deadline_seconds=int(timeout_seconds),
        grace_seconds=GRACE_SECONDS,
        directory=directory,
        node=node_of_volume(connection, cronjob, directory),
        variables=variables,
        credentials=True,
    )
    name = job_name(owner, RESTORE, secrets.token_hex(3))
    job = volume_job(cronjob, name, FILES, work)
    if target is not None:
        job["metadata"]["annotations"] = {_CRONJOB: owner, _TARGET: target}
        _refuse_second(_rivals(connection, job), namespace, target)
    with signals_raise():
        try:
            created = connection.create_job(job)
            if target is not None:
                # Two that began at once see each other now; the older one goes on.
                older = [rival for rival in _rivals(connection, created) if _age(rival) < _age(created)]
                _refuse_second(older, namespace, target)
            end = JobRun(connection, namespace, name, RESTORE).wait(
                timeout_seconds + GRACE_SECONDS + stuck_seconds, stuck_seconds, last_word=True
            )
        except ClusterError as error:
            if isinstance(error, (StuckError, WaitTimeoutError)) or error.check == "busy":
                _delete(connection, namespace, name)
            raise
        except BaseException as error:
            _delete(connection, namespace, name)
            if isinstance(error, InterruptedBySignal):
                raise InterruptedRestoreError(
                    f"the restore was interrupted: its Job '{namespace}/{name}' is deleted, and its pod drops what it "
                    "made. The databases that were there are as they were, unless the pod was in its last step already"
                ) from None
            raise
    _delete(connection, namespace, name)
    return name, end


def _rivals(connection: Connection, job: Object) -> list[Object]:
    """The other restores of the same database that have not ended."""
    metadata = job["metadata"]
    return [
        other
        for other in connection.jobs(metadata["namespace"])
        if (other["metadata"].get("labels") or {}).get(COMPONENT) == RESTORE
        and all(
            (other["metadata"].get("annotations") or {}).get(key) == metadata["annotations"][key]
            for key in (_CRONJOB, _TARGET)
        )
        and other["metadata"]["name"] != metadata["name"]
        and "deletionTimestamp" not in other["metadata"]
        and job_end(other) is None
    ]


def _age(job: Object) -> tuple[str, str]:
    return job["metadata"]["creationTimestamp"], job["metadata"]["name"]


def _refuse_second(rivals: list[Object], namespace: str, target: str) -> None:
    if rivals:
        error = ClusterError(
            f"another restore to '{target}' is at work: expected none, found the Job "
            f"'{namespace}/{rivals[0]['metadata']['name']}'. Wait for its end, or delete it"
        )
        error.check = "busy"
        raise error


def _delete(connection: Connection, namespace: str, name: str) -> None:
    """Its pod is told to end, and cleans up."""
    for _ in range(3):
        try:
            connection.delete_job(namespace, name)
        except ClusterError:
            time.sleep(1)
        else:
            return
