# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A CronJob and its volume made by hand, as from somebody's own manifest, and the volume's folder on this machine."""

from __future__ import annotations

from typing import Any

from tests.cluster.support.installed_objects import wait_until_bound
from tests.cluster.support.kube import NAME, create

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
    """Suspended; with `pg_dumpall | gzip`, no script and no checksum files."""
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


PLAIN_SCRIPT = """
set -e
file=/backups/postgres-backup-$(date +%Y-%m-%d-%H%M%S).sql.gz
pg_dumpall -h "$PGHOST" -U postgres | gzip > "$file"
ls -t /backups/postgres-backup-*.sql.gz | tail -n +8 | xargs -r rm
"""


def plain_script(namespace: str, host: str, claim: str) -> list[dict[str, Any]]:
    """A careful manual installation: other names, other labels, an additional container."""
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "image": IMAGE,
        "securityContext": restricted,
        "volumeMounts": [{"name": "nas", "mountPath": "/backups"}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace, "labels": {"app": "pgdump"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "nfs-client",
                "resources": {"requests": {"storage": "10Gi"}},
            },
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": NAME, "namespace": namespace, "labels": {"app": "pgdump"}},
            "spec": {
                "schedule": "15 1 * * *",
                "jobTemplate": {
                    "metadata": {"annotations": {"by": "hand"}},
                    "spec": {
                        "backoffLimit": 0,
                        "parallelism": 1,
                        "template": {
                            "metadata": {"labels": {"app": "pgdump"}, "annotations": {"by": "hand"}},
                            "spec": {
                                "restartPolicy": "Never",
                                "hostname": "dumper",
                                "nodeSelector": {"kubernetes.io/os": "linux"},
                                "securityContext": {
                                    "runAsNonRoot": True,
                                    "runAsUser": 1001,
                                    "runAsGroup": 0,
                                    "seccompProfile": {"type": "RuntimeDefault"},
                                },
                                "initContainers": [{**container, "name": "wait", "command": ["true"]}],
                                "containers": [
                                    {
                                        **container,
                                        "name": "pg-dump",
                                        "command": ["sh", "-c", PLAIN_SCRIPT],
                                        "env": [
                                            {"name": "PGHOST", "value": host},
                                            {
                                                "name": "PGPASSWORD",
                                                "valueFrom": {
                                                    "secretKeyRef": {
                                                        "name": "postgres-postgresql",
                                                        "key": "postgres-password",
                                                    }
                                                },
                                            },
                                        ],
                                    },
                                    {**container, "name": "second", "command": ["true"]},
                                ],
                                "volumes": [{"name": "nas", "persistentVolumeClaim": {"claimName": claim}}],
                            },
                        },
                    },
                },
            },
        },
    ]
