# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job's pod on its way to running, given up when waiting is pointless."""

from __future__ import annotations

import time
from typing import Any

from ..diagnosis import Waiting, why_event, why_waiting
from ..errors import StuckError
from .connection import Connection, Object


class PodWatch:
    """Looks at a Job's newest pod; one that has not started for `stuck_seconds`, for a known reason, is an error."""

    def __init__(self, connection: Connection, namespace: str, job: str, stuck_seconds: float) -> None:
        self._connection = connection
        self._namespace = namespace
        self._job = job
        self._stuck_seconds = stuck_seconds
        self._waits_since = time.monotonic()

    def look(self) -> list[Object]:
        """The Job's pods, the newest last; raises StuckError."""
        pods = self._connection.pods_of_job(self._namespace, self._job)
        if any(_has_started(pod) for pod in pods[-1:]):
            self._waits_since = time.monotonic()
        elif time.monotonic() - self._waits_since > self._stuck_seconds:
            found = self._why(pods[-1] if pods else None)
            if found is not None:
                raise StuckError(
                    f"the pod of the Job '{self._namespace}/{self._job}' does not start, and waiting will not help. "
                    f"Found after {self._stuck_seconds:.0f} s: {found}",
                    found,
                )
        return pods

    def _why(self, pod: Object | None) -> Waiting | None:
        if pod is None:
            return why_event(self._connection.events(self._namespace, "Job", self._job))
        known = why_waiting(pod)
        return known or why_waiting(pod, self._connection.events(self._namespace, "Pod", pod["metadata"]["name"]))


def _has_started(pod: Object) -> bool:
    """Whether the pod runs, ended, or will be started again by the kubelet."""
    if pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return True
    states: list[dict[str, Any]] = [status.get("state", {}) for status in pod["status"].get("containerStatuses", [])]
    return any("waiting" not in state or state["waiting"].get("reason") == "CrashLoopBackOff" for state in states)
