# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A CronJob and its volume made by hand, as from somebody's own manifest, and the volume's folder on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .kube import NAME, create, must_get
from .written import wait_until_bound

IMAGE = "localhost/postgresql:18-bitnami"
BACKUPS = "/backups"
SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": 1001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def claim(namespace: str, name: str = NAME) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "nfs-client",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def cronjob(namespace: str, name: str = NAME) -> dict[str, Any]:
    """Suspended; with `pg_dumpall | gzip`, no script and no sidecars."""
    container = {
        "name": "dump",
        "image": IMAGE,
        "command": ["sh", "-c", f"pg_dumpall | gzip > {BACKUPS}/{name}-$(date -u +%Y-%m-%d-%H%M%S).sql.gz"],
        "securityContext": SECURITY,
        "volumeMounts": [{"name": "backups", "mountPath": BACKUPS}],
    }
    pod = {
        "restartPolicy": "Never",
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "backups", "persistentVolumeClaim": {"claimName": name}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "schedule": "0 2 * * *",
            "suspend": True,
            "jobTemplate": {"spec": {"template": {"spec": pod}}},
        },
    }


def install(namespace: str) -> None:
    """Both, with the volume bound."""
    create(claim(namespace), cronjob(namespace))
    wait_until_bound(namespace)


def volume_folder(namespace: str, name: str = NAME) -> Path:
    """Where dev/cluster keeps the claim's volume."""
    volume = must_get("pvc", name, namespace)["spec"]["volumeName"]
    return Path(os.environ["KUBECONFIG"]).parent / "volumes" / f"{namespace}-{name}-{volume}"
