# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a CronJob's template says of its backups, and the Job that a backup by hand is.

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
# The script's words in a container's command and arguments, also where a shell's program holds them.
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


def is_run(job: Mapping[str, Any], cronjob: Mapping[str, Any], container: str) -> bool:
    """Whether the Job, one of the CronJob's, makes a backup; `container` is the one that does in the CronJob's pods.

    Any Job may be made from a CronJob with other arguments, to list the volume or to enter a pod. Where the CronJob is
    ours, a run executes the script with the argument `run`, whatever image and version it has. Where it is not, a run
    is what the schedule made, from whatever template there was then, and what has the template's own command and
    arguments: what another command does is not known.
    """
    words = {each["name"]: _words(each) for each in job["spec"]["template"]["spec"]["containers"]}
    template = {each["name"]: _words(each) for each in pod_spec(cronjob)["containers"]}
    if is_ours(cronjob):
        # An earlier version may have named the container in another way.
        looked_at = [words[container]] if container in words else [*words.values()]
        return any(each == template[container] or _RUN.search(" ".join(each)) is not None for each in looked_at)
    return _is_scheduled(job, cronjob) or words.get(container) == template[container]


def _words(container: Mapping[str, Any]) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _is_scheduled(job: Mapping[str, Any], cronjob: Mapping[str, Any]) -> bool:
    """Whether the controller made the Job: its name ends in the minute (cronjob_controllerv2.go, getJobName)."""
    metadata, name = job["metadata"], re.escape(cronjob["metadata"]["name"])
    by_hand = INSTANTIATE in (metadata.get("annotations") or {})
    return not by_hand and re.fullmatch(rf"{name}-\d{{8}}", metadata["name"]) is not None
