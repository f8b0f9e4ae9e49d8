# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs made from CronJobs, ours and other people's; that they run is shown in tests/cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from plugins.module_utils._jobs.job_templates import ask_for_progress, backup_mount, is_run, job_name, manual_job
from plugins.module_utils.errors import TemplateError

from ..cronjobs import cronjob, plain


def test_only_the_script_is_asked_for_its_progress() -> None:
    given = {
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {"name": "backup", "env": [{"name": "POSTGRES_BACKUP_DIR", "value": "/backups"}]},
                        {"name": "proxy"},
                        {"name": "other", "env": [{"name": "POSTGRES_HOST", "value": "x"}]},
                    ]
                }
            }
        }
    }
    before = copy.deepcopy(given)
    asked = ask_for_progress(given)
    assert given == before
    backup, proxy, other = asked["spec"]["template"]["spec"]["containers"]
    assert backup["env"][1:] == [{"name": "POSTGRES_BACKUP_PROGRESS", "value": "yes"}]
    assert [proxy, other] == before["spec"]["template"]["spec"]["containers"][1:]
    assert ask_for_progress(asked) == asked


def test_manual_job_is_as_kubectl_creates_it() -> None:
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
def test_volume_of_the_backups(given: dict[str, Any], directory: str | None, expected: tuple[str, str | None]) -> None:
    found = backup_mount(given, directory)
    assert (found.directory, found.claim) == expected


@pytest.mark.parametrize(
    ("given", "directory", "words"),
    [
        (plain(("tmp", "/tmp")), None, "found none"),
        (plain(("data", "/data"), ("share", "/mnt")), None, "found /data, /mnt"),
        (plain(("data", "/data")), "/data2", "contains /data2, found none"),
    ],
)
def test_ambiguous_volume_is_refused(given: dict[str, Any], directory: str | None, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        backup_mount(given, directory)


def test_two_containers_with_the_same_volume() -> None:
    given = plain(("data", "/data"))
    spec = given["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"].append({**spec["containers"][0], "name": "helper"})
    assert backup_mount(given).container["name"] == "backup"


def words(*command: str, args: tuple[str, ...] | None = None) -> dict[str, Any]:
    """What of a Job's container is asked about; without `args` it has none at all."""
    return {"command": [*command], **({"args": [*args]} if args is not None else {})}


SCRIPT = "/opt/postgres-backup/backup.sh"
READER = "trap exit TERM; sleep 3600 & wait"


def made(given: dict[str, Any], *, job_name: str = "by-hand", by_hand: bool = True, **container: Any) -> dict[str, Any]:
    """A Job of that CronJob, changed."""
    job = manual_job(given, job_name)
    if not by_hand:
        job["metadata"]["annotations"] = {}
    job["spec"]["template"]["spec"]["containers"][0].update(container)
    return job


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, True),
        ({"image": "pg:17"}, True),
        ({"name": "pg-backup"}, True),
        (words("/bin/sh", args=(SCRIPT, "run")), True),
        (words("/bin/sh", "/scripts/backup.sh", "run"), True),
        (words("/bin/sh", "-c", f"sleep 6; exec /bin/sh {SCRIPT} run", args=()), True),
        (words("/bin/bash", "-c", f"sh '{SCRIPT}' run; echo $?"), True),
        # The runbook's two, and the page about security.
        ({"args": ["list"]}, False),
        (words("/bin/sh", "-c", args=(READER,)), False),
        (words("/bin/sh", "-c", args=('pg_isready -h "$POSTGRES_BACKUP_HOST" -U postgres -t 5 || true',)), False),
        ({"args": ["prune"]}, False),
        ({"args": ["prune", "--dry-run"]}, False),
        ({"args": ["drill"]}, False),
        ({"args": ["run-away"]}, False),
        ({"args": []}, False),
        ({"args": None}, False),
        (words("sleep", "infinity"), False),
        (words("sleep", "3600", args=("run",)), False),
        (words("/bin/sh", "-c", "cat backup.sh; run"), False),
        ({"name": "shell", **words("sleep", "3600")}, False),
    ],
)
def test_a_job_of_ours_is_a_run(container: dict[str, Any], expected: bool) -> None:
    given = cronjob()
    assert is_run(made(given, **container), given, "backup") == expected
    assert (
        is_run(made(given, job_name="postgres-backup-29729400", by_hand=False, **container), given, "backup")
        == expected
    )


DUMP = words("/bin/sh", "-c", args=("pg_dumpall | gzip >/data/all.sql.gz",))


@pytest.mark.parametrize(
    ("name", "by_hand", "container", "expected"),
    [
        ("by-hand", True, {}, True),
        ("by-hand", True, {"image": "pg:17"}, True),
        ("by-hand", True, words("/bin/sh", "-c", args=("sleep 3600",)), False),
        ("by-hand", True, words("sleep", "3600"), False),
        ("by-hand", True, {"name": "shell"}, False),
        # An older template's: a run where the schedule made it, and not known where somebody did.
        ("by-hand", True, words("/bin/sh", "-c", args=("pg_dumpall >/data/all.sql",)), False),
        ("postgres-backup-29729400", False, words("/bin/sh", "-c", args=("pg_dumpall >/data/all.sql",)), True),
        ("postgres-backup-29729400", True, words("sleep", "3600"), False),
        ("postgres-backup-2", False, words("sleep", "3600"), False),
        ("another-29729400", False, words("sleep", "3600"), False),
    ],
)
def test_a_job_of_another_cronjob_is_a_run(name: str, by_hand: bool, container: dict[str, Any], expected: bool) -> None:
    given = plain(("data", "/data"))
    given["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0].update(DUMP)
    assert is_run(made(given, job_name=name, by_hand=by_hand, **container), given, "backup") == expected


@pytest.mark.parametrize("name", ["postgres-backup", "a" * 52, "a" * 63, f"{'a' * 40}.{'b' * 20}"])
def test_job_name_has_a_limited_length(name: str) -> None:
    made = job_name(name, "reader", "abc123")
    assert len(made) <= 63
    assert made.endswith("-reader-abc123")
    assert not made.startswith((".", "-"))
