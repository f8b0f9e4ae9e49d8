# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job of the backup's or ours, watched to its end, with its log followed so that it outlives the pod."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from .._jobs.pod_diagnosis import Waiting, has_succeeded, job_end, job_failure, running_beside, why_killed
from ..errors import ClusterError, ForbiddenError, NotFoundError, StuckError, WaitTimeoutError
from .connection import Connection, Object
from .pod_watch import PodWatch
from .reader import split_lines

_POLL_SECONDS = 0.4
_OTHER_STREAM_SECONDS = 0.1
_SUCCEEDED = '{"state":"succeeded",'
# How long the last lines of a log may take after the Job has ended.
_LAST_LINES_SECONDS = 10
# How long a container beside the script's may go on after its success, as one does that is told to end by it.
_BESIDE_SECONDS = 5
# How long the API server may be away.
_PATIENCE_SECONDS = 60
_Attempt = tuple[str, str, int]  # the names of pod and container, and how often it was started before


@dataclass(frozen=True)
class JobEnd:
    """How a Job ended: `state` is Complete, Failed or Gone; `reason` is Kubernetes' word for a failure.

    `result` is what the script said of its run (None where no script of ours ran, or nothing was heard of it), `log`
    the lines of all attempts, pod after pod, `killed` what ended its newest pod from outside, where something did, and
    `beside` names containers that go on after the script's success.
    """

    state: str
    reason: str | None
    result: dict[str, Any] | None
    log: tuple[str, ...]
    killed: Waiting | None = None
    beside: tuple[str, ...] = ()


class JobRun:
    """Follows one Job; `containers` are those of its pod whose logs count, in the order in which they run."""

    def __init__(self, connection: Connection, namespace: str, name: str, *containers: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name
        self._containers = containers
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        # By pod, in the order in which the Job made them: the last line is the newest pod's, whichever was read last.
        self._lines: dict[str, list[str]] = {}
        self._followers: dict[_Attempt, threading.Thread] = {}
        self._ended_attempts: set[_Attempt] = set()
        self._heard_to_end: set[_Attempt] = set()
        self._last_words: str | None = None
        self._killed: Waiting | None = None
        self._succeeded = threading.Event()
        self._beside: tuple[str, ...] = ()

    @property
    def log(self) -> tuple[str, ...]:
        """The lines of all attempts so far, pod after pod."""
        with self._lock:
            return tuple(line for lines in self._lines.values() for line in lines)

    def wait(
        self, timeout_seconds: float, stuck_seconds: float, *, last_word: bool = False, patient: bool = False
    ) -> JobEnd:
        """The Job's end; raises StuckError when its pod will not start, WaitTimeoutError when it takes longer.

        With `last_word` the script's own word that it succeeded is its end: Kubernetes takes a second or two to say the
        same. `patient` is for a Job that is not to be given up: its pod is waited for as long as time may mend what
        keeps it, and other containers of it are not, once the script's own has succeeded. An API server that is away
        for less than a minute is waited for; longer is a ClusterError.
        """
        watch = PodWatch(self._connection, self._namespace, self._name, stuck_seconds, patient=patient)
        said = self._succeeded if last_word else threading.Event()
        deadline = time.monotonic() + timeout_seconds
        trouble_since: float | None = None
        beside_since: float | None = None
        while time.monotonic() < deadline:
            try:
                end = self._look(watch)
            except (StuckError, ForbiddenError):
                raise
            except ClusterError:
                trouble_since = trouble_since or time.monotonic()
                if time.monotonic() - trouble_since > _PATIENCE_SECONDS:
                    raise
                time.sleep(1)
                continue
            trouble_since = None
            if end is not None:
                return _with_cause(end, watch.waiting)
            if patient and self._beside:
                beside_since = beside_since or time.monotonic()
                if time.monotonic() - beside_since > _BESIDE_SECONDS:
                    return replace(self._ended("Complete", None), beside=self._beside)
            if said.wait(_POLL_SECONDS):
                # What it wrote to its other stream just before.
                time.sleep(_OTHER_STREAM_SECONDS)
                return JobEnd("Complete", None, self._result(self.log, "Complete"), self.log, self._killed)
        raise WaitTimeoutError(self._timeout_message(timeout_seconds, watch.waiting, patient))

    def _timeout_message(self, seconds: float, waiting: Waiting | None, patient: bool) -> str:
        message = (
            f"the Job '{self._namespace}/{self._name}' did not end: expected its end within {seconds:.0f} s"
            f"{f'. Its pod has not started: {waiting}' if waiting else ''}"
        )
        if not patient:
            return message
        watch = f"get pods -w -l batch.kubernetes.io/job-name={self._name}" if waiting else f"logs -f job/{self._name}"
        return (
            f"{message}. It goes on: kubectl {watch} -n {self._namespace}. To give it up: kubectl delete job "
            f"{self._name} -n {self._namespace}"
        )

    def _look(self, watch: PodWatch) -> JobEnd | None:
        try:
            job = self._connection.job(self._namespace, self._name)
        except NotFoundError:
            return self._ended("Gone", "the Job was deleted before its end was seen")
        state = job_end(job)
        # The pods are looked at once more after the end: a short run may have been missed.
        pods = self._connection.pods_of_job(self._namespace, self._name) if state else watch.look()
        self._note(pods)
        for pod in pods:
            self._follow(pod)
        main = self._containers[-1]
        self._beside = next((running_beside(pod, main) for pod in pods if self._has_succeeded(pod, main)), ())
        if state is None:
            return None
        return self._ended(state, None if state == "Complete" else job_failure(job))

    def _has_succeeded(self, pod: Object, container: str) -> bool:
        return self._succeeded.is_set() and has_succeeded(pod, container)

    def _ended(self, state: str, reason: str | None) -> JobEnd:
        deadline = time.monotonic() + _LAST_LINES_SECONDS
        for follower in [*self._followers.values()]:
            follower.join(max(0.0, deadline - time.monotonic()))
        log = self.log
        return JobEnd(state, reason, self._result(log, state), log, self._killed)

    def _result(self, log: tuple[str, ...], state: str) -> dict[str, Any] | None:
        """The script's own result: the last that agrees with the Job's end, from the log or the termination message.

        A Job may fail by its pod's other containers, or its deadline, behind a success.
        """
        wanted = {"Complete": {"succeeded"}, "Failed": {"failed", "succeeded"}}.get(state)
        for text in (*reversed(log), self._last_words or ""):
            if text.startswith('{"state":'):
                with contextlib.suppress(ValueError):
                    found: dict[str, Any] = json.loads(text)
                    if wanted is None or found["state"] in wanted:
                        return found
        return None

    def _note(self, pods: list[Object]) -> None:
        """The pods that the Job has now, the newest last: a place for the lines of each, and what ended the newest."""
        for pod in pods:
            name = pod["metadata"]["name"]
            with self._lock:
                if name not in self._lines:
                    self._lines[name], self._killed = [], None
        if pods and pods[-1]["metadata"]["name"] == next(reversed(self._lines)):
            self._killed = why_killed(pods[-1]) or self._killed

    def _follow(self, pod: Object) -> None:
        """Follow every attempt of the pod's containers that was not heard to its end."""
        there = pod.get("status", {})
        for status in [*(there.get("initContainerStatuses") or []), *(there.get("containerStatuses") or [])]:
            if status["name"] not in self._containers:
                continue
            name, attempt = (pod["metadata"]["name"], status["name"]), status["restartCount"]
            state, last = status.get("state") or {}, status.get("lastState") or {}
            ended = [each["terminated"] for each in (state, last) if each.get("terminated")]
            self._last_words = next((each["message"] for each in ended if each.get("message")), self._last_words)
            if "waiting" in state and not ended:
                continue  # nothing has run yet
            if "running" not in state:
                self._ended_attempts.add((*name, attempt))
            self._start((*name, attempt), previous=False)
            if attempt and "waiting" not in state:
                # While it waits to be started again, "previous" is the attempt above.
                self._ended_attempts.add((*name, attempt - 1))
                self._start((*name, attempt - 1), previous=True)

    def _start(self, attempt: _Attempt, previous: bool) -> None:
        follower = self._followers.get(attempt)
        if attempt in self._heard_to_end or (follower is not None and follower.is_alive()):
            return
        follower = threading.Thread(target=self._copy_log, args=(attempt, previous), daemon=True)
        self._followers[attempt] = follower
        follower.start()

    def _copy_log(self, attempt: _Attempt, previous: bool) -> None:
        """A stream that broke off is taken up again as long as the Job is watched; the Job's state is what counts."""
        had_ended = attempt in self._ended_attempts
        options = {"previous": True} if previous else {"follow": True}
        try:
            response = self._connection.log(self._namespace, attempt[0], attempt[1], timestamps=True, **options)
            with contextlib.closing(response):
                for line in split_lines(response.stream(65536)):
                    self._add(attempt[0], line)
        except Exception:
            # Whatever a broken connection brings. "Not found" is no end either: a kubelet that was just started knows
            # none of its pods yet (kubernetes pkg/kubelet/server/server.go, getContainerLogs).
            return
        if had_ended:
            self._heard_to_end.add(attempt)

    def _add(self, pod: str, stamped: str) -> None:
        """One line with the kubelet's time before it: an attempt that is read twice is counted once."""
        _, _, line = stamped.partition(" ")
        with self._lock:
            if (key := f"{pod} {stamped}") not in self._seen:
                self._seen.add(key)
                self._lines[pod].append(line)
        if line.startswith(_SUCCEEDED):
            self._succeeded.set()


def _with_cause(end: JobEnd, waiting: Waiting | None) -> JobEnd:
    """A Job whose pod never started has Kubernetes' reason, and what the pod waited for."""
    if end.state == "Complete" or waiting is None:
        return end
    return replace(end, reason=f"{end.reason}. Its pod had not started: {waiting}")
