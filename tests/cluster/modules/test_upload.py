# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""backup_upload to a real volume: what it uploads, what it refuses, and what interrupts it."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible, signal_all
from tests.cluster.support.backup_files import noise
from tests.cluster.support.fetches import BACKUP, BIG_BYTES, of_day, put, require_no_reader
from tests.cluster.support.foreign_cronjobs import claim, cronjob, install
from tests.cluster.support.installed_objects import create_in, volume_folder, wait_until_bound
from tests.cluster.support.kube import (
    CHECKOUT,
    create,
    delete_namespace,
    kubectl,
    names,
    run_cronjob,
    run_in_volume,
    wait_until,
)
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.transfer_faults import component, kill_readers, own_cluster
from tests.cluster.support.uploads import Upload

__all__ = ["own_cluster"]
GZIP = b"\x1f\x8b"
BIG = GZIP + noise(BIG_BYTES)


@pytest.fixture
def upload(tmp_path: Path, collections: Path) -> Iterator[Upload]:
    """A namespace with a CronJob and a volume made by hand."""
    namespace = new_namespace("upload")
    install(namespace)
    yield Upload(namespace, tmp_path, collections, volume_folder(namespace))
    delete_namespace(namespace)


def test_backup_with_its_checksum_file_is_uploaded_once(upload: Upload) -> None:
    sha256 = put(upload.folder, of_day(1))
    src = str(upload.folder / of_day(1))
    before = upload.names
    checked = upload("--check", "--diff", src=src)
    assert (checked["changed"], checked["backup_state"], upload.names) == (True, None, before), checked
    assert f"+{of_day(1)}: {len(BACKUP)} bytes, sha256 {sha256}" in checked["shown"]

    done = upload(src=src)
    assert (done["failed"], done["changed"], done["backup_state"]) == (False, True, "complete"), done
    assert (done["backup"], done["sha256"], done["size_bytes"]) == (of_day(1), sha256, len(BACKUP))
    assert upload.names == before | {of_day(1), f"{of_day(1)}.sha256"}
    assert (upload.volume / of_day(1)).read_bytes() == BACKUP
    assert (upload.volume / of_day(1)).stat().st_mode & 0o777 == 0o640
    require_no_reader(upload.namespace)

    again = upload(src=src)
    assert (again["failed"], again["changed"], again["duration_seconds"]) == (False, False, None), again

    put(upload.folder, of_day(1), BACKUP + bytes(8))
    for arguments in ((), ("--check",)):
        other = upload(*arguments, src=src)
        assert other["failed"] and "is on the volume already, with other content" in other["msg"], other
    assert (upload.volume / of_day(1)).read_bytes() == BACKUP


def test_real_backup_moves_to_another_name_with_its_manifest(
    site_objects: list[dict[str, Any]], namespace: str, upload: Upload
) -> None:
    create_in(site_objects, namespace)
    made = run_cronjob(namespace)
    source = volume_folder(namespace)
    local = upload.folder / made["backup"].replace("postgres-backup-", "elsewhere-")
    for suffix in ("", ".sha256", ".json"):
        text = (source / f"{made['backup']}{suffix}").read_bytes()
        renamed = text if suffix == "" else text.replace(made["backup"].encode(), local.name.encode())
        Path(f"{local}{suffix}").write_bytes(renamed)
    refused = upload(src=str(local))
    assert refused["failed"] and "is a backup of another installation" in refused["msg"], refused
    done = upload(src=str(local), rename=True, keep=True)
    assert (done["failed"], done["backup"], done["backup_state"]) == (False, made["backup"], "complete"), done
    assert (done["verdict"], "WARNING" in done["shown"]) == ("keep", False)
    for suffix in ("", ".sha256", ".json"):
        name = f"{made['backup']}{suffix}"
        assert (upload.volume / name).read_bytes() == (source / name).read_bytes()
    assert (upload.volume / f"{made['backup']}.keep").exists()
    info = Ansible(upload.folder, upload.collections).module("backup_info", namespace=upload.namespace)
    (listed,) = info["backups"]
    assert (listed["manifest"], listed["dumped"]) == (
        True,
        json.loads((source / f"{made['backup']}.json").read_text())["dumped"],
    )


@pytest.mark.weekly
def test_file_without_checksum_file_is_unchecked(upload: Upload) -> None:
    put(upload.folder, of_day(1), checksum_file=False)
    done = upload(src=str(upload.folder / of_day(1)))
    assert (done["failed"], done["backup_state"]) == (False, "unchecked"), done
    assert "has no checksum file" in " ".join(done["shown"].split())


@pytest.mark.weekly
def test_retention_would_delete_it(upload: Upload) -> None:
    for day in range(2, 12):
        put(upload.volume, of_day(day))
    put(upload.folder, of_day(1))
    done = upload(src=str(upload.folder / of_day(1)))
    assert (done["failed"], done["verdict"]) == (False, "delete"), done
    assert f"retention deletes {of_day(1)}" in " ".join(done["shown"].split())


def test_reserved_name_is_refused(upload: Upload) -> None:
    put(upload.folder, of_day(1))
    (upload.volume / f"{of_day(1)}.sha256").write_text(f"{'0' * 64}  {of_day(1)}\n")
    before = upload.names
    done = upload(src=str(upload.folder / of_day(1)))
    assert done["failed"] and "a checksum file of another backup" in done["msg"], done
    assert upload.names == before


@pytest.mark.weekly
def test_reader_pod_deleted_is_resumed(upload: Upload) -> None:
    sha256 = put(upload.folder, of_day(1), BIG)
    running = upload.start(src=str(upload.folder / of_day(1)))
    upload.hold_when_it_comes(running, len(BIG))
    kill_readers(upload.namespace)
    done = running.result()
    assert (done["failed"], done["resumed_bytes"], done["sha256"]) == (False, 0, sha256), done
    assert done["interruptions"] >= 1
    assert hashlib.sha256((upload.volume / of_day(1)).read_bytes()).hexdigest() == sha256
    assert upload.partials == []
    require_no_reader(upload.namespace)


@pytest.mark.weekly
def test_ansible_killed_then_run_again_resumes(upload: Upload) -> None:
    sha256 = put(upload.folder, of_day(1), BIG)
    running = upload.start(src=str(upload.folder / of_day(1)))
    upload.hold_when_it_comes(running, len(BIG))
    running.kill()
    assert of_day(1) not in upload.names
    # The partial file is never listed.
    info = Ansible(upload.folder, upload.collections).module("backup_info", namespace=upload.namespace)
    assert info["backups"] == []
    done = upload(src=str(upload.folder / of_day(1)))
    assert (done["failed"], done["sha256"]) == (False, sha256), done
    assert done["resumed_bytes"] > 0
    assert hashlib.sha256((upload.volume / of_day(1)).read_bytes()).hexdigest() == sha256
    assert upload.partials == []


@pytest.fixture
def small_volume() -> Iterator[str]:
    name = f"upload-{uuid.uuid4().hex[:8]}"
    tool = CHECKOUT / "dev" / "cluster" / "volume"
    subprocess.run([tool, name, "150M"], check=True, capture_output=True)
    yield name
    subprocess.run([tool, "--remove", name], check=True, capture_output=True)


@pytest.mark.weekly
def test_full_volume_leaves_nothing(tmp_path: Path, collections: Path, small_volume: str) -> None:
    """It has enough space at the beginning, and then something else fills it."""
    namespace = new_namespace("upload")
    volume_claim = claim(namespace)
    volume_claim["spec"] |= {
        "storageClassName": "",
        "volumeName": small_volume,
        "resources": {"requests": {"storage": "150Mi"}},
    }
    create(volume_claim, cronjob(namespace))
    wait_until_bound(namespace)
    upload = Upload(namespace, tmp_path, collections, Path("/nowhere"))
    sha256 = put(tmp_path, of_day(1), BIG)

    def in_reader(script: str) -> str:
        pods = [name.removeprefix("pod/") for name in names("pods", namespace)]
        return kubectl("exec", pods[0], "-n", namespace, "--", "sh", "-c", script, check=False) if pods else ""

    running = upload.start(src=str(tmp_path / of_day(1)))
    wait_until(lambda: "partial" in in_reader("ls -A /backups"), "the upload has begun", 60)
    signal_all(running.process, signal.SIGSTOP)
    in_reader("head -c 120000000 /dev/zero > /backups/filler; true")
    done = running.result()
    assert done["failed"] and "the backup volume is full" in done["msg"], done
    assert run_in_volume(namespace, "ls -A /backups").split() == ["filler"]
    refused = upload(src=str(tmp_path / of_day(1)))
    assert refused["failed"] and "the backup volume is too full" in refused["msg"], refused
    run_in_volume(namespace, "rm /backups/filler", job="clear")
    done = upload(src=str(tmp_path / of_day(1)))
    assert (done["failed"], done["sha256"]) == (False, sha256), done
    delete_namespace(namespace)


@pytest.mark.weekly
@pytest.mark.usefixtures("own_cluster")
def test_api_server_and_kubelet_restarted_during_an_upload(tmp_path: Path, collections: Path) -> None:
    namespace = new_namespace("upload")
    install(namespace)
    upload = Upload(namespace, tmp_path, collections, volume_folder(namespace))
    data = GZIP + noise(400_000_000)
    sha256 = put(upload.folder, of_day(1), data)
    for name in ("kube-apiserver", "kubelet", "containerd"):
        running = upload.start(src=str(upload.folder / of_day(1)))
        upload.hold_when_it_comes(running, len(data))
        pid = component(name)
        subprocess.run([CHECKOUT / "dev" / "cluster" / "enter", "kill", "-9", str(pid)], check=True)
        done = running.result()
        assert (done["failed"], done["sha256"]) == (False, sha256), (name, done)
        assert done["interruptions"] >= 1, name
        assert hashlib.sha256((upload.volume / of_day(1)).read_bytes()).hexdigest() == sha256
        for path in (of_day(1), f"{of_day(1)}.sha256"):
            (upload.volume / path).unlink()
        assert component(name) != pid
    require_no_reader(namespace)
