# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables that the role needs to write manifests without reading the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._jobs.postgres_server import service_behind
from .checks import Variables, is_true
from .variables import AUTO

MANIFESTS = ("backup-pvc.yaml", "backup-cronjob.yaml")
# What the role takes from a server that it finds.
_OF_THE_SERVER = tuple(
    f"postgres_backup_{name}"
    for name in ("host", "port", "user", "database", "secret_name", "secret_key", "sslmode", "ssl_ca", "run_as_user")
)


def missing_for_manifests(
    variables: Variables,
    *,
    unset: str,
    reads_service: bool = True,
    kustomization_path: str = "",
    kustomization: str = "",
) -> list[str]:
    """A message for each variable that is missing, after a first line with the reason; empty if none is missing.

    `variables` holds the role's variables by their full names; `unset` is the value of those that nobody has set.
    `reads_service` is whether the role would read the service behind postgres_backup_host. `kustomization` is the text
    of a kustomization in the folder that the role did not write, `kustomization_path` its path; both are empty if
    there is none.
    """
    messages = [
        *_folder_messages(variables, kustomization_path, kustomization),
        *_unset_messages(variables, unset),
        *_node_messages(variables),
        *_policy_messages(variables, reads_service=reads_service),
        *_alert_messages(variables),
    ]
    if not messages:
        return []
    return ["postgres_backup_state: rendered reads nothing from a cluster, so it needs these variables:", *messages]


def _folder_messages(variables: Variables, path: str, text: str) -> Iterator[str]:
    if not str(variables["postgres_backup_manifest_dir"]):
        yield "postgres_backup_manifest_dir: expected the folder for the manifests, found an empty string."
    elif path and not _has_manifests(text):
        yield (
            f"postgres_backup_manifest_dir: expected a folder without a kustomization of somebody else, found {path}. "
            f"Add {' and '.join(MANIFESTS)} to its resources, or set another folder."
        )
    if not str(variables["postgres_backup_applied_by"]):
        yield (
            "postgres_backup_applied_by: expected what will apply the manifests, kubectl, argocd or flux; "
            "found an empty string."
        )


def _has_manifests(text: str) -> bool:
    """Whether the kustomization names both files of this role, other than in a comment.

    Not parsed, since a module utility has no YAML library; kubectl reports what is not a list of resources.
    """
    lines = [line.partition("#")[0] for line in text.splitlines()]
    words = re.split(r"""[\s,'"\[\]]+""", "\n".join(lines))
    return all(name in words or f"./{name}" in words for name in MANIFESTS)


def _unset_messages(variables: Variables, unset: str) -> Iterator[str]:
    if not str(variables["postgres_backup_image"]):
        yield (
            "postgres_backup_image: expected the image of the server, or another with pg_dumpall of its major version "
            "or a newer one; found an empty string."
        )
    host, namespace = str(variables["postgres_backup_host"]), str(variables["postgres_backup_namespace"])
    names = [name for name in _OF_THE_SERVER if variables[name] == unset]
    service = service_behind(host, namespace)
    # For a host that is set, a server is searched for only if it is a service of the namespace (_cluster/servers.py).
    if names and (host == unset or (service is not None and service.namespace == namespace)):
        yield (
            f"{', '.join(names)}: expected values, since a server that is found in the cluster may have others; "
            "not set. Set postgres_backup_server to none if their defaults are right."
        )
    if variables["postgres_backup_storage_class"] == unset and not variables["postgres_backup_nfs"]:
        yield (
            "postgres_backup_storage_class: expected a storage class of the cluster, or an empty string to bind to an "
            "existing volume; it is not set."
        )


def _node_messages(variables: Variables) -> Iterator[str]:
    for name in ("node_selector", "tolerations"):
        if variables[f"postgres_backup_{name}"] == AUTO:
            yield f"postgres_backup_{name}: expected a value, since the server's pod is not read; found {AUTO}."


def _policy_messages(variables: Variables, *, reads_service: bool) -> Iterator[str]:
    pods: Mapping[str, Any] = variables["postgres_backup_server_pods"]
    for name, needs_pods in (("network_policy", reads_service), ("server_network_policy", True)):
        is_set = is_true(variables[f"postgres_backup_{name}"])
        if is_set and needs_pods and not (pods.get("labels") and pods.get("port")):
            yield (
                "postgres_backup_server_pods: expected the labels and the port of the server's pods, such as "
                f"{{labels: {{app: postgres}}, port: 5432}}, which postgres_backup_{name} needs; found {dict(pods)}."
            )
            return


def _alert_messages(variables: Variables) -> Iterator[str]:
    if is_true(variables["postgres_backup_metrics"]) and variables["postgres_backup_alerts"] == AUTO:
        yield (
            "postgres_backup_alerts: expected true, for a cluster with the Prometheus operator, or false, since "
            f"the kinds of the cluster are not read; found {AUTO}."
        )
