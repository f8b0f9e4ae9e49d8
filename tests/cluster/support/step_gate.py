# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup run on the cluster that a test stops at a step of its choice, and the volume as the node has it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cluster.support.installed_objects import in_namespace, wait_until_bound
from tests.cluster.support.kube import NAME, apply, kubectl, listed, must_get, wait_until
from tests.script.support.volume import Entry, backup_name, give, put_backup, snapshot

Json = dict[str, Any]
RUN_AS = 1001
# A call of each step that the step cannot do without.
STEPS = {
    "prepare": "psql *",
    "globals": "pg_dumpall --globals-only *",
    # Of every database: most have --create first.
    "dump": "pg_dump *--no-password *",
    "read_back": "dd if=/backups/.* of=/dev/null *",
    "publish": "ln *",
}
WAIT = "while [ -e /backups/gate/stop ]; do sleep 0.2; done"
_PATH = "/gate:/opt/bitnami/postgresql/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Stands in front of a program of the run: where a call matches the pattern in gate/stop, it follows gate/order.
_WRAPPER = """#!/bin/sh
PATH=${PATH#*:}
name=${0##*/}
pattern=$(cat /backups/gate/stop 2>/dev/null)
case "$name $*" in
    $pattern) : >/backups/gate/reached; . /backups/gate/order ;;
esac
exec "$name" "$@"
"""


@dataclass(frozen=True)
class Installation:
    """An installation in a namespace, with the folder of its backup volume."""

    namespace: str
    volume: Path

    # The volume.

    def fill(self, number: int) -> dict[bytes, Entry]:
        """Older backups, one a day; the newest is a day old."""
        now = datetime.now(UTC)
        for day in range(1, number + 1):
            put_backup(self.volume, backup_name(NAME, now - timedelta(days=day)), age=day * 86400)
        gate = self.volume / "gate"
        gate.mkdir()
        give(self.volume, RUN_AS)
        return snapshot(self.volume)

    def new_since(self, before: dict[bytes, Entry]) -> set[str]:
        """The new names; existing files must be unchanged."""
        after: dict[bytes, Entry] = {}
        while not after:
            with suppress(FileNotFoundError):  # a run in progress renames its files
                after = snapshot(self.volume)
        assert before.items() <= after.items()
        return {os.fsdecode(name) for name in after if name not in before}

    @property
    def last_run(self) -> Json:
        record: Json = json.loads((self.volume / f"{NAME}.last-run.json").read_text())
        return record

    # The gate.

    def stop_at(self, step: str, order: str = WAIT) -> None:
        gate = self.volume / "gate"
        (gate / "order").write_text(f"{order}\n")
        (gate / "reached").unlink(missing_ok=True)
        (gate / "stop").write_text(STEPS[step])

    def stop_nowhere(self) -> None:
        (self.volume / "gate" / "stop").unlink()

    def wait_for_gate(self) -> None:
        wait_until((self.volume / "gate" / "reached").exists, "the run reaches its step")

    # The Job.

    def start(self, job: str = "one") -> None:
        kubectl("create", "job", f"--from=cronjob/{NAME}", job, "-n", self.namespace)

    def pods(self, job: str = "one") -> list[Json]:
        """One for each try, the newest last."""
        found = listed("pod", self.namespace, f"batch.kubernetes.io/job-name={job}")
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def container(self, job: str = "one") -> Json:
        """The state of the newest pod's container."""
        pods = self.pods(job)
        status: Json = (pods[-1]["status"].get("containerStatuses") or [{}])[0] if pods else {}
        return status

    def signal_container(self, sent: signal.Signals, job: str = "one") -> None:
        """A signal to all its processes at once, from outside, as the node's kernel does it."""
        wait_until(lambda: "containerID" in self.container(job), "Kubernetes knows the container")
        identity = self.container(job)["containerID"].rpartition("/")[2]
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and identity in (entry / "cgroup").read_text():
                    os.kill(int(entry.name), sent)

    def evict(self, job: str = "one", **options: int) -> None:
        """Through the Eviction API, as `kubectl drain` does it; returns when the pod is gone."""
        pod = self.pods(job)[-1]["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}, "deleteOptions": options}
        url = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        kubectl("create", "--raw", url, "-f", "-", stdin=json.dumps(eviction))
        wait_until(
            lambda: pod not in (other["metadata"]["name"] for other in self.pods(job)), "the evicted pod is gone"
        )

    def log(self, pod: Json) -> str:
        return kubectl("logs", pod["metadata"]["name"], "-n", self.namespace)

    def first_failure(self, job: str = "one") -> tuple[str, str]:
        """The first try's termination message and log."""
        wait_until(lambda: any(pod["status"].get("phase") == "Failed" for pod in self.pods(job)[:1]), "a try fails")
        pod = self.pods(job)[0]
        return pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"], self.log(pod)


def install(
    site_objects: list[Json],
    namespace: str,
    *,
    job: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None,
    claim: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Installation:
    """What site.yml writes, in another namespace, with the gate and with changes to Job, pod, container and claim."""
    objects = in_namespace(site_objects, namespace)
    for made in objects:
        if made["kind"] == "PersistentVolumeClaim":
            made["spec"].update(claim or {})
        if made["kind"] == "CronJob":
            spec = made["spec"]["jobTemplate"]["spec"]
            spec.update(job or {})
            spec["template"]["spec"].update(pod or {})
            if spec["template"]["spec"]["restartPolicy"] != "Never":
                del spec["podFailurePolicy"]  # which goes with nothing else
            (only,) = spec["template"]["spec"]["containers"]
            only.update(container or {})
            only["env"] = [entry for entry in only["env"] if entry["name"] not in (env or {})]
            only["env"] += [{"name": name, "value": value} for name, value in {**(env or {}), "PATH": _PATH}.items()]
            only["volumeMounts"].append({"name": "gate", "mountPath": "/gate"})
            gate = {"name": "gate", "defaultMode": 0o755}
            spec["template"]["spec"]["volumes"].append({"name": "gate", "configMap": gate})
    names = sorted({pattern.split()[0] for pattern in STEPS.values()})
    wrappers = {"apiVersion": "v1", "kind": "ConfigMap", "data": dict.fromkeys(names, _WRAPPER)}
    apply({**wrappers, "metadata": {"name": "gate", "namespace": namespace}}, *objects)
    wait_until_bound(namespace)
    volume = must_get("pv", must_get("pvc", NAME, namespace)["spec"]["volumeName"])
    return Installation(namespace, Path(volume["spec"]["hostPath"]["path"]))
