# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server adds to the record of the last run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.installation import continuing_job, run_as_it_ended
from plugins.module_utils.errors import ForbiddenError, NotFoundError


def ended(kind: str | None) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True"}] if kind else []
    return {"metadata": {"name": "night"}, "status": {"conditions": conditions}}


class OneJob:
    """In place of the API server: the Job of the name `night`."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def job(self, namespace: str, name: str) -> Any:
        assert (namespace, name) == ("data", "night")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


RUNNING = {"state": "running", "job": "night", "reason": None}


@pytest.mark.parametrize(
    ("record", "job", "state"),
    [
        (RUNNING, ended("Failed"), "interrupted"),
        (RUNNING, ended("Complete"), "running"),  # it is about to say more
        (RUNNING, ended(None), "running"),
        (RUNNING, NotFoundError("gone"), "running"),
        (RUNNING, ForbiddenError("no right"), "running"),
        ({**RUNNING, "state": "failed"}, AssertionError("not asked for"), "failed"),
        ({**RUNNING, "job": None}, AssertionError("not asked for"), "running"),
    ],
)
def test_a_run_whose_job_failed_is_not_running(record: dict[str, Any], job: Any, state: str) -> None:
    found = run_as_it_ended(cast(Connection, OneJob(job)), "data", record)
    assert found == {**record, "state": state}


class OnePod:
    """In place of the API server: the pods of the active Jobs."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self._pods = [*pods]

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        assert (namespace, selector) == ("data", "batch.kubernetes.io/job-name in (night)")
        return self._pods


def active(deadline: int | None, *jobs: str) -> dict[str, Any]:
    spec = {} if deadline is None else {"activeDeadlineSeconds": deadline}
    status = {"active": [{"name": job} for job in jobs]} if jobs else {}
    return {"metadata": {"namespace": "data"}, "spec": {"jobTemplate": {"spec": spec}}, "status": status}


def two_containers(exit_code: int | None, proxy: str = "running") -> dict[str, Any]:
    script = {"running": {}} if exit_code is None else {"terminated": {"exitCode": exit_code}}
    statuses = [{"name": "backup", "state": script}, {"name": "istio-proxy", "state": {proxy: {}}}]
    return {
        "metadata": {"labels": {"batch.kubernetes.io/job-name": "night"}},
        "spec": {"restartPolicy": "Never"},
        "status": {"startTime": "2026-11-22T02:00:00Z", "containerStatuses": statuses},
    }


@pytest.mark.parametrize("exit_code", [0, 1])
@pytest.mark.parametrize(
    ("deadline", "hours", "until", "delays_runs"),
    [
        (85800, 24, "2026-11-23T01:50:00+00:00", False),
        (85800, 6, "2026-11-23T01:50:00+00:00", True),
        (85800, None, "2026-11-23T01:50:00+00:00", False),
        (None, 24, None, True),
    ],
)
def test_job_that_continues_for_another_container(
    exit_code: int, deadline: int | None, hours: int | None, until: str | None, delays_runs: bool
) -> None:
    connection = cast(Connection, OnePod(two_containers(exit_code)))
    interval = timedelta(hours=hours) if hours else None
    job = continuing_job(connection, active(deadline, "night"), "backup", interval)
    assert job is not None
    assert (job.job, job.containers, job.delays_runs) == ("night", ("istio-proxy",), delays_runs)
    assert (job.until and job.until.isoformat()) == until
    assert "postgres_backup_pod_annotations: {sidecar.istio.io/nativeSidecar" in job.advice


@pytest.mark.parametrize("pod", [two_containers(None), two_containers(0, "terminated")])
def test_job_whose_script_runs_or_whose_pod_ends_does_not_continue(pod: dict[str, Any]) -> None:
    connection = cast(Connection, OnePod(pod))
    assert continuing_job(connection, active(85800, "night"), "backup", None) is None


def test_without_an_active_job_there_is_nothing_to_read() -> None:
    assert continuing_job(cast(Connection, None), active(85800), "backup", None) is None


def test_without_a_run_there_is_nothing_to_ask() -> None:
    assert run_as_it_ended(cast(Connection, OneJob(AssertionError())), "data", None) is None
