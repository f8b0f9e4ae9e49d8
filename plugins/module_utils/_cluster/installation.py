# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server knows of an installation: its schedule, its volume, its server's image, its script."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from .._jobs.job_templates import BackupMount, backup_mount, is_ours, pod_spec, variables
from .._jobs.pod_diagnosis import job_end
from .._volume.backup_names import parse_time
from .._volume.health import DrillSchedule, Installation
from ..errors import ClusterError, ForbiddenError, NotFoundError
from .connection import Connection, Object

with contextlib.suppress(ImportError):  # the module says so: module_support.py
    from kubernetes.utils.quantity import parse_quantity

# The role sets it where postgres_backup_image is set.
IMAGE_ANNOTATION = "postgres-backup.homelab/image"
_VERSION = re.compile(r"^VERSION=(\S+)$", re.MULTILINE)
_SERVICE = re.compile(r"(?P<name>[a-z0-9-]+)(\.(?P<namespace>[a-z0-9-]+)(\.svc(\..*)?)?)?")


def schedule(cronjob: Object) -> dict[str, Any]:
    """When it runs; times are the API server's (RFC 3339, UTC)."""
    spec, status = cronjob["spec"], cronjob.get("status", {})
    return {
        "cron": spec["schedule"],
        "time_zone": spec.get("timeZone"),
        "suspended": bool(spec.get("suspend")),
        "last_schedule_time": status.get("lastScheduleTime"),
        "last_successful_time": status.get("lastSuccessfulTime"),
    }


def drill_cronjob(connection: Connection, cronjob: Object) -> tuple[Object | None, list[str]]:
    """The CronJob of the drills as the role names it, None where there is none; with notes as below."""
    metadata = cronjob["metadata"]
    try:
        return connection.cronjob_if_any(metadata["namespace"], f"{metadata['name']}-drill"), []
    except ForbiddenError as error:
        return None, [str(error)]


def drill_schedule(cronjob: Object) -> DrillSchedule:
    """What of the drills' CronJob the installation's health depends on."""
    status = cronjob.get("status", {})
    return DrillSchedule(
        is_suspended=bool(cronjob["spec"].get("suspend")),
        last_time=parse_time(status.get("lastScheduleTime") or ""),
        is_active=bool(status.get("active")),
        last_success=parse_time(status.get("lastSuccessfulTime") or ""),
    )


def run_as_it_ended(connection: Connection, namespace: str, last_run: Object | None) -> Object | None:
    """The last run's record, as interrupted where it says running and its Job has failed.

    A run that is killed cannot write its result, and its record alone is called interrupted minutes later. Where the
    Job is gone, or this user may not read it, the record stays as it is.
    """
    if last_run is None or last_run.get("state") != "running" or not isinstance(last_run.get("job"), str):
        return last_run
    try:
        job = connection.job(namespace, last_run["job"])
    except (ForbiddenError, NotFoundError):
        return last_run
    return {**last_run, "state": "interrupted"} if job_end(job) == "Failed" else last_run


def volume(connection: Connection, there: BackupMount, namespace: str, source: str | None) -> tuple[Object, list[str]]:
    """The volume as Kubernetes has it, with notes about what this user may not read.

    `source` is what the pods have mounted there, such as `192.168.2.2:/volume1/k8s-data/x`.
    """
    found: Object = {"claim": there.claim, "class": None, "capacity_bytes": None, "nfs_server": None, "nfs_path": None}
    notes: list[str] = []
    nfs = there.volume.get("nfs")
    if there.claim is not None:
        try:
            claim = connection.claim(namespace, there.claim)
            found["class"] = claim["spec"].get("storageClassName")
            capacity = claim.get("status", {}).get("capacity", {}).get("storage")
            if capacity:
                found["capacity_bytes"] = int(parse_quantity(capacity))  # type: ignore[no-untyped-call]  # the client's
            name = claim["spec"].get("volumeName", "")
            if name:
                nfs = connection.volume(name)["spec"].get("nfs")
        except (ForbiddenError, NotFoundError) as error:
            notes.append(str(error))
    if nfs is not None:
        found |= {"nfs_server": nfs["server"], "nfs_path": nfs["path"]}
    elif source is not None and ":/" in source:
        server, _, path = source.partition(":/")
        found |= {"nfs_server": server.strip("[]"), "nfs_path": f"/{path}"}
    return found, notes


def installation(
    connection: Connection, cronjob: Object, directory: str | None, drill: Object | None = None
) -> tuple[Installation, list[str]]:
    """The CronJob as it stands, and that of its drills, with notes about what this user may not read."""
    there = backup_mount(cronjob, directory)
    notes: list[str] = []
    found: dict[str, str | None] = {"server_image": None, "script_version": None}
    for key, look in (("server_image", _server_image), ("script_version", _script_version)):
        try:
            found[key] = look(connection, cronjob, there)
        except NotFoundError:
            pass
        except ClusterError as error:
            notes.append(str(error))
    return (
        Installation(
            is_suspended=bool(cronjob["spec"].get("suspend")),
            image=there.container["image"],
            server_image=found["server_image"],
            script_version=found["script_version"],
            drill=drill_schedule(drill) if drill is not None else None,
            is_ours=is_ours(cronjob),
        ),
        notes,
    )


def _server_image(connection: Connection, cronjob: Object, there: BackupMount) -> str | None:
    """The image of the container that serves the port of the service that the backup dumps.

    None where somebody chose the backup's image: then it need not be the server's.
    """
    if (cronjob["metadata"].get("annotations") or {}).get(IMAGE_ANNOTATION) == "chosen":
        return None
    settings = variables(there.container)
    match = _SERVICE.fullmatch(settings.get("POSTGRES_BACKUP_HOST", ""))
    if match is None:
        return None
    namespace = match["namespace"] or cronjob["metadata"]["namespace"]
    service = connection.service(namespace, match["name"])
    selector = service["spec"].get("selector") or {}
    text = settings.get("POSTGRES_BACKUP_PORT") or "5432"
    wanted = int(text) if text.isdigit() else 0
    port = next((port for port in service["spec"].get("ports", []) if port["port"] == wanted), None)
    if not selector or port is None:
        return None
    target = port.get("targetPort", wanted)
    for pod in connection.pods(namespace, ",".join(f"{key}={text}" for key, text in selector.items())):
        for container in pod["spec"]["containers"]:
            for own in container.get("ports", []):
                if target in {own.get("name"), own["containerPort"]}:
                    return str(container["image"])
    return None


def _script_version(connection: Connection, cronjob: Object, _there: BackupMount) -> str | None:
    """The version of the script in the ConfigMap that the CronJob mounts."""
    for each in pod_spec(cronjob).get("volumes", []):
        name = each.get("configMap", {}).get("name")
        if name is None:
            continue
        data = connection.config_map(cronjob["metadata"]["namespace"], name).get("data", {})
        match = _VERSION.search(data.get("backup.sh", ""))
        if match is not None:
            return match[1]
    return None
