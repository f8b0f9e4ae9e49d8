# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The life cycle of a Job: created, waited for, followed and deleted. Every Job of the modules is one of these."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType

from .._jobs.identity import Identity, secret_of_job
from .._jobs.job_outcome import JobEnd
from .._jobs.job_templates import ask_for_progress
from ..errors import (
    ClusterError,
    ConcurrentRestoreError,
    ForbiddenError,
    NotFoundError,
    StuckError,
    WaitTimeoutError,
)
from ..interruption import InterruptedBySignal
from ..script_output import split_lines
from .connection import Connection, Object
from .job_run import JobRun
from .pod_watch import PodWatch

with contextlib.suppress(ImportError):  # module_runner.py reports it
    import urllib3

_POLL_SECONDS = 0.15
# How often the deletion is tried of a Job whose pod has something to clean up in the live server.
_DELETE_ATTEMPTS = 3
# These are about the Job; any other ClusterError is about the API server, which may not be available.
_ABOUT_THE_JOB = (StuckError, WaitTimeoutError, ConcurrentRestoreError)


class Deletion(Enum):
    """When leaving a Job deletes it, and its pods with it."""

    # A Job that is needed only while somebody reads its result.
    ALWAYS = "always"
    # A Job that continues if the API server is not available, as nobody could delete it then.
    UNLESS_UNREACHABLE = "unless unreachable"
    # A Job that somebody asked for, and that continues unless its pod cannot start.
    IF_STUCK = "if stuck"
    # A Job that somebody else created.
    NEVER = "never"

    def applies(self, error: BaseException | None) -> bool:
        """Whether the Job is deleted if it is left with this error, None for none."""
        if self is Deletion.UNLESS_UNREACHABLE:
            return not isinstance(error, ClusterError) or isinstance(error, _ABOUT_THE_JOB)
        return self is Deletion.ALWAYS or (self is Deletion.IF_STUCK and isinstance(error, StuckError))


@dataclass(frozen=True)
class StartLimits:
    """How long a pod may fail to start for a known reason, and may take to start in total, in seconds.

    It may wait for a node ten times as long as for another reason (PodWatch).
    """

    startup_seconds: float = 30
    total_seconds: float = 300


class Job:
    """`with Job(connection, manifest, deletion) as job:` creates a Job; leaving deletes it as `deletion` defines.

    The text of `identity` gets into a Secret that belongs to the Job, so that none can remain without it. A Job that is
    `followed` is not created if this user may not read it: nobody would learn what it does.
    It is deleted in the same way after an error, and after a signal within `signals_raise()` (interruption.py). A
    deletion that fails is not an error: every Job has a deadline and a time to live, and what happened before counts.
    Raises ClusterError if the Job cannot be created.
    """

    def __init__(
        self,
        connection: Connection,
        manifest: Object,
        deletion: Deletion = Deletion.ALWAYS,
        identity: Identity | None = None,
        *,
        followed: bool = True,
    ) -> None:
        self._connection = connection
        self._is_followed = followed
        self._identity_text = identity.text if identity else None
        self._deletion = deletion
        self._began = 0.0
        # As it was sent; on entering, as the API server returned it.
        self.manifest = manifest
        self.namespace: str = manifest["metadata"]["namespace"]
        self.name: str = manifest["metadata"]["name"]
        self.is_attached = False
        self.is_created = False
        self.is_deleted = False

    @classmethod
    def attached(cls, connection: Connection, namespace: str, name: str) -> Job:
        """A Job that exists already: entering does not create it, leaving does not delete it."""
        job = cls(connection, {"metadata": {"namespace": namespace, "name": name}}, Deletion.NEVER)
        job.is_attached = True
        return job

    def __enter__(self) -> Job:
        self._began = time.monotonic()
        if not self.is_attached:
            if self._is_followed:
                self._require_rights()
            if self._connection.reporter.is_heard:
                self.manifest = ask_for_progress(self.manifest)
            try:
                self.manifest = self._connection.create_job(self.manifest)
            except BaseException as error:
                # It may exist although its creation failed, if only the response was lost.
                self._leave(error)
                raise
            self._give_identity()
        self.is_created = True
        return self

    def _require_rights(self) -> None:
        """Of wait_for_end. The API server refuses a request whether what it asks for exists or not."""
        try:
            with contextlib.suppress(NotFoundError):
                self._connection.job(self.namespace, self.name)
            self._connection.pods_of_job(self.namespace, self.name)
        except ForbiddenError as error:
            raise ForbiddenError(
                f"expected the right to read Jobs and pods in the namespace '{self.namespace}', found none. "
                f"Nothing was started: {error} (docs/examples/rbac/operate.yaml)"
            ) from error

    def _give_identity(self) -> None:
        """The pod waits for the Secret if it is faster."""
        if self._identity_text is None:
            return
        try:
            self._connection.write_secret(secret_of_job(self.manifest, self._identity_text))
        except BaseException as error:
            self._delete()
            if isinstance(error, ForbiddenError):
                raise ForbiddenError(
                    f"identity: expected the right to create Secrets in the namespace '{self.namespace}', found none: "
                    f"{error}, and the one in docs/examples/rbac/decrypt.yaml"
                ) from error
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def wait_for_pod(self, limits: StartLimits) -> str:
        """The name of the pod once it runs or has ended; raises StuckError or WaitTimeoutError."""
        watch = PodWatch(self._connection, self.namespace, self.name, limits.startup_seconds)
        while time.monotonic() - self._began < limits.total_seconds:
            for pod in watch.poll()[-1:]:
                if pod.get("status", {}).get("phase") in {"Running", "Succeeded", "Failed"}:
                    return str(pod["metadata"]["name"])
            time.sleep(_POLL_SECONDS)
        raise WaitTimeoutError(
            f"the pod of the Job '{self.namespace}/{self.name}' did not start: expected it within "
            f"{limits.total_seconds:.0f} s{f', found {watch.problem}' if watch.problem else ''}. "
            f"Check it: kubectl describe pod -n {self.namespace} -l batch.kubernetes.io/job-name={self.name}"
        )

    def log_lines(self, pod: str, container: str, silence_seconds: int) -> Generator[str, None, None]:
        """The lines of a container's log while they are written; raises ClusterError if the log is interrupted.

        `silence_seconds` is how long the container may print nothing.
        """
        response = self._connection.log(self.namespace, pod, container, silence_seconds, follow=True)
        try:
            yield from split_lines(response.stream(65536))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            message = f"the log of the pod '{self.namespace}/{pod}' was interrupted: {error}. Run it again"
            raise ClusterError(message) from error
        finally:
            response.close()

    def wait_for_end(
        self,
        *containers: str,
        timeout_seconds: float,
        startup_seconds: float,
        trust_script_result: bool = False,
        patient: bool = False,
    ) -> JobEnd:
        """The end of the Job, as JobRun.wait has it; an error has the lines of the log so far as its `partial`."""
        run = JobRun(self._connection, self.namespace, self.name, *containers)
        try:
            end = run.wait(timeout_seconds, startup_seconds, trust_script_result=trust_script_result, patient=patient)
        except ClusterError as error:
            error.partial = run.log
            raise
        return replace(end, duration_seconds=round(time.monotonic() - self._began, 3))

    def _leave(self, error: BaseException | None) -> None:
        if not self._deletion.applies(error):
            return
        try:
            self._delete()
        except InterruptedBySignal:
            # Later signals are ignored.
            self._delete()
            raise

    def _delete(self) -> None:
        attempts = _DELETE_ATTEMPTS if self._deletion is Deletion.UNLESS_UNREACHABLE else 1
        for attempt in range(attempts):
            if attempt:
                time.sleep(1)
            try:
                self._connection.delete_job(self.namespace, self.name)
            except ForbiddenError:
                return
            except ClusterError:
                continue
            self.is_deleted = True
            return
