# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A restore's Job against a cluster that is a list of Jobs."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.restore_run import ALL_DATABASES, GRACE_SECONDS, run_restore
from plugins.module_utils._jobs.credentials import Credentials
from plugins.module_utils._jobs.restore_server import SERVER_OF_BACKUPS, RestoreServer
from plugins.module_utils._progress.reporter import SILENT
from plugins.module_utils.errors import ClusterError, ConcurrentRestoreError, InterruptedRestoreError, NotFoundError

from ..cronjobs import cronjob


class Cluster:
    """What run_restore asks of a Connection; Jobs end at once, or never."""

    reporter = SILENT

    def __init__(self, *jobs: dict[str, Any], ends: bool = True, late: dict[str, Any] | None = None) -> None:
        self.all = list(jobs)
        self.made: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self._ends = ends
        self._late = late

    def claim(self, _namespace: str, name: str) -> dict[str, Any]:
        raise NotFoundError(name)

    def jobs(self, _namespace: str) -> list[dict[str, Any]]:
        return self.all

    def create_job(self, job: dict[str, Any]) -> dict[str, Any]:
        job["metadata"]["creationTimestamp"] = "2026-11-22T02:00:05Z"
        job["status"] = {"conditions": [{"type": "Complete", "status": "True"}] if self._ends else []}
        self.made.append(job)
        self.all.append(job)
        if self._late is not None:
            self.all.append(self._late)
        return job

    def job(self, _namespace: str, name: str) -> dict[str, Any]:
        found = next((job for job in self.all if job["metadata"]["name"] == name), None)
        if found is None:
            raise NotFoundError(name)
        return found

    def pods_of_job(self, _namespace: str, _job: str) -> list[dict[str, Any]]:
        return []

    def events(self, _namespace: str, _kind: str, _name: str) -> list[dict[str, Any]]:
        return []

    def delete_job(self, _namespace: str, name: str) -> None:
        # Ansible passes on a signal that its processes got already.
        if not self._ends:
            os.kill(os.getpid(), signal.SIGTERM)
        self.deleted.append(name)


def rival(
    target: str = "shop", created: str = "2026-11-22T02:00:00Z", ended: bool = False, **more: Any
) -> dict[str, Any]:
    keys = {"postgres-backup.homelab/cronjob": "postgres-backup", "postgres-backup.homelab/restore-target": target}
    metadata = {"name": "rival", "labels": {"app.kubernetes.io/component": "restore"}, "annotations": keys, **more}
    conditions = [{"type": "Failed", "status": "True"}] if ended else []
    return {"metadata": {"creationTimestamp": created, **metadata}, "status": {"conditions": conditions}}


def run(cluster: Any, target: str | None = "shop", server: RestoreServer = SERVER_OF_BACKUPS) -> str:
    connection: Connection = cluster
    end = run_restore(
        connection, cronjob(), {"RESTORE_TARGET": "shop"}, directory=None, target=target, timeout_seconds=60,
        startup_seconds=5, server=server,
    )  # fmt: skip
    assert end.state == "Complete"
    return end.job.partition("/")[2]


def test_job_is_created_and_deleted() -> None:
    cluster = Cluster(rival("other"), rival(ended=True), rival(deletionTimestamp="2026-11-22T02:00:01Z"))
    name = run(cluster)
    (made,) = cluster.made
    assert cluster.deleted == [name] == [made["metadata"]["name"]]
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["terminationGracePeriodSeconds"], made["spec"]["activeDeadlineSeconds"]) == (GRACE_SECONDS, 60)
    assert (container["args"], container["volumeMounts"][0]["readOnly"]) == (["_restore"], True)
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["PGPASSWORD"]["valueFrom"]
    assert {"RESTORE_TARGET", "FILE_RESTORE_SH", "FILE_PSQL_SH", "FILE_GLOBALS_AWK"} <= environment.keys()


def test_a_second_restore_to_the_same_database_is_refused() -> None:
    cluster = Cluster(rival())
    with pytest.raises(ClusterError, match=r"another restore to 'shop' is running.*data/rival"):
        run(cluster)
    assert not cluster.made


@pytest.mark.parametrize(
    ("running", "second"), [(ALL_DATABASES, "shop"), ("shop", ALL_DATABASES), (ALL_DATABASES,) * 2]
)
def test_a_restore_of_all_databases_excludes_every_other_one(running: str, second: str) -> None:
    cluster = Cluster(rival(running))
    with pytest.raises(ConcurrentRestoreError, match=r"another restore into this server is running.*data/rival"):
        run(cluster, target=second)
    assert not cluster.made
    run(cluster, target=second, server=RestoreServer(Credentials("app", "other", "password"), "staging"))
    run(cluster, target=None)


def test_older_of_two_simultaneous_restores_continues() -> None:
    cluster = Cluster(late=rival(created="2026-11-22T02:00:04Z"))
    with pytest.raises(ClusterError, match="another restore"):
        run(cluster)
    assert cluster.deleted == [cluster.made[0]["metadata"]["name"]]
    run(Cluster(late=rival(created="2026-11-22T02:00:06Z")))


def test_check_mode_does_not_block_a_restore() -> None:
    cluster = Cluster(rival())
    run(cluster, target=None)
    assert "annotations" not in cluster.made[0]["metadata"]


@pytest.mark.parametrize(
    ("sent", "target", "state"),
    [
        (signal.SIGTERM, "shop", "existing databases are unchanged"),
        (signal.SIGHUP, ALL_DATABASES, "Databases that are restored remain"),
        (signal.SIGINT, "shop", "existing databases are unchanged"),
    ],
)
def test_signal_deletes_the_job(sent: signal.Signals, target: str, state: str) -> None:
    cluster = Cluster(ends=False)
    before = signal.getsignal(sent)
    threading.Timer(0.5, os.kill, (os.getpid(), sent)).start()
    with pytest.raises(InterruptedRestoreError, match=f"is deleted.*{state}"):
        run(cluster, target=target)
    assert cluster.deleted == [cluster.made[0]["metadata"]["name"]]
    assert signal.getsignal(sent) == before


def test_job_continues_while_the_api_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(ends=False)

    def away(*_: Any) -> None:
        raise ClusterError("away")

    monkeypatch.setattr("plugins.module_utils._cluster.job_run._PATIENCE_SECONDS", 0)
    cluster.job = away  # type: ignore[assignment,method-assign]
    with pytest.raises(ClusterError, match="away"):
        run(cluster)
    assert not cluster.deleted


@pytest.mark.parametrize(("host", "component"), [(None, "backup"), ("staging", "restore")])
def test_network_policies_of_the_server_select_the_pod(host: str | None, component: str) -> None:
    """Those of the backups let it pass; they would forbid the way to another server."""
    cluster = Cluster()
    run(cluster, server=RestoreServer(Credentials("u", "n", "k"), host))
    (made,) = cluster.made
    label = "app.kubernetes.io/component"
    assert made["metadata"]["labels"][label] == "restore"
    assert made["spec"]["template"]["metadata"]["labels"][label] == component


def test_restore_into_another_server() -> None:
    """A restore of the same name into the server of the backups does not keep it waiting, nor the other way round."""
    staging = RestoreServer(Credentials("u", "n", "k"), "staging")
    cluster = Cluster(rival())
    run(cluster, server=staging)
    (made,) = cluster.made
    assert made["metadata"]["annotations"]["postgres-backup.homelab/restore-server"] == "staging:5432"
    (container,) = made["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["POSTGRES_BACKUP_HOST"]["value"] == "staging"
    made["status"]["conditions"] = []
    made["metadata"] |= {"name": "first", "creationTimestamp": "2026-11-22T01:00:00Z"}
    with pytest.raises(ConcurrentRestoreError, match="'data/first'"):
        run(Cluster(made), server=staging)
    run(Cluster(made))
