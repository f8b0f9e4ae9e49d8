# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The playbooks for people: one installation after another, and an inventory of five in one play."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support.ansible_runs import Ansible, signal_all
from tests.cluster.support.backup_files import BACKUP, noise, put, with_statement
from tests.cluster.support.foreign_cronjobs import install
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import CHECKOUT, apply, kubectl, names, wait_until
from tests.cluster.support.namespaces import new_namespace, secret
from tests.cluster.support.servers import Server
from tests.in_turn import weekly

PLAYBOOKS = "homelab.postgres_backup"


@pytest.fixture
def namespaces(server: Server) -> Iterator[list[str]]:
    made = [new_namespace("many") for _ in range(5)]
    apply(*(secret(name, server.password) for name in made))
    yield made
    kubectl("delete", "namespace", *made, "--wait=false")


@pytest.mark.weekly
def test_five_installations_in_one_play(ansible: Ansible, server: Server, namespaces: list[str]) -> None:
    hosts = {f"pg{number}": {"postgres_backup_namespace": name} for number, name in enumerate(namespaces)}
    group = {"vars": {"ansible_connection": "local", "postgres_backup_host": server.host}, "hosts": hosts}
    inventory = ansible.folder / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"postgres": group}))
    more = ("-i", str(inventory), "-e", "postgres_backup_hosts=postgres", "--forks", "5")

    site = ansible(f"{PLAYBOOKS}.site", *more)
    assert site.status == 0, site.output
    assert {path.parent.name for path in ansible.folder.glob("applications/*/backup-pvc.yaml")} == set(hosts)
    assert len(list(ansible.folder.glob("docs/runbooks/*/postgres-backup.md"))) == 5

    assert "Unknown variables" not in site.output

    verify = ansible(f"{PLAYBOOKS}.verify", *more)
    assert verify.status == 0, verify.output
    fetched = {path.parent.name for path in ansible.folder.glob("backups/*/postgres-backup-*.sql.gz")}
    assert fetched == set(hosts)
    assert verify.output.count('"healthy yes"') == 5

    again = ansible(f"{PLAYBOOKS}.verify", *more)
    assert again.status == 0, again.output
    assert re.findall(r"^pg\d .*\bchanged=(\d+)", again.output, re.MULTILINE) == ["0"] * 5

    kubectl("delete", "cronjob", "postgres-backup", "-n", namespaces[2])
    report = ansible(f"{PLAYBOOKS}.report", *more)
    assert report.status == 0, report.output
    assert '"1 of 5 installations could not be read"' in report.output
    page = (ansible.folder / "postgres-backup-report.html").read_text()
    assert page.count('<section class="card healthy"') == 4 and page.count('<section class="card unreadable"') == 1


def test_one_installation_without_an_inventory(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str
) -> None:
    here: dict[str, Any] = {"postgres_backup_namespace": namespace}
    assert ansible.site(**role_variables).status == 0

    would = ansible(f"{PLAYBOOKS}.verify", "--check", **here)
    assert would.status == 0, would.output
    assert not list(ansible.folder.glob("backups*"))
    assert not [name for name in names("job", namespace) if "-manual-" in name]

    empty = ansible(f"{PLAYBOOKS}.retention", **here)
    assert empty.status == 0, empty.output
    assert '"0 backups, 0 would be deleted (0.00 Bytes)"' in empty.output, empty.output

    now = ansible(f"{PLAYBOOKS}.backup_now", **here)
    assert now.status == 0, now.output
    assert re.search(r'"backup    postgres-backup-[-0-9]+\.sql\.gz"', now.output), now.output
    fresh = ansible(f"{PLAYBOOKS}.backup_now", postgres_backup_max_age="1h", **here)
    assert (fresh.status, fresh.changed) == (0, 0)
    assert "recent enough, no backup was run" in fresh.output

    shown = ansible(f"{PLAYBOOKS}.retention", **here)
    assert (shown.status, shown.changed) == (0, 0)
    assert '"1 backup, 0 would be deleted (0.00 Bytes)"' in shown.output, shown.output

    would = ansible(f"{PLAYBOOKS}.report", "--check", **here)
    assert (would.status, would.changed) == (0, 1), would.output
    page = ansible.folder / "postgres-backup-report.html"
    assert not page.exists()
    report = ansible(f"{PLAYBOOKS}.report", **here)
    assert (report.status, report.changed) == (0, 1), report.output
    assert f'"page {page}"' in report.output
    text = page.read_text()
    assert "<h1>" in text and f"{namespace}/postgres-backup" in text
    assert "1 of 1 backup" in text, "the number of backups that retention keeps"

    kubectl("patch", "cronjob", "postgres-backup", "-n", namespace, "-p", '{"spec":{"suspend":true}}')
    asked: dict[str, Any] = {"postgres_backup_report_fail": True, "postgres_backup_report_on_volume": True}
    report = ansible(f"{PLAYBOOKS}.report", **asked, **here)
    assert (report.status != 0, report.changed) == (True, 2), report.output
    on_volume = volume_folder(namespace) / "postgres-backup.report.html"
    assert "Not healthy: 1 problem" in on_volume.read_text()
    assert "the CronJob is suspended" in report.output
    assert "Not healthy: 1 problem" in page.read_text()
    verify = ansible(f"{PLAYBOOKS}.verify", **here)
    assert verify.status != 0
    assert "the CronJob is suspended" in verify.output
    assert '"healthy no"' in verify.output


@pytest.mark.weekly
def test_credentials_in_module_defaults(ansible: Ansible, namespace: str) -> None:
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/homelab.postgres_backup.k8s": {"context": "no-such-context"}},
        "tasks": [
            {"homelab.postgres_backup.backup_info": {"namespace": namespace}, "ignore_errors": True},
            {"homelab.postgres_backup.backup_fetch": {"dest": "/nowhere"}, "ignore_errors": True},
            {"kubernetes.core.k8s_info": {"kind": "Namespace", "api_version": "v1"}, "ignore_errors": True},
        ],
    }
    path = ansible.folder / "play.yml"
    path.write_text(yaml.safe_dump([play]))
    found = ansible(str(path))
    assert found.output.count("Expected object with name no-such-context") >= 3, found.output


def holds_a_file_in(folder: Path) -> bool:
    """Whether a process has a file there open, be it one without a name."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(link.readlink()).startswith(f"{folder}/#") or str(link.readlink()).startswith(f"{folder}/tmp"):
                return True
    return False


@pytest.mark.weekly
@pytest.mark.parametrize(
    ("step", "sent"), [("read", signal.SIGINT), weekly("read", signal.SIGKILL), weekly("restore", signal.SIGKILL)]
)
def test_drill_that_is_ended_leaves_no_copy_of_the_data(
    ansible: Ansible, namespace: str, step: str, sent: signal.Signals
) -> None:
    install(namespace)
    folder = volume_folder(namespace)
    put(folder, with_statement("SELECT pg_sleep(60);"))
    if step == "read":
        (folder / BACKUP).write_bytes(noise(200_000_000))
        (folder / f"{BACKUP}.sha256").unlink()
    with (folder / BACKUP).open("rb") as stream:
        beginning = stream.read(100)
    temporary = ansible.folder / "temporary"
    temporary.mkdir()
    environment = ansible.environment({"TMPDIR": str(temporary), "ANSIBLE_HOME": str(ansible.folder / "home")})
    program = [ansible.command("x")[0] + "-playbook", f"{PLAYBOOKS}.drill"]
    process = subprocess.Popen(
        [*program, "-e", f"postgres_backup_namespace={namespace}"],
        cwd=ansible.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    if step == "read":
        wait_until(lambda: holds_a_file_in(temporary), "the backup is being read", 180)
    else:
        wait_until(lambda: any("-drill-" in name for name in names("job", namespace)), "it was read", 180)
    signal_all(process, sent)
    process.communicate(timeout=60)
    wait_until(lambda: not holds_a_file_in(temporary), "nobody reads", 30)
    assert [path for path in ansible.folder.rglob("*") if path.is_file() and beginning in path.read_bytes()] == []


def test_readme_names_every_playbook() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    named = set(re.findall(r"ansible-playbook .*?homelab\.postgres_backup\.([a-z_]+)", readme))
    there = {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}
    assert named == there - {"sample_data"}
