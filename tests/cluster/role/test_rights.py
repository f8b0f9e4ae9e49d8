# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A user who may do little: what may not be read is skipped with a note, what may not be written is refused first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import NAME, kubectl, names
from tests.cluster.support.namespaces import credentials


@pytest.fixture
def limited(namespace: str, tmp_path: Path) -> dict[str, str]:
    """Credentials, in kubernetes.core's own environment variables, for objects of one namespace, no secrets.

    Of NetworkPolicies no other than the drills' can be read.
    """
    kinds = {"": ["configmaps", "serviceaccounts", "persistentvolumeclaims"], "batch": ["cronjobs"]}
    policies = {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"]}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "limited", "namespace": namespace},
        "rules": [
            *({"apiGroups": [group], "resources": which, "verbs": ["*"]} for group, which in kinds.items()),
            {**policies, "verbs": ["create"]},
            {**policies, "verbs": ["get", "patch"], "resourceNames": [f"{NAME}-drill"]},
        ],
    }
    return credentials("limited", role, tmp_path)


@pytest.mark.weekly
def test_missing_read_rights_are_noted(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, limited: dict[str, str], tmp_path: Path
) -> None:
    unknown = ansible.site(env=limited, **role_variables)
    assert unknown.status != 0
    expected = "postgres_backup_image: the server's image is unknown, because this user may not read the service"
    assert expected in unknown.output

    image = {"image": "localhost/postgresql:18-bitnami"}
    # One of the command line is refused.
    (tmp_path / "inventory.yml").write_text("all: {hosts: {localhost: {postgres_backup_my_nas: nas}}}\n")
    first = ansible.site("-i", str(tmp_path / "inventory.yml"), env=limited, **image, **role_variables)
    assert first.status == 0, first.output
    notes = "\n".join(first.summary)
    for note in (
        f"Not checked: the Secret {namespace}/postgres-postgresql, which this user may not read.",
        "Not checked: the storage class nfs-client, since this user may not read storage classes.",
        "Not known: where the backups are stored and whether they outlive the claim, "
        "since this user may not read volumes.",
        "Not removed: NetworkPolicies of an earlier run, if there are any: this user may not read or delete them.",
        "Unknown variables (ignored): postgres_backup_my_nas",
    ):
        assert note in notes
    second = ansible.site(env=limited, **image, **role_variables)
    assert (second.status, second.changed) == (0, 0), second.output


def test_missing_write_rights_are_refused_before_any_change(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, limited: dict[str, str]
) -> None:
    kubectl("delete", "role", "limited", "-n", namespace)
    kubectl("create", "role", "limited", "-n", namespace, "--verb=*", "--resource=persistentvolumeclaims,configmaps")
    play = ansible.site(env=limited, image="localhost/postgresql:18-bitnami", **role_variables)
    assert play.status != 0
    assert "The current user may not create or update CronJob postgres-backup: " in play.output, play.output
    assert names("pvc", namespace) == set()
