# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A plain script's CronJob is taken over without losing a file, and without leaving a trace of its pod template."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.foreign_cronjobs import plain_script
from tests.cluster.support.kube import NAME, apply, get, job_ends, kubectl, must_get, names, run_cronjob, run_in_volume
from tests.cluster.support.servers import Server
from tests.in_turn import weekly


@pytest.mark.weekly
@pytest.mark.parametrize("how", [weekly("create"), "apply"])
def test_foreign_cronjob_is_taken_over(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, server: Server, how: str
) -> None:
    apply(*plain_script(namespace, server.host, "pgdump"), how=how)
    kubectl("create", "job", f"--from=cronjob/{NAME}", "by-hand", "-n", namespace)
    assert job_ends("by-hand", namespace) == "Complete"
    old = must_get("cronjob", NAME, namespace)
    claim = must_get("pvc", "pgdump", namespace)

    if how == "create":
        lost = ansible.site(**role_variables)
        assert lost.status != 0
        assert "postgres_backup_claim_name: expected the claim on which the CronJob" in lost.output, lost.output
        assert must_get("cronjob", NAME, namespace)["spec"] == old["spec"]
        assert names("pvc", namespace) == {"pgdump"}
        checked = ansible.site("--check", "--diff", claim_name="pgdump", **role_variables)
        assert checked.status == 0, checked.output
        assert "-" in checked.output and '"initContainers"' in checked.output
        assert must_get("cronjob", NAME, namespace)["spec"] == old["spec"]

    first = ansible.site(claim_name="pgdump", **role_variables)
    assert first.status == 0, first.output
    second = ansible.site(claim_name="pgdump", **role_variables)
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


@pytest.mark.weekly
def test_objects_of_others_are_not_changed(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    """Only what has the names of this installation is touched."""
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": namespace}}
    apply(other)
    assert ansible.site(name="mine", **role_variables).status == 0
    assert ansible.site(name="mine", state="absent", delete_data=True, **role_variables).status == 0
    assert get("configmap", "other", namespace) is not None
