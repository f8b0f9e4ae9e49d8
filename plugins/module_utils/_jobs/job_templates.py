# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The backups that a CronJob's template defines, and the Job of a manual run.

All objects are plain dictionaries as the Kubernetes API has them (batch/v1).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import TemplateError

NAME_LIMIT = 63
INSTANTIATE = "cronjob.kubernetes.io/instantiate"
PREFIX = "POSTGRES_BACKUP_"
# The call of the script in a container's command and arguments, also within a shell command.
_RUN = re.compile(r"""(?:^|[\s/'"=])backup\.sh['"]?\s+['"]?run(?=$|[\s'";&|)])""")

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
        """The name of the volume claim; None if the volume has none."""
        name: str | None = self.volume.get("persistentVolumeClaim", {}).get("claimName")
        return name


def pod_spec(cronjob: Mapping[str, Any]) -> Object:
    spec: Object = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def variables(container: Mapping[str, Any]) -> dict[str, str]:
    """The container's environment variables whose value is not a reference."""
    return {entry["name"]: entry.get("value", "") for entry in container.get("env", []) if "valueFrom" not in entry}


def is_ours(cronjob: Mapping[str, Any]) -> bool:
    """Whether its pods run this collection's script."""
    return any(f"{PREFIX}DIR" in variables(container) for container in pod_spec(cronjob)["containers"])


def claim_names(cronjob: Mapping[str, Any]) -> list[str]:
    """The claims that its pods mount, each once."""
    claims = (volume.get("persistentVolumeClaim") for volume in pod_spec(cronjob).get("volumes") or [])
    return [*dict.fromkeys(claim["claimName"] for claim in claims if claim)]


def backup_mount(cronjob: Mapping[str, Any], directory: str | None = None) -> BackupMount:
    """The volume that contains the CronJob's backups.

    `directory` is their folder in the pods. Without it, the script's variable is used, or else the only mount of a
    volume that outlives the pod. Raises TemplateError if that is not clear.
    """
    spec = pod_spec(cronjob)
    name = cronjob["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    mounts = []
    for container in spec["containers"]:
        folder = directory or variables(container).get(f"{PREFIX}DIR")
        for mount in container.get("volumeMounts", []):
            volume = volumes.get(mount["name"], {})
            if folder is not None and _is_below(folder, mount["mountPath"]):
                mounts.append(BackupMount(container, volume, mount, folder))
            elif folder is None and volume.keys() & {"persistentVolumeClaim", "nfs", "hostPath"}:
                mounts.append(BackupMount(container, volume, mount, mount["mountPath"]))
    if directory is None and any(f"{PREFIX}DIR" in variables(mount.container) for mount in mounts):
        mounts = [mount for mount in mounts if f"{PREFIX}DIR" in variables(mount.container)]
    if mounts and (directory is not None or is_ours(cronjob)):
        # The innermost mount contains the folder.
        return max(mounts, key=lambda mount: len(mount.mount["mountPath"]))
    if len({(mount.volume["name"], mount.directory) for mount in mounts}) == 1:
        return mounts[0]
    paths = ", ".join(sorted(mount.directory for mount in mounts)) or "none"
    expected = f"one mounted volume that contains {directory or 'the backups'}"
    raise TemplateError(f"the CronJob '{name}': expected {expected}, found {paths}. Set `directory` to the folder")


def _is_below(path: str, mount_path: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{mount_path.rstrip('/')}/")


def job_name(cronjob: str, kind: str, token: str) -> str:
    """A Job's name: the CronJob's, the kind of the Job, and a unique token."""
    ending = f"-{kind}-{token}"
    return f"{cronjob[: NAME_LIMIT - len(ending)].rstrip('-.')}{ending}"


def manual_job(cronjob: Mapping[str, Any], name: str) -> Object:
    """The Job that `kubectl create job --from=cronjob/…` creates (kubectl/pkg/cmd/create/create_job.go)."""
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


def ask_for_progress(job: Object) -> Object:
    """The Job, with a variable by which the script prints what it is doing; other programs do not get it."""
    asked = copy.deepcopy(job)
    name = f"{PREFIX}PROGRESS"
    for container in asked["spec"]["template"]["spec"]["containers"]:
        names = [entry["name"] for entry in container.get("env") or []]
        if f"{PREFIX}DIR" in names and name not in names:
            container["env"].append({"name": name, "value": "yes"})
    return asked


def is_run(job: Mapping[str, Any], cronjob: Mapping[str, Any], container: str) -> bool:
    """Whether this Job of the CronJob makes a backup; `container` is the container that does in the CronJob's pods.

    Any Job may be made from a CronJob with other arguments, to list the volume or to enter a pod. Where the CronJob is
    ours, a run executes the script with the argument `run`, whatever its image and version. Where it is not, a run is
    a Job that the schedule created, from the template of that time, or one with the template's command and arguments:
    what another command does is not known.
    """
    words = {one["name"]: _words(one) for one in job["spec"]["template"]["spec"]["containers"]}
    template = {one["name"]: _words(one) for one in pod_spec(cronjob)["containers"]}
    if is_ours(cronjob):
        # In an earlier version, the container may have another name.
        candidates = [words[container]] if container in words else [*words.values()]
        return any(one == template[container] or _RUN.search(" ".join(one)) is not None for one in candidates)
    return _is_scheduled(job, cronjob) or words.get(container) == template[container]


def _words(container: Mapping[str, Any]) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _is_scheduled(job: Mapping[str, Any], cronjob: Mapping[str, Any]) -> bool:
    """Whether the controller created the Job: its name ends in the minute (cronjob_controllerv2.go, getJobName)."""
    metadata, name = job["metadata"], re.escape(cronjob["metadata"]["name"])
    by_hand = INSTANTIATE in (metadata.get("annotations") or {})
    return not by_hand and re.fullmatch(rf"{name}-\d{{8}}", metadata["name"]) is not None
