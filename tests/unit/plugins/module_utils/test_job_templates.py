# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs made from CronJobs, ours and other people's; that they run is shown in tests/cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from plugins.module_utils.errors import TemplateError
from plugins.module_utils.job_templates import ReaderRequest, backup_mount, job_name, manual_job, reader_job

SCRIPT = {"backup.sh": "echo $HOME $(id) $$", "retention.awk": "{ print $1 }"}
SECRET = {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


def cronjob(**container: Any) -> dict[str, Any]:
    """Ours, as far as a reader needs it."""
    own = {
        "name": "backup",
        "image": "pg:18",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "/opt/postgres-backup/backup.sh"],
        "args": ["run"],
        "env": [
            {"name": "POSTGRES_BACKUP_DIR", "value": "/backups"},
            {"name": "POSTGRES_BACKUP_KEEP_LAST", "value": "3"},
            {"name": "POSTGRES_BACKUP_USER", "value": "a$$b"},
            {"name": "OTHER", "value": "x"},
            SECRET,
        ],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "backups", "mountPath": "/backups", "subPath": "here"},
            {"name": "script", "mountPath": "/opt/postgres-backup"},
        ],
        **container,
    }
    spec = {
        "restartPolicy": "OnFailure",
        "serviceAccountName": "postgres-backup",
        "initContainers": [{"name": "first", "image": "x"}],
        "nodeSelector": {"disk": "ssd"},
        "containers": [own],
        "volumes": [
            {"name": "backups", "persistentVolumeClaim": {"claimName": "postgres-backup"}},
            {"name": "script", "configMap": {"name": "c"}},
        ],
    }
    labels = {"app.kubernetes.io/component": "backup", "team": "a"}
    template = {"metadata": {"labels": labels, "annotations": {"mesh": "no"}}, "spec": spec}
    job = {
        "metadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
        "spec": {"backoffLimit": 3, "template": template},
    }
    return {
        "metadata": {"name": "postgres-backup", "namespace": "data", "uid": "u-1"},
        "spec": {"schedule": "0 2 * * *", "jobTemplate": job},
    }


def plain(*mounts: tuple[str, str], volumes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A CronJob of another hand: no variable of ours."""
    made = cronjob(env=[SECRET], volumeMounts=[{"name": name, "mountPath": path} for name, path in mounts])
    made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"] = volumes or [
        {"name": "data", "persistentVolumeClaim": {"claimName": "nas"}},
        {"name": "share", "nfs": {"server": "192.168.2.2", "path": "/volume1/x"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    return made


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


def test_a_reader() -> None:
    given = cronjob()
    before = copy.deepcopy(given)
    job = reader_job(given, "r-1", SCRIPT, ReaderRequest(("prune", "--dry-run"), stay_seconds=60))
    assert given == before
    assert "ownerReferences" not in job["metadata"]
    assert job["metadata"]["labels"] == {"app.kubernetes.io/component": "reader", "team": "a"}
    assert job["spec"]["template"]["metadata"]["annotations"] == {"mesh": "no"}
    spec = job["spec"]["template"]["spec"]
    assert (job["spec"]["backoffLimit"], spec["restartPolicy"]) == (0, "Never")
    assert job["spec"]["activeDeadlineSeconds"] == 660
    assert 0 < job["spec"]["ttlSecondsAfterFinished"] <= 300
    assert (spec["nodeSelector"], spec["automountServiceAccountToken"]) == ({"disk": "ssd"}, False)
    assert "initContainers" not in spec
    (reader,) = spec["containers"]
    assert (reader["image"], reader["args"]) == ("pg:18", ["prune", "--dry-run"])
    assert reader["securityContext"] == {"readOnlyRootFilesystem": True}
    assert reader["volumeMounts"][0] == {
        "name": "backups",
        "mountPath": "/backups",
        "subPath": "here",
        "readOnly": True,
    }
    assert {volume["name"] for volume in spec["volumes"]} == {"backups", "reader-scratch"}


def test_a_reader_gets_no_secret() -> None:
    reader = reader_job(cronjob(), "r", SCRIPT, ReaderRequest())["spec"]["template"]["spec"]["containers"][0]
    assert "envFrom" not in reader
    values = {entry["name"]: entry.get("value") for entry in reader["env"]}
    assert all("valueFrom" not in entry for entry in reader["env"])
    assert values.keys() == {
        "POSTGRES_BACKUP_DIR",
        "POSTGRES_BACKUP_KEEP_LAST",
        "POSTGRES_BACKUP_USER",
        "POSTGRES_BACKUP_NAME",
        "STAY_SECONDS",
        "TMPDIR",
        "BACKUP_SH",
        "RETENTION_AWK",
    }
    # Escaped once, for Kubernetes; what the CronJob holds is escaped already.
    assert values["BACKUP_SH"] == "echo $$HOME $$(id) $$$$"
    assert (values["POSTGRES_BACKUP_USER"], values["POSTGRES_BACKUP_NAME"]) == ("a$$b", "postgres-backup")


def test_a_reader_that_writes_and_is_bound_to_a_node() -> None:
    job = reader_job(cronjob(), "r", SCRIPT, ReaderRequest(("prune",), writes=True, node="n-1"))
    spec = job["spec"]["template"]["spec"]
    assert spec["containers"][0]["volumeMounts"][0]["readOnly"] is False
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n-1"]}]}


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


def test_a_volume_mounted_where_others_have_scratch() -> None:
    job = reader_job(plain(("data", "/tmp")), "r", SCRIPT, ReaderRequest())
    paths = [mount["mountPath"] for mount in job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]]
    assert len(set(paths)) == len(paths) == 2


@pytest.mark.parametrize("name", ["postgres-backup", "a" * 52, "a" * 63, f"{'a' * 40}.{'b' * 20}"])
def test_a_jobs_name_fits(name: str) -> None:
    made = job_name(name, "reader", "abc123")
    assert len(made) <= 63
    assert made.endswith("-reader-abc123")
    assert not made.startswith((".", "-"))
