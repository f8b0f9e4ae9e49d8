# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Waits for a Job's pod to start, and gives up if it cannot start."""

from __future__ import annotations

import time
from typing import Any

from .._jobs.pod_diagnosis import PodProblem, event_problem, startup_problem
from .._progress.event import Event
from ..errors import StuckError
from .connection import Connection, Object

# Nodes are uncordoned, repaired and added within minutes: how many times longer a pod may wait for one.
NODE_PATIENCE = 10
# How often the events are read.
_EVENTS_SECONDS = 2


class PodWatch:
    """Reads the newest pod of a Job. A pod that does not start for a known reason becomes an error after a time.

    That time is `startup_seconds`, and ten times as long for a pod that waits for a node. With `patient`, a reason that
    may resolve itself is never an error. `problem` is what the pod waits for; None if that is not known.
    """

    def __init__(
        self, connection: Connection, namespace: str, job: str, startup_seconds: float, *, patient: bool = False
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._job = job
        self._startup_seconds = startup_seconds
        self._patient = patient
        self._waits_since = self._has_node_since = time.monotonic()
        self._events_read: float | None = None
        self.problem: PodProblem | None = None

    def poll(self) -> list[Object]:
        """The Job's pods, the newest last; raises StuckError."""
        pods = self._connection.pods_of_job(self._namespace, self._job)
        now = time.monotonic()
        newest = pods[-1] if pods else None
        if newest is not None and _has_started(newest):
            self._waits_since = self._has_node_since = now
            self.problem = self._events_read = None
            return pods
        problem = startup_problem(newest) if newest is not None else None
        self._report(problem or self.problem)
        if problem is not None and problem.is_for_node:
            self.problem, self._has_node_since = problem, now
            waited, allowed = now - self._waits_since, NODE_PATIENCE * self._startup_seconds
        else:
            if self.problem is not None and self.problem.is_for_node:
                self.problem = None
            waited, allowed = now - self._has_node_since, self._startup_seconds
            if waited > allowed and (self._events_read is None or now - self._events_read > _EVENTS_SECONDS):
                self._events_read = now
                self.problem = self._read_events(newest)
        if waited > allowed and self.problem is not None and not (self._patient and self.problem.may_pass):
            raise StuckError(self._message(self.problem, allowed), self.problem)
        return pods

    def _report(self, problem: PodProblem | None) -> None:
        cause = f"{problem.reason}: {problem.message}" if problem else None
        self._connection.reporter.report(Event("wait_pod", cause=cause))

    def _message(self, problem: PodProblem, seconds: float) -> str:
        subject = f"the pod of the Job '{self._namespace}/{self._job}' does not start"
        if problem.may_pass:
            return f"{subject} yet. Found after {seconds:.0f} s: {problem}. This may resolve itself: run it again later"
        return f"{subject}, and waiting will not help. Found after {seconds:.0f} s: {problem}"

    def _read_events(self, pod: Object | None) -> PodProblem | None:
        if pod is None:
            return event_problem(self._connection.events(self._namespace, "Job", self._job))
        return startup_problem(pod, self._connection.events(self._namespace, "Pod", pod["metadata"]["name"]))


def _has_started(pod: Object) -> bool:
    """Whether the pod runs, ended, or will be started again by the kubelet."""
    if pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return True
    states: list[dict[str, Any]] = [status.get("state", {}) for status in pod["status"].get("containerStatuses", [])]
    return any("waiting" not in state or state["waiting"].get("reason") == "CrashLoopBackOff" for state in states)
