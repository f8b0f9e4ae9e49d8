# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/moving.md: an installation with another name, namespace and claim takes its backups along."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.installed_objects import create_in, volume_folder
from tests.cluster.support.kube import NAME, apply, delete_namespace, run_cronjob
from tests.cluster.support.namespaces import new_namespace, secret
from tests.cluster.support.servers import Server
from tests.docs.pages import blocks


@pytest.mark.weekly
def test_backups_move_to_another_name_namespace_and_claim(
    ansible: Ansible, site_objects: list[dict[str, Any]], namespace: str, server: Server
) -> None:
    create_in(site_objects, namespace)
    made = run_cronjob(namespace)
    target = new_namespace("moved")
    apply(secret(target, server.password))
    new: dict[str, Any] = {"namespace": target, "name": "pg", "claim_name": "pg-files", "host": server.host}
    site = ansible.site(**new)
    assert site.status == 0, site.output

    (text,) = (block.text for block in blocks("docs/moving.md") if block.language == "yaml")
    play = ansible.folder / "move.yml"
    play.write_text(text)
    variables = {"old": {"namespace": namespace, "name": NAME}, "new": {"namespace": target, "name": "pg"}}
    moved = ansible(str(play), **variables)
    assert moved.status == 0, moved.output
    again = ansible(str(play), **variables)
    assert (again.status, again.changed) == (0, 0), again.output

    info = ansible.module("backup_info", namespace=target, name="pg")
    (backup,) = info["backups"]
    assert backup["name"] == made["backup"].replace(f"{NAME}-", "pg-")
    assert (backup["state"], backup["sha256"], backup["manifest"]) == ("complete", made["sha256"], True)
    files = {path.name for path in volume_folder(target, "pg-files").iterdir()}
    assert {backup["name"], f"{backup['name']}.sha256", f"{backup['name']}.json"} <= files
    drill = ansible.module("restore_drill", namespace=target, name="pg", backup=backup["name"])
    assert not drill["failed"], drill
    # The old installation has what it had.
    before = ansible.module("backup_info", namespace=namespace)
    assert [backup["name"] for backup in before["backups"]] == [made["backup"]]
    delete_namespace(target)
