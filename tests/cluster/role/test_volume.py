# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The volume: provisioned or an NFS share, bound at once or later, protected, and what cannot be changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import NAME, apply, get, kubectl, must_get, names, run_cronjob


@pytest.mark.weekly
def test_immutable_claim_is_refused(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    assert ansible.site(storage_class="nfs-client-retain", **role_variables).status == 0
    claim = f"{namespace}/{NAME}"
    cases: list[tuple[dict[str, Any], str]] = [
        (
            {},
            "postgres_backup_storage_class: expected nfs-client-retain, "
            f"the class of the claim {claim}, found nfs-client.",
        ),
        (
            {"storage_class": "nfs-client-retain", "storage_size": "5Gi"},
            f"postgres_backup_storage_size: expected at least 10Gi, the size of the claim {claim}, found 5Gi.",
        ),
        (
            {"storage_class": "nfs-client-retain", "storage_size": "20Gi"},
            f"postgres_backup_storage_size: expected 10Gi, the size of the claim {claim}, found 20Gi. "
            "Its storage class does not allow volume expansion",
        ),
    ]
    before = must_get("cronjob", NAME, namespace)
    for variables, message in cases:
        play = ansible.site(schedule="59 23 * * *", **variables, **role_variables)
        assert play.status != 0
        assert message in play.output, play.output
        assert must_get("cronjob", NAME, namespace) == before


@pytest.mark.weekly
def test_another_claim_is_used_on_request(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    assert ansible.site(**role_variables).status == 0
    moved = ansible.site(claim_name="roomier", **role_variables)
    assert moved.status == 0, moved.output
    assert any(line.startswith(f"The backups were on the claim {NAME} until now.") for line in moved.summary)
    assert {NAME, "roomier"} <= names("pvc", namespace)


@pytest.mark.weekly
def test_volume_is_protected_and_sizes_are_compared_by_value(
    ansible: Ansible, role_variables_with_files: dict[str, Any], namespace: str
) -> None:
    def policy() -> str:
        volume = must_get("pv", must_get("pvc", NAME, namespace)["spec"]["volumeName"])
        return str(volume["spec"]["persistentVolumeReclaimPolicy"])

    unprotected = ansible.site(**role_variables_with_files)
    assert any("reclaim policy is Delete" in line for line in unprotected.summary)
    assert policy() == "Delete"

    # The same size in another notation is not a change.
    resources = {"requests": {"cpu": "0.1", "memory": "0.125Gi"}, "limits": {"memory": "0.5Gi"}}
    same = ansible.site(storage_size="10240Mi", resources=resources, **role_variables_with_files)
    assert (same.status, same.changed) == (0, 0), same.output
    assert "WARNING]" not in same.output

    checked = ansible.site("--check", protect_volume=True, **role_variables_with_files)
    assert (checked.status, checked.changed, policy()) == (0, 2, "Delete"), checked.output
    protected = ansible.site(protect_volume=True, **role_variables_with_files)
    assert policy() == "Retain"
    runbook = (ansible.folder / "docs" / "runbooks" / "postgres-backup.md").read_text()
    assert "the files are kept (reclaim policy Retain)" in runbook
    assert not any("reclaim policy" in line for line in protected.summary)
    assert ansible.site(protect_volume=True, **role_variables_with_files).changed == 0

    volume = must_get("pvc", NAME, namespace)["spec"]["volumeName"]
    deleted = ansible.site(state="absent", delete_data=True, **role_variables_with_files)
    assert any("has the reclaim policy Retain: the backups are still at" in line for line in deleted.summary)
    assert must_get("pv", volume)["status"]["phase"] == "Released"
    kubectl("delete", "pv", volume)


@pytest.mark.weekly
def test_storage_class_that_waits_for_a_consumer(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str
) -> None:
    first = ansible.site(storage_class="nfs-client-wait", **role_variables)
    assert first.status == 0, first.output
    assert must_get("pvc", NAME, namespace)["status"]["phase"] == "Pending"
    assert ansible.site(storage_class="nfs-client-wait", **role_variables).changed == 0
    run_cronjob(namespace)
    assert must_get("pvc", NAME, namespace)["status"]["phase"] == "Bound"


@pytest.mark.weekly
def test_storage_class_without_its_provisioner(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str
) -> None:
    nobody = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.org/nobody"}

    apply({**nobody, "metadata": {"name": f"nobody-{namespace}"}})
    try:
        play = ansible.site(storage_class=f"nobody-{namespace}", bind_timeout="4s", **role_variables)
    finally:
        kubectl("delete", "storageclass", f"nobody-{namespace}")
    assert play.status != 0
    assert f"The claim {namespace}/{NAME} was not bound within 4s: expected Bound, found Pending." in play.output
    assert "example.org/nobody" in play.output


def test_nfs_share_without_a_provisioner(
    ansible: Ansible, role_variables_with_files: dict[str, Any], namespace: str
) -> None:
    """The cluster's kernel has no NFS, so no pod can mount it; the objects are real."""
    volume = f"{namespace}-{NAME}"
    nfs: dict[str, Any] = {"nfs": {"server": "nas.lan", "path": "/volume1/postgres-backup"}}
    first = ansible.site(**nfs, **role_variables_with_files)
    assert first.status == 0, first.output
    assert must_get("pvc", NAME, namespace)["spec"]["volumeName"] == volume
    assert any(line.endswith("Bound, at nas.lan:/volume1/postgres-backup") for line in first.summary)
    runbook = (ansible.folder / "docs" / "runbooks" / "postgres-backup.md").read_text()
    assert "| `nas.lan:/volume1/postgres-backup` |" in runbook
    second = ansible.site(**nfs, **role_variables_with_files)
    assert (second.status, second.changed) == (0, 0), second.output

    moved = ansible.site(nfs={"server": "nas2.lan", "path": "/x"}, **role_variables_with_files)
    assert moved.status != 0
    assert f"postgres_backup_nfs: expected the share of the existing volume {volume}" in moved.output

    # A volume whose claim was deleted waits for that very claim; it must be given to the new one.
    kubectl("delete", "pvc", NAME, "-n", namespace)
    again = ansible.site(**nfs, **role_variables_with_files)
    assert again.status == 0, again.output
    assert must_get("pvc", NAME, namespace)["status"]["phase"] == "Bound"

    gone = ansible.site(state="absent", **nfs, **role_variables_with_files)
    assert gone.status == 0, gone.output
    assert must_get("pv", volume)["status"]["phase"] == "Bound"
    deleted = ansible.site(state="absent", delete_data=True, **nfs, **role_variables_with_files)
    assert any("are still at nas.lan:/volume1/postgres-backup" in line for line in deleted.summary)
    assert get("pv", volume) is None
