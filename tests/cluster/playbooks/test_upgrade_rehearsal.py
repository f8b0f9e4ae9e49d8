# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""playbooks/upgrade_rehearsal.yml with another image, from the volume alone. Versions are compared in tests/script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.backup_parts import make_backup
from tests.cluster.support.ansible_runs import Ansible, Play
from tests.cluster.support.backup_files import BACKUP, DUMP, with_statement
from tests.cluster.support.foreign_cronjobs import install
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import names

PLAYBOOK = "homelab.postgres_backup.upgrade_rehearsal"
IMAGE = "localhost/postgresql:18-debian"


def put(folder: Path, text: str, **server: Any) -> None:
    """A backup of a run, with its manifest."""
    backup = make_backup(text.encode(), name=BACKUP, details={"server": {"version": "16.9", **server}})
    (folder / BACKUP).write_bytes(backup.file)
    (folder / f"{BACKUP}.json").write_text(backup.manifest)
    (folder / f"{BACKUP}.sha256").write_text(f"{backup.sha256}  {BACKUP}\n")
    for path in folder.iterdir():
        path.chmod(0o644)


def rehearse(ansible: Ansible, namespace: str, *arguments: str, image: str = IMAGE) -> Play:
    variables: dict[str, Any] = {"postgres_backup_namespace": namespace, "postgres_backup_upgrade_image": image}
    return ansible(PLAYBOOK, *arguments, **variables)


@pytest.mark.weekly
def test_ready_and_not_ready(ansible: Ansible, namespace: str) -> None:
    install(namespace)
    folder = volume_folder(namespace)
    put(folder, DUMP)
    play = rehearse(ansible, namespace)
    assert play.status == 0, play.output
    for words in ("result   ready for PostgreSQL 18", "server   PostgreSQL 16.9", f"backup   {BACKUP}"):
        assert words in play.output
    assert "prevents the upgrade:" not in play.output
    put(folder, with_statement("CREATE EXTENSION adminpack;"), reserved_roles=["pg_watcher"])
    play = rehearse(ansible, namespace)
    assert play.status != 0
    for words in (
        "not ready for PostgreSQL 18",
        "database app: extension adminpack",
        "DROP EXTENSION adminpack",
        "role pg_watcher",
    ):
        assert words in play.output, play.output
    # Whatever the image, check mode restores nothing.
    play = rehearse(ansible, namespace, "--check", image="localhost/postgresql:none")
    assert play.status == 0 and "result   " not in play.output, play.output
    assert not names("job", namespace)


@pytest.mark.weekly
def test_an_image_that_does_not_exist(ansible: Ansible, namespace: str) -> None:
    install(namespace)
    put(volume_folder(namespace), DUMP)
    play = rehearse(ansible, namespace, image="localhost/postgresql:none")
    assert play.status != 0
    assert "localhost/postgresql:none" in play.output and "result   " not in play.output
