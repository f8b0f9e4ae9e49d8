# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Why a pod does not start; the same is seen for real in tests/cluster."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.diagnosis import job_end, job_failure, why_event, why_killed, why_waiting


def pod(state: dict[str, Any] | None = None, scheduled: str = "True") -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": scheduled, "reason": "Unschedulable", "message": "0/1 nodes."}
    statuses = [] if state is None else [{"name": "backup", "state": state}]
    return {"status": {"conditions": [condition], "containerStatuses": statuses}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": "words"}}


def event(reason: str, kind: str = "Warning", at: str = "2026-11-22T02:00:00Z") -> dict[str, Any]:
    return {"type": kind, "reason": reason, "message": f"about {reason}", "lastTimestamp": at}


@pytest.mark.parametrize(
    ("found", "events", "reason"),
    [
        (pod(scheduled="False"), [], "Unschedulable"),
        (pod(waiting("ImagePullBackOff")), [], "ImagePullBackOff"),
        (pod(waiting("ErrImagePull")), [], "ErrImagePull"),
        (pod(waiting("CreateContainerConfigError")), [], "CreateContainerConfigError"),
        (pod(waiting("ContainerCreating")), [], None),
        (pod(waiting("ContainerCreating")), [event("FailedMount")], "FailedMount"),
        (pod(waiting("ContainerCreating")), [event("FailedMount", "Normal"), event("Odd")], None),
        (pod(waiting("CrashLoopBackOff")), [], None),
        (pod({"running": {}}), [event("FailedMount")], None),
        (pod({"terminated": {}}), [event("FailedMount")], None),
        (pod(), [], None),
    ],
)
def test_why_waiting(found: dict[str, Any], events: list[dict[str, Any]], reason: str | None) -> None:
    why = why_waiting(found, events)
    assert (why and why.reason) == reason
    assert why is None or str(why).startswith(f"{reason}: ")


def test_the_newest_event_counts() -> None:
    why = why_event([event("FailedCreate", at="2026-11-22T02:00:01Z"), event("FailedMount")])
    assert why is not None
    assert why.message == "about FailedCreate"


@pytest.mark.parametrize(
    ("conditions", "end"),
    [
        (None, None),
        ([{"type": "Complete", "status": "True"}], "Complete"),
        ([{"type": "SuccessCriteriaMet", "status": "True"}], None),
        ([{"type": "Failed", "status": "False"}], None),
        ([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long."}], "Failed"),
    ],
)
def test_a_jobs_end(conditions: list[dict[str, Any]] | None, end: str | None) -> None:
    assert job_end({"status": {"conditions": conditions}}) == end


def test_a_jobs_failure() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long."}
    assert job_failure({"status": {"conditions": [failed]}}) == "DeadlineExceeded: too long"
    assert job_failure({}) == "no reason was given"
    failed |= {"reason": "PodFailurePolicy", "message": "Container backup for pod a/b failed with exit code 2"}
    assert job_failure({"status": {"conditions": [failed]}}).startswith(
        "PodFailurePolicy, so it was not tried again: Con"
    )


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "Usage of EmptyDir volume exceeds the limit. "}
OOM = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
ERROR = {"terminated": {"reason": "Error", "exitCode": 1}}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"phase": "Running"}, None),
        ({"phase": "Failed", "containerStatuses": [{"name": "drill", "state": ERROR}]}, None),
        (EVICTED, "Evicted"),
        ({"phase": "Failed", "containerStatuses": [{"name": "drill", "state": OOM}]}, "OOMKilled"),
        ({"containerStatuses": [{"name": "drill", "state": {"running": {}}, "lastState": OOM}]}, "OOMKilled"),
        ({"phase": "Failed", "initContainerStatuses": [{"name": "prepare", "state": OOM}]}, "OOMKilled"),
        ({"phase": "Failed", "reason": "NodeLost"}, "NodeLost"),
    ],
)
def test_what_ended_a_pod_from_outside(status: dict[str, Any], reason: str | None) -> None:
    why = why_killed({"status": status})
    assert (why and why.reason) == reason
    assert why is None or str(why).startswith(f"{reason}: ")
