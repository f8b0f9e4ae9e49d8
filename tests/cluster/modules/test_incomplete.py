# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""An incomplete backup on a real volume: what each module does with it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.backup_parts import BackupParts, make_backup
from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.backup_files import DUMP
from tests.cluster.support.fetches import Fetch, of_day, put
from tests.cluster.support.kube import NAME, names

SICK = {"app": "invalid page in block 0"}


def put_with_manifest(folder: Path, backup: BackupParts) -> None:
    put(folder, backup.name, backup.file)
    (folder / f"{backup.name}.json").write_text(backup.manifest)


@pytest.fixture
def backups(volume: Path) -> tuple[BackupParts, BackupParts]:
    """The newest one, which is incomplete, and the one before; the oldest one has no manifest."""
    incomplete = make_backup(DUMP.encode(), name=of_day(3), without=SICK)
    complete = make_backup(DUMP.encode(), name=of_day(2))
    for backup in (incomplete, complete):
        put_with_manifest(volume, backup)
    put(volume, of_day(1))
    return incomplete, complete


@pytest.fixture
def run(fetch: Fetch) -> Any:
    ansible = Ansible(fetch.folder, fetch.collections)

    def module(name: str, **options: Any) -> dict[str, Any]:
        return ansible.module(name, namespace=fetch.namespace, **options)

    return module


def test_incomplete_backup(fetch: Fetch, run: Any, backups: tuple[BackupParts, BackupParts]) -> None:
    incomplete, complete = backups
    info = run("backup_info")
    assert not info["failed"], info
    assert [backup["state"] for backup in info["backups"]] == ["incomplete", "complete", "complete"]
    assert info["newest"]["name"] == complete.name
    assert {item["name"]: (item["newest"], item["missing"]) for item in info["databases"]} == {
        "Mixed-Name's": (incomplete.name, False),
        "app": (complete.name, True),
        "postgres": (incomplete.name, False),
        "template1": (incomplete.name, False),
    }
    problem = next(problem for problem in info["problems"] if problem["check"] == "incomplete")
    assert f"without app. app: the newest backup with it is {complete.name}" in problem["message"]
    assert (info["worst_gap"], info["growth"]) == (None, None)

    done = fetch()
    assert (done["backup"], done["changed"]) == (complete.name, True), done
    manifest = fetch.dest / f"{complete.name}.json"
    assert (done["manifest"], manifest.read_text()) == (str(manifest), complete.manifest)
    assert fetch.here == {complete.name, f"{complete.name}.sha256", manifest.name}
    assert not fetch()["changed"]
    manifest.unlink()
    for arguments, changed in ((("--check",), True), ((), True), ((), False)):
        assert fetch(*arguments)["changed"] == changed

    newest = fetch(verify=True, allow_incomplete=True, keep_local=1)
    assert (newest["backup"], newest["backup_state"]) == (incomplete.name, "incomplete"), newest
    assert newest["contents"]["missing"] == ["app"]
    assert "without the databases app" in json.dumps(newest["warnings"])
    assert fetch.here == {incomplete.name, f"{incomplete.name}.sha256", f"{incomplete.name}.json"}

    contents = {**newest["contents"], "databases": newest["contents"]["databases"][-1:]}
    refused = run(
        "restore_database", backup=incomplete.name, sha256=incomplete.sha256, contents=contents, database="app"
    )
    assert refused["failed"] and "'app', which the run could not dump" in refused["msg"]
    assert "the newest backup that holds the database is restored" in refused["msg"]
    assert not [name for name in names("job", fetch.namespace) if name.startswith(NAME)]


@pytest.mark.weekly
def test_fetch_of_a_backup_with_a_damaged_manifest(fetch: Fetch, volume: Path) -> None:
    sha256 = put(volume, of_day(1), gzip.compress(DUMP.encode()))
    summary = f'{{"format":1,"backup":"{of_day(1)}","state":"complete","dumped":["a"],"missing":[],"left_out":false,'
    (volume / f"{of_day(1)}.json").write_text(f'{summary}\n"sha256":')
    done = fetch()
    assert (done["failed"], done["sha256"], done["manifest"]) == (False, sha256, None), done
    assert "is damaged" in json.dumps(done["warnings"])
    assert fetch.here == {of_day(1), f"{of_day(1)}.sha256"}
