# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The option place of the modules, on a real cluster: each begins with a volume that has lost its backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import create, delete_namespace, run_in_volume
from tests.cluster.support.live_server import POD, LiveServer
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.pod_commands import PodShell
from tests.cluster.support.servers import bring_server_up
from tests.cluster.support.tools_image import tools_image

PLACE = {"name": "usb", "kind": "claim", "claim_name": "usb"}
CLAIM_SPEC = {
    "accessModes": ["ReadWriteMany"],
    "resources": {"requests": {"storage": "1Gi"}},
    "storageClassName": "nfs-client",
}
# The options of each module, and what it returns of the table with ten rows.
MODULES: dict[str, tuple[dict[str, Any], Any]] = {
    "backup_fetch": ({"verify": True}, lambda found: found["contents"]["rows"]),
    "restore_drill": ({}, lambda found: found["rows"]),
    "restore_database": ({"database": "shop", "new_name": "shop_again"}, lambda found: found["rows"]),
    "restore_table": ({"database": "shop", "tables": ["items"]}, lambda found: found["tables"][0]["rows"]),
    "restore_cluster": ({"replace": True, "terminate_connections": True}, lambda found: found["rows"]),
}


@pytest.fixture(scope="module")
def live(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server, its installation, and a backup with a copy."""
    ansible = Ansible(tmp_path_factory.mktemp("place"), collections)
    namespace = new_namespace("place")
    server = bring_server_up(ansible, namespace)
    shell = PodShell(namespace, POD)
    backup: dict[str, Any] = {}
    running = LiveServer(server, shell, backup)
    running.sql("CREATE DATABASE shop;")
    running.sql("CREATE TABLE items (id int); INSERT INTO items SELECT generate_series(1, 10);", "shop")
    metadata = {"name": "usb", "namespace": namespace}
    create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": CLAIM_SPEC})
    play = ansible.site(namespace=namespace, copies=[PLACE], copy_image=tools_image(), copy_schedule="0 0 1 1 *")
    assert play.status == 0, play.output
    for module in ("backup_job", "backup_copy"):
        done = ansible.module(module, namespace=namespace)
        assert not done["failed"], done["msg"]
    backup["backup"] = done["places"][0]["copied"][0]
    yield running
    shell.close()
    delete_namespace(namespace)


@pytest.mark.weekly
@pytest.mark.parametrize("module", MODULES)
def test_the_backup_is_brought_back_first(ansible: Ansible, live: LiveServer, module: str) -> None:
    options, rows = MODULES[module]
    namespace = live.server.namespace
    arguments = {"namespace": namespace, "place": "usb", "backup": live.fetched["backup"], **options}
    checked = ansible.module(module, "--check", **arguments)
    assert not checked["failed"], checked["msg"]
    run_in_volume(namespace, "rm /backups/*.gz*")
    checked = ansible.module(module, "--check", **arguments)
    assert "place: expected a backup that is on the volume already" in checked["msg"]
    found = ansible.module(module, **{**arguments, "backup": None})
    assert not found["failed"], found["msg"]
    assert found["changed"] is True and rows(found) == 10, found


@pytest.mark.weekly
def test_a_place_that_is_not_configured(ansible: Ansible, live: LiveServer) -> None:
    found = ansible.module("restore_drill", namespace=live.server.namespace, place="offsite")
    assert "place: expected places of postgres_backup_copies (usb), found offsite" in found["msg"]
