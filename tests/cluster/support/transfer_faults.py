# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Faults during a transfer: the reader's pod is deleted, and programs of a second cluster are killed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.support.kube import CHECKOUT, kubectl


def kill_readers(namespace: str) -> None:
    kubectl("delete", "pods", "--all", "-n", namespace, "--grace-period=0", "--force", "--wait=false")


def component(name: str) -> int:
    """Its process id in the cluster."""
    shown = subprocess.run(
        [CHECKOUT / "dev" / "cluster" / "enter", "ps", "-wweo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout
    words = [line.split()[:3] for line in shown.splitlines()]
    found = [pid for pid, *command in words if name in {Path(word).name for word in command}]
    assert len(found) == 1, shown
    return int(found[0])


@pytest.fixture
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second cluster, since other tests need the first one all the time."""
    monkeypatch.setenv("CLUSTER_NAME", "fetch-faults")
    up, down = (str(CHECKOUT / "dev" / "cluster" / word) for word in ("up", "down"))
    subprocess.run([up], stdout=subprocess.DEVNULL, check=True)
    try:
        script = 'eval "$("$0" --print-env)"; printf "%s" "$KUBECONFIG"'
        done = subprocess.run(["bash", "-c", script, up], capture_output=True, text=True, check=True)
        monkeypatch.setenv("KUBECONFIG", done.stdout)
        yield
    finally:
        subprocess.run([down], stdout=subprocess.DEVNULL, check=True)
