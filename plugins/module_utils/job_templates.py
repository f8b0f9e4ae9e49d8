# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a CronJob's template says of its backups, and the Job that a backup by hand is.

All objects are plain dictionaries as the Kubernetes API has them (batch/v1).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import TemplateError

NAME_LIMIT = 63
INSTANTIATE = "cronjob.kubernetes.io/instantiate"
PREFIX = "POSTGRES_BACKUP_"

Object = dict[str, Any]


@dataclass(frozen=True)
class BackupMount:
    """Where a CronJob's pods have the backup volume: the pod's volume, and its mount in `container`."""

    container: Mapping[str, Any]
    volume: Mapping[str, Any]
    mount: Mapping[str, Any]
    directory: str

    @property
    def claim(self) -> str | None:
        """The volume claim's name; None for a volume without one."""
        name: str | None = self.volume.get("persistentVolumeClaim", {}).get("claimName")
        return name


def pod_spec(cronjob: Mapping[str, Any]) -> Object:
    spec: Object = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def variables(container: Mapping[str, Any]) -> dict[str, str]:
    """The container's environment variables that have a value of their own (no reference)."""
    return {entry["name"]: entry.get("value", "") for entry in container.get("env", []) if "valueFrom" not in entry}


def is_ours(cronjob: Mapping[str, Any]) -> bool:
    """Whether its pods run this collection's script."""
    return any(f"{PREFIX}DIR" in variables(container) for container in pod_spec(cronjob)["containers"])


def backup_mount(cronjob: Mapping[str, Any], directory: str | None = None) -> BackupMount:
    """The volume that the CronJob's backups go to.

    `directory` is the folder in the pods that holds them; without it, the script's own variable says it, else it is the
    only mount of a volume that outlives the pod. Raises TemplateError where that is not clear.
    """
    spec = pod_spec(cronjob)
    name = cronjob["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    found = []
    for container in spec["containers"]:
        wanted = directory or variables(container).get(f"{PREFIX}DIR")
        for mount in container.get("volumeMounts", []):
            volume = volumes.get(mount["name"], {})
            if wanted is not None and _is_below(wanted, mount["mountPath"]):
                found.append(BackupMount(container, volume, mount, wanted))
            elif wanted is None and volume.keys() & {"persistentVolumeClaim", "nfs", "hostPath"}:
                found.append(BackupMount(container, volume, mount, mount["mountPath"]))
    if directory is None and any(f"{PREFIX}DIR" in variables(mount.container) for mount in found):
        found = [mount for mount in found if f"{PREFIX}DIR" in variables(mount.container)]
    if found and (directory is not None or is_ours(cronjob)):
        # The innermost mount is the one that holds the folder.
        return max(found, key=lambda mount: len(mount.mount["mountPath"]))
    if len({(mount.volume["name"], mount.directory) for mount in found}) == 1:
        return found[0]
    paths = ", ".join(sorted(mount.directory for mount in found)) or "none"
    wanted = f"one mounted volume that holds {directory or 'the backups'}"
    raise TemplateError(f"the CronJob '{name}': expected {wanted}, found {paths}; name the folder with `directory`")


def _is_below(path: str, mount_path: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{mount_path.rstrip('/')}/")


def job_name(cronjob: str, kind: str, token: str) -> str:
    """A Job's name: the CronJob's, what it is for, and a token that nobody else has."""
    ending = f"-{kind}-{token}"
    return f"{cronjob[: NAME_LIMIT - len(ending)].rstrip('-.')}{ending}"


def manual_job(cronjob: Mapping[str, Any], name: str) -> Object:
    """The Job that `kubectl create job --from=cronjob/…` makes (kubectl/pkg/cmd/create/create_job.go)."""
    template = cronjob["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": cronjob["metadata"]["name"],
        "uid": cronjob["metadata"]["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cronjob["metadata"]["namespace"],
            "annotations": {**(metadata.get("annotations") or {}), INSTANTIATE: "manual"},
            "labels": dict(metadata.get("labels") or {}),
            "ownerReferences": [owner],
        },
        "spec": copy.deepcopy(template["spec"]),
    }
