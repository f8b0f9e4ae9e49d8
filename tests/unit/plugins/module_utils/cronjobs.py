# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""CronJobs, ours and other people's, as the API has them."""

from __future__ import annotations

from typing import Any

SECRET = {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


def cronjob(**container: Any) -> dict[str, Any]:
    """Ours, as far as a reader needs it."""
    own = {
        "name": "backup",
        "image": "pg:18",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "/opt/postgres-backup/backup.sh"],
        "args": ["run"],
        "env": [
            {"name": "POSTGRES_BACKUP_DIR", "value": "/backups"},
            {"name": "POSTGRES_BACKUP_KEEP_LAST", "value": "3"},
            {"name": "POSTGRES_BACKUP_USER", "value": "a$$b"},
            {"name": "OTHER", "value": "x"},
            SECRET,
        ],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "backups", "mountPath": "/backups", "subPath": "here"},
            {"name": "script", "mountPath": "/opt/postgres-backup"},
        ],
        **container,
    }
    spec = {
        "restartPolicy": "OnFailure",
        "serviceAccountName": "postgres-backup",
        "initContainers": [{"name": "first", "image": "x"}],
        "nodeSelector": {"disk": "ssd"},
        "containers": [own],
        "volumes": [
            {"name": "backups", "persistentVolumeClaim": {"claimName": "postgres-backup"}},
            {"name": "script", "configMap": {"name": "c"}},
        ],
    }
    labels = {"app.kubernetes.io/component": "backup", "team": "a"}
    template = {"metadata": {"labels": labels, "annotations": {"mesh": "no"}}, "spec": spec}
    job = {
        "metadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
        "spec": {"backoffLimit": 3, "template": template},
    }
    return {
        "metadata": {"name": "postgres-backup", "namespace": "data", "uid": "u-1"},
        "spec": {"schedule": "0 2 * * *", "jobTemplate": job},
    }


def plain(*mounts: tuple[str, str], volumes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A CronJob that the role did not create, without our variables."""
    made = cronjob(env=[SECRET], volumeMounts=[{"name": name, "mountPath": path} for name, path in mounts])
    made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"] = volumes or [
        {"name": "data", "persistentVolumeClaim": {"claimName": "nas"}},
        {"name": "share", "nfs": {"server": "192.168.2.2", "path": "/volume1/x"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return made
