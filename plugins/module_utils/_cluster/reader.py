# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A reader: a Job with one pod that has the backup volume, lists it, and disappears."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from .._jobs.job_templates import backup_mount, job_name
from .._jobs.volume_jobs import READER, READER_DEADLINE_SECONDS, ReaderRequest, reader_job
from ..errors import ClusterError, ForbiddenError, NotFoundError, WaitTimeoutError
from ..script import FILES
from .connection import Connection, Object
from .pod_watch import PodWatch

with contextlib.suppress(ImportError):  # the module says so: module_support.py
    import urllib3

_POLL_SECONDS = 0.15
_LAST_LINE = '{"type":"volume"'


@dataclass(frozen=True)
class ReaderSettings:
    """How long a reader's pod may fail to start for a known reason, and may take to start at all, in seconds.

    For a node it may wait ten times as long as for another reason (PodWatch).
    """

    stuck_seconds: float = 30
    start_seconds: float = 300


class Reader:
    """`with Reader(connection, cronjob, request) as reader:` starts it; leaving deletes it. It also ends by itself.

    Raises ClusterError, StuckError or WaitTimeoutError where it does not start, TemplateError where the CronJob's
    volume is not clear.
    """

    def __init__(
        self,
        connection: Connection,
        cronjob: Object,
        request: ReaderRequest | None = None,
        settings: ReaderSettings | None = None,
    ) -> None:
        self._connection = connection
        self._cronjob = cronjob
        self._request = request or ReaderRequest()
        self._settings = settings or ReaderSettings()
        self.namespace: str = cronjob["metadata"]["namespace"]
        self.container = READER
        self.directory = backup_mount(cronjob, self._request.directory).directory
        self.job = ""
        self.pod = ""
        self._lines: list[str] = []

    def __enter__(self) -> Reader:
        node = self._request.node or node_of_volume(self._connection, self._cronjob, self._request.directory)
        request = replace(self._request, node=node)
        name = job_name(self._cronjob["metadata"]["name"], READER, secrets.token_hex(3))
        made = self._connection.create_job(reader_job(self._cronjob, name, FILES, request))
        self.job = made["metadata"]["name"]
        try:
            self.pod = self._started()
            self._lines = self._read_log()
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._delete()

    def listing(self) -> list[str]:
        """The lines that `backup.sh` printed: JSON objects, and messages for people."""
        return self._lines

    def is_running(self) -> bool:
        """Whether the pod is still there to be read from."""
        try:
            pods = self._connection.pods_of_job(self.namespace, self.job)
        except NotFoundError:
            return False
        return any(
            pod["metadata"]["name"] == self.pod
            and pod["status"].get("phase") == "Running"
            and "deletionTimestamp" not in pod["metadata"]
            for pod in pods
        )

    def _delete(self) -> None:
        # It ends by itself too: a cluster that is gone now must not hide what happened before.
        with contextlib.suppress(ClusterError):
            self._connection.delete_job(self.namespace, self.job)

    def _started(self) -> str:
        """The pod's name once it runs or has ended."""
        watch = PodWatch(self._connection, self.namespace, self.job, self._settings.stuck_seconds)
        began = time.monotonic()
        while time.monotonic() - began < self._settings.start_seconds:
            for pod in watch.look()[-1:]:
                if pod.get("status", {}).get("phase") in {"Running", "Succeeded", "Failed"}:
                    return str(pod["metadata"]["name"])
            time.sleep(_POLL_SECONDS)
        raise WaitTimeoutError(
            f"the reader's pod did not start: expected it within {self._settings.start_seconds:.0f} s"
            f"{f', found {watch.waiting}' if watch.waiting else ''}. "
            f"Look at it: kubectl describe pod -n {self.namespace} -l batch.kubernetes.io/job-name={self.job}"
        )

    def _read_log(self) -> list[str]:
        """What the script printed, to its end; a reader that stays has not ended then."""
        lines: list[str] = []
        seconds = self._request.stay_seconds + READER_DEADLINE_SECONDS
        response = self._connection.log(self.namespace, self.pod, self.container, seconds, follow=True)
        try:
            for line in split_lines(response.stream(65536)):
                lines.append(line)
                if self._request.stay_seconds and line.startswith(_LAST_LINE):
                    break
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(f"the log of the reader's pod broke off: {error}. Run it again") from error
        finally:
            response.close()
        return lines


def node_of_volume(connection: Connection, cronjob: Object, directory: str | None) -> str | None:
    """Where the CronJob's volume is in use, when only one node can mount it."""
    claim = backup_mount(cronjob, directory).claim
    if claim is None:
        return None
    namespace = cronjob["metadata"]["namespace"]
    try:
        modes = connection.claim(namespace, claim)["spec"]["accessModes"]
        if any(mode.endswith("Many") for mode in modes):
            return None
        pods = connection.pods(namespace)
    except (ForbiddenError, NotFoundError):
        return None  # a claim that is not there is what the pod's own status tells
    users = (pod for pod in pods if pod["status"].get("phase") in {"Running", "Pending"} and _uses(pod, claim))
    return next((pod["spec"]["nodeName"] for pod in users if pod["spec"].get("nodeName")), None)


def _uses(pod: Object, claim: str) -> bool:
    volumes: list[dict[str, Any]] = pod["spec"].get("volumes", [])
    return any((volume.get("persistentVolumeClaim") or {}).get("claimName") == claim for volume in volumes)


def split_lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Text lines out of chunks of bytes."""
    left = b""
    for chunk in chunks:
        *whole, left = (left + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
    if left:
        yield left.decode("utf-8", "replace")
