# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job that copies now, and whether one in progress does the same."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._jobs.copy_job import copy_job, covers, places_of_job
from plugins.module_utils._jobs.watch_job import watch_test_job
from plugins.module_utils.errors import TemplateError


def cronjob(container: str) -> dict[str, Any]:
    pod = {"containers": [{"name": container, "args": [container]}], "initContainers": [{"name": "prepare"}]}
    return {
        "metadata": {"name": f"backup-{container}", "namespace": "data", "uid": "1"},
        "spec": {"jobTemplate": {"spec": {"ttlSecondsAfterFinished": 86400, "template": {"spec": pod}}}},
    }


def job(*arguments: str, container: str = "copy") -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": container, "args": [*arguments]}]}}}}


@pytest.mark.parametrize("places", [[], ["cloud"], ["cloud", "nas"]])
def test_the_job_copies_to_these_places(places: list[str]) -> None:
    made = copy_job(cronjob("copy"), "now", places)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["copy", *places] and places_of_job(made) == places
    assert made["metadata"]["ownerReferences"][0]["uid"] == "1"
    # It may run for hours, and somebody may read its log afterwards.
    assert made["spec"]["ttlSecondsAfterFinished"] == 86400


def test_another_cronjob_is_refused() -> None:
    with pytest.raises(TemplateError, match="the CronJob 'backup-watch': expected the container copy, found another"):
        copy_job(cronjob("watch"), "now", [])
    with pytest.raises(TemplateError, match="expected the container watch"):
        watch_test_job(cronjob("copy"), "now")


@pytest.mark.parametrize(
    ("running", "wanted", "is_covered"),
    [
        (job("copy"), [], True),
        (job("copy"), ["cloud"], True),
        (job("copy", "cloud", "nas"), ["cloud"], True),
        (job("copy", "cloud"), ["cloud", "nas"], False),
        (job("copy", "cloud"), [], False),
        (job("sleep", "1"), [], False),
        (job(), [], False),
        (job("copy", container="debug"), [], False),
    ],
)
def test_whether_a_job_does_what_is_wanted(running: dict[str, Any], wanted: list[str], is_covered: bool) -> None:
    assert covers(running, wanted) is is_covered
