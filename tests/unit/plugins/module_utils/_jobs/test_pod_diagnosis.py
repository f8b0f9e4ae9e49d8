# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Why a pod does not start; the same is seen for real in tests/cluster."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._jobs.pod_diagnosis import (
    event_problem,
    has_succeeded,
    job_end,
    job_failure,
    running_beside,
    startup_problem,
    termination_cause,
)


def pod(
    state: dict[str, Any] | None = None, scheduled: str = "True", message: str = "0/1 nodes.", why: str = ""
) -> dict[str, Any]:
    condition = {
        "type": "PodScheduled",
        "status": scheduled,
        "reason": why or "Unschedulable",
        "message": message,
    }
    statuses = [] if state is None else [{"name": "backup", "state": state}]
    return {"status": {"conditions": [condition], "containerStatuses": statuses}}


def waiting(reason: str, message: str = "words") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def event(
    reason: str, kind: str = "Warning", at: str = "2026-11-22T02:00:00Z", message: str | None = None
) -> dict[str, Any]:
    return {"type": kind, "reason": reason, "message": message or f"about {reason}", "lastTimestamp": at}


def test_the_image_of_age_is_another_one() -> None:
    found = pod()
    found["status"]["initContainerStatuses"] = [{"name": "age", "state": waiting("ErrImagePull")}]
    problem = startup_problem(found)
    assert problem is not None and problem.advice.endswith("pull secrets (postgres_backup_tools_image)")


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
def test_reason_why_a_pod_waits(found: dict[str, Any], events: list[dict[str, Any]], reason: str | None) -> None:
    why = startup_problem(found, events)
    assert (why and why.reason) == reason
    assert why is None or str(why).startswith(f"{reason}: ")


PULL = 'failed to pull and unpack image "r.example/pg:18": failed to resolve image: failed to do request: Head '
BACK_OFF = 'Back-off pulling image "r.example/pg:18"'
CREATING = "ContainerCreating"
QUOTA = 'Error creating: pods "j-x" is forbidden: exceeded quota: q, requested: limits.cpu=2, used: limits.cpu='


def unscheduled(message: str, why: str = "") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return pod(scheduled="False", message=message, why=why), []


def creating(reason: str, message: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return pod(waiting(CREATING)), [event(reason, message=message)]


def held_up(reason: str, message: str, *events: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return pod(waiting(reason, message)), [*events]


@pytest.mark.parametrize(
    "found",
    [
        unscheduled("0/1 nodes are available: 1 node(s) were unschedulable."),
        unscheduled("0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory."),
        unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }"),
        unscheduled("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
        unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        unscheduled("0/1 nodes are available: 1 node(s) had volume node affinity conflict."),
        unscheduled("no nodes available to schedule pods"),
        unscheduled('running PreBind plugin "VolumeBinding": binding volumes: timed out', "SchedulerError"),
        unscheduled("Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated"),
    ],
)  # fmt: skip
def test_missing_node_may_still_appear(found: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    why = startup_problem(*found)
    assert why is not None and why.may_pass and why.is_for_node


@pytest.mark.parametrize(
    "found",
    [
        creating("FailedMount", 'MountVolume.SetUp failed for volume "backups": mount.nfs: Connection refused'),
        creating("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[backups]: timed out waiting"),
        creating("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1"'),
        creating("FailedCreatePodSandBox", "failed to setup network for sandbox: plugin type=calico: no route to host"),
        creating("NodeNotReady", "Node is not ready"),
        held_up("ErrImagePull", f"{PULL}dial tcp 10.0.0.1:443: connect: connection refused"),
        held_up("ErrImagePull", f"{PULL}dial tcp: lookup r.example on 10.96.0.10:53: server misbehaving"),
        held_up("ErrImagePull", f"{PULL}net/http: TLS handshake timeout"),
        held_up("ErrImagePull", f"{PULL}unexpected status from HEAD request: 503 Service Unavailable"),
        held_up("ErrImagePull", f"{PULL}unexpected status code: 502"),
        held_up("ErrImagePull", "toomanyrequests: You have reached your pull rate limit."),
        held_up("ErrImagePull", "pull QPS exceeded"),
        held_up("ErrImagePull", "httpReadSeeker: failed open: unexpected EOF"),
        held_up("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: {PULL}context deadline exceeded"),
        held_up("ImagePullBackOff", BACK_OFF, event("Failed", message="Failed to pull image: dial tcp: i/o timeout")),
        held_up("RegistryUnavailable", "words"),
        held_up("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"),
        held_up("CreateContainerError", "context deadline exceeded"),
        held_up("CreateContainerError", 'failed to reserve container name "x": name "x" is reserved for "1"'),
        held_up("CreateContainerError", 'failed to stat "/var/lib/kubelet/x": stat: stale NFS file handle'),
    ],
)
def test_temporary_problem_may_pass(found: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    why = startup_problem(*found)
    assert why is not None and why.may_pass and not why.is_for_node


@pytest.mark.parametrize(
    "found",
    [
        unscheduled('0/1 nodes are available: persistentvolumeclaim "none" not found.'),
        creating("FailedMount", 'MountVolume.SetUp failed for volume "script": configmap "none" not found'),
        creating("FailedMount", 'MountVolume.SetUp failed for volume "s": references non-existent secret key: k'),
        held_up("ErrImagePull", f"{PULL}r.example/pg:18: not found"),
        held_up("ErrImagePull", "pull access denied, repository does not exist or may require authorization"),
        held_up("ErrImagePull", "no match for platform in manifest: not found"),
        held_up("ErrImagePull", f"{PULL}x509: certificate signed by unknown authority"),
        held_up("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: rpc error: code = NotFound desc = not found"),
        held_up("ImagePullBackOff", BACK_OFF),
        held_up("ImagePullBackOff", BACK_OFF, event("Failed", message="Failed to pull image: manifest unknown")),
        held_up("InvalidImageName", "couldn't parse image name: timeout"),
        held_up("ErrImageNeverPull", "words"),
        held_up("SignatureValidationFailed", "words"),
        held_up("CreateContainerConfigError", 'secret "none" not found'),
        held_up("CreateContainerConfigError", "couldn't find key k in Secret data/s"),
        held_up("RunContainerError", 'exec: "/bin/none": stat /bin/none: no such file or directory'),
    ],
)
def test_problem_that_needs_somebody_is_permanent(found: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    why = startup_problem(*found)
    assert why is not None and not why.may_pass


# As util-linux 2.38 has it, and versions before 2.35.
NO_HELPER = (
    "mount: /var/lib/kubelet/x: bad option; for several filesystems (e.g. nfs, cifs) you might need a "
    "/sbin/mount.<type> helper program."
)
NO_CODEPAGE = (
    "mount: wrong fs type, bad option, bad superblock on nas:/x, missing codepage or helper program, or other error."
)


OTHER_PLATFORM = "failed to pull and unpack image: no match for platform in manifest: not found"


@pytest.mark.parametrize(
    ("found", "events"),
    [
        (pod(waiting("ErrImagePull", OTHER_PLATFORM)), []),
        (pod(waiting("ImagePullBackOff", BACK_OFF)), [event("Failed", message=f"Failed to pull: {OTHER_PLATFORM}")]),
    ],
)
def test_image_without_the_nodes_architecture(found: dict[str, Any], events: list[dict[str, Any]]) -> None:
    why = startup_problem(found, events)
    assert why is not None and not why.may_pass
    assert "postgres_backup_node_selector; auto uses the server's" in why.advice


@pytest.mark.parametrize("message", [NO_HELPER, NO_CODEPAGE, "mount: unknown filesystem type 'nfs4'"])
def test_node_without_an_nfs_client_is_named(message: str) -> None:
    found = {**pod(waiting(CREATING)), "spec": {"nodeName": "worker-3"}}
    why = startup_problem(found, [event("FailedMount", message=f"MountVolume.SetUp failed: exit status 32: {message}")])
    assert why is not None and not why.may_pass
    assert why.advice.startswith("Install the NFS client on the node worker-3, and on all others ")


@pytest.mark.parametrize(
    ("message", "may_pass", "names_resources"),
    [
        (f"{QUOTA}1, limited: limits.cpu=2", True, True),
        (f"{QUOTA}0, limited: limits.cpu=1", False, True),
        # More than all of the quota is refused when no other pod runs, too.
        (f"{QUOTA}500m, limited: limits.cpu=1", False, True),
        ('pods "j" is forbidden: failed quota: q: must specify limits.cpu for: backup', False, True),
        ('pods "j" is forbidden: maximum memory usage per Container is 128Mi, but limit is 1Gi', False, True),
        ('pods "j" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', False, False),
        ('pods "j" is forbidden: error looking up service account data/x: serviceaccount "x" not found', False, False),
        (
            'failed calling webhook "v.example": Post "https://v.svc": dial tcp: connect: connection refused',
            True,
            False,
        ),
        ('failed calling webhook "v.example": no endpoints available for service "v"', True, False),
    ],
)
def test_pod_that_is_rejected(message: str, may_pass: bool, names_resources: bool) -> None:
    why = event_problem([event("FailedCreate", message=message)])
    assert why is not None
    assert (why.may_pass, "postgres_backup_resources" in why.advice) == (may_pass, names_resources)


ENDED: dict[str, Any] = {"terminated": {"exitCode": 0}}


@pytest.mark.parametrize(
    ("backup", "proxy", "succeeded", "beside"),
    [
        (ENDED, {"running": {}}, True, ("proxy",)),
        (ENDED, ENDED, True, ()),
        ({"terminated": {"exitCode": 1}}, {"running": {}}, False, ("proxy",)),
        ({"running": {}}, {"running": {}}, False, ("proxy",)),
        ({}, {}, False, ()),
    ],
)
def test_second_container_is_ignored(
    backup: dict[str, Any], proxy: dict[str, Any], succeeded: bool, beside: tuple[str, ...]
) -> None:
    found = {
        "status": {
            "initContainerStatuses": [{"name": "mesh", "state": {"running": {}}}],
            "containerStatuses": [{"name": "backup", "state": backup}, {"name": "proxy", "state": proxy}],
        }
    }
    assert has_succeeded(found, "backup") == succeeded
    assert running_beside(found, "backup") == beside


def test_newest_event_counts() -> None:
    why = event_problem([event("FailedCreate", at="2026-11-22T02:00:01Z"), event("FailedMount")])
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
def test_end_of_a_job(conditions: list[dict[str, Any]] | None, end: str | None) -> None:
    assert job_end({"status": {"conditions": conditions}}) == end


def test_failure_of_a_job() -> None:
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
def test_reason_why_a_pod_was_terminated(status: dict[str, Any], reason: str | None) -> None:
    why = termination_cause({"status": status})
    assert (why and why.reason) == reason
    assert why is None or str(why).startswith(f"{reason}: ")
