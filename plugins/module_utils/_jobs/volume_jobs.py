# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs that do something with a CronJob's volume by the script that the modules carry: reader, drill, restore.

All objects are plain dictionaries as the Kubernetes API has them (batch/v1).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .job_templates import PREFIX, BackupMount, Object, backup_mount, variables

COMPONENT = "app.kubernetes.io/component"
READER, DRILL, RESTORE = "reader", "drill", "restore"
# How long a finished Job may stay if nobody deletes it.
TTL_SECONDS = 120
# How long a reader may take besides the time that it stays.
READER_DEADLINE_SECONDS = 600
# Where the script works in the pod.
SCRATCH = "/postgres-backup-scratch"
SCRATCH_VOLUME = "postgres-backup-scratch"
# The first container, where there is one: its name and its words.
PREPARE = "prepare"
_PREPARE_WORDS = ("_drill_prepare",)
# Where a pod's user id is known, its passwd file is an annotation of the pod.
_USER_FILE = "postgres-backup.homelab/passwd"
_USER_VOLUME = "postgres-backup-user"


@dataclass(frozen=True)
class VolumeWork:
    """What a Job is to do: run `backup.sh WORDS`, in a container named after its `kind`.

    `files` are those of the script's that it needs; `directory` is the folder that holds the backups where the CronJob
    does not say it; `writes` mounts the volume writable; `node` is where the pod must run; `variables` are added to the
    CronJob's own POSTGRES_BACKUP_*; `credentials` leaves the container the rest of its environment and its mounts;
    `volumes` and `mounts` are added to the pod and to its containers; `passwd` gives the container a passwd file that
    names its user id; a reader stays for `stay_seconds` so that more can be read.
    """

    kind: str
    words: tuple[str, ...]
    deadline_seconds: int
    files: tuple[str, ...] = ("backup.sh", "retention.awk")
    stay_seconds: int = 0
    grace_seconds: int = 1
    directory: str | None = None
    writes: bool = False
    node: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    credentials: bool = False
    passwd: bool = False
    volumes: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()


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
    """The Job of a reader; `script` has the texts of the script's files by their names."""
    work = VolumeWork(
        kind=READER,
        words=request.words,
        deadline_seconds=request.stay_seconds + READER_DEADLINE_SECONDS,
        stay_seconds=request.stay_seconds,
        directory=request.directory,
        writes=request.writes,
        node=request.node,
    )
    return volume_job(cronjob, name, script, work)


def volume_job(cronjob: Mapping[str, Any], name: str, script: Mapping[str, str], work: VolumeWork) -> Object:
    """A Job like the backup's own, without its other containers; without credentials, secrets and other volumes too.

    `script` has the texts of the script's files by their names. Raises TemplateError where the volume is not clear.
    """
    there = backup_mount(cronjob, work.directory)
    template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), COMPONENT: work.kind}
    annotations = dict(metadata.get("annotations") or {})
    spec = copy.deepcopy(dict(template["spec"]))
    for key in ("initContainers", "ephemeralContainers", "activeDeadlineSeconds"):
        spec.pop(key, None)
    container = _container(there, cronjob["metadata"]["name"], script, work)
    volumes = spec.get("volumes", []) if work.credentials else [copy.deepcopy(dict(there.volume))]
    spec |= {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": work.grace_seconds,
        "volumes": [*volumes, {"name": SCRATCH_VOLUME, "emptyDir": {"sizeLimit": "64Mi"}}, *work.volumes],
        "containers": [container],
    }
    if work.passwd:
        annotations |= _add_passwd(spec, container)
    if work.node is not None:
        _bind_to_node(spec, work.node)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": cronjob["metadata"]["namespace"], "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": work.deadline_seconds,
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": {"metadata": {"labels": dict(labels), "annotations": annotations}, "spec": spec},
        },
    }


def _add_passwd(spec: Object, container: Object) -> dict[str, str]:
    """A passwd file for the container, whose user id the image need not know; returns the pod's annotations for it.

    A user id that nobody has set is known in the pod only: there a first container writes the file, a second's work.
    """
    identity = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
    mount = {"mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True}
    if identity.get("runAsUser") is None:
        spec["initContainers"] = [{**container, "name": PREPARE, "args": list(_PREPARE_WORDS)}]
        mounts, annotations = {"name": SCRATCH_VOLUME, **mount}, {}
    else:
        user, group = int(identity["runAsUser"]), int(identity.get("runAsGroup") or 0)
        lines = ("root:x:0:0:root:/:/bin/false", f"postgres-drill:x:{user}:{group}:PostgreSQL:/:/bin/false")
        annotations = {_USER_FILE: "".join(f"{line}\n" for line in lines)}
        # (Kubernetes documentation, "Expose Pod Information to Containers Through Files".)
        item = {"path": "passwd", "fieldRef": {"fieldPath": f"metadata.annotations['{_USER_FILE}']"}}
        spec["volumes"] = [*spec["volumes"], {"name": _USER_VOLUME, "downwardAPI": {"items": [item]}}]
        mounts = {"name": _USER_VOLUME, **mount}
    spec["containers"] = [{**container, "volumeMounts": [*container["volumeMounts"], mounts]}]
    return annotations


def _container(there: BackupMount, cronjob: str, script: Mapping[str, str], work: VolumeWork) -> Object:
    environment = _environment(there, cronjob, work)
    environment |= {_variable(name): _value(script[name]) for name in work.files}
    environment |= {"STAY_SECONDS": _value(str(work.stay_seconds)), "TMPDIR": _value(SCRATCH)}
    mount = {**there.mount, "readOnly": not work.writes}
    others = [other for other in there.container.get("volumeMounts", []) if other != there.mount]
    made = {
        "name": work.kind,
        "image": there.container["image"],
        "command": ["/bin/sh", "-c", _boot(work.files), "backup.sh"],
        "args": list(work.words),
        "env": [{"name": name, **source} for name, source in environment.items()],
        "volumeMounts": [
            mount,
            *(copy.deepcopy(others) if work.credentials else []),
            {"name": SCRATCH_VOLUME, "mountPath": SCRATCH},
            *work.mounts,
        ],
    }
    kept = ("imagePullPolicy", "securityContext", "resources", *(("envFrom",) if work.credentials else ()))
    made |= {key: copy.deepcopy(there.container[key]) for key in kept if key in there.container}
    return made


def _environment(there: BackupMount, cronjob: str, work: VolumeWork) -> dict[str, Object]:
    """Each variable's value or where it comes from."""
    if work.credentials:
        kept = {
            entry["name"]: {key: copy.deepcopy(entry[key]) for key in ("value", "valueFrom") if key in entry}
            for entry in there.container.get("env", [])
        }
    else:
        own = variables(there.container)
        kept = {name: {"value": text} for name, text in own.items() if name.startswith(PREFIX)}
    # What the CronJob has was escaped when it was made; what is added here was not.
    is_escaped = work.directory is None and f"{PREFIX}DIR" in variables(there.container)
    return {
        f"{PREFIX}NAME": {"value": cronjob},
        **kept,
        f"{PREFIX}DIR": {"value": there.directory} if is_escaped else _value(there.directory),
        **{name: _value(text) for name, text in work.variables.items()},
    }


def _variable(file: str) -> str:
    """The files travel in variables: the namespace needs no ConfigMap, and any image's shell can write them."""
    return "FILE_" + file.upper().replace(".", "_").replace("-", "_")


def _boot(files: tuple[str, ...]) -> str:
    """A shell's program that writes the files, runs the script, and stays for as long as it is told to."""
    lines = ["umask 077", f'mkdir -p "{SCRATCH}/script" || exit 2']
    for file in files:
        lines += [f"printf '%s' \"${_variable(file)}\" >{SCRATCH}/script/{file} || exit 2", f"unset {_variable(file)}"]
    lines += [
        'if [ "$STAY_SECONDS" -eq 0 ]; then',
        f'    exec sh {SCRATCH}/script/backup.sh "$@"',
        "fi",
        f'sh {SCRATCH}/script/backup.sh "$@" || exit',
        "trap 'exit 0' TERM",
        'sleep "$STAY_SECONDS" &',
        "wait",
    ]
    return "\n".join([*lines, ""])


def _value(text: str) -> Object:
    """Kubernetes reads $(NAME) and $$ in the value of a variable (Container v1 core, env.value)."""
    return {"value": text.replace("$", "$$")}


def _bind_to_node(spec: Object, node: str) -> None:
    affinity = spec.setdefault("affinity", {})
    affinity["nodeAffinity"] = {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
            ]
        }
    }
