# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs made from CronJobs, ours and other people's; that they run is shown in tests/cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from plugins.module_utils.errors import TemplateError
from plugins.module_utils.job_templates import backup_mount, job_name, manual_job

from .cronjobs import cronjob, plain


def test_a_manual_job_is_kubectls() -> None:
    given = cronjob()
    before = copy.deepcopy(given)
    job = manual_job(given, "manual-1")
    assert job["metadata"] == {
        "name": "manual-1",
        "namespace": "data",
        "labels": {"l": "1"},
        "annotations": {"a": "2", "cronjob.kubernetes.io/instantiate": "manual"},
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "CronJob", "name": "postgres-backup", "uid": "u-1", "controller": True}
        ],
    }
    assert job["spec"] == given["spec"]["jobTemplate"]["spec"]
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "changed"
    assert given == before


@pytest.mark.parametrize(
    ("given", "directory", "expected"),
    [
        (cronjob(), None, ("/backups", "postgres-backup")),
        (plain(("data", "/data"), ("tmp", "/tmp")), None, ("/data", "nas")),
        (plain(("share", "/mnt"), ("tmp", "/tmp")), None, ("/mnt", None)),
        (plain(("data", "/data"), ("share", "/mnt")), "/mnt", ("/mnt", None)),
        (plain(("data", "/data"), ("share", "/mnt")), "/data/pg/", ("/data/pg/", "nas")),
        (plain(("data", "/data"), ("share", "/data/pg")), "/data/pg/x", ("/data/pg/x", None)),
    ],
)
def test_the_backups_volume(given: dict[str, Any], directory: str | None, expected: tuple[str, str | None]) -> None:
    found = backup_mount(given, directory)
    assert (found.directory, found.claim) == expected


@pytest.mark.parametrize(
    ("given", "directory", "words"),
    [
        (plain(("tmp", "/tmp")), None, "found none"),
        (plain(("data", "/data"), ("share", "/mnt")), None, "found /data, /mnt"),
        (plain(("data", "/data")), "/data2", "holds /data2, found none"),
    ],
)
def test_a_volume_that_is_not_clear(given: dict[str, Any], directory: str | None, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        backup_mount(given, directory)


def test_two_containers_with_the_same_volume() -> None:
    given = plain(("data", "/data"))
    spec = given["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"].append({**spec["containers"][0], "name": "helper"})
    assert backup_mount(given).container["name"] == "backup"


@pytest.mark.parametrize("name", ["postgres-backup", "a" * 52, "a" * 63, f"{'a' * 40}.{'b' * 20}"])
def test_a_jobs_name_fits(name: str) -> None:
    made = job_name(name, "reader", "abc123")
    assert len(made) <= 63
    assert made.endswith("-reader-abc123")
    assert not made.startswith((".", "-"))
