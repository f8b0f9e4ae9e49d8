# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A plain script's CronJob is taken over without losing a file, and without leaving a trace of its pod template."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Server
from .kube import NAME, Ansible, apply, get, job_ends, kubectl, must_get, names, run_cronjob, run_in_volume

PLAIN_SCRIPT = """
set -e
file=/backups/postgres-backup-$(date +%Y-%m-%d-%H%M%S).sql.gz
pg_dumpall -h "$PGHOST" -U postgres | gzip > "$file"
ls -t /backups/postgres-backup-*.sql.gz | tail -n +8 | xargs -r rm
"""
IMAGE = "localhost/postgresql:18-bitnami"


def plain_script(namespace: str, host: str, claim: str) -> list[dict[str, Any]]:
    """What a careful person writes by hand: other names, other labels, a helper of its own."""
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


@pytest.mark.parametrize("how", ["create", "apply"])
def test_it_is_taken_over(ansible: Ansible, home: dict[str, Any], namespace: str, server: Server, how: str) -> None:
    apply(*plain_script(namespace, server.host, "pgdump"), how=how)
    kubectl("create", "job", f"--from=cronjob/{NAME}", "by-hand", "-n", namespace)
    assert job_ends("by-hand", namespace) == "Complete"
    old = must_get("cronjob", NAME, namespace)
    claim = must_get("pvc", "pgdump", namespace)

    if how == "create":
        lost = ansible.site(**home)
        assert lost.status != 0
        assert "postgres_backup_claim_name: expected the claim on which the CronJob" in lost.output, lost.output
        assert must_get("cronjob", NAME, namespace)["spec"] == old["spec"]
        assert names("pvc", namespace) == {"pgdump"}
        checked = ansible.site("--check", "--diff", claim_name="pgdump", **home)
        assert checked.status == 0, checked.output
        assert "-" in checked.output and '"initContainers"' in checked.output
        assert must_get("cronjob", NAME, namespace)["spec"] == old["spec"]

    first = ansible.site(claim_name="pgdump", **home)
    assert first.status == 0, first.output
    second = ansible.site(claim_name="pgdump", **home)
    assert (second.status, second.changed) == (0, 0), second.output

    new = must_get("cronjob", NAME, namespace)
    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert must_get("pvc", "pgdump", namespace)["metadata"]["uid"] == claim["metadata"]["uid"]
    job = must_get("job", "by-hand", namespace)
    assert job["metadata"]["ownerReferences"][0]["uid"] == new["metadata"]["uid"]

    text = json.dumps(new["spec"])
    for trace in (
        "pgdump-",
        "dumper",
        "nodeSelector",
        "initContainers",
        "second",
        '"by"',
        "runAsGroup",
        "nas",
        "PGHOST",
    ):
        assert trace not in text, trace
    template = new["spec"]["jobTemplate"]["spec"]["template"]
    assert "app" not in template["metadata"]["labels"]
    (container,) = template["spec"]["containers"]
    assert container["command"] == ["/bin/sh", "/opt/postgres-backup/backup.sh"]

    # An hour later, a run checks what the plain script left: then it counts.
    before = run_in_volume(namespace, "cd /backups; ls; touch -d '2 hours ago' postgres-backup-*.sql.gz").split()
    assert len(before) == 1
    result = run_cronjob(namespace)
    after = run_in_volume(namespace, "cd /backups; ls; sha256sum -c *.sha256")
    assert f"{before[0]}: OK" in after
    assert f"{result['backup']}: OK" in after


def test_another_persons_objects_are_left_alone(ansible: Ansible, home: dict[str, Any], namespace: str) -> None:
    """Only what has the names of this installation is touched."""
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": namespace}}
    apply(other)
    assert ansible.site(name="mine", **home).status == 0
    assert ansible.site(name="mine", state="absent", delete_data=True, **home).status == 0
    assert get("configmap", "other", namespace) is not None
