# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job that sends a test message through the channels of a watch: one of its CronJob, with another argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import TemplateError
from .job_templates import Object, manual_job, pod_spec
from .volume_jobs import TTL_SECONDS, WATCH

PREPARE = "prepare"


def watch_test_job(cronjob: Mapping[str, Any], name: str) -> Object:
    """The Job; raises TemplateError for a CronJob that is not that of a watch."""
    if [container["name"] for container in pod_spec(cronjob)["containers"]][:1] != [WATCH]:
        raise TemplateError(f"the CronJob '{cronjob['metadata']['name']}': expected that of a watch, found another one")
    job = manual_job(cronjob, name)
    job["spec"]["ttlSecondsAfterFinished"] = TTL_SECONDS
    job["spec"]["template"]["spec"]["containers"][0]["args"] = ["test"]
    return job
