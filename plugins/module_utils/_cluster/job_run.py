# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Watches a Job to its end, and follows its log so that the log is known even if the pod is deleted."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import Any

from .._jobs.job_outcome import COMPLETE, FAILED, GONE, JobEnd
from .._jobs.pod_diagnosis import (
    PodProblem,
    failed_preparation,
    has_failed,
    has_succeeded,
    job_end,
    job_failure,
    running_beside,
    termination_cause,
)
from .._progress.event import Event, is_event, parse_event
from ..errors import ClusterError, ForbiddenError, NotFoundError, StuckError, WaitTimeoutError
from ..script_output import is_success, result_of, split_lines
from .connection import Connection, Object
from .pod_watch import PodWatch

_POLL_SECONDS = 0.4
_OTHER_STREAM_SECONDS = 0.1
# How long the last lines of a log may take after the Job has ended.
_LAST_LINES_SECONDS = 10
# How long another container may run after the script's end: some end when the script's container has ended.
_OTHER_CONTAINERS_SECONDS = 5
# How long the API server may be away.
_PATIENCE_SECONDS = 60
_Attempt = tuple[str, str, int]  # the names of pod and container, and how often it was started before


class JobRun:
    """Watches one Job; `containers` are those of its pod whose logs are read, in the order in which they run."""

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
        self._read_to_end: set[_Attempt] = set()
        self._termination_message: str | None = None
        self._terminated_by: PodProblem | None = None
        self._preparation: str | None = None
        self._succeeded = threading.Event()
        self._has_progress = False
        self._running_containers: tuple[str, ...] = ()
        self._has_failed = False

    @property
    def log(self) -> tuple[str, ...]:
        """The lines of all attempts so far, pod after pod."""
        with self._lock:
            return tuple(line for lines in self._lines.values() for line in lines)

    def wait(
        self,
        timeout_seconds: float,
        startup_seconds: float,
        *,
        trust_script_result: bool = False,
        patient: bool = False,
    ) -> JobEnd:
        """The Job's end; raises StuckError if its pod cannot start, and WaitTimeoutError after `timeout_seconds`.

        With `trust_script_result`, the script's own result of success is the end: the Job's status follows a second or
        two later. `patient` is for a Job that is not to be given up: it is waited for if the reason that its pod does
        not start may resolve itself. The other containers of its pod are not waited for after the script's end: some
        never end, and as long as they run after a failure, Kubernetes does not start another attempt. Waits up to a
        minute while the API server is not available, then raises ClusterError.
        """
        watch = PodWatch(self._connection, self._namespace, self._name, startup_seconds, patient=patient)
        success = self._succeeded if trust_script_result else threading.Event()
        deadline = time.monotonic() + timeout_seconds
        unavailable_since: float | None = None
        ended_since: float | None = None
        while time.monotonic() < deadline:
            try:
                end = self._poll(watch)
            except (StuckError, ForbiddenError):
                raise
            except ClusterError:
                unavailable_since = unavailable_since or time.monotonic()
                if time.monotonic() - unavailable_since > _PATIENCE_SECONDS:
                    raise
                time.sleep(1)
                continue
            unavailable_since = None
            if end is not None:
                return _with_cause(end, watch.problem)
            if self._running_containers:
                ended_since = ended_since or time.monotonic()
                if time.monotonic() - ended_since > _OTHER_CONTAINERS_SECONDS:
                    return self._ended_beside()
            if success.wait(_POLL_SECONDS):
                # The lines that it wrote to its other stream just before.
                time.sleep(_OTHER_STREAM_SECONDS)
                return self._end(COMPLETE, None)
        raise WaitTimeoutError(self._timeout_message(timeout_seconds, watch.problem, patient))

    def _timeout_message(self, seconds: float, problem: PodProblem | None, patient: bool) -> str:
        message = (
            f"the Job '{self._namespace}/{self._name}' did not end: expected its end within {seconds:.0f} s"
            f"{f'. Its pod has not started: {problem}' if problem else ''}"
        )
        if not patient:
            return message
        watch = f"get pods -w -l batch.kubernetes.io/job-name={self._name}" if problem else f"logs -f job/{self._name}"
        return (
            f"{message}. It continues: kubectl {watch} -n {self._namespace}. To cancel it: kubectl delete job "
            f"{self._name} -n {self._namespace}"
        )

    def _poll(self, watch: PodWatch) -> JobEnd | None:
        try:
            job = self._connection.job(self._namespace, self._name)
        except NotFoundError:
            return self._ended(GONE, "the Job was deleted before its end was seen")
        state = job_end(job)
        # After the end, the pods are read once more: a short run may have been missed.
        pods = self._connection.pods_of_job(self._namespace, self._name) if state else watch.poll()
        self._note(pods)
        for pod in pods:
            self._follow(pod)
        if self._followers and not self._has_progress:
            # A script of an earlier version, or a Job that was started without: only its end can be waited for.
            self._connection.reporter.report(Event("job", self._name))
        main = self._containers[-1]
        succeeded = [pod for pod in pods if self._has_succeeded(pod, main)]
        failed = [pod for pod in pods[-1:] if not succeeded and has_failed(pod, main)]
        self._running_containers = running_beside((succeeded or failed)[0], main) if succeeded or failed else ()
        self._has_failed = bool(failed)
        if state is None:
            return None
        return self._ended(state, None if state == COMPLETE else job_failure(job))

    def _ended_beside(self) -> JobEnd:
        """The end of the script, while other containers of its pod continue."""
        names = self._running_containers
        if not self._has_failed:
            return replace(self._ended(COMPLETE, None), running_containers=names)
        reason = f"it does not end and is not tried again, since the container {', '.join(names)} of its pod continues"
        return replace(self._ended(FAILED, reason), running_containers=names)

    def _has_succeeded(self, pod: Object, container: str) -> bool:
        return self._succeeded.is_set() and has_succeeded(pod, container)

    def _ended(self, state: str, reason: str | None) -> JobEnd:
        deadline = time.monotonic() + _LAST_LINES_SECONDS
        for follower in [*self._followers.values()]:
            follower.join(max(0.0, deadline - time.monotonic()))
        return self._end(state, reason)

    def _end(self, state: str, reason: str | None) -> JobEnd:
        log = self.log
        job = f"{self._namespace}/{self._name}"
        return JobEnd(job, state, reason, self._result(log, state), log, self._terminated_by, self._preparation)

    def _result(self, log: tuple[str, ...], state: str) -> dict[str, Any] | None:
        """The script's own result: the last that agrees with the Job's end, from the log or the termination message.

        A Job may fail after a success, because of its pod's other containers or its deadline.
        """
        states = {COMPLETE: {"succeeded"}, FAILED: {"failed", "succeeded"}}.get(state)
        for text in (*reversed(log), self._termination_message or ""):
            result = result_of(text)
            if result is not None and (states is None or result["state"] in states):
                return result
        return None

    def _note(self, pods: list[Object]) -> None:
        """Prepare for the lines of each of the Job's pods, the newest last, and note what ended the newest one."""
        for pod in pods:
            name = pod["metadata"]["name"]
            with self._lock:
                if name not in self._lines:
                    self._lines[name], self._terminated_by = [], None
        if pods and pods[-1]["metadata"]["name"] == next(reversed(self._lines)):
            self._terminated_by = termination_cause(pods[-1]) or self._terminated_by
            self._preparation = failed_preparation(pods[-1])

    def _follow(self, pod: Object) -> None:
        """Follow every attempt of the pod's containers whose log was not read to its end."""
        pod_status = pod.get("status", {})
        for status in [*(pod_status.get("initContainerStatuses") or []), *(pod_status.get("containerStatuses") or [])]:
            if status["name"] not in self._containers:
                continue
            name, attempt = (pod["metadata"]["name"], status["name"]), status["restartCount"]
            state, last = status.get("state") or {}, status.get("lastState") or {}
            ended = [one["terminated"] for one in (state, last) if one.get("terminated")]
            messages = [one["message"] for one in ended if one.get("message")]
            self._termination_message = messages[0] if messages else self._termination_message
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
        if attempt in self._read_to_end or (follower is not None and follower.is_alive()):
            return
        follower = threading.Thread(target=self._copy_log, args=(attempt, previous), daemon=True)
        self._followers[attempt] = follower
        follower.start()

    def _copy_log(self, attempt: _Attempt, previous: bool) -> None:
        """An interrupted stream is read again while the Job is watched; only the Job's state decides about its end."""
        had_ended = attempt in self._ended_attempts
        options = {"previous": True} if previous else {"follow": True}
        try:
            response = self._connection.log(self._namespace, attempt[0], attempt[1], timestamps=True, **options)
            with contextlib.closing(response):
                for line in split_lines(response.stream(65536)):
                    self._add(attempt[0], line)
        except Exception:
            # Any error of a broken connection. "Not found" is not an end either: a kubelet that was just started does
            # not know its pods yet (kubernetes pkg/kubelet/server/server.go, getContainerLogs).
            return
        if had_ended:
            self._read_to_end.add(attempt)

    def _add(self, pod: str, stamped: str) -> None:
        """Add a line, which the kubelet's time precedes; lines of an attempt that is read twice are added once.

        Progress is reported, and is not a part of the log.
        """
        _, _, line = stamped.partition(" ")
        if is_event(line):
            event = parse_event(line)
            if event is not None:
                self._has_progress = True
                self._connection.reporter.report(event)
            return
        with self._lock:
            if (key := f"{pod} {stamped}") not in self._seen:
                self._seen.add(key)
                self._lines[pod].append(line)
        if is_success(line):
            self._succeeded.set()


def _with_cause(end: JobEnd, problem: PodProblem | None) -> JobEnd:
    """Add what the pod waited for to the reason of a Job whose pod never started."""
    if end.state == COMPLETE or problem is None:
        return end
    return replace(end, reason=f"{end.reason}. Its pod had not started: {problem}")
