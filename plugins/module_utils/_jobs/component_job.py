# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job of the CronJob of the watch or of the copies, with other arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import TemplateError
from .job_templates import Object, manual_job

# The init container of their pods.
PREPARE = "prepare"


def component_job(cronjob: Mapping[str, Any], name: str, component: str, arguments: Sequence[str]) -> Object:
    """The Job; raises TemplateError for a CronJob without the container of the component. It may have others, too."""
    job = manual_job(cronjob, name)
    container_of(job["spec"]["template"]["spec"], cronjob, component)["args"] = [*arguments]
    return job


def container_of(spec: Mapping[str, Any], cronjob: Mapping[str, Any], component: str) -> Object:
    """The container of the component in a pod of the CronJob; raises TemplateError if there is none."""
    containers: list[Object] = spec["containers"]
    for container in containers:
        if container["name"] == component:
            return container
    names = ", ".join(container["name"] for container in containers)
    raise TemplateError(
        f"the CronJob '{cronjob['metadata']['name']}': expected the container {component}, found {names}"
    )
