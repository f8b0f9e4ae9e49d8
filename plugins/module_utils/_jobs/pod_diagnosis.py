# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Why a pod does not start, or was terminated, from its status and its events as the Kubernetes API has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .identity import AGE
from .quota import is_quota_exceeded, quota_is_too_small

# Reasons of a waiting container that is not just being started (kubernetes pkg/kubelet/images/types.go,
# pkg/kubelet/kuberuntime/kuberuntime_container.go and, of the registry, k8s.io/cri-api/pkg/errors).
_ADVICE = {
    "ErrImagePull": "Check the image's name and the pull secrets (postgres_backup_image)",
    "ImagePullBackOff": "Check the image's name and the pull secrets (postgres_backup_image)",
    "RegistryUnavailable": "Check the registry, and the node's connection to it",
    "ImageInspectError": "Check the node's container runtime",
    "SignatureValidationFailed": "Name an image whose signature the node accepts (postgres_backup_image)",
    "ErrImageNeverPull": "The image is not on the node, and its pull policy is Never: load it onto the node",
    "InvalidImageName": "Correct the image's name (postgres_backup_image)",
    "CreateContainerConfigError": (
        "Create the missing object, or name an existing one (postgres_backup_secret_name, …_key)"
    ),
    "CreateContainerError": "Check the pod's events",
    "RunContainerError": "Check the pod's events",
}
_EVENT_ADVICE = {
    "FailedMount": "Check the volume and the server behind it",
    "FailedAttachVolume": "Check the volume: is it in use on another node?",
    "FailedCreatePodSandBox": "Check the node's network and container runtime",
    "NodeNotReady": "Check the node (kubectl get nodes)",
    "FailedCreate": "Check the Job's events: quota, Pod Security or a missing ServiceAccount",
}
_UNSCHEDULABLE_ADVICE = (
    "Check the claim, the nodes' free resources and the pod's requests, node selector and tolerations"
)
_RESOURCES_ADVICE = (
    "Set requests and limits that the namespace's quota and limit ranges allow (postgres_backup_resources)"
)

# The cause is only in Kubernetes' messages, which quote the kernel, Go's net package and HTTP. These words mean that a
# registry, the volume's server or a webhook is busy or unavailable, which may resolve itself.
_AWAY = re.compile(
    r"time(d )?-?out|deadline exceeded|connection (refused|reset)|broken pipe|no route to host|host is down"
    r"|network is (unreachable|down)|no such host|server misbehaving|temporary failure|unexpected EOF|: EOF"
    r"|too ?many ?requests|QPS exceeded|rate ?limit|service unavailable|bad gateway|internal server error"
    r"|\b(status|code)\b[^,;]{0,24}\b(429|5\d\d)\b|no endpoints available|stale (NFS )?file handle"
    r"|input/output error|no space left on device|is reserved for",
    re.IGNORECASE,
)
# A node whose `mount` does not know NFS (util-linux, "helper program"; older versions, BusyBox and the kernel).
_NO_NFS_CLIENT = re.compile(
    r"need a /sbin/mount\.|helper program|unknown filesystem type 'nfs4?'"
    r'|exec: "mount\.nfs4?": executable file not found',
    re.IGNORECASE,
)
# containerd and CRI-O, for an image without the node's architecture.
_OTHER_PLATFORM = re.compile(
    r"no match for platform|no matching manifest for|no image found in (image index|manifest list)", re.IGNORECASE
)
_PLATFORM_ADVICE = (
    "Use nodes of an architecture that the image has (postgres_backup_node_selector; auto uses the server's)"
)
# A pod that names an object that does not exist.
_MISSING = re.compile(r'(configmaps?|secrets?|persistentvolumeclaims?) "[^"]*" not found|non-existent', re.IGNORECASE)
# (kubernetes plugin/pkg/admission/limitranger, k8s.io/apiserver/pkg/admission/plugin/resourcequota.)
_RESOURCES = re.compile(r"exceeded quota|must specify|usage per (Container|Pod)|limit to request ratio", re.IGNORECASE)
_NEVER_PASS = frozenset({"InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed"})
_PASS_UNLESS_MISSING = frozenset({
    "Unschedulable", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NodeNotReady",
    "RegistryUnavailable",
})  # fmt: skip


@dataclass(frozen=True)
class PodProblem:
    """Why a pod waits, or was terminated: Kubernetes' `reason` and `message`, and `advice` for the user.

    `may_pass` when the problem may resolve itself without a change to the pod or to an object that it names: a node
    that is cordoned, full or not ready yet, a volume's server or a registry that is unavailable. `is_for_node` while
    the pod has no node.
    """

    reason: str
    message: str
    advice: str
    may_pass: bool = False
    is_for_node: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}. {self.advice}"


def startup_problem(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> PodProblem | None:
    """Why this pod does not run; None when no reason is known.

    `events` are the pod's; warnings among them are ignored once the pod's containers have started.
    """
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason, message = condition.get("reason", "Unschedulable"), _text(condition)
            may_pass = _may_pass("Unschedulable", message)
            return PodProblem(reason, message, _UNSCHEDULABLE_ADVICE, may_pass, is_for_node=may_pass)
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in containers:
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), _text(waiting)
        advice = _ADVICE.get(reason)
        if advice is not None:
            cause = message if reason != "ImagePullBackOff" else f"{message} {_pull_failure(events)}"
            if _OTHER_PLATFORM.search(cause):
                advice = _PLATFORM_ADVICE
            if container["name"] == AGE:
                advice = advice.replace("postgres_backup_image", "postgres_backup_tools_image")
            return PodProblem(reason, message, advice, _may_pass(reason, cause))
    if any("waiting" not in container.get("state", {}) for container in containers):
        return None
    return event_problem(events, pod.get("spec", {}).get("nodeName"))


def event_problem(events: Iterable[Mapping[str, Any]], node: str | None = None) -> PodProblem | None:
    """The newest warning among the events with the reason why a pod is not created or started; None without one.

    `node` is the name of the pod's node.
    """
    warnings = [event for event in events if event.get("type") == "Warning" and event.get("reason") in _EVENT_ADVICE]
    if not warnings:
        return None
    newest = max(warnings, key=_time)
    reason, message = newest["reason"], _text(newest)
    asks_too_much = reason == "FailedCreate" and _RESOURCES.search(message)
    advice = _RESOURCES_ADVICE if asks_too_much else _EVENT_ADVICE[reason]
    if reason == "FailedMount" and _NO_NFS_CLIENT.search(message):
        advice = (
            f"Install the NFS client on the node {node or 'of the pod'}, and on all others where the pods may run "
            "(nfs-common or nfs-utils)"
        )
    return PodProblem(reason, message, advice, _may_pass(reason, message))


def _may_pass(reason: str, message: str) -> bool:
    if reason in _NEVER_PASS or _MISSING.search(message) or _NO_NFS_CLIENT.search(message):
        return False
    if reason in _PASS_UNLESS_MISSING:
        return True
    if is_quota_exceeded(message):
        # Other pods end and free their share.
        return not quota_is_too_small(message)
    return _AWAY.search(message) is not None


def _pull_failure(events: Iterable[Mapping[str, Any]]) -> str:
    """Why an image could not be pulled: kubelets before 1.32 report it only in an event while they back off."""
    failures = [event for event in events if event.get("reason") == "Failed" and "pull" in _text(event)]
    return _text(max(failures, key=_time)) if failures else ""


def _time(event: Mapping[str, Any]) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or ""


def _text(source: Mapping[str, Any]) -> str:
    """The message of an event, a condition or a status."""
    return str(source.get("message") or "no message").strip().rstrip(".")


# Why a pod was terminated by others (kubernetes pkg/kubelet/eviction, pod/v1 ContainerStateTerminated).
_KILLED_ADVICE = {
    "Evicted": "Raise its size limit (size_limit), or use a node with more free resources",
    "OOMKilled": "Raise the CronJob's memory limit (postgres_backup_resources)",
    "NodeShutdown": "Run it again when the node is available again",
    "Terminated": "Run it again when the node is available again",
}


def termination_cause(pod: Mapping[str, Any]) -> PodProblem | None:
    """Why Kubernetes terminated a pod, or the kernel one of its containers; None where neither did."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason"):
        advice = _KILLED_ADVICE.get(status["reason"], "Check the pod's node")
        return PodProblem(status["reason"], _text(status), advice)
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            terminated = state.get("terminated") or {}
            if terminated.get("reason") == "OOMKilled":
                message = f"the container '{container['name']}' needed more memory than its limit"
                return PodProblem("OOMKilled", message, _KILLED_ADVICE["OOMKilled"])
    return None


def failed_preparation(pod: Mapping[str, Any]) -> str | None:
    """The init container that failed, so that no other was started, and what it has printed; None if none has."""
    for container in pod.get("status", {}).get("initContainerStatuses") or []:
        terminated = (container.get("state") or {}).get("terminated") or {}
        if terminated.get("exitCode"):
            found = str(terminated.get("message") or f"exit status {terminated['exitCode']}").strip()
            return f"the container '{container['name']}', which prepares its pod, failed: {found}"
    return None


# The Job's podFailurePolicy (batch/v1) ended it: by the run's exit status, another attempt could not succeed.
_NOT_AGAIN = "PodFailurePolicy"


def has_succeeded(pod: Mapping[str, Any], container: str) -> bool:
    """Whether this container of the pod ended with exit status 0, whatever the state of the others."""
    return any(
        status["name"] == container and ((status.get("state") or {}).get("terminated") or {}).get("exitCode") == 0
        for status in pod.get("status", {}).get("containerStatuses") or []
    )


def has_failed(pod: Mapping[str, Any], container: str) -> bool:
    """Whether this container of the pod failed and is not started again, whatever the state of the others."""
    if pod.get("spec", {}).get("restartPolicy") != "Never":
        return False
    return any(
        status["name"] == container
        and ((status.get("state") or {}).get("terminated") or {}).get("exitCode") not in {None, 0}
        for status in pod.get("status", {}).get("containerStatuses") or []
    )


def running_beside(pod: Mapping[str, Any], container: str) -> tuple[str, ...]:
    """The names of the pod's other running containers, without those that Kubernetes ends (restartPolicy Always)."""
    return tuple(
        status["name"]
        for status in pod.get("status", {}).get("containerStatuses") or []
        if status["name"] != container and "running" in (status.get("state") or {})
    )


def job_end(job: Mapping[str, Any]) -> str | None:
    """`Complete` or `Failed` once the Job has ended, else None (batch/v1 JobCondition)."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            return str(condition["type"])
    return None


def job_failure(job: Mapping[str, Any]) -> str:
    """Why a Job failed: Kubernetes' reason and message."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] == "Failed":
            reason = condition.get("reason", "Failed")
            if reason == _NOT_AGAIN:
                reason += ", so it was not tried again"
            return f"{reason}: {_text(condition)}"
    return "no reason was given"
