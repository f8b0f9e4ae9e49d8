# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The identity with which a Job decrypts a backup: a Secret, the program age, and where its container has both.

All objects are plain dictionaries as the Kubernetes API has them.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .job_templates import PREFIX, Object, pod_spec

# The key of the Secret, and the name of its file in the container.
KEY = "identity"
FOLDER = "/opt/postgres-backup-identity"
# The init container and the volume by which the role brings age into the pods of the backups (templates/pods.j2).
AGE = "age"
# The role sets it where postgres_backup_drill_identity_secret is set.
DRILL_ANNOTATION = "postgres-backup.homelab/drill-identity-secret"
_VOLUME = "postgres-backup-identity"
_ENDING = "-identity"


@dataclass(frozen=True)
class Identity:
    """The name of a Secret that has the identity, or the text of one that is made for the Job and ends with it."""

    secret_name: str | None = None
    text: str | None = field(default=None, repr=False)


def identity_of_drills(cronjob: Mapping[str, Any]) -> Identity | None:
    """The one that the installation has for its drills; None without it."""
    name = (cronjob["metadata"].get("annotations") or {}).get(DRILL_ANNOTATION)
    return Identity(secret_name=name) if name else None


def secret_of_job(job: Mapping[str, Any], text: str) -> Object:
    """The Secret with the identity for a Job that exists: Kubernetes deletes it with the Job.

    (Kubernetes documentation, "Garbage Collection", "Owners and Dependents".)
    """
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": _secret_name(metadata["name"]),
            "namespace": metadata["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "ownerReferences": [owner],
        },
        "immutable": True,
        "data": {KEY: base64.b64encode(text.encode()).decode()},
    }


def _secret_name(job: str) -> str:
    return f"{job}{_ENDING}"


def add_identity(spec: Object, cronjob: Mapping[str, Any], job: str, identity: Identity) -> None:
    """Give the only container of a pod the identity, and age; `job` is the name of the Job.

    Without postgres_backup_recipients, the CronJob has no age. The script still reads backups that are not encrypted
    then, and its message for the others names what brings age.
    """
    environment = {f"{PREFIX}IDENTITY_FILE": f"{FOLDER}/{KEY}"}
    mounts: list[Object] = [{"name": _VOLUME, "mountPath": FOLDER, "readOnly": True}]
    # Every user id of the pod may read it: only this container mounts it.
    secret = {"secretName": identity.secret_name or _secret_name(job), "defaultMode": 0o444}
    volumes: list[Object] = [{"name": _VOLUME, "secret": secret}]
    template = pod_spec(cronjob)
    bringer = next((one for one in template.get("initContainers") or [] if one["name"] == AGE), None)
    mount = next((one for one in (bringer or {}).get("volumeMounts") or [] if one["name"] == AGE), None)
    if bringer is not None and mount is not None:
        environment[f"{PREFIX}AGE"] = f"{mount['mountPath']}/age"
        mounts.append({"name": AGE, "mountPath": mount["mountPath"], "readOnly": True})
        volumes.append(copy.deepcopy(next(volume for volume in template["volumes"] if volume["name"] == AGE)))
        spec["initContainers"] = [copy.deepcopy(bringer), *(spec.get("initContainers") or [])]
    (container,) = spec["containers"]
    others = [entry for entry in container["env"] if entry["name"] not in environment]
    variables = [{"name": name, "value": text} for name, text in environment.items()]
    spec["containers"] = [
        {
            **container,
            "env": [*others, *variables],
            "volumeMounts": [*_without(container["volumeMounts"], volumes), *mounts],
        }
    ]
    spec["volumes"] = [*_without(spec["volumes"], volumes), *volumes]


def _without(entries: list[Object], replaced: list[Object]) -> list[Object]:
    names = {one["name"] for one in replaced}
    return [entry for entry in entries if entry["name"] not in names]
