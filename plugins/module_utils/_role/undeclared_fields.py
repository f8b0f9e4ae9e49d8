# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Fields of a live CronJob that the role does not declare, such as those of a CronJob that something else created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Fields that the API server adds (k8s.io/kubernetes/pkg/apis/batch/v1 and core/v1, defaults.go).
_API_DEFAULTS = frozenset(
    [
        "jobTemplate.metadata.creationTimestamp",
        "jobTemplate.spec.template.metadata.creationTimestamp",
        "jobTemplate.spec.template.spec.dnsPolicy",
        "jobTemplate.spec.template.spec.schedulerName",
        "jobTemplate.spec.template.spec.serviceAccount",
        # The role leaves it out where somebody else may set it.
        "suspend",
    ]
)


def undeclared_fields(live: Mapping[str, Any], desired: Mapping[str, Any]) -> list[str]:
    """The paths of fields in a CronJob's spec, such as `jobTemplate.spec.parallelism`, that `desired` does not have.

    `live` is the spec after `desired` was applied. Items of lists are not compared, because `apply` replaces a
    CronJob's lists as a whole. Fields that the API server adds are left out.
    """
    return [path for path in _paths(live, desired, "") if path not in _API_DEFAULTS]


def _paths(live: Mapping[str, Any], desired: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in live.items():
        if value is None:
            continue
        declared = desired.get(key)
        if declared is None:
            yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _paths(value, declared if isinstance(declared, Mapping) else {}, f"{prefix}{key}.")
