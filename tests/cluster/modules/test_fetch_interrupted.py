# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A fetch meets pods that are deleted, Ansible that is killed, files that change, and a second fetch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.support.backup_files import noise
from tests.cluster.support.fetches import BIG_BYTES, Fetch, of_day, put, require_no_reader
from tests.cluster.support.foreign_cronjobs import install
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import CHECKOUT
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.transfer_faults import component, kill_readers, own_cluster  # noqa: F401 - a fixture
from tests.in_turn import weekly


def test_reader_pod_deleted_is_resumed(fetch: Fetch, big: bytes) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    kill_readers(fetch.namespace)
    done = running.result()
    assert (done["failed"], done["resumed_bytes"]) == (False, 0), done
    assert done["interruptions"] >= 1
    assert (fetch.dest / of_day(1)).read_bytes() == big
    require_no_reader(fetch.namespace)


@pytest.mark.weekly
def test_ansible_killed_then_run_again_resumes(fetch: Fetch, big: bytes) -> None:
    for verify in (False, True):
        running = fetch.start(verify=verify)
        running.hold_when_it_comes(of_day(1))
        running.kill()
        there = (fetch.dest / f".{of_day(1)}.partial").stat().st_size
        assert of_day(1) not in fetch.here
        checked = fetch("--check")
        assert checked["changed"] and of_day(1) not in fetch.here
        done = fetch()
        assert (done["failed"], done["resumed_bytes"]) == (False, there), done
        assert (fetch.dest / of_day(1)).read_bytes() == big
        assert fetch.here == {of_day(1), f"{of_day(1)}.sha256"}
        (fetch.dest / of_day(1)).unlink()


@pytest.mark.weekly
def test_partial_file_of_something_else_is_not_trusted(fetch: Fetch, big: bytes) -> None:
    (fetch.dest / f".{of_day(1)}.partial").write_bytes(big[:1000] + b"?")
    done = fetch()
    assert (done["failed"], done["resumed_bytes"]) == (False, 0), done
    assert (fetch.dest / of_day(1)).read_bytes() == big


def prune(volume: Path) -> None:
    (volume / of_day(1)).unlink()
    (volume / f"{of_day(1)}.sha256").unlink()


def replace(volume: Path) -> None:
    (volume / "new").write_bytes(bytes(BIG_BYTES))
    (volume / "new").chmod(0o644)
    (volume / "new").rename(volume / of_day(1))


def shorten(volume: Path) -> None:
    os.truncate(volume / of_day(1), 1000)


@pytest.mark.weekly
@pytest.mark.parametrize(
    ("happens", "message"),
    [
        weekly(prune, f"{of_day(1)} is no longer on the volume", id="pruned"),
        pytest.param(replace, f"{of_day(1)} changed on the volume while it was fetched", id="replaced"),
        weekly(shorten, f"{of_day(1)} is changing on the volume: expected {BIG_BYTES} bytes as listed", id="shortened"),
    ],
)
@pytest.mark.usefixtures("big")
def test_backup_replaced_during_the_fetch(
    fetch: Fetch, volume: Path, happens: Callable[[Path], None], message: str
) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    happens(volume)
    kill_readers(fetch.namespace)  # what reads an open file to its end need not see that it was removed
    done = running.result()
    assert done["failed"] and message in done["msg"], done
    assert fetch.here == set()
    require_no_reader(fetch.namespace)


@pytest.mark.weekly
def test_pruned_backup_is_read_to_its_end(fetch: Fetch, volume: Path, big: bytes) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    prune(volume)
    done = running.result()
    assert done["failed"] is False, done
    assert (fetch.dest / of_day(1)).read_bytes() == big


@pytest.mark.weekly
def test_two_fetches_at_once(fetch: Fetch, big: bytes) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    second = Fetch(fetch.namespace, fetch.folder / "second", fetch.collections)
    second.folder.mkdir()
    refused = second(dest=str(fetch.dest))
    done = running.result()
    assert done["failed"] is False, done
    assert (fetch.dest / of_day(1)).read_bytes() == big
    assert refused["failed"] and "another fetch to" in refused["msg"], refused


# tests/faults tests a fetch during these faults every day.
@pytest.mark.weekly
@pytest.mark.usefixtures("own_cluster")
def test_api_server_and_kubelet_restarted_during_a_fetch(tmp_path: Path, collections: Path) -> None:
    namespace = new_namespace("fetch")
    install(namespace)
    data = noise(BIG_BYTES)
    put(volume_folder(namespace), of_day(1), data)
    fetch = Fetch(namespace, tmp_path, collections)
    fetch.dest.mkdir()
    for name in ("kubelet", "kube-apiserver", "containerd"):
        running = fetch.start()
        running.hold_when_it_comes(of_day(1))
        pid = component(name)
        subprocess.run([CHECKOUT / "dev" / "cluster" / "enter", "kill", "-9", str(pid)], check=True)
        done = running.result()
        assert (done["failed"], done["resumed_bytes"]) == (False, 0), (name, done)
        assert done["interruptions"] >= 1, name
        assert (fetch.dest / of_day(1)).read_bytes() == data
        (fetch.dest / of_day(1)).unlink()
        assert component(name) != pid
    require_no_reader(namespace)
