# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Notes on the volume which identities have opened a backup in a Job, whose pod cannot write to the volume."""

from __future__ import annotations

import json
from dataclasses import replace

from .._jobs.job_outcome import COMPLETE, JobEnd
from .._jobs.volume_jobs import ReaderRequest
from ..errors import ClusterError, TemplateError
from .connection import Connection, Object
from .job import StartLimits
from .reader import Reader


def note_opening(
    connection: Connection, cronjob: Object, end: JobEnd, by: str, *, directory: str | None, startup_seconds: float
) -> JobEnd:
    """The end of the Job, with a warning if the opening could not be noted; `by` is `drill` or `restore`.

    Nothing is done unless the Job has succeeded, and has decrypted a backup.
    """
    result = end.result or {}
    opened_by = result.get("opened_by")
    if end.state != COMPLETE or result.get("state") != "succeeded" or not isinstance(opened_by, list) or not opened_by:
        return end
    words = ("_keys", json.dumps([str(recipient) for recipient in opened_by]), str(result.get("backup")), by)
    request = ReaderRequest(words, directory=directory, writes=True)
    try:
        with Reader(connection, cronjob, request, StartLimits(startup_seconds=startup_seconds)) as reader:
            lines = reader.listing()
    except (ClusterError, TemplateError) as error:
        lines = [str(error)]
    if lines and lines[-1].startswith('{"type":"keys",'):
        return end
    warning = f"the volume does not have the time of this opening: {lines[-1] if lines else 'nothing was printed'}"
    return replace(end, result={**result, "warnings": [*(result.get("warnings") or []), warning]})
