# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Where the container of a server has its password from: a Secret, by a variable or by a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
_FILE_SUFFIX = "_FILE"


@dataclass(frozen=True)
class PasswordSource:
    """The key of a Secret; both are empty where it is none, and `advice` is what to do then."""

    secret_name: str = ""
    secret_key: str = ""
    advice: str = ""


def password_source(spec: Object, container: Object, variable: str) -> PasswordSource | None:
    """Where this variable of the container, or the file that VARIABLE_FILE names, comes from; None if it has neither.

    `spec` is the pod's.
    """
    for entry in container.get("env") or []:
        if entry["name"] == variable:
            reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if reference:
                return PasswordSource(reference["name"], reference["key"])
            advice = f"The password is written in the pod ({variable}): put it into a Secret too, and set "
            return PasswordSource(advice=f"{advice}postgres_backup_secret_name.")
        if entry["name"] == variable + _FILE_SUFFIX:
            return _mounted(spec, container, str(entry.get("value") or ""))
    return None


def secret_of_all_variables(container: Object, variable: str) -> PasswordSource | None:
    """The key for this variable in the first Secret whose keys are all variables of the container (envFrom)."""
    for source in container.get("envFrom") or []:
        reference = source.get("secretRef")
        if reference:
            return PasswordSource(reference["name"], variable.removeprefix(source.get("prefix") or ""))
    return None


def user_id(spec: Object, container: Object) -> int | None:
    """The user id that the container, or else its pod, sets; None for none, and for root."""
    for context in (container.get("securityContext"), spec.get("securityContext")):
        user = (context or {}).get("runAsUser")
        if user is not None:
            return int(user) or None
    return None


def _mounted(spec: Object, container: Object, path: str) -> PasswordSource:
    """The key of the Secret that is mounted at this path."""
    advice = (
        f"The password is in the file {path} of the pod, which is not of a Secret: set postgres_backup_secret_name."
    )
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or []}
    for mount in container.get("volumeMounts") or []:
        folder = str(mount["mountPath"]).rstrip("/")
        if mount.get("subPath"):
            folder, key = path, str(mount["subPath"])
            if mount["mountPath"] != path:
                continue
        elif path.startswith(f"{folder}/"):
            key = path[len(folder) + 1 :]
        else:
            continue
        secret = (volumes.get(mount["name"]) or {}).get("secret")
        if secret:
            items = {item["path"]: item["key"] for item in secret.get("items") or []}
            return PasswordSource(secret["secretName"], items.get(key, key))
    return PasswordSource(advice=advice)
