# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job that sends a test message through the channels of a watch: one of its CronJob, with another argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .component_job import component_job
from .job_templates import Object
from .volume_jobs import TTL_SECONDS, WATCH


def watch_test_job(cronjob: Mapping[str, Any], name: str) -> Object:
    """The Job; raises TemplateError for a CronJob that is not that of a watch."""
    job = component_job(cronjob, name, WATCH, ["test"])
    job["spec"]["ttlSecondsAfterFinished"] = TTL_SECONDS
    return job
