# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup's Job, watched to its end, with its log followed so that it outlives the pod."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from ..diagnosis import job_end, job_failure
from ..errors import ClusterError, NotFoundError, WaitTimeoutError
from .connection import Connection, Object
from .pod_watch import PodWatch
from .reader import split_lines

_POLL_SECONDS = 0.4
# How long the last lines of a log may take after the Job has ended.
_LAST_LINES_SECONDS = 10


@dataclass(frozen=True)
class JobEnd:
    """How a Job ended: `state` is Complete, Failed or Gone; `reason` is Kubernetes' word for a failure.

    `result` is what the script said of its run (None where no script of ours ran, or nothing was heard of it), `log`
    the lines of all attempts.
    """

    state: str
    reason: str | None
    result: dict[str, Any] | None
    log: tuple[str, ...]


class JobRun:
    """Follows one Job; `container` is the one whose log counts."""

    def __init__(self, connection: Connection, namespace: str, name: str, container: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name
        self._container = container
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._lines: list[str] = []
        self._followers: dict[tuple[str, int], threading.Thread] = {}
        self._last_words: str | None = None

    def wait(self, timeout_seconds: float, stuck_seconds: float) -> JobEnd:
        """The Job's end; raises StuckError when its pod will not start, WaitTimeoutError when it takes longer."""
        watch = PodWatch(self._connection, self._namespace, self._name, stuck_seconds)
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            try:
                job = self._connection.job(self._namespace, self._name)
            except NotFoundError:
                return self._ended("Gone", "the Job was deleted before its end was seen")
            state = job_end(job)
            # The pods are looked at once more after the end: a short run may have been missed.
            pods = self._connection.pods_of_job(self._namespace, self._name) if state else watch.look()
            for pod in pods:
                self._follow(pod)
            if state is not None:
                return self._ended(state, None if state == "Complete" else job_failure(job))
            time.sleep(_POLL_SECONDS)
        raise WaitTimeoutError(
            f"the Job '{self._namespace}/{self._name}' did not end: expected its end within {timeout_seconds:.0f} s. "
            f"It goes on: kubectl logs -f -n {self._namespace} job/{self._name}",
            self._log(),
        )

    def _ended(self, state: str, reason: str | None) -> JobEnd:
        deadline = time.monotonic() + _LAST_LINES_SECONDS
        for follower in self._followers.values():
            follower.join(max(0.0, deadline - time.monotonic()))
        log = self._log()
        return JobEnd(state, reason, self._result(log), log)

    def _log(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._lines)

    def _result(self, log: tuple[str, ...]) -> dict[str, Any] | None:
        """The script's own result: the last in the log, else its termination message."""
        for text in [*reversed(log), self._last_words or ""]:
            if text.startswith('{"state":'):
                with contextlib.suppress(ValueError):
                    found: dict[str, Any] = json.loads(text)
                    return found
        return None

    def _follow(self, pod: Object) -> None:
        """Start to follow every attempt of the pod's container that is not followed yet."""
        for status in pod.get("status", {}).get("containerStatuses", []):
            if status["name"] != self._container:
                continue
            attempt = status["restartCount"]
            ended = [status[key]["terminated"] for key in ("lastState", "state") if "terminated" in status.get(key, {})]
            self._last_words = next(
                (each["message"] for each in reversed(ended) if each.get("message")), self._last_words
            )
            if "waiting" in status.get("state", {}):
                attempt -= 1  # the one before is what there is a log of
            name = pod["metadata"]["name"]
            if attempt < 0 or (name, attempt) in self._followers:
                continue
            is_previous = "waiting" in status.get("state", {})
            follower = threading.Thread(target=self._copy_log, args=(name, is_previous), daemon=True)
            self._followers[name, attempt] = follower
            follower.start()

    def _copy_log(self, pod: str, is_previous: bool) -> None:
        # A pod that is gone, or a kubelet that does not answer, ends the copy; the Job's state is what counts.
        with contextlib.suppress(ClusterError, OSError):
            response = self._connection.log(self._namespace, pod, self._container, not is_previous, is_previous, True)
            with contextlib.suppress(Exception), contextlib.closing(response):
                for line in split_lines(response.stream(4096)):
                    self._add(pod, line)

    def _add(self, pod: str, stamped: str) -> None:
        """One line with the kubelet's time before it: an attempt that is followed twice is counted once."""
        _, _, line = stamped.partition(" ")
        with self._lock:
            if (key := f"{pod} {stamped}") not in self._seen:
                self._seen.add(key)
                self._lines.append(line)
