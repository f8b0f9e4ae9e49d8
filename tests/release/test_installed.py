# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The collection as a user has it: installed from the artifact, on a machine without anything else of this checkout."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import apply, kubectl
from tests.cluster.support.namespaces import new_namespace, secret
from tests.cluster.support.servers import SERVER_NAMESPACE, bring_shared_server_up

from .machines import CHECKOUT, HOME, Machine

COLLECTION = "homelab.postgres_backup"
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
PLAYBOOKS = sorted(path.stem for path in (CHECKOUT / "playbooks").glob("*.yml"))


def test_machine_has_the_python_and_core_of_its_release(machine: Machine) -> None:
    said = machine.must("ansible", "--version")
    assert f"[core {machine.release.core}" in said
    assert f"python version = {machine.release.python}." in said


def test_ansible_doc_shows_every_plugin(machine: Machine) -> None:
    role = f"{COLLECTION}.postgres_backup"
    of_role = machine.must("ansible-doc", "-t", "role", role)
    assert "postgres_backup_schedule" in of_role
    of_modules = machine.must("ansible-doc", *(f"{COLLECTION}.{name}" for name in MODULES))
    for name in MODULES:
        assert f"MODULE {COLLECTION}.{name}" in of_modules
    for line in (of_role + of_modules).splitlines():
        # ansible-core 2.21 finds fault with a part of itself.
        assert "_protomatter" in line or not re.match(r"\[?(ERROR|WARNING|DEPRECATION)", line), line


def test_playbooks_pass_the_syntax_check(machine: Machine) -> None:
    names = [f"{COLLECTION}.{name}" for name in PLAYBOOKS]
    shown = machine.must("ansible-playbook", "--syntax-check", *names)
    assert shown.count("playbook: ") == len(names)


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[str]:
    """An empty namespace with the password of the server that the tests on the cluster share."""
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("expected KUBECONFIG to name a cluster, found nothing: `. dev/env` after dev/cluster/up", False)
    server = bring_shared_server_up(Ansible(tmp_path, tmp_path))
    name = new_namespace("release")
    apply(secret(name, server.password))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_installed_collection_installs_backs_up_and_verifies(machine: Machine, namespace: str) -> None:
    kubeconfig = machine.work / "kubeconfig"
    kubeconfig.write_text(kubectl("config", "view", "--raw", "--flatten", "--minify"))
    variables = {
        "postgres_backup_namespace": namespace,
        "postgres_backup_host": f"postgres-postgresql.{SERVER_NAMESPACE}.svc.cluster.local",
    }
    env = {"KUBECONFIG": str(HOME / kubeconfig.name)}
    for playbook in ("site", "verify"):
        shown = machine.must("ansible-playbook", f"{COLLECTION}.{playbook}", "-e", json.dumps(variables), env=env)
    assert '"healthy yes"' in shown, shown
    (backup,) = machine.work.glob("backups/postgres-backup-*.sql.gz")
    assert (machine.work / "applications/postgres/backup-cronjob.yaml").exists()

    def module(name: str, **options: str) -> dict[str, Any]:
        call = ["ansible", "localhost", "-m", f"{COLLECTION}.{name}", "-a", json.dumps(options)]
        _, _, result = machine.must(*call, env=env).partition(" | SUCCESS => ")
        found: dict[str, Any] = json.loads(result)
        return found

    info = module("backup_info", namespace=namespace)
    assert info["healthy"] and info["newest"]["name"] == backup.name
    read = module("backup_verify", path=str(HOME / "backups" / backup.name), sidecar="required")
    assert read["contents"]["complete"] and read["sha256"] == info["newest"]["sha256"]
