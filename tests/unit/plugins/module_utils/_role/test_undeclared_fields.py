# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which fields of a live CronJob count as undeclared."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._role.undeclared_fields import undeclared_fields

DESIRED = {"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}}


def live(**pod: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "a", "terminationMessagePath": "/dev/termination-log"}], **pod}
    return {
        "schedule": "@daily",
        "jobTemplate": {
            "metadata": {"creationTimestamp": None},
            "spec": {"template": {"metadata": {"creationTimestamp": None}, "spec": spec}},
        },
    }


POD = "jobTemplate.spec.template.spec"
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "serviceAccount": "a"}, []),
    ({"hostNetwork": True}, [f"{POD}.hostNetwork"]),
    ({"nodeName": None}, []),
    ({"nodeSelector": {"a/b": "c"}}, [f"{POD}.nodeSelector", f"{POD}.nodeSelector.a/b"]),
    ({"initContainers": [{"name": "b"}]}, [f"{POD}.initContainers"]),
]


@pytest.mark.parametrize(("pod", "paths"), CASES)
def test_undeclared_fields(pod: dict[str, Any], paths: list[str]) -> None:
    metadata = ["jobTemplate.metadata", f"{POD[: -len('.spec')]}.metadata"]
    assert sorted(undeclared_fields(live(**pod), DESIRED)) == sorted(metadata + paths)


def test_a_cronjob_that_is_as_declared_has_none() -> None:
    assert undeclared_fields(DESIRED, DESIRED) == []


def test_a_key_of_a_declared_mapping_counts() -> None:
    declared = {"metadata": {"labels": {"a": "1"}}}
    assert undeclared_fields({"metadata": {"labels": {"a": "2", "b": "1"}}}, declared) == ["metadata.labels.b"]


def test_schedule_that_somebody_may_suspend_is_not_replaced() -> None:
    assert undeclared_fields({"schedule": "@daily", "suspend": True}, {"schedule": "@daily"}) == []
