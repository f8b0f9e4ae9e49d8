# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which Job of a CronJob is the run in progress, while containers of other Jobs' pods continue."""

from __future__ import annotations

from typing import Any, cast

import pytest

from plugins.module_utils._cluster.backup_run import run_in_progress
from plugins.module_utils._cluster.connection import Connection

TEMPLATE = {
    "spec": {
        "containers": [
            {"name": "backup", "args": ["run"], "env": [{"name": "POSTGRES_BACKUP_DIR", "value": "/backups"}]},
            {"name": "proxy"},
        ]
    }
}
CRONJOB = {
    "metadata": {"name": "backup", "namespace": "data", "uid": "1"},
    "spec": {"jobTemplate": {"spec": {"template": TEMPLATE}}},
}
JOB = {
    "metadata": {"name": "night", "creationTimestamp": "2026-11-28T01:00:00Z", "ownerReferences": [{"uid": "1"}]},
    "spec": {"template": TEMPLATE},
    "status": {},
}
RUNNING: dict[str, Any] = {"running": {}}
SUCCEEDED: dict[str, Any] = {"terminated": {"exitCode": 0}}
FAILED: dict[str, Any] = {"terminated": {"exitCode": 1}}


def pod(backup: dict[str, Any], proxy: dict[str, Any]) -> dict[str, Any]:
    statuses = [{"name": "backup", "state": backup}, {"name": "proxy", "state": proxy}]
    return {"spec": {"restartPolicy": "Never"}, "status": {"containerStatuses": statuses}}


class OneJob:
    """In place of the API server: an unfinished Job with these pods."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = pods

    def jobs(self, namespace: str) -> list[dict[str, Any]]:
        assert namespace == "data"
        return [JOB]

    def pods_of_job(self, namespace: str, job: str) -> list[dict[str, Any]]:
        assert (namespace, job) == ("data", "night")
        return [*self.pods]


@pytest.mark.parametrize(
    ("pods", "is_in_progress"),
    [
        ([], True),
        ([pod(RUNNING, RUNNING)], True),
        ([pod(SUCCEEDED, RUNNING)], False),
        ([pod(FAILED, RUNNING)], False),  # no other attempt begins before the proxy ends
        ([pod(FAILED, FAILED)], True),  # another attempt follows
        ([pod(FAILED, FAILED), pod(RUNNING, RUNNING)], True),
        ([pod(FAILED, FAILED), pod(FAILED, RUNNING)], False),
    ],
)
def test_a_run_that_ended_next_to_a_proxy(pods: list[dict[str, Any]], *, is_in_progress: bool) -> None:
    name = run_in_progress(cast("Connection", OneJob(*pods)), CRONJOB, "backup")
    assert name == ("night" if is_in_progress else None)
