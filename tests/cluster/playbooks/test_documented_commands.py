# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands of README and docs as printed, in their order; tests/docs/claims.py lists those that run here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.foreign_cronjobs import IMAGE
from tests.cluster.support.kube import CHECKOUT, NAME, apply, get, job_ends, kubectl, must_get, run_in_volume
from tests.cluster.support.servers import Server
from tests.docs.claims import CLAIMS, RUN
from tests.docs.pages import blocks

PLAY = "ansible-playbook homelab.postgres_backup."


class Page:
    """A person who pastes the page's commands, in a namespace other than `data` and with the server of the tests.

    Both are hosts of an inventory, as in the README.
    """

    def __init__(self, name: str, ansible: Ansible, namespace: str, server: Server) -> None:
        commands = [command for block in blocks(name) if block.language == "sh" for command in block.commands]
        self.left = [command for command in commands if CLAIMS[name][command] == RUN]
        self.folder, self.namespace = ansible.folder, namespace
        inventory = self.folder / "inventory.yml"
        own = {"postgres_backup_namespace": namespace, "postgres_backup_host": server.host}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": {"ansible_connection": "local", **own}}}}))
        self.environment = ansible.environment({"ANSIBLE_INVENTORY": str(inventory)})
        self.job = ""

    def run(self, begin: str, folder: Path | None = None) -> str:
        """The page's next command, which begins like that."""
        command = self.left.pop(0)
        assert command.startswith(begin), f"the page's next command is: {command}"
        here = command.replace(" -n data", f" -n {self.namespace}").replace(":data:", f":{self.namespace}:")
        if begin.startswith("ansible localhost"):
            here = here.replace(' -a "', f' -a "namespace={self.namespace} ')
            here += "" if " -a " in here else f" -a namespace={self.namespace}"
        shell = ["bash", "-eu", "-o", "pipefail", "-c", f"job={self.job}\n{here}\nprintf '\\n%s' \"$job\""]
        done = subprocess.run(
            shell, cwd=folder or self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        output, _, self.job = done.stdout.rpartition("\n")
        return output


def volume_of(claim: str, namespace: str) -> Path:
    volume = must_get("pv", must_get("pvc", claim, namespace)["spec"]["volumeName"])
    return Path(volume["spec"]["hostPath"]["path"])


def follow_the_readme(page: Page) -> None:
    page.run(f"{PLAY}site")
    assert (page.folder / "docs" / "runbooks" / "postgres-backup.md").exists()
    # Once more after somebody did so before.
    backup_by_hand = page.left[:4]
    for first in (True, False):
        page.left = [*(backup_by_hand if first else []), *page.left]
        page.run("job=")
        page.run("kubectl create job")
        page.run("kubectl wait")
        assert "OK: postgres-backup-" in page.run("kubectl logs")
    assert ".sql.gz: OK" in page.run("sha256sum -c", volume_of(NAME, page.namespace))
    assert '"healthy yes"' in page.run(f"{PLAY}verify")
    # At 02:00 UTC the schedule makes one more.
    assert re.search(r"[23] backups, 0 deleted", page.run(f"{PLAY}retention -e postgres_backup_retention_apply=true"))
    assert '"healthy": true' in page.run("ansible localhost -m homelab.postgres_backup.backup_info")
    assert "complete, sha256 matches the checksum file" in page.run(f"{PLAY}verify -e postgres_backup_verify_file=")


def follow_security(page: Page) -> None:
    pod, container = page.run("kubectl get cronjob").splitlines()
    assert '"runAsNonRoot":true' in pod and '"readOnlyRootFilesystem":true' in container
    rights = page.run("kubectl auth can-i --list")
    assert "secrets" not in rights and "pods" not in rights
    page.run("kubectl apply -n data", CHECKOUT)
    page.run("kubectl create rolebinding")
    assert page.run("kubectl auth can-i create jobs").strip() == "yes"
    page.run("kubectl create job")
    page.run("kubectl wait")
    # The development cluster's network plugin enforces nothing.
    assert "accepting connections" in page.run("kubectl logs")
    page.run("kubectl delete job")
    assert page.left == []


def follow_troubleshooting(page: Page) -> None:
    assert "cronjob.batch/postgres-backup" in page.run("kubectl get cronjobs,jobs,pods")
    assert "SuccessfulCreate" in page.run("kubectl get events")
    assert page.left == []


def test_commands_of_readme_security_and_troubleshooting(ansible: Ansible, namespace: str, server: Server) -> None:
    readme = Page("README.md", ansible, namespace, server)
    follow_the_readme(readme)
    follow_security(Page("docs/security.md", ansible, namespace, server))
    follow_troubleshooting(Page("docs/troubleshooting.md", ansible, namespace, server))
    readme.run(f"{PLAY}site -e postgres_backup_state=absent")
    assert get("cronjob", NAME, namespace) is None
    assert get("pvc", NAME, namespace) is not None
    assert readme.left == []


@pytest.fixture
def plain(namespace: str, server: Server) -> str:
    """The page's CronJob that the role did not create, with the tests' server and image, and one backup of it."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline", "--overwrite")
    (text,) = (block.text for block in blocks("docs/migrating.md") if block.language == "yaml")
    manifest: dict[str, Any] = yaml.safe_load(text.replace("-h postgres-postgresql ", f"-h {server.host} "))
    manifest["metadata"]["namespace"] = namespace
    (container,) = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["image"] = IMAGE
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "pgdump", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "nfs-client",
            "resources": {"requests": {"storage": "10Gi"}},
        },
    }
    apply(claim, manifest)
    kubectl("create", "job", f"--from=cronjob/{NAME}", "by-hand", "-n", namespace)
    assert job_ends("by-hand", namespace) == "Complete"
    return namespace


@pytest.mark.weekly
def test_commands_of_migrating(ansible: Ansible, plain: str, server: Server) -> None:
    page = Page("docs/migrating.md", ansible, plain, server)
    (old,) = run_in_volume(plain, "ls /backups").split()
    before = must_get("cronjob", NAME, plain)
    assert "unchecked" in page.run(f"{PLAY}retention")
    fetched = page.run("ansible localhost -m homelab.postgres_backup.backup_fetch")
    assert '"backup_state": "unchecked"' in fetched and (page.folder / "before.sql.gz").exists()
    assert '"claimName":"pgdump"' in page.run("kubectl get cronjob")
    assert "pg_dumpall -h" in page.run(f"{PLAY}site --check --diff")
    assert must_get("cronjob", NAME, plain) == before
    page.run(f"{PLAY}site -e")
    after = must_get("cronjob", NAME, plain)
    assert (after["metadata"]["uid"], after["spec"] != before["spec"]) == (before["metadata"]["uid"], True)
    assert os.listdir(volume_of("pgdump", plain)) == [old]
    page.run(f"{PLAY}backup_now")
    assert "unchecked" in page.run(f"{PLAY}retention")
    assert page.left == []
