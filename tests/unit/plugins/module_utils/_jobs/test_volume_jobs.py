# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs that the modules make for a volume; that they run is shown in tests/cluster."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._jobs.volume_jobs import DRILL, RESTORE, ReaderRequest, VolumeWork, reader_job, volume_job

from ..cronjobs import SECRET, cronjob, plain

SCRIPT = {"backup.sh": "echo $HOME $(id) $$", "retention.awk": "{ print $1 }"}


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
    assert {volume["name"] for volume in spec["volumes"]} == {"backups", "postgres-backup-scratch"}


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
        "FILE_BACKUP_SH",
        "FILE_RETENTION_AWK",
    }
    # Escaped once, for Kubernetes; what the CronJob holds is escaped already.
    assert values["FILE_BACKUP_SH"] == "echo $$HOME $$(id) $$$$"
    assert (values["POSTGRES_BACKUP_USER"], values["POSTGRES_BACKUP_NAME"]) == ("a$$b", "postgres-backup")


def test_a_reader_that_writes_and_is_bound_to_a_node() -> None:
    job = reader_job(cronjob(), "r", SCRIPT, ReaderRequest(("prune",), writes=True, node="n-1"))
    spec = job["spec"]["template"]["spec"]
    assert spec["containers"][0]["volumeMounts"][0]["readOnly"] is False
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n-1"]}]}


def test_a_volume_mounted_where_others_have_scratch() -> None:
    job = reader_job(plain(("data", "/tmp")), "r", SCRIPT, ReaderRequest())
    paths = [mount["mountPath"] for mount in job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]]
    assert len(set(paths)) == len(paths) == 2


CREDENTIALS_MOUNT = {"name": "ca", "mountPath": "/etc/postgres-backup/ca", "readOnly": True}


def work(kind: str = RESTORE, **more: Any) -> VolumeWork:
    return VolumeWork(kind=kind, words=(kind,), deadline_seconds=100, **more)


def test_a_job_with_credentials_has_the_backups_own_environment_and_mounts() -> None:
    given = cronjob()
    spec = given["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"][0]["volumeMounts"].append(CREDENTIALS_MOUNT)
    job = volume_job(given, "r-1", SCRIPT, work(credentials=True, variables={"POSTGRES_BACKUP_USER": "$(x)"}))
    made = job["spec"]["template"]["spec"]
    (container,) = made["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["PGPASSWORD"] == SECRET
    assert (environment["OTHER"]["value"], container["envFrom"]) == ("x", [{"secretRef": {"name": "s"}}])
    assert environment["POSTGRES_BACKUP_USER"]["value"] == "$$(x)"
    assert len(environment) == len(container["env"])
    assert CREDENTIALS_MOUNT in container["volumeMounts"]
    assert {volume["name"] for volume in made["volumes"]} == {"backups", "script", "postgres-backup-scratch"}
    assert container["volumeMounts"][0]["readOnly"] is True


def test_a_first_container_and_more_volumes() -> None:
    data = {"name": "data", "emptyDir": {}}
    job = volume_job(
        cronjob(),
        "d-1",
        SCRIPT,
        work(
            DRILL,
            volumes=(data,),
            mounts=({"name": "data", "mountPath": "/data"},),
            passwd=True,
        ),
    )
    spec = job["spec"]["template"]["spec"]
    (first,), (container,) = spec["initContainers"], spec["containers"]
    assert (first["args"], container["args"], container["name"]) == (["_drill_prepare"], ["drill"], "drill")
    assert data in spec["volumes"]
    passwd = {"name": "postgres-backup-scratch", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True}
    assert passwd in container["volumeMounts"]
    assert passwd not in first["volumeMounts"]
    assert first["securityContext"] == container["securityContext"]
    assert job["metadata"]["labels"]["app.kubernetes.io/component"] == "drill"


@pytest.mark.parametrize("status", [0, 3])
def test_the_script_is_written_and_run(tmp_path: Path, status: int) -> None:
    text = f'printf \'%s\' "$* $(cat "${{0%/*}}/retention.awk") ${{FILE_BACKUP_SH-unset}}"; exit {status}\n'
    job = volume_job(cronjob(), "d", {"backup.sh": text, "retention.awk": "a'\\$b\n"}, work(DRILL))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    # As the kubelet gives it to the container.
    environment = {entry["name"]: entry.get("value", "").replace("$$", "$") for entry in container["env"]}
    command = [word.replace("/postgres-backup-scratch", str(tmp_path)) for word in container["command"]]
    done = subprocess.run([*command, "x y", "z"], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("x y z a'\\$b unset", status)
