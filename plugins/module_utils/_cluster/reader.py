# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A reader: a Job with one pod that has the backup volume, lists it, and is deleted."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from types import TracebackType
from typing import Any

from .._jobs.job_templates import backup_mount, job_name
from .._jobs.volume_jobs import READER, READER_DEADLINE_SECONDS, ReaderRequest, reader_job
from .._progress.event import Event
from .._script.reader import FILES
from .._volume.catalog import Catalog, parse_listing
from ..errors import ForbiddenError, NotFoundError
from ..script_output import is_volume
from .connection import Connection, Object
from .job import Job, StartLimits


class Reader:
    """`with Reader(connection, cronjob, request) as reader:` creates it; leaving deletes it.

    It also ends by itself. Raises ClusterError, StuckError or WaitTimeoutError if it does not start, TemplateError if
    the CronJob's volume is not clear.
    """

    def __init__(
        self,
        connection: Connection,
        cronjob: Object,
        request: ReaderRequest | None = None,
        limits: StartLimits | None = None,
    ) -> None:
        self._connection = connection
        self._cronjob = cronjob
        self._request = request or ReaderRequest()
        self._limits = limits or StartLimits()
        self._life_cycle = contextlib.ExitStack()
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
        with contextlib.ExitStack() as stack:
            manifest = reader_job(self._cronjob, name, FILES, request)
            job = stack.enter_context(Job(self._connection, manifest, followed=False))
            self.job = job.name
            self.pod = job.wait_for_pod(self._limits)
            self._lines = self._read_log(job)
            self._life_cycle = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._life_cycle.__exit__(kind, error, trace)

    def listing(self) -> list[str]:
        """The lines that `backup.sh` printed: JSON objects, and messages for people."""
        return self._lines

    def is_running(self) -> bool:
        """Whether the pod still exists and can be read from."""
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

    def _read_log(self, job: Job) -> list[str]:
        """The output of the script, complete also if the pod runs longer to be read from."""
        lines: list[str] = []
        self._connection.reporter.report(Event("list"))
        seconds = self._request.stay_seconds + READER_DEADLINE_SECONDS
        with contextlib.closing(job.log_lines(self.pod, self.container, seconds)) as log:
            for line in log:
                lines.append(line)
                if self._request.stay_seconds and is_volume(line):
                    break
        return lines


def read_catalog(connection: Connection, cronjob: Object, directory: str | None, limits: StartLimits) -> Catalog:
    """The backups on the CronJob's volume, as a reader lists them; raises as Reader does, and ListingError."""
    with Reader(connection, cronjob, ReaderRequest(directory=directory), limits) as reader:
        return parse_listing(reader.listing())


def node_of_volume(connection: Connection, cronjob: Object, directory: str | None) -> str | None:
    """The node where the CronJob's volume is in use, if only one node can mount it."""
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
        return None  # the pod's own status reports a claim that does not exist
    users = (pod for pod in pods if pod["status"].get("phase") in {"Running", "Pending"} and _uses(pod, claim))
    return next((pod["spec"]["nodeName"] for pod in users if pod["spec"].get("nodeName")), None)


def _uses(pod: Object, claim: str) -> bool:
    volumes: list[dict[str, Any]] = pod["spec"].get("volumes", [])
    return any((volume.get("persistentVolumeClaim") or {}).get("claimName") == claim for volume in volumes)
