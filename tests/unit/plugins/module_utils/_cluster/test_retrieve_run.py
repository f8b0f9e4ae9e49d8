# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which Job brings a backup back: a new one, or one in progress that does the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.module_utils._cluster.job import StartLimits
from plugins.module_utils._cluster.retrieve_run import run_retrieval
from plugins.module_utils._jobs.copy_job import Retrieval, retrieve_job
from plugins.module_utils._jobs.job_outcome import COMPLETE
from plugins.module_utils._progress.reporter import SILENT
from plugins.module_utils.errors import NotFoundError

VOLUME = {"name": "backups", "persistentVolumeClaim": {"claimName": "backups"}}
CONTAINER = {
    "name": "copy",
    "args": ["copy"],
    "env": [{"name": "POSTGRES_BACKUP_DIR", "value": "/backups"}],
    "volumeMounts": [{"name": "backups", "mountPath": "/backups", "readOnly": True}],
}
COPIES: dict[str, Any] = {
    "metadata": {"name": "backup-copy", "namespace": "data", "uid": "1"},
    "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [CONTAINER], "volumes": [VOLUME]}}}}},
}
COMPLETE_STATUS = {"conditions": [{"type": "Complete", "status": "True"}]}


def of_another_call(*words: str) -> dict[str, Any]:
    job = retrieve_job(COPIES, "of-another-call", Retrieval("cloud", None), limit_seconds=1)
    job["metadata"]["creationTimestamp"] = "2026-11-22T02:00:00Z"
    job["spec"]["template"]["spec"]["containers"][0]["args"] = [*words]
    return job


class Cluster:
    """In place of the API server: a Job ends when it is followed, or is deleted then by the call that made it."""

    reporter = SILENT

    def __init__(self, running: dict[str, Any], *, is_deleted: bool = False, exit_code: int | None = None) -> None:
        self._running, self._is_deleted, self._exit_code = running, is_deleted, exit_code
        self.created: list[str] = []
        self.deleted: list[str] = []

    def jobs(self, _namespace: str) -> list[dict[str, Any]]:
        return [self._running]

    def create_job(self, job: dict[str, Any]) -> dict[str, Any]:
        self.created.append(job["metadata"]["name"])
        return job

    def delete_job(self, _namespace: str, name: str) -> None:
        self.deleted.append(name)

    def job(self, _namespace: str, name: str) -> dict[str, Any]:
        if name not in (self.created if self._is_deleted else [*self.created, "of-another-call"]):
            raise NotFoundError(name)
        return {"metadata": {"name": name}, "status": COMPLETE_STATUS}

    def pods_of_job(self, _namespace: str, name: str) -> list[dict[str, Any]]:
        if self._exit_code is None or name != "of-another-call":
            return []
        state = {"terminated": {"exitCode": self._exit_code}}
        return [{"status": {"containerStatuses": [{"name": "copy", "state": state}]}}]

    def events(self, *_: str) -> list[Any]:
        return []


def run(cluster: Any, backup: str | None = None) -> Any:
    return run_retrieval(cluster, COPIES, Retrieval("cloud", backup), timeout_seconds=9, limits=StartLimits())


@pytest.mark.parametrize(
    ("words", "backup"), [(["retrieve", "cloud"], None), (["retrieve", "cloud", "b.sql.gz"], "b.sql.gz")]
)
def test_a_job_that_does_the_same_is_waited_for(words: list[str], backup: str | None) -> None:
    cluster = Cluster(of_another_call(*words))
    end = run(cluster, backup)
    assert (end.job, end.state) == ("data/of-another-call", COMPLETE)
    assert not cluster.created and not cluster.deleted


@pytest.mark.parametrize(
    ("running", "options"),
    [
        (of_another_call("retrieve", "nas"), {}),
        (of_another_call("retrieve", "cloud", "b.sql.gz"), {}),
        (of_another_call("copy", "cloud"), {}),
        (of_another_call("retrieve", "cloud"), {"exit_code": 0}),
        (of_another_call("retrieve", "cloud"), {"is_deleted": True}),
    ],
    ids=lambda value: json.dumps(value)[-40:],
)
def test_any_other_job_is_not_waited_for(running: dict[str, Any], options: dict[str, Any]) -> None:
    cluster = Cluster(running, **options)
    end = run(cluster)
    (name,) = cluster.created
    assert (end.job, end.state) == (f"data/{name}", COMPLETE)
    assert cluster.deleted == [name]
