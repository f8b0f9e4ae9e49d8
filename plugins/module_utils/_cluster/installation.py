# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server knows of an installation: its schedule, its volume, its server's image, its script."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from typing import Any

from .._jobs.job_templates import BackupMount, backup_mount, is_ours, pod_spec, variables
from .._jobs.pod_diagnosis import has_failed, has_succeeded, job_end, running_beside
from .._jobs.postgres_server import service_behind
from .._jobs.second_container import advice_for
from .._jobs.volume_jobs import COMPONENT
from .._volume.backup_names import parse_time
from .._volume.health import ContinuingJob, DrillSchedule, Installation
from .._volume.watch_record import WatchSchedule
from ..errors import ClusterError, ForbiddenError, NotFoundError, NotInstalledError
from .connection import Connection, Object
from .prerequisites import find_server

with contextlib.suppress(ImportError):  # module_runner.py reports it
    from kubernetes.utils.quantity import parse_quantity

# The role sets it where postgres_backup_image is set.
IMAGE_ANNOTATION = "postgres-backup.homelab/image"
_VERSION = re.compile(r"^VERSION=(\S+)$", re.MULTILINE)


def schedule(cronjob: Object) -> dict[str, Any]:
    """When a CronJob runs; times are as the API server has them (RFC 3339, UTC)."""
    spec, status = cronjob["spec"], cronjob.get("status", {})
    return {
        "cron": spec["schedule"],
        "time_zone": spec.get("timeZone"),
        "suspended": bool(spec.get("suspend")),
        "last_schedule_time": status.get("lastScheduleTime"),
        "last_successful_time": status.get("lastSuccessfulTime"),
    }


def drill_cronjob(connection: Connection, cronjob: Object) -> tuple[Object | None, list[str]]:
    """The CronJob of the drills as the role names it, None where there is none, with notes about missing rights."""
    metadata = cronjob["metadata"]
    try:
        return connection.cronjob_if_any(metadata["namespace"], f"{metadata['name']}-drill"), []
    except ForbiddenError as error:
        return None, [str(error)]


def component_cronjob(
    connection: Connection, cronjob: Object, component: str, part: str = ""
) -> tuple[Object | None, list[str]]:
    """The CronJob of the watch or of the copies as the role names and labels it; None where there is none.

    `part` is the rest of its name. With notes as above.
    """
    metadata = cronjob["metadata"]
    try:
        found = connection.cronjob_if_any(metadata["namespace"], f"{metadata['name']}-{component}{part}")
    except ForbiddenError as error:
        return None, [str(error)]
    # An installation may have this name.
    is_of = found is not None and (found["metadata"].get("labels") or {}).get(COMPONENT) == component
    return (found if is_of else None), []


def component_of(connection: Connection, cronjob: Object, component: str, name: str, advice: str) -> Object:
    """The CronJob of a component, `name` for people; raises NotInstalledError if there is none."""
    found, notes = component_cronjob(connection, cronjob, component)
    if found is None:
        metadata = cronjob["metadata"]
        raise NotInstalledError(
            f"expected {name} of {metadata['namespace']}/{metadata['name']}, found {'; '.join(notes) or 'none'}. "
            f"{advice}, and run site.yml"
        )
    return found


def watch_schedule(cronjob: Object, interval: timedelta | None) -> WatchSchedule:
    """The part of the watch's CronJob that the installation's health depends on; `interval` is that of its schedule."""
    return WatchSchedule(
        is_suspended=bool(cronjob["spec"].get("suspend")),
        interval=interval,
        since=parse_time(cronjob["metadata"].get("creationTimestamp") or ""),
    )


def drill_schedule(cronjob: Object) -> DrillSchedule:
    """The part of the drills' CronJob that the installation's health depends on."""
    status = cronjob.get("status", {})
    return DrillSchedule(
        is_suspended=bool(cronjob["spec"].get("suspend")),
        last_time=parse_time(status.get("lastScheduleTime") or ""),
        is_active=bool(status.get("active")),
        last_success=parse_time(status.get("lastSuccessfulTime") or ""),
    )


def continuing_job(
    connection: Connection, cronjob: Object, container: str, interval: timedelta | None
) -> ContinuingJob | None:
    """The first active Job of the CronJob whose `container` has ended while others of its pod continue.

    With `concurrencyPolicy: Forbid`, the CronJob starts no other Job before this one ends. `interval` is that of the
    schedule; None if it is not known.
    """
    namespace = cronjob["metadata"]["namespace"]
    names = [active["name"] for active in cronjob.get("status", {}).get("active") or []]
    if not names:
        return None
    deadline = cronjob["spec"]["jobTemplate"]["spec"].get("activeDeadlineSeconds")
    limit = timedelta(seconds=deadline) if deadline is not None else None
    for pod in connection.pods(namespace, f"batch.kubernetes.io/job-name in ({','.join(names)})"):
        others = running_beside(pod, container)
        started = parse_time(pod.get("status", {}).get("startTime") or "")
        if others and (has_succeeded(pod, container) or has_failed(pod, container)):
            return ContinuingJob(
                job=pod["metadata"]["labels"]["batch.kubernetes.io/job-name"],
                containers=others,
                until=started + limit if started is not None and limit is not None else None,
                delays_runs=limit is None or (interval is not None and interval < limit),
                advice=advice_for(others),
            )
    return None


def run_as_it_ended(connection: Connection, namespace: str, last_run: Object | None) -> Object | None:
    """The last run's record, with the state `interrupted` where it has `running` and the run's Job has failed.

    A run that is killed cannot write its result, and from its record alone this is only known minutes later. Where the
    Job no longer exists, or this user may not read it, the record is returned unchanged.
    """
    if last_run is None or last_run.get("state") != "running" or not isinstance(last_run.get("job"), str):
        return last_run
    try:
        job = connection.job(namespace, last_run["job"])
    except (ForbiddenError, NotFoundError):
        return last_run
    return {**last_run, "state": "interrupted"} if job_end(job) == "Failed" else last_run


def volume(connection: Connection, mount: BackupMount, namespace: str, source: str | None) -> tuple[Object, list[str]]:
    """The volume as Kubernetes has it, with notes about what this user may not read.

    `source` is what the pods have mounted, such as `192.168.2.2:/volume1/k8s-data/x`.
    """
    result: Object = {"claim": mount.claim, "class": None, "capacity_bytes": None, "nfs_server": None, "nfs_path": None}
    notes: list[str] = []
    nfs = mount.volume.get("nfs")
    if mount.claim is not None:
        try:
            claim = connection.claim(namespace, mount.claim)
            result["class"] = claim["spec"].get("storageClassName")
            capacity = claim.get("status", {}).get("capacity", {}).get("storage")
            if capacity:
                result["capacity_bytes"] = int(parse_quantity(capacity))  # type: ignore[no-untyped-call]  # the client's
            nfs = nfs_of(connection, claim) or nfs
        except (ForbiddenError, NotFoundError) as error:
            notes.append(str(error))
    if nfs is not None:
        result |= {"nfs_server": nfs["server"], "nfs_path": nfs["path"]}
    elif source is not None and ":/" in source:
        server, _, path = source.partition(":/")
        result |= {"nfs_server": server.strip("[]"), "nfs_path": f"/{path}"}
    return result, notes


def nfs_of(connection: Connection, claim: Object) -> Object | None:
    """The share of the volume that the claim is bound to; None for a volume of another kind, and without one."""
    name = claim["spec"].get("volumeName", "")
    return connection.volume(name)["spec"].get("nfs") if name else None


def installation(
    connection: Connection, cronjob: Object, directory: str | None, drill: Object | None = None
) -> tuple[Installation, list[str]]:
    """The state of a CronJob and of that of its drills, with notes about what this user may not read."""
    mount = backup_mount(cronjob, directory)
    notes: list[str] = []
    facts: dict[str, str | None] = {"server_image": None, "script_version": None}
    for key, read in (("server_image", _server_image), ("script_version", _script_version)):
        try:
            facts[key] = read(connection, cronjob, mount)
        except NotFoundError:
            pass
        except ClusterError as error:
            notes.append(str(error))
    return (
        Installation(
            is_suspended=bool(cronjob["spec"].get("suspend")),
            image=mount.container["image"],
            server_image=facts["server_image"],
            script_version=facts["script_version"],
            drill=drill_schedule(drill) if drill is not None else None,
            is_ours=is_ours(cronjob),
        ),
        notes,
    )


def _server_image(connection: Connection, cronjob: Object, mount: BackupMount) -> str | None:
    """The image of the server that the backup dumps, by the rule by which the role installs it (postgres_server).

    None where the user has chosen the backup's image: it may differ from the server's then.
    """
    if (cronjob["metadata"].get("annotations") or {}).get(IMAGE_ANNOTATION) == "chosen":
        return None
    settings = variables(mount.container)
    service = service_behind(settings.get("POSTGRES_BACKUP_HOST", ""), cronjob["metadata"]["namespace"])
    if service is None:
        return None
    port = settings.get("POSTGRES_BACKUP_PORT") or "5432"
    return find_server(connection, service, int(port) if port.isdigit() else 0).image


def _script_version(connection: Connection, cronjob: Object, _mount: BackupMount) -> str | None:
    """The version of the script in the ConfigMap that the CronJob mounts."""
    for pod_volume in pod_spec(cronjob).get("volumes", []):
        name = pod_volume.get("configMap", {}).get("name")
        if name is None:
            continue
        data = connection.config_map(cronjob["metadata"]["namespace"], name).get("data", {})
        match = _VERSION.search(data.get("backup.sh", ""))
        if match is not None:
            return match[1]
    return None
