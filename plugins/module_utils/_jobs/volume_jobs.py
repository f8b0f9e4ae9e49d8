# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs that run the modules' copy of the script with a CronJob's volume: reader, drill, restore.

All objects are plain dictionaries as the Kubernetes API has them (batch/v1).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .identity import Identity, add_identity
from .job_templates import PREFIX, BackupMount, Object, backup_mount, variables
from .tracking_labels import without_tracking

COMPONENT = "app.kubernetes.io/component"
READER, DRILL, RESTORE, WATCH, COPY = "reader", "drill", "restore", "watch", "copy"
# How long a finished Job is kept if no module deletes it.
TTL_SECONDS = 120
# How long a reader may take, in addition to the time that it waits.
READER_DEADLINE_SECONDS = 600
# Where the script works in the pod.
SCRATCH = "/postgres-backup-scratch"
SCRATCH_VOLUME = "postgres-backup-scratch"
# The init container, where there is one: its name and its arguments.
PREPARE = "prepare"
_PREPARE_WORDS = ("_drill_prepare",)
# Where a pod's user id is known, an annotation of the pod contains its passwd file.
_USER_FILE = "postgres-backup.homelab/passwd"
_USER_VOLUME = "postgres-backup-user"


@dataclass(frozen=True)
class VolumeWork:
    """The work of a Job: run `backup.sh WORDS`, in a container named after its `kind`.

    `directory` is the folder with the backups where the CronJob does not define it; `writes` mounts the volume
    writable; `node` is where the pod must run; `variables` are added to the CronJob's POSTGRES_BACKUP_*; `credentials`
    keeps the rest of the container's environment and its mounts; `reaches_server` gives the pod the labels of the
    CronJob's, which the NetworkPolicies of the server of the backups select; `sources` has variables as Kubernetes has
    them (value or valueFrom), which replace the CronJob's; `volumes` and `mounts` are added to the pod and to its
    containers; `passwd` adds a passwd file that names the container's user id; `image` replaces the CronJob's;
    `identity` decrypts the backup; a reader then waits for `stay_seconds`, so that more can be read.
    """

    kind: str
    words: tuple[str, ...]
    deadline_seconds: int
    stay_seconds: int = 0
    grace_seconds: int = 1
    directory: str | None = None
    writes: bool = False
    node: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    credentials: bool = False
    reaches_server: bool = False
    sources: Mapping[str, Object] = field(default_factory=dict)
    passwd: bool = False
    volumes: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()
    image: str | None = None
    identity: Identity | None = None


@dataclass(frozen=True)
class ReaderRequest:
    """The work of a reader: run `backup.sh WORDS`, then wait for `stay_seconds`, so that more can be read.

    `directory` is the folder with the backups where the CronJob does not define it; `writes` mounts the volume
    writable; `node` is where the pod must run.
    """

    words: tuple[str, ...] = ("list",)
    stay_seconds: int = 0
    directory: str | None = None
    writes: bool = False
    node: str | None = None


def reader_job(cronjob: Mapping[str, Any], name: str, script: Mapping[str, str], request: ReaderRequest) -> Object:
    """The Job of a reader; `script` has the texts of the script's files that it needs, by their names."""
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
    """A Job like those of the CronJob, without other containers, Secrets or volumes (unless `work.credentials`).

    `script` has the texts of the script's files that the work needs, by their names. Raises TemplateError where it is
    not clear which volume has the backups.
    """
    mount = backup_mount(cronjob, work.directory)
    template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    metadata = template.get("metadata") or {}
    own_labels = metadata.get("labels") or {}
    labels = {**own_labels, COMPONENT: work.kind}
    pod_labels = {**labels, **own_labels} if work.reaches_server else labels
    annotations = dict(metadata.get("annotations") or {})
    spec = copy.deepcopy(dict(template["spec"]))
    for key in ("initContainers", "ephemeralContainers", "activeDeadlineSeconds"):
        spec.pop(key, None)
    container = _container(mount, cronjob["metadata"]["name"], script, work)
    volumes = spec.get("volumes", []) if work.credentials else [copy.deepcopy(dict(mount.volume))]
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
    if work.identity is not None:
        add_identity(spec, cronjob, name, work.identity)
    if work.node is not None:
        _bind_to_node(spec, work.node)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cronjob["metadata"]["namespace"],
            "labels": without_tracking(labels),
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": work.deadline_seconds,
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": {"metadata": {"labels": dict(pod_labels), "annotations": annotations}, "spec": spec},
        },
    }


def _add_passwd(spec: Object, container: Object) -> dict[str, str]:
    """Add a passwd file with the container's user id, which the image may not have; returns the pod's annotations.

    A user id that the CronJob does not set is only known in the pod: an init container writes the file there.
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


def _container(mount: BackupMount, cronjob: str, script: Mapping[str, str], work: VolumeWork) -> Object:
    environment = _environment(mount, cronjob, work)
    environment |= {_variable(name): _value(text) for name, text in script.items()}
    environment |= {"STAY_SECONDS": _value(str(work.stay_seconds)), "TMPDIR": _value(SCRATCH)}
    others = [other for other in mount.container.get("volumeMounts", []) if other != mount.mount]
    container = {
        "name": work.kind,
        "image": work.image or mount.container["image"],
        "command": ["/bin/sh", "-c", _boot(script), "backup.sh"],
        "args": list(work.words),
        "env": [{"name": name, **source} for name, source in environment.items()],
        "volumeMounts": [
            {**mount.mount, "readOnly": not work.writes},
            *(copy.deepcopy(others) if work.credentials else []),
            {"name": SCRATCH_VOLUME, "mountPath": SCRATCH},
            *work.mounts,
        ],
    }
    kept = ("imagePullPolicy", "securityContext", "resources", *(("envFrom",) if work.credentials else ()))
    container |= {key: copy.deepcopy(mount.container[key]) for key in kept if key in mount.container}
    return container


def _environment(mount: BackupMount, cronjob: str, work: VolumeWork) -> dict[str, Object]:
    """The value of each variable, or its source."""
    if work.credentials:
        kept = {
            entry["name"]: {key: copy.deepcopy(entry[key]) for key in ("value", "valueFrom") if key in entry}
            for entry in mount.container.get("env", [])
        }
    else:
        own = variables(mount.container)
        kept = {name: {"value": text} for name, text in own.items() if name.startswith(PREFIX)}
    # The CronJob's values are escaped already; those that are added here are not.
    is_escaped = work.directory is None and f"{PREFIX}DIR" in variables(mount.container)
    return {
        f"{PREFIX}NAME": {"value": cronjob},
        **kept,
        f"{PREFIX}DIR": {"value": mount.directory} if is_escaped else _value(mount.directory),
        **{name: _value(text) for name, text in work.variables.items()},
        **copy.deepcopy(dict(work.sources)),
    }


def _variable(file: str) -> str:
    """The variable with a file's text: this needs no ConfigMap in the namespace, only a shell in the image."""
    return "FILE_" + file.upper().replace(".", "_").replace("-", "_")


def _boot(files: Iterable[str]) -> str:
    """A shell program that writes the files, runs the script, and then waits for STAY_SECONDS."""
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
