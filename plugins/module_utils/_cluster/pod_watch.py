# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job's pod on its way to running, given up when waiting is pointless."""

from __future__ import annotations

import time
from typing import Any

from .._jobs.pod_diagnosis import Waiting, why_event, why_waiting
from ..errors import StuckError
from .connection import Connection, Object

# Nodes are uncordoned, repaired and added within minutes: so many times longer than for another reason a pod may wait.
NODE_PATIENCE = 10
# How often events are asked for.
_EVENTS_SECONDS = 2


class PodWatch:
    """Looks at a Job's newest pod; one that does not start for a known reason is an error after a while.

    That is after `stuck_seconds`, and after ten times as long for a pod that waits for a node. With `patient`, whatever
    time may mend is no error at all: `waiting` says what the pod waits for, None where nothing is known.
    """

    def __init__(
        self, connection: Connection, namespace: str, job: str, stuck_seconds: float, *, patient: bool = False
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._job = job
        self._stuck_seconds = stuck_seconds
        self._patient = patient
        self._waits_since = self._has_node_since = time.monotonic()
        self._asked: float | None = None
        self.waiting: Waiting | None = None

    def look(self) -> list[Object]:
        """The Job's pods, the newest last; raises StuckError."""
        pods = self._connection.pods_of_job(self._namespace, self._job)
        now = time.monotonic()
        newest = pods[-1] if pods else None
        if newest is not None and _has_started(newest):
            self._waits_since = self._has_node_since = now
            self.waiting = self._asked = None
            return pods
        known = why_waiting(newest) if newest is not None else None
        if known is not None and known.is_for_node:
            self.waiting, self._has_node_since = known, now
            waited, allowed = now - self._waits_since, NODE_PATIENCE * self._stuck_seconds
        else:
            if self.waiting is not None and self.waiting.is_for_node:
                self.waiting = None
            waited, allowed = now - self._has_node_since, self._stuck_seconds
            if waited > allowed and (self._asked is None or now - self._asked > _EVENTS_SECONDS):
                self._asked = now
                self.waiting = self._why(newest)
        if waited > allowed and self.waiting is not None and not (self._patient and self.waiting.may_pass):
            raise StuckError(self._message(self.waiting, allowed), self.waiting)
        return pods

    def _message(self, found: Waiting, seconds: float) -> str:
        does_not = f"the pod of the Job '{self._namespace}/{self._job}' does not start"
        if found.may_pass:
            return f"{does_not} yet. Found after {seconds:.0f} s: {found}. This may pass by itself: run it again then"
        return f"{does_not}, and waiting will not help. Found after {seconds:.0f} s: {found}"

    def _why(self, pod: Object | None) -> Waiting | None:
        if pod is None:
            return why_event(self._connection.events(self._namespace, "Job", self._job))
        return why_waiting(pod, self._connection.events(self._namespace, "Pod", pod["metadata"]["name"]))


def _has_started(pod: Object) -> bool:
    """Whether the pod runs, ended, or will be started again by the kubelet."""
    if pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return True
    states: list[dict[str, Any]] = [status.get("state", {}) for status in pod["status"].get("containerStatuses", [])]
    return any("waiting" not in state or state["waiting"].get("reason") == "CrashLoopBackOff" for state in states)
