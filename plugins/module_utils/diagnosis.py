# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Why a pod does not start, or was ended, in words: from its status and its events, as the Kubernetes API has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Reasons of a waiting container that time alone does not mend (kubernetes pkg/kubelet/images/types.go and
# pkg/kubelet/kuberuntime/kuberuntime_container.go).
_ADVICE = {
    "ErrImagePull": "Look at the image's name and at the pull secrets (postgres_backup_image)",
    "ImagePullBackOff": "Look at the image's name and at the pull secrets (postgres_backup_image)",
    "ErrImageNeverPull": "The image is not on the node, and its pull policy is Never: load it there",
    "InvalidImageName": "Correct the image's name (postgres_backup_image)",
    "CreateContainerConfigError": "Create what is missing, or name what is there (postgres_backup_secret_name, …_key)",
    "CreateContainerError": "Look at the pod's events",
    "RunContainerError": "Look at the pod's events",
}
_EVENT_ADVICE = {
    "FailedMount": "Look at the volume and at the server behind it",
    "FailedAttachVolume": "Look at the volume: is it in use on another node?",
    "FailedCreatePodSandBox": "Look at the node's network and container runtime",
    "FailedCreate": "Look at the Job's events: quota, Pod Security or a missing ServiceAccount",
}
_UNSCHEDULABLE_ADVICE = "Look at the claim, the nodes' room and the pod's requests, node selector and tolerations"


@dataclass(frozen=True)
class Waiting:
    """What a pod waits for, or was ended by: Kubernetes' own `reason` and `message`, and what a person can do."""

    reason: str
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}. {self.advice}"


def why_waiting(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> Waiting | None:
    """What keeps this pod from running although time alone will not mend it; None when nothing is known to.

    `events` are the pod's; a warning among them counts only while the pod's containers have not started.
    """
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Waiting(condition.get("reason", "Unschedulable"), _text(condition), _UNSCHEDULABLE_ADVICE)
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in containers:
        waiting = container.get("state", {}).get("waiting") or {}
        advice = _ADVICE.get(waiting.get("reason", ""))
        if advice is not None:
            return Waiting(waiting["reason"], _text(waiting), advice)
    if any("waiting" not in container.get("state", {}) for container in containers):
        return None
    return why_event(events)


def why_event(events: Iterable[Mapping[str, Any]]) -> Waiting | None:
    """The newest warning among the events that tells why a pod does not come to be; None without one."""
    telling = [event for event in events if event.get("type") == "Warning" and event.get("reason") in _EVENT_ADVICE]
    if not telling:
        return None
    newest = max(telling, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return Waiting(newest["reason"], _text(newest), _EVENT_ADVICE[newest["reason"]])


def _text(found: Mapping[str, Any]) -> str:
    return str(found.get("message") or "no message").strip().rstrip(".")


# What ended a pod from outside (kubernetes pkg/kubelet/eviction, pod/v1 ContainerStateTerminated).
_KILLED_ADVICE = {
    "Evicted": "Give it more room (size_limit), or find a node that has it",
    "OOMKilled": "Raise the CronJob's memory limit (postgres_backup_resources)",
    "NodeShutdown": "Run it again when the node is back",
    "Terminated": "Run it again when the node is back",
}


def why_killed(pod: Mapping[str, Any]) -> Waiting | None:
    """Why Kubernetes ended a pod, or the kernel one of its containers; None where nobody did."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason"):
        advice = _KILLED_ADVICE.get(status["reason"], "Look at the pod's node")
        return Waiting(status["reason"], _text(status), advice)
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            ended = state.get("terminated") or {}
            if ended.get("reason") == "OOMKilled":
                message = f"the container '{container['name']}' needed more memory than its limit"
                return Waiting("OOMKilled", message, _KILLED_ADVICE["OOMKilled"])
    return None


# A Job's own rule ended it (batch/v1 podFailurePolicy): the run's exit status said that another try cannot help.
_NOT_AGAIN = "PodFailurePolicy"


def job_end(job: Mapping[str, Any]) -> str | None:
    """`Complete` or `Failed` once the Job has ended, else None (batch/v1 JobCondition)."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            return str(condition["type"])
    return None


def job_failure(job: Mapping[str, Any]) -> str:
    """Why a Job failed, in Kubernetes' words."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] == "Failed":
            reason = condition.get("reason", "Failed")
            if reason == _NOT_AGAIN:
                reason += ", so it was not tried again"
            return f"{reason}: {_text(condition)}"
    return "no reason was given"
