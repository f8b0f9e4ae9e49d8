# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A CronJob's template as the Jobs that the modules start: a backup by hand, and a reader of the volume.

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
COMPONENT = "app.kubernetes.io/component"
READER_CONTAINER = "reader"
# How long a finished reader may stay if nobody deletes it.
READER_TTL_SECONDS = 120
# How long a reader may take besides the time that it stays.
READER_DEADLINE_SECONDS = 600
# Where the script works in the reader's pod.
_SCRATCH = "/reader-scratch"
_PREFIX = "POSTGRES_BACKUP_"
# The files travel in variables: the namespace needs no ConfigMap, and any image's shell can write them.
_BOOT = f"""umask 077
mkdir {_SCRATCH}/script || exit 2
printf '%s' "$BACKUP_SH" >{_SCRATCH}/script/backup.sh || exit 2
printf '%s' "$RETENTION_AWK" >{_SCRATCH}/script/retention.awk || exit 2
unset BACKUP_SH RETENTION_AWK
sh {_SCRATCH}/script/backup.sh "$@" || exit
if [ "$STAY_SECONDS" -gt 0 ]; then
    trap 'exit 0' TERM
    sleep "$STAY_SECONDS" &
    wait
fi
"""

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
    return any(f"{_PREFIX}DIR" in variables(container) for container in pod_spec(cronjob)["containers"])


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
        wanted = directory or variables(container).get(f"{_PREFIX}DIR")
        for mount in container.get("volumeMounts", []):
            volume = volumes.get(mount["name"], {})
            if wanted is not None and _is_below(wanted, mount["mountPath"]):
                found.append(BackupMount(container, volume, mount, wanted))
            elif wanted is None and volume.keys() & {"persistentVolumeClaim", "nfs", "hostPath"}:
                found.append(BackupMount(container, volume, mount, mount["mountPath"]))
    if directory is None and any(f"{_PREFIX}DIR" in variables(mount.container) for mount in found):
        found = [mount for mount in found if f"{_PREFIX}DIR" in variables(mount.container)]
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


@dataclass(frozen=True)
class ReaderRequest:
    """What a reader is to do: run `backup.sh WORDS`, then stay for `stay_seconds` so that more can be read.

    `directory` is the folder that holds the backups where the CronJob does not say it; `writes` mounts the volume
    writable; `node` is where the pod must run.
    """

    words: tuple[str, ...] = ("list",)
    stay_seconds: int = 0
    directory: str | None = None
    writes: bool = False
    node: str | None = None


def reader_job(cronjob: Mapping[str, Any], name: str, script: Mapping[str, str], request: ReaderRequest) -> Object:
    """The Job of a reader: like the backup's own, without its secrets, other volumes and other containers.

    `script` has the texts of `backup.sh` and `retention.awk`.
    """
    there = backup_mount(cronjob, request.directory)
    template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), COMPONENT: "reader"}
    annotations = dict(metadata.get("annotations") or {})
    spec = copy.deepcopy(dict(template["spec"]))
    for key in ("initContainers", "ephemeralContainers", "activeDeadlineSeconds"):
        spec.pop(key, None)
    spec |= {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "volumes": [copy.deepcopy(dict(there.volume)), {"name": "reader-scratch", "emptyDir": {"sizeLimit": "64Mi"}}],
        "containers": [_reader(there, cronjob["metadata"]["name"], script, request)],
    }
    if request.node is not None:
        _bind_to_node(spec, request.node)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": cronjob["metadata"]["namespace"], "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": request.stay_seconds + READER_DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": READER_TTL_SECONDS,
            "template": {"metadata": {"labels": dict(labels), "annotations": annotations}, "spec": spec},
        },
    }


def _reader(there: BackupMount, cronjob: str, script: Mapping[str, str], request: ReaderRequest) -> Object:
    kept = {name: text for name, text in variables(there.container).items() if name.startswith(_PREFIX)}
    kept |= {f"{_PREFIX}NAME": kept.get(f"{_PREFIX}NAME", cronjob), f"{_PREFIX}DIR": there.directory}
    # These were escaped when the CronJob was made; the texts of the files were not.
    own = {"STAY_SECONDS": str(request.stay_seconds), "TMPDIR": _SCRATCH}
    own |= {"BACKUP_SH": _literal(script["backup.sh"]), "RETENTION_AWK": _literal(script["retention.awk"])}
    mount = {**there.mount, "readOnly": not request.writes}
    reader = {
        "name": READER_CONTAINER,
        "image": there.container["image"],
        "command": ["/bin/sh", "-c", _BOOT, "backup.sh"],
        "args": list(request.words),
        "env": [{"name": name, "value": text} for name, text in {**kept, **own}.items()],
        "volumeMounts": [mount, {"name": "reader-scratch", "mountPath": _SCRATCH}],
    }
    for key in ("imagePullPolicy", "securityContext", "resources"):
        if key in there.container:
            reader[key] = copy.deepcopy(there.container[key])
    return reader


def _literal(text: str) -> str:
    """Kubernetes reads $(NAME) and $$ in the value of a variable (Container v1 core, env.value)."""
    return text.replace("$", "$$")


def _bind_to_node(spec: Object, node: str) -> None:
    affinity = spec.setdefault("affinity", {})
    affinity["nodeAffinity"] = {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
            ]
        }
    }
