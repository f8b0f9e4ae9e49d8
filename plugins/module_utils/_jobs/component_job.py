# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job of the CronJob of the watch or of the copies, with other arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import TemplateError
from .job_templates import Object, manual_job, pod_spec

# The init container of their pods.
PREPARE = "prepare"


def component_job(cronjob: Mapping[str, Any], name: str, component: str, arguments: Sequence[str]) -> Object:
    """The Job; raises TemplateError for a CronJob whose container is not that of the component."""
    if [container["name"] for container in pod_spec(cronjob)["containers"]][:1] != [component]:
        raise TemplateError(
            f"the CronJob '{cronjob['metadata']['name']}': expected the container {component}, found another one"
        )
    job = manual_job(cronjob, name)
    job["spec"]["template"]["spec"]["containers"][0]["args"] = [*arguments]
    return job
