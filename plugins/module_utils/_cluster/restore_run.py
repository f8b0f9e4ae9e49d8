# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job of a restore into the live server: created unless another one restores the same database."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from .._jobs.identity import Identity
from .._jobs.job_outcome import JobEnd
from .._jobs.job_templates import job_name
from .._jobs.pod_diagnosis import job_end
from .._jobs.restore_server import SERVER_OF_BACKUPS, RestoreServer
from .._jobs.volume_jobs import COMPONENT, RESTORE, VolumeWork, volume_job
from .._script.restore import FILES
from ..errors import ConcurrentRestoreError, InterruptedRestoreError
from ..interruption import InterruptedBySignal, signals_raise
from .connection import Connection, Object
from .job import Deletion, Job
from .key_record import note_opening
from .reader import node_of_volume

# How long the pod may take to drop what it created, also if the server has to become available first.
GRACE_SECONDS = 90
_PREFIX = "postgres-backup.homelab"
_CRONJOB, _TARGET = f"{_PREFIX}/cronjob", f"{_PREFIX}/restore-target"
# Only where it is another server than that of the backups.
_SERVER = f"{_PREFIX}/restore-server"
# As the target: no database has an empty name.
ALL_DATABASES = ""


def run_restore(
    connection: Connection,
    cronjob: Object,
    variables: Mapping[str, str],
    *,
    directory: str | None,
    target: str | None,
    timeout_seconds: float,
    startup_seconds: float,
    server: RestoreServer = SERVER_OF_BACKUPS,
    command: str = "_restore",
    files: Mapping[str, str] = FILES,
    identity: Identity | None = None,
) -> JobEnd:
    """The end of the restore's Job. Only one restore at a time may change the database `target` on the server.

    `target` is ALL_DATABASES for a restore that excludes all others, and None in check mode. `command` is
    that of backup.sh, and `files` are the texts of its files; `identity` decrypts the backup.

    Raises ClusterError: StuckError if the pod does not start, ConcurrentRestoreError if another restore is running, and
    InterruptedRestoreError on a signal. In these cases the Job is deleted, and its pod drops what it created. A Job
    whose API server is not available continues.
    """
    namespace, owner = cronjob["metadata"]["namespace"], cronjob["metadata"]["name"]
    work = VolumeWork(
        kind=RESTORE,
        words=(command,),
        deadline_seconds=int(timeout_seconds),
        grace_seconds=GRACE_SECONDS,
        directory=directory,
        node=node_of_volume(connection, cronjob, directory),
        variables=variables,
        credentials=True,
        # Those of the backups may forbid the way to another server.
        reaches_server=server.address is None,
        sources=server.environment(),
        identity=identity,
    )
    name = job_name(owner, RESTORE, secrets.token_hex(3))
    manifest = volume_job(cronjob, name, files, work)
    if target is not None:
        manifest["metadata"]["annotations"] = {
            _CRONJOB: owner,
            _TARGET: target,
            **({_SERVER: server.address} if server.address else {}),
        }
        _refuse_second(concurrent_restores(connection, manifest), namespace, target)
    try:
        with signals_raise(), Job(connection, manifest, Deletion.UNLESS_UNREACHABLE, identity) as job:
            if target is not None:
                # Two that were started at the same time see each other now; the older one continues.
                others = concurrent_restores(connection, job.manifest)
                _refuse_second([other for other in others if _age(other) < _age(job.manifest)], namespace, target)
            end = job.wait_for_end(
                RESTORE,
                timeout_seconds=timeout_seconds + GRACE_SECONDS + startup_seconds,
                startup_seconds=startup_seconds,
                trust_script_result=True,
            )
    except InterruptedBySignal:
        state = (
            "drops its temporary databases. Databases that are restored remain. Run it again: it continues"
            if target == ALL_DATABASES
            else "drops what it created. The existing databases are unchanged, unless the pod was in its last step "
            "already"
        )
        raise InterruptedRestoreError(
            f"the restore was interrupted: its Job '{namespace}/{name}' is deleted, and its pod {state}"
        ) from None
    if variables.get("RESTORE_CHECK") == "yes":
        return end
    return note_opening(connection, cronjob, end, "restore", directory=directory, startup_seconds=startup_seconds)


def concurrent_restores(connection: Connection, job: Object) -> list[Object]:
    """The other restores of the same database, or of all databases, on the same server that have not ended."""
    metadata = job["metadata"]
    return [
        other
        for other in connection.jobs(metadata["namespace"])
        if (other["metadata"].get("labels") or {}).get(COMPONENT) == RESTORE
        and _same_target(other["metadata"].get("annotations") or {}, metadata["annotations"])
        and other["metadata"]["name"] != metadata["name"]
        and "deletionTimestamp" not in other["metadata"]
        and job_end(other) is None
    ]


def _same_target(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    if any(one.get(key) != other.get(key) for key in (_CRONJOB, _SERVER)):
        return False
    targets = one.get(_TARGET), other.get(_TARGET)
    return None not in targets and (targets[0] == targets[1] or ALL_DATABASES in targets)


def _age(job: Object) -> tuple[str, str]:
    return job["metadata"]["creationTimestamp"], job["metadata"]["name"]


def _refuse_second(others: list[Object], namespace: str, target: str) -> None:
    if others:
        job = f"expected none, found the Job '{namespace}/{others[0]['metadata']['name']}'"
        if ALL_DATABASES in (target, others[0]["metadata"]["annotations"][_TARGET]):
            raise ConcurrentRestoreError(
                f"another restore into this server is running: {job}. Wait for its end, or delete it"
            )
        raise ConcurrentRestoreError(f"another restore to '{target}' is running: {job}. Wait for its end, or delete it")
