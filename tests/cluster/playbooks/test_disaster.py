# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The playbook disaster: from a file and an empty server to every row. molecule/default deletes a namespace first."""

from __future__ import annotations

import json
import shutil
from typing import Any

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.installed_objects import create_in, volume_folder
from tests.cluster.support.kube import NAME, delete_namespace, get, run_cronjob
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.servers import bring_server_up


def test_from_a_file_to_every_row(ansible: Ansible, site_objects: list[dict[str, Any]], namespace: str) -> None:
    create_in(site_objects, namespace)
    made = run_cronjob(namespace)
    (ansible.folder / "backups").mkdir()
    for suffix in ("", ".sha256", ".json"):
        shutil.copy(volume_folder(namespace) / f"{made['backup']}{suffix}", ansible.folder / "backups")
    manifest = json.loads((ansible.folder / "backups" / f"{made['backup']}.json").read_text())
    target = new_namespace("disaster")
    bring_server_up(ansible, target)
    file = f"backups/{made['backup']}"
    here: dict[str, Any] = {"postgres_backup_namespace": target, "postgres_backup_restore_file": file}

    damaged = ansible.folder / "backups" / "postgres-backup-2026-11-01-020000.sql.gz"
    damaged.write_bytes(b"no backup")
    refused = ansible("homelab.postgres_backup.disaster", **{**here, "postgres_backup_restore_file": str(damaged)})
    assert refused.status != 0 and "expected a gzip file" in refused.output
    assert get("cronjob", NAME, target) is None

    checked = ansible("homelab.postgres_backup.disaster", "--check", **here)
    assert checked.status == 0 and "would be installed" in checked.output, checked.output
    assert get("cronjob", NAME, target) is None

    unconfirmed = ansible("homelab.postgres_backup.disaster", **here)
    assert unconfirmed.status != 0 and "Nothing was restored: expected yes" in unconfirmed.output, unconfirmed.output
    assert all(name in unconfirmed.output for name in manifest["dumped"])

    done = ansible("homelab.postgres_backup.disaster", postgres_backup_restore_confirmed=True, **here)
    assert done.status == 0, done.output
    assert "every table has the rows that the backup contains" in done.output
    assert any(line.startswith("minutes ") for line in done.summary)
    delete_namespace(target)
