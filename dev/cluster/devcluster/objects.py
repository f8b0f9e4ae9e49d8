# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the cluster holds from its start: DNS service, storage classes, and the components' permissions."""

from __future__ import annotations

from typing import Any

from .settings import PROVISIONER, Settings

STORAGE_CLASSES = ("nfs-client", "nfs-client-retain", "nfs-client-wait")


def initial_objects(settings: Settings) -> list[dict[str, Any]]:
    """The objects that `up` applies."""
    return [
        *_dns(settings),
        *_permissions(
            "system:coredns",
            [
                _rule("", ("endpoints", "services", "pods", "namespaces"), ("list", "watch")),
                _rule("discovery.k8s.io", ("endpointslices",), ("list", "watch")),
            ],
        ),
        *_permissions(
            "system:provisioner",
            [
                _rule("", ("persistentvolumes",), ("get", "list", "watch", "create", "delete", "patch", "update")),
                _rule("", ("persistentvolumeclaims",), ("get", "list", "watch", "update", "patch")),
                _rule("", ("nodes",), ("get", "list", "watch")),
                _rule("", ("events",), ("create", "update", "patch")),
                _rule("storage.k8s.io", ("storageclasses",), ("get", "list", "watch")),
            ],
        ),
        _storage_class("nfs-client", "Delete", "Immediate"),
        _storage_class("nfs-client-retain", "Retain", "Immediate"),
        _storage_class("nfs-client-wait", "Delete", "WaitForFirstConsumer"),
    ]


def small_volume(name: str, size: str, path: str) -> dict[str, Any]:
    """A volume of a fixed size, for claims that name it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": path, "type": "Directory"},
        },
    }


def _dns(settings: Settings) -> list[dict[str, Any]]:
    """The service of CoreDNS, which runs as a process on the node and not as a pod."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    metadata = {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": str(settings.dns_address), "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [str(settings.node_address)], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]


def _rule(group: str, resources: tuple[str, ...], verbs: tuple[str, ...]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _permissions(user: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": user}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": user},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        },
    ]


def _storage_class(name: str, reclaim_policy: str, binding: str) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": PROVISIONER,
        "reclaimPolicy": reclaim_policy,
        "volumeBindingMode": binding,
    }
