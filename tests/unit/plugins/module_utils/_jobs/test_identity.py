# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Where a Job has an identity, and where it has none; that it decrypts is shown in tests/cluster."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from plugins.module_utils._jobs.drill_job import DrillRequest, drill_work
from plugins.module_utils._jobs.identity import DRILL_ANNOTATION, Identity, identity_of_drills, secret_of_job
from plugins.module_utils._jobs.volume_jobs import RESTORE, VolumeWork, volume_job

from ..cronjobs import cronjob

AGE = {"name": "age", "image": "tools:1", "volumeMounts": [{"name": "age", "mountPath": "/opt/age"}]}
VOLUME = {"name": "age", "emptyDir": {"sizeLimit": "128Mi"}}
TEXT = "AGE-SECRET-KEY-1TEST"
FILES = {"backup.sh": "true"}


def encrypting() -> dict[str, Any]:
    """A CronJob with recipients."""
    made = cronjob()
    spec = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["initContainers"] = [AGE]
    spec["volumes"].append(VOLUME)
    container = spec["containers"][0]
    container["volumeMounts"].append({"name": "age", "mountPath": "/opt/age", "readOnly": True})
    container["env"].append({"name": "POSTGRES_BACKUP_AGE", "value": "/opt/age/age"})
    return made


def restore(identity: Identity | None, made: dict[str, Any]) -> dict[str, Any]:
    work = VolumeWork(kind=RESTORE, words=("_restore",), deadline_seconds=60, credentials=True, identity=identity)
    spec: dict[str, Any] = volume_job(made, "restore-1", FILES, work)["spec"]["template"]["spec"]
    return spec


def drill(identity: Identity | None, made: dict[str, Any]) -> dict[str, Any]:
    work = drill_work(DrillRequest(identity=identity), "drill-1")
    spec: dict[str, Any] = volume_job(made, "drill-1", FILES, work)["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("pod", [restore, drill])
@pytest.mark.parametrize(
    ("identity", "secret"),
    [(Identity(text=TEXT), "-1-identity"), (Identity(secret_name="of-drills"), "of-drills")],  # noqa: S106 - a name
    ids=["given", "of drills"],
)
def test_only_the_container_that_decrypts_has_it(pod: Any, identity: Identity, secret: str) -> None:
    made = encrypting()
    before = copy.deepcopy(made)
    spec = pod(identity, made)
    assert made == before
    (container,) = spec["containers"]
    environment = [entry["name"] for entry in container["env"]]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert len(environment) == len(set(environment))
    assert values["POSTGRES_BACKUP_AGE"] == "/opt/age/age"
    assert values["POSTGRES_BACKUP_IDENTITY_FILE"] == "/opt/postgres-backup-identity/identity"
    mounts = {mount["name"]: mount for mount in container["volumeMounts"] if mount.get("subPath") is None}
    assert mounts["age"]["readOnly"] is mounts["postgres-backup-identity"]["readOnly"] is True
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert len(volumes) == len(spec["volumes"])
    assert volumes["age"] == VOLUME
    assert volumes["postgres-backup-identity"]["secret"]["secretName"].endswith(secret)
    age, *others = spec["initContainers"]
    assert age == AGE
    assert not [mount for one in others for mount in one["volumeMounts"] if "identity" in mount["name"]]
    assert TEXT not in json.dumps(spec)


@pytest.mark.parametrize("pod", [restore, drill])
def test_without_an_identity_there_is_no_other_container(pod: Any) -> None:
    spec = pod(None, encrypting())
    assert "tools:1" not in json.dumps(spec)
    assert "identity" not in json.dumps(spec)


@pytest.mark.parametrize("pod", [restore, drill])
def test_a_cronjob_without_age_gives_the_identity_alone(pod: Any) -> None:
    """The script decides whether the backup needs it (tests/script/drill/test_encrypted.py)."""
    plain, spec = pod(None, cronjob()), pod(Identity(text=TEXT), cronjob())
    (container,) = spec["containers"]
    assert container["env"][-1] == {
        "name": "POSTGRES_BACKUP_IDENTITY_FILE", "value": "/opt/postgres-backup-identity/identity"
    }  # fmt: skip
    assert container["volumeMounts"][-1]["mountPath"] == "/opt/postgres-backup-identity"
    assert spec["volumes"][-1]["name"] == "postgres-backup-identity"
    # Nothing else.
    for entries in (container["env"], container["volumeMounts"], spec["volumes"]):
        entries.pop()
    assert spec == plain


def test_the_secret_ends_with_the_job() -> None:
    job = {"metadata": {"name": "restore-1", "namespace": "data", "uid": "u-2", "labels": {"a": "b"}}}
    secret = secret_of_job(job, TEXT)
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "batch/v1", "kind": "Job", "name": "restore-1", "uid": "u-2"}
    assert (secret["metadata"]["namespace"], secret["metadata"]["name"]) == ("data", "restore-1-identity")
    assert base64.b64decode(secret["data"]["identity"]).decode() == TEXT


def test_the_identity_of_drills() -> None:
    made = cronjob()
    assert identity_of_drills(made) is None
    made["metadata"]["annotations"] = {DRILL_ANNOTATION: "keys"}
    assert identity_of_drills(made) == Identity(secret_name="keys")  # noqa: S106 - a name


def test_the_text_is_not_shown() -> None:
    assert TEXT not in repr(Identity(text=TEXT))
