# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server rejects in a dry run, and the role's variables that the rejected fields come from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._jobs.job_templates import pod_spec
from .._jobs.volume_jobs import COMPONENT, COPY, WATCH
from .checks import DRILL_SUFFIX

Object = Mapping[str, Any]
# Optional, since Python 3.9 evaluates an alias.
Claim = Optional[Object]

# Patterns of the API server's messages, and the variable that each one belongs to. Messages name fields in several
# forms: a path, a type in Go (`ResourceRequirements`), a sentence. Volumes have names instead of numbers, see
# _with_volume_names.
_VARIABLES = {
    re.compile(pattern): f"postgres_backup_{name}"
    for pattern, name in {
        r"spec[.]schedule": "schedule",
        r"[tT]ime ?[zZ]one": "time_zone",
        r"affinity|Affinity": "affinity",
        r"oleration": "tolerations",
        r"odeSelector(?!Term)": "node_selector",
        r"containers\[[0-9]+\][.]resources|ResourceRequirements|[qQ]uantit": "resources",
        r"template[.](metadata[.])?labels": "pod_labels",
        r"template[.](metadata[.])?annotations": "pod_annotations",
        r"(initC|c)ontainers\[[0-9]+\][.]image(?!P)": "image",
        r"imagePullSecrets": "image_pull_secrets",
        r"runAsUser": "run_as_user",
        r"fsGroup": "fs_group",
        r"volumes\[drill\]|emptyDir|sizeLimit": "drill_size_limit",
        r"volumes\[ca\]": "ssl_ca",
        r"volumes\[client-certificate\]": "ssl_cert",
        r"volumes\[place-[0-9]+\]": "copies",
        r"spec[.]nfs|persistentvolumesource": "nfs",
        r"mountOptions": "nfs",
        r"requests[.]storage|capacity|pvc can be resized": "storage_size",
        r"accessModes": "access_mode",
        r"storageClassName": "storage_class",
        r"volumeName": "volume_name",
    }.items()
}
# The variables of the drills, of the watch and of the copies in place of those of the backups.
_DRILL_VARIABLES = {"postgres_backup_schedule": "postgres_backup_drill_schedule"}
_WATCH_VARIABLES = {
    "postgres_backup_schedule": "postgres_backup_watch_schedule",
    "postgres_backup_image": "postgres_backup_watch_image",
}
_COPY_VARIABLES = {
    "postgres_backup_schedule": "postgres_backup_copy_schedule",
    "postgres_backup_image": "postgres_backup_copy_image",
}
NO_NAMESPACE = re.compile('namespaces ".*" not found')
FORBIDDEN = re.compile(" cannot [a-z]+ resource ")
_VOLUME_INDEX = re.compile(r"(?<=\bvolumes\[)[0-9]+(?=\])")


def explain_rejections(
    objects: Sequence[Object],
    results: Sequence[Object],
    live_claim: Claim = None,
    replacement: Object | None = None,
    storage_classes: Sequence[Object] | None = None,
) -> list[str]:
    """A message for each problem that the dry run of the role's objects shows.

    `results` has the result of kubernetes.core.k8s for each of `objects`, in their order: `result`, or `error` with
    `msg`, and `warnings`. `live_claim` is the existing claim, if the dry run rejects a change of it. `replacement` is
    the result of a dry run that replaces the CronJob of the backups, if there was one: `result` or `msg`.
    `storage_classes` are those of the cluster, None if they were not read.
    """
    is_backup_refused = any(_is_backup(resource) and "error" in result for resource, result in zip(objects, results))
    messages: list[str] = []
    for resource, result in zip(objects, results):
        if is_second(resource) and is_backup_refused:
            continue  # most likely rejected for the same reason, which is reported once
        error = result.get("error")
        if error is not None and _is_backup(resource) and replacement:
            error = None if "result" in replacement else {"msg": replacement.get("msg") or error["msg"]}
        if error is not None:
            messages += _explain(resource, str(error["msg"]), objects, live_claim)
        warnings = result.get("warnings") or []
        messages += [_refused(resource, warning) for warning in warnings if "unknown field" in warning]
    if storage_classes is not None:
        messages += _explain_missing_class(objects, storage_classes)
    # If the namespace does not exist, all its objects are rejected with the same message.
    return list(dict.fromkeys(messages))


def _explain(resource: Object, error: str, objects: Sequence[Object], live_claim: Claim) -> list[str]:
    """Messages for a rejected object. `error` ends with the API server's response, a Status in JSON."""
    status = status_of(error)
    message = status.get("message") or error
    if NO_NAMESPACE.search(message):
        namespace = resource["metadata"].get("namespace")
        return [
            f"postgres_backup_namespace: expected a namespace that exists, found none named {namespace}. "
            "Create it, or set postgres_backup_namespace."
        ]
    if FORBIDDEN.search(message):
        return [
            f"The current user may not create or update {resource['kind']} {resource['metadata']['name']}: {message}"
        ]
    if resource["kind"] == "PersistentVolumeClaim" and live_claim:
        return [_explain_claim(resource, live_claim, message, uses_nfs=_volume(objects) is not None)]
    if resource["kind"] == "PersistentVolume" and "immutable" in message:
        nfs = resource["spec"]["nfs"]
        return [
            f"postgres_backup_nfs: expected the share of the existing volume {resource['metadata']['name']}, "
            f"found {nfs['server']}:{nfs['path']}. The share of a volume cannot be changed: keep it, or set another "
            "postgres_backup_claim_name."
        ]
    causes = (status.get("details") or {}).get("causes") or [{"message": message}]
    return [_refused(resource, ": ".join(filter(None, [cause.get("field"), cause["message"]]))) for cause in causes]


def _explain_claim(claim: Object, live: Object, message: str, *, uses_nfs: bool) -> str:
    """Why the live claim cannot be changed to the desired one."""
    spec, live_spec = claim["spec"], live["spec"]
    name = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
    size = spec["resources"]["requests"]["storage"]
    live_size = live_spec["resources"]["requests"]["storage"]
    keep = "keep {}, or set another postgres_backup_claim_name."
    if (live_spec.get("storageClassName") or "") != spec["storageClassName"]:
        variable = "postgres_backup_nfs" if uses_nfs else "postgres_backup_storage_class"
        return (
            f"{variable}: expected {live_spec.get('storageClassName') or 'no class'}, the class of the claim {name}, "
            f"found {spec['storageClassName'] or 'none'}. The class of a claim cannot be changed: {keep.format('it')}"
        )
    if list(live_spec["accessModes"]) != list(spec["accessModes"]):
        return (
            f"postgres_backup_access_mode: expected {' and '.join(live_spec['accessModes'])}, the access mode of the "
            f"claim {name}, found {' and '.join(spec['accessModes'])}. The access mode of a claim cannot be changed: "
            f"{keep.format('it')}"
        )
    if "less than" in message:
        capacity = ((live.get("status") or {}).get("capacity") or {}).get("storage") or live_size
        return (
            f"postgres_backup_storage_size: expected at least {capacity}, the size of the claim {name}, found {size}. "
            f"A claim cannot shrink: {keep.format('the size')}"
        )
    if re.search("can be resized|support resize", message):
        return (
            f"postgres_backup_storage_size: expected {live_size}, the size of the claim {name}, found {size}. Its "
            f"storage class does not allow volume expansion: {keep.format('the size')}"
        )
    return (
        f"postgres_backup_volume_name: expected {live_spec.get('volumeName') or 'none'}, the volume of the claim "
        f"{name}, found {spec.get('volumeName') or 'none'}. Set postgres_backup_volume_name, or another "
        f"postgres_backup_claim_name. Message of the API server: {message}"
    )


def _explain_missing_class(objects: Sequence[Object], storage_classes: Sequence[Object]) -> list[str]:
    names = [storage_class["metadata"]["name"] for storage_class in storage_classes]
    return [
        f"postgres_backup_storage_class: expected a StorageClass that exists, found none named {name} among "
        f"{', '.join(names) or 'none'}. Set postgres_backup_storage_class, or postgres_backup_nfs to use an NFS "
        "share without a provisioner."
        for resource in objects
        if resource["kind"] == "PersistentVolumeClaim"
        for name in [resource["spec"]["storageClassName"]]
        if name and name not in names
    ]


def _refused(resource: Object, message: str) -> str:
    subject = ", ".join(variables_of(resource, message)) or f"{resource['kind']} {resource['metadata']['name']}"
    return f"{subject}: the API server refuses it: {message}"


def variables_of(resource: Object, message: str) -> list[str]:
    """The role's variables that the rejected fields come from, each once."""
    text = _with_volume_names(resource, message)
    variables = [name for pattern, name in _VARIABLES.items() if pattern.search(text)]
    variables = [_replacements(resource).get(name, name) for name in variables]
    # dict.fromkeys, because a message may match several patterns of one variable.
    return [*dict.fromkeys(variables)]


def _replacements(resource: Object) -> Mapping[str, str]:
    if is_watch(resource):
        return _WATCH_VARIABLES
    if is_copy(resource):
        return _COPY_VARIABLES
    return _DRILL_VARIABLES if is_drill(resource) else {}


def _with_volume_names(resource: Object, message: str) -> str:
    """The message with `volumes[ca]` in place of `volumes[3]`."""
    if resource["kind"] != "CronJob":
        return message
    names = [volume["name"] for volume in pod_spec(resource)["volumes"]]

    def name(match: re.Match[str]) -> str:
        index = int(match[0])
        return str(names[index]) if index < len(names) else match[0]

    return _VOLUME_INDEX.sub(name, message)


def status_of(error: str) -> dict[str, Any]:
    """The API server's Status (meta/v1) in kubernetes.core's message; empty without one."""
    match = re.search("[{].*[}]", error)
    try:
        status = json.loads(match[0]) if match else {}
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _volume(objects: Sequence[Object]) -> Object | None:
    return next((resource for resource in objects if resource["kind"] == "PersistentVolume"), None)


def is_drill(resource: Object) -> bool:
    """Whether it is the CronJob of the restore drills."""
    return bool(resource["kind"] == "CronJob" and resource["metadata"]["name"].endswith(DRILL_SUFFIX))


def is_watch(resource: Object) -> bool:
    """Whether it is the CronJob of the watch: an installation may have a name like it."""
    return _is_of(WATCH, resource)


def is_copy(resource: Object) -> bool:
    """Whether it is the CronJob of the copies."""
    return _is_of(COPY, resource)


def is_second(resource: Object) -> bool:
    """Whether it is a CronJob of the installation other than that of the backups."""
    return is_drill(resource) or is_watch(resource) or is_copy(resource)


def _is_of(component: str, resource: Object) -> bool:
    return bool(
        resource["kind"] == "CronJob" and (resource["metadata"].get("labels") or {}).get(COMPONENT) == component
    )


def _is_backup(resource: Object) -> bool:
    return bool(resource["kind"] == "CronJob" and not is_second(resource))
