# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The modules where nothing is to be done, against a play with one k8s_info; on dev/cluster."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import CHECKOUT, NAME, kubectl, run_in_volume

from .figures import Figure
from .role import use_cluster

ROUNDS = 5
MANY = 1000
NAMESPACE = "bench-modules"
FILL = f"""
cd /backups
echo x | gzip >one; sum=$(sha256sum one | cut -c 1-64)
day=0
while [ "$day" -lt {MANY} ]; do
    f={NAME}-$(date -u -d "@$((1700000000 - day * 86400))" +%Y-%m-%d-020000).sql.gz
    cp one "$f"; echo "$sum  $f" >"$f.sha256"; day=$((day + 1))
done
rm one
"""
Say = Callable[[str], None]


def _play(folder: Path, module: str, options: dict[str, Any]) -> str:
    path = folder / f"{module.rpartition('.')[2]}.yml"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [{module: options}]}
    path.write_text(yaml.safe_dump([play]))
    return str(path)


def _readers_start() -> float:
    """How long a Job with the backup's image and volume takes from its creation to its end when it does nothing."""
    text = kubectl(
        "create", "job", f"--from=cronjob/{NAME}", "start", "-n", NAMESPACE, "--dry-run=client", "-o", "json"
    )
    job = json.loads(text)
    job["spec"]["template"]["spec"]["containers"][0] |= {"command": ["true"], "args": []}
    config.load_kube_config(os.environ["KUBECONFIG"])  # type: ignore[no-untyped-call]  # the client's
    batch, core = client.BatchV1Api(), client.CoreV1Api()
    began = time.monotonic()
    batch.create_namespaced_job(NAMESPACE, job)
    while True:
        pods = core.list_namespaced_pod(NAMESPACE, label_selector="batch.kubernetes.io/job-name=start").items
        if any(pod.status is not None and pod.status.phase == "Succeeded" for pod in pods):
            break
        time.sleep(0.02)
    seconds = time.monotonic() - began
    kubectl("delete", "job", "start", "-n", NAMESPACE)
    return seconds


def measure(say: Say) -> list[Figure]:
    """All figures of the modules."""
    use_cluster(say)
    with tempfile.TemporaryDirectory(prefix="postgres-backup-bench.") as made:
        try:
            return _measure(Path(made), say)
        finally:
            kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def _measure(folder: Path, say: Say) -> list[Figure]:
    ansible = Ansible(folder, CHECKOUT / ".ansible" / "collections")
    say("starting a PostgreSQL server and installing its backup")
    for play in (
        ansible(str(CHECKOUT / "dev" / "postgresql.yml"), postgresql_namespace=NAMESPACE),
        ansible.site(namespace=NAMESPACE),
    ):
        if play.status != 0:
            raise SystemExit(play.output)
    names: dict[str, Any] = {"namespace": NAMESPACE, "name": NAME}
    made = ansible.module("backup_job", **names)
    fetched = ansible.module("backup_fetch", dest=str(folder), **names)
    if made["failed"] or fetched["failed"]:
        raise SystemExit(made["shown"] + fetched["shown"])
    own = "homelab.postgres_backup"
    info = {"api_version": "batch/v1", "kind": "CronJob", **names}
    plays = {
        "k8s_info": _play(folder, "kubernetes.core.k8s_info", info),
        "backup_job": _play(folder, f"{own}.backup_job", {**names, "max_age": "1d"}),
        "backup_fetch": _play(folder, f"{own}.backup_fetch", {**names, "dest": str(folder)}),
        "backup_info": _play(folder, f"{own}.backup_info", names),
    }
    taken: dict[str, list[float]] = {name: [] for name in (*plays, "start")}

    def time_one(name: str, into: str) -> None:
        began = time.monotonic()
        play = ansible(plays[name])
        taken.setdefault(into, []).append(time.monotonic() - began)
        if play.status != 0 or play.changed != 0:
            raise SystemExit(f"{name}: expected a run that changes nothing, found:\n{play.output}")
        say(f"{into}: {taken[into][-1]:.2f} s")

    for _ in range(ROUNDS):
        for name in plays:
            time_one(name, name)
        taken["start"].append(_readers_start())
        say(f"a reader's start: {taken['start'][-1]:.2f} s")
    say(f"creating {MANY} backups")
    run_in_volume(NAMESPACE, FILL)
    for _ in range(ROUNDS):
        time_one("backup_info", "many")
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    one_reader = median["start"]
    return [
        Figure(
            "backup_job, less a reader's start",
            median["backup_job"] - one_reader,
            "s",
            1,
            "k8s_info",
            median["k8s_info"],
            is_difference=True,
        ),
        Figure(
            "backup_fetch, less the same",
            median["backup_fetch"] - one_reader,
            "s",
            1,
            "k8s_info",
            median["k8s_info"],
            is_difference=True,
        ),
        Figure("a reader's start", one_reader, "s"),
        Figure(
            f"backup_info, {MANY} backups, less one backup",
            median["many"] - median["backup_info"],
            "s",
            0.5,
            is_difference=True,
        ),
        Figure("backup_info, one backup", median["backup_info"], "s"),
    ]
