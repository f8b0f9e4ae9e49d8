# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The manifests of postgres_backup_state=rendered are what site.yml applies, and nothing that is used later drifts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import NAME, kubectl, listed, must_get
from tests.in_turn import weekly

MANIFESTS = Path("applications/postgres")
CRONJOBS = (NAME, f"{NAME}-drill")


def diff(folder: Path) -> str:
    """What `kubectl diff -k` prints; empty if the cluster has what the folder has."""
    done = subprocess.run(["kubectl", "diff", "-k", folder], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout


def suspend(namespace: str, *arguments: str) -> None:
    patch = '{"spec":{"suspend":true}}'
    kubectl("patch", "cronjob", NAME, "-n", namespace, "-p", patch, *arguments)


@pytest.fixture
def variables(role_variables_with_files: dict[str, Any]) -> dict[str, Any]:
    return role_variables_with_files | {
        "image": "localhost/postgresql:18-bitnami",
        "storage_class": "nfs-client",
        "drill_schedule": "@weekly",
        "drill_before_sql": {"shop": "SELECT '${HOME} $(HOME)'"},
        "network_policy": True,
        "server_pods": {"labels": {"app.kubernetes.io/name": "postgresql"}, "port": 5432},
    }


# tests/unit/roles/postgres_backup/test_rendered.py renders every day.
@pytest.mark.weekly
@pytest.mark.parametrize("applied_by", ["argocd", weekly("kubectl"), weekly("flux")])
def test_site_applies_what_is_rendered(
    ansible: Ansible, namespace: str, variables: dict[str, Any], applied_by: str
) -> None:
    variables["applied_by"] = applied_by
    rendered = ansible.site(state="rendered", **variables, env={"KUBECONFIG": "/nonexistent"})
    assert rendered.status == 0, rendered.output
    folder = ansible.folder / MANIFESTS
    before = {path: path.read_bytes() for path in folder.iterdir()}
    kubectl("apply", "-k", str(folder), "--dry-run=server", "--validate=strict")

    site = ansible.site(**variables)
    assert site.status == 0, site.output
    assert {path: path.read_bytes() for path in folder.glob("*.yaml")} == {
        path: text for path, text in before.items() if path.suffix == ".yaml"
    }
    assert diff(folder) == ""
    again = ansible.site(**variables)
    assert (again.status, again.changed) == (0, 0), again.output

    job = ansible.module("backup_job", namespace=namespace)
    assert not job["failed"], job["msg"]
    info = ansible.module("backup_info", namespace=namespace)
    assert not info["failed"], info["msg"]
    for made in listed("jobs", namespace):
        metadata = made["metadata"]
        assert "ownerReferences" in metadata or "app.kubernetes.io/instance" not in metadata["labels"], metadata["name"]
    assert diff(folder) == ""
    suspend(namespace)
    assert ("suspend" in diff(folder)) == (applied_by == "kubectl")


@pytest.mark.weekly
def test_server_side_apply_keeps_a_suspended_schedule(
    ansible: Ansible, namespace: str, variables: dict[str, Any]
) -> None:
    """As Flux applies, and as the runbook suspends for it."""
    rendered = ansible.site(state="rendered", applied_by="flux", **variables)
    assert rendered.status == 0, rendered.output
    apply = ["apply", "-k", str(ansible.folder / MANIFESTS), "--server-side", "--field-manager=kustomize-controller"]
    kubectl(*apply)
    suspend(namespace, "--field-manager=flux-client-side-apply")
    kubectl(*apply)
    assert [must_get("cronjob", name, namespace)["spec"]["suspend"] for name in CRONJOBS] == [True, False]
