# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job that copies now, whether one in progress does the same, and the Job that retrieves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plugins.module_utils._jobs.copy_job import Retrieval, copy_job, covers, places_of_job, retrieve_job, retrieves
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


def with_a_proxy(made: dict[str, Any]) -> dict[str, Any]:
    """As a patch adds it: before the others."""
    made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy", "args": ["run"]})
    return made


def test_a_container_that_somebody_added_is_unchanged() -> None:
    for made in (
        copy_job(with_a_proxy(with_the_volume()), "now", ["cloud"]),
        retrieve_job(with_a_proxy(with_the_volume()), "now", Retrieval("cloud", None), limit_seconds=1),
    ):
        proxy, container = made["spec"]["template"]["spec"]["containers"]
        assert proxy == {"name": "proxy", "args": ["run"]}
        assert container["args"] in (["copy", "cloud"], ["retrieve", "cloud"])
    assert "readOnly" not in container["volumeMounts"][0]


def test_another_cronjob_is_refused() -> None:
    with pytest.raises(TemplateError, match="the CronJob 'backup-watch': expected the container copy, found watch"):
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


def with_the_volume() -> dict[str, Any]:
    """As the role mounts it: read-only, and with another folder of it writable."""
    made = cronjob("copy")
    pod = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"][0] |= {
        "env": [{"name": "POSTGRES_BACKUP_DIR", "value": "/backups"}],
        "volumeMounts": [
            {"name": "backups", "mountPath": "/backups", "readOnly": True},
            {"name": "backups", "mountPath": "/copies", "subPath": "backup.copies"},
            {"name": "script", "mountPath": "/opt/postgres-backup", "readOnly": True},
        ],
    }
    pod["volumes"] = [{"name": "backups", "persistentVolumeClaim": {"claimName": "backup"}}, {"name": "script"}]
    return made


@pytest.mark.parametrize(
    ("retrieval", "arguments"),
    [
        (Retrieval("cloud", None), ["retrieve", "cloud"]),
        (Retrieval("cloud", "a.sql.gz"), ["retrieve", "cloud", "a.sql.gz"]),
        (
            Retrieval("cloud", "a.sql.gz", reads_copy=True, public_keys=("age1a", "ssh-rsa AA")),
            ["retrieve", "--read-copy", "--public-keys", "age1a,ssh-rsa AA", "cloud", "a.sql.gz"],
        ),
    ],
)
def test_the_job_that_retrieves_may_write_to_the_volume(retrieval: Retrieval, arguments: list[str]) -> None:
    copies = with_the_volume()
    made = retrieve_job(copies, "now", retrieval, limit_seconds=0.5)
    assert retrieves(made, retrieval) and not retrieves(made, replace(retrieval, public_keys=("age1b",)))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == arguments and places_of_job(made) is None and not covers(made, [])
    assert [mount.get("readOnly", False) for mount in container["volumeMounts"]] == [False, False, True]
    # What the Jobs of the schedule may do is unchanged.
    (mounted,) = copies["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert mounted["volumeMounts"][0]["readOnly"] is True
    # Nobody needs it afterwards, and without a module that deletes it, it ends by itself.
    assert (made["spec"]["activeDeadlineSeconds"], made["spec"]["ttlSecondsAfterFinished"]) == (301, 120)


def test_a_cronjob_that_does_not_copy_does_not_retrieve() -> None:
    with pytest.raises(TemplateError, match="expected the container copy"):
        retrieve_job(cronjob("watch"), "now", Retrieval("cloud", None), limit_seconds=1)
