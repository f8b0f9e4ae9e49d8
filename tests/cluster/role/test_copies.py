# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Copies on a real cluster: to an S3 server, a restic repository there, sshd and a claim.

A place that fails delays no other, and no run. Also not a share that cannot be mounted, as that of a NAS that is lost:
its pod waits for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.support import stores
from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import NAME, apply, create, kubectl, listed, must_get, names, run_cronjob, run_in_volume
from tests.cluster.support.tools_image import tools_image
from tests.stores.servers import S3Store, SftpStore

COPY = f"{NAME}-copy"
USB, LOST = f"{COPY}-usb", f"{COPY}-lost"
# No server has this address (RFC 5737). A node without an NFS client cannot mount it either, and reports that sooner.
NO_SHARE = {"server": "192.0.2.1", "path": "/volume1/copies"}
MOUNT_FAILS = (
    "the place lost (claim lost-share): the pod of the Job",
    "FailedMount: MountVolume.SetUp failed for volume",
    "192.0.2.1:/volume1/copies",
    "This Job existed before. To cancel it: kubectl delete job waiting",
)
REPOSITORY_PASSWORD = "of the repository"
# What a pod that talks to the internet must not be able to do.
HARM = """
touch /backups/x 2>/dev/null && echo wrote
rm -f /backups/*.gz 2>/dev/null || true
ls /backups/*.gz >/dev/null || echo deleted
ls /var/run/secrets/kubernetes.io 2>/dev/null && echo token
env | grep -i -e PGPASSWORD -e token && echo environment
touch /copies/x && rm /copies/x && echo may write its folder
"""


def claim(namespace: str, name: str) -> dict[str, Any]:
    resources = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteMany"], "resources": resources, "storageClassName": "nfs-client"}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def check_that_a_damaged_backup_is_replaced(ansible: Ansible, namespace: str, backup: str) -> None:
    run_in_volume(namespace, f"printf damaged | dd of=/backups/{backup} bs=1 seek=40 conv=notrunc")
    for replaced in (True, False):
        result = ansible.module("backup_retrieve", namespace=namespace, place="offsite", read_copy=True)
        found = [result[name] for name in ("changed", "replaced_damaged", "copy_read", "backup")]
        assert found == [replaced, replaced, True, backup], result


def check_that_a_deleted_cronjob_is_missed(ansible: Ansible, namespace: str) -> None:
    kept = must_get("cronjob", COPY, namespace)
    kubectl("delete", "cronjob", COPY, "-n", namespace)
    missing = (
        "expected a CronJob of the copies to offsite, nas, dedup, found none: nothing is copied there. Run site.yml"
    )
    info = ansible.module("backup_info", namespace=namespace)
    assert [problem["message"] for problem in info["problems"]] == [missing]
    assert info["three_two_one"]["holds"] is True
    copied = ansible.module("backup_copy", namespace=namespace)
    assert [place["name"] for place in copied["places"]] == ["usb"]
    assert [warning for warning in copied["warnings"] if missing in str(warning)]
    kept["metadata"] = {key: kept["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    create(kept)


@pytest.fixture
def lost_share(namespace: str) -> Iterator[dict[str, Any]]:
    """A claim that is bound to a share which cannot be mounted: Pod Security "restricted" allows a share only so."""
    name = f"{namespace}-lost"
    bound = claim(namespace, "lost-share")
    bound["spec"] |= {"storageClassName": "", "volumeName": name}
    modes = bound["spec"]["accessModes"]
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": modes, "nfs": NO_SHARE, "storageClassName": ""}
    apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    yield bound
    kubectl("delete", "pv", name, "--wait=false")


def secret(namespace: str, name: str, values: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


def places(s3: S3Store, sftp: SftpStore) -> list[dict[str, Any]]:
    bucket = {"kind": "s3", "endpoint": s3.url, "bucket": "backups", "provider": s3.provider}
    repository = {**bucket, "kind": "restic", "repository": "s3"}
    server = {"host": sftp.host, "port": sftp.port, "user": sftp.user}
    return [
        {"name": "gone", **bucket, "secret": "wrong-keys", "folder": "gone"},
        {"name": "offsite", **bucket, "secret": "s3-keys", "folder": "cluster/data"},
        {"name": "nas", "kind": "sftp", "secret": "sftp-keys", **server},
        {"name": "dedup", **repository, "secret": "restic-keys", "folder": "dedup"},
        {"name": "usb", "kind": "claim", "claim_name": "usb"},
        {"name": "lost", "kind": "claim", "claim_name": "lost-share"},
    ]


def shown(namespace: str) -> str:
    """What everybody can read who may read these objects and the volume."""
    objects = [must_get("cronjob", name, namespace) for name in (COPY, USB)] + [must_get("configmap", COPY, namespace)]
    return json.dumps(objects) + run_in_volume(namespace, f"cat /backups/{NAME}.copies/*.json")


def test_an_installation_with_copies(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, lost_share: dict[str, Any]
) -> None:
    s3, sftp = stores.rclone_s3(namespace), stores.sftp(namespace)
    s3.make_bucket("backups")
    keys = {"access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    create(
        lost_share,
        claim(namespace, "usb"),
        secret(namespace, "s3-keys", keys),
        secret(namespace, "restic-keys", {**keys, "repository_password": REPOSITORY_PASSWORD}),
        secret(namespace, "wrong-keys", {"access_key_id": s3.access_key, "secret_access_key": "of-somebody-else"}),
        secret(namespace, "sftp-keys", {"private_key": sftp.private_key, "known_hosts": sftp.known_hosts}),
    )
    variables = {
        **role_variables,
        "copy_image": tools_image(),
        # The test copies itself.
        "copy_schedule": "0 0 1 1 *",
        "copies": places(s3, sftp),
        "copy_egress": [{"namespace": namespace, "port": port} for port in (s3.port, sftp.port)],
    }
    installed = ansible.site(**variables)
    assert installed.status == 0, installed.output
    assert ansible.site(**variables).changed == 0

    backup = run_cronjob(namespace)["backup"]
    info = ansible.module("backup_info", namespace=namespace)
    assert [entry["copies"] for entry in info["backups"]] == [[]]
    assert info["three_two_one"]["holds"] is False

    # The schedule has started it, and its pod waits.
    kubectl("create", "job", "-n", namespace, "waiting", f"--from=cronjob/{LOST}")
    copied = ansible("homelab.postgres_backup.copy", postgres_backup_namespace=namespace)
    assert copied.status != 0
    for words in MOUNT_FAILS:
        assert words in copied.output
    (pod,) = listed("pods", namespace, "batch.kubernetes.io/job-name=waiting")
    assert pod["status"]["phase"] == "Pending"
    assert "the store answered SignatureDoesNotMatch. Check the keys of its Secret" in copied.output
    files = sorted([backup, f"{backup}.json", f"{backup}.sha256"])
    assert sorted(s3.files("backups/cluster/data")) == files
    assert "config" in s3.files("backups/dedup")
    assert sorted(sftp.files()) == files

    info = ansible.module("backup_info", namespace=namespace)
    assert [entry["copies"] for entry in info["backups"]] == [["offsite", "nas", "dedup", "usb"]]
    assert info["three_two_one"]["holds"] is True
    assert {place["name"]: place["error"] is None for place in info["places"]} == {
        "dedup": True, "gone": False, "lost": True, "nas": True, "offsite": True, "usb": True
    }  # fmt: skip

    assert ansible.site(**{**variables, "copies": variables["copies"][1:-1]}).status == 0
    assert names("cronjobs", namespace) >= {COPY, USB} and LOST not in names("cronjobs", namespace)
    result = ansible.module("backup_copy", namespace=namespace, places=["offsite", "usb"])
    assert [(place["name"], place["state"]) for place in result["places"]] == [
        ("offsite", "nothing_to_do"), ("usb", "nothing_to_do")
    ]  # fmt: skip

    # The volume has lost everything.
    run_in_volume(namespace, "rm /backups/*.gz*")
    retrieved = ansible(
        "homelab.postgres_backup.retrieve", postgres_backup_namespace=namespace, postgres_backup_place="offsite"
    )
    assert retrieved.status == 0, retrieved.output
    assert retrieved.summary[0] == f"backup   {backup}", retrieved.summary
    info = ansible.module("backup_info", namespace=namespace)
    assert [(entry["name"], entry["state"]) for entry in info["backups"]] == [(backup, "complete")]

    # And again: a repository has the text of the backup, which gets another hash, and replaces the other copies.
    run_in_volume(namespace, "rm /backups/*.gz*")
    drilled = ansible(
        "homelab.postgres_backup.drill", postgres_backup_namespace=namespace, postgres_backup_place="dedup"
    )
    assert drilled.status == 0, drilled.output
    result = ansible.module("backup_copy", namespace=namespace)
    assert {place["name"]: (place["copied"], place["findings"]) for place in result["places"]} == {
        name: ([backup], []) for name in ("offsite", "nas", "dedup", "usb")
    }

    check_that_a_damaged_backup_is_replaced(ansible, namespace, backup)

    check_that_a_deleted_cronjob_is_missed(ansible, namespace)

    hidden = (s3.secret_key, "of-somebody-else", REPOSITORY_PASSWORD, sftp.private_key[40:80])
    assert not [text for text in hidden if text in copied.output + shown(namespace)]
    assert run_in_volume(namespace, HARM, cronjob=COPY).split("\n") == ["may write its folder", ""]

    assert ansible.site(**{**variables, "copies": []}).status == 0
    left = kubectl("get", "cronjob,configmap,networkpolicy", "-n", namespace, "-o", "name")
    assert COPY not in left
