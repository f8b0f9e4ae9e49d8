# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The objects of the copies: what their pods get, and above all what they do not get."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from plugins.module_utils._cluster.copies import PLACES_ANNOTATION
from plugins.module_utils._jobs.copy_job import MOUNTED_ANNOTATION, REACHED_ANNOTATION, mounted_places, reached_places
from plugins.module_utils._role.copy_places import copy_secret_keys
from plugins.module_utils._role.program_text import without_docstrings

from .rendering import evaluate, objects, render

UTILS = Path(__file__).resolve().parents[4] / "plugins" / "module_utils"
PLACES = [
    {"name": "nas", "kind": "nfs", "server": "192.168.2.3", "path": "/volume1/copies", "folder": "pg"},
    {"name": "cloud", "kind": "s3", "secret": "s3-keys", "endpoint": "https://s3.example.com", "bucket": "backups"},
    {"name": "other", "kind": "claim", "claim_name": "copies"},
    {"name": "friend", "kind": "sftp", "secret": "ssh", "host": "nas.example.com", "user": "backup"},
]
COPIED = {"postgres_backup_copy_image": "tools:1", "postgres_backup_copies": PLACES}
NAME = "postgres-backup-copy"
NAS, OTHER = f"{NAME}-nas", f"{NAME}-other"
REACHED = [PLACES[1], PLACES[3]]


@functools.cache
def copied() -> list[dict[str, Any]]:
    """The objects with these places."""
    return objects(**COPIED)


def made(kind: str, name: str = NAME, **variables: Any) -> dict[str, Any]:
    (found,) = (
        each
        for each in (objects(**{**COPIED, **variables}) if variables else copied())
        if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return found


def pod(name: str = NAME, **variables: Any) -> dict[str, Any]:
    spec: dict[str, Any] = made("CronJob", name, **variables)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def names_of(**variables: Any) -> set[tuple[str, str]]:
    return {(each["kind"], each["metadata"]["name"]) for each in objects(**variables)}


def _without_annotations(found: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in found["metadata"].items() if key != "annotations"}
    return {**found, "metadata": metadata}


def of_backups(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The metadata of the CronJob of the backups."""
    (one,) = (each for each in found if (each["kind"], each["metadata"]["name"]) == ("CronJob", "postgres-backup"))
    return dict(one["metadata"])


def test_without_places_nothing_changes() -> None:
    without = objects()
    added = {(each["kind"], each["metadata"]["name"]) for each in copied()}
    added -= {(each["kind"], each["metadata"]["name"]) for each in without}
    assert added == {
        ("CronJob", NAME),
        ("CronJob", NAS),
        ("CronJob", OTHER),
        ("ConfigMap", NAME),
        ("NetworkPolicy", NAME),
        ("NetworkPolicy", f"{NAME}-mounted"),
    }
    network = objects(**{**COPIED, "postgres_backup_copies": REACHED})
    assert of_backups(network).pop("annotations") == {REACHED_ANNOTATION: '["cloud", "friend"]'}
    of_copies = [each for each in network if each["metadata"]["name"] == NAME]
    assert len(of_copies) == 3 and len(network) == len(without) + 3
    assert [_without_annotations(each) for each in network if each not in of_copies] == [
        _without_annotations(each) for each in without
    ]


def test_the_installation_records_its_places() -> None:
    assert of_backups(copied())["annotations"][MOUNTED_ANNOTATION] == '["nas", "other"]'
    assert not {MOUNTED_ANNOTATION, REACHED_ANNOTATION} & of_backups(objects()).get("annotations", {}).keys()
    assert reached_places({"metadata": of_backups(copied())}) == ["cloud", "friend"]
    assert mounted_places(made("CronJob", NAS)) == ["nas"] and mounted_places(made("CronJob")) == []


def test_a_place_is_mounted_only_by_its_own_pod() -> None:
    """A share that cannot be mounted keeps the pod from starting."""
    assert not [volume["name"] for volume in pod()["volumes"] if volume["name"].startswith("place-")]
    for name, source in (
        (NAS, {"nfs": {"server": "192.168.2.3", "path": "/volume1/copies"}}),
        (OTHER, {"persistentVolumeClaim": {"claimName": "copies"}}),
    ):
        spec = pod(name)
        (volume,) = (volume for volume in spec["volumes"] if volume["name"].startswith("place-"))
        assert volume == {"name": "place-0", **source}
        assert "secrets" not in {volume["name"] for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
        writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
        assert writable == {"/copies", "/places/0", "/tmp"}


def test_the_pods_that_mount_a_place_talk_to_nobody() -> None:
    spec = made("NetworkPolicy", f"{NAME}-mounted")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"] and not {"ingress", "egress"} & spec.keys()
    (expression,) = spec["podSelector"]["matchExpressions"]
    labels = made("CronJob", NAS)["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert expression["operator"] == "Exists" and labels[expression["key"]] == "nas"
    (expression,) = made("NetworkPolicy")["spec"]["podSelector"]["matchExpressions"]
    assert expression["operator"] == "DoesNotExist" and expression["key"] in labels
    labels = made("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert expression["key"] not in labels


def test_with_mounted_places_only() -> None:
    added = names_of(**{**COPIED, "postgres_backup_copies": [PLACES[0]]}) - names_of()
    assert added == {("CronJob", NAS), ("ConfigMap", NAME), ("NetworkPolicy", f"{NAME}-mounted")}


def test_the_pod_has_no_password_and_writes_only_to_its_folder_and_the_places() -> None:
    spec = pod()
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    (container,), (prepare,) = spec["containers"], spec["initContainers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    assert writable == {"/copies", "/tmp"}
    assert mounts["/copies"]["subPath"] == "postgres-backup.copies" and mounts["/backups"]["readOnly"] is True
    assert prepare["command"][-1] == "/backups/postgres-backup.copies"
    variables = {entry["name"] for entry in container["env"]}
    assert not variables & {"PGPASSWORD", "POSTGRES_BACKUP_HOST", "POSTGRES_BACKUP_USER"}
    assert "env" not in prepare
    for each in (container, prepare):
        assert each["image"] == "tools:1"
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_program_and_its_environment() -> None:
    (container,) = pod()["containers"]
    package = "ansible_collections.homelab.postgres_backup.plugins.module_utils"
    assert container["command"] == ["python3", "-B", "-m", f"{package}._copy.program"]
    assert (container["name"], container["args"]) == ("copy", ["copy"])
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert values == {
        "POSTGRES_BACKUP_NAME": "postgres-backup",
        "POSTGRES_BACKUP_DIR": "/backups",
        "POSTGRES_BACKUP_EXPECTED_MOUNT": "any",
        "POSTGRES_BACKUP_COPY_CONFIGURATION": "/opt/postgres-backup-copy/copy.json",
        "POSTGRES_BACKUP_COPY_FOLDER": "/copies",
        "POSTGRES_BACKUP_COPY_SCRIPT": "/opt/postgres-backup/backup.sh",
        "POSTGRES_BACKUP_COPY_SECRETS": "/etc/postgres-backup/secrets",
        "POSTGRES_BACKUP_COPY_PLACES": "/places",
        "HOME": "/tmp",
        "PYTHONPATH": "/opt/postgres-backup-copy",
        "POSTGRES_BACKUP_POD": None,
        "POSTGRES_BACKUP_JOB": None,
    }


def test_secrets_are_files_that_may_be_missing() -> None:
    (projected,) = (volume["projected"]["sources"] for volume in pod()["volumes"] if volume["name"] == "secrets")
    assert [source["secret"]["name"] for source in projected] == ["s3-keys", "ssh"]
    assert all(source["secret"]["optional"] for source in projected)
    paths = [item["path"] for source in projected for item in source["secret"]["items"]]
    assert paths == [f"{number}/{key}" for number, place in enumerate(REACHED) for key in copy_secret_keys(place)]


def test_without_secrets_there_is_no_volume_of_them() -> None:
    spec = pod(NAS)
    assert "secrets" not in {volume["name"] for volume in spec["volumes"]}
    assert "/etc/postgres-backup/secrets" not in {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}


def test_the_job() -> None:
    cronjob = made(
        "CronJob",
        postgres_backup_copy_schedule="15 * * * *",
        postgres_backup_time_zone="Europe/Berlin",
        postgres_backup_suspend=True,
    )
    spec = cronjob["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("15 * * * *", "Europe/Berlin", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"], job["ttlSecondsAfterFinished"]) == (43200, 0, 86400)
    assert cronjob["metadata"]["labels"]["app.kubernetes.io/component"] == "copy"
    assert "suspend" not in spec
    # A share that does not answer keeps the pod waiting: it ends, too, and only its own CronJob waits for it.
    mounted = made("CronJob", NAS)
    assert (mounted["spec"]["schedule"], mounted["spec"]["concurrencyPolicy"]) == ("*/30 * * * *", "Forbid")
    job = mounted["spec"]["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"], job["ttlSecondsAfterFinished"]) == (43200, 0, 86400)
    assert pod()["volumes"][2]["emptyDir"] == {"sizeLimit": "512Mi"}


def test_the_program_is_that_of_the_collection() -> None:
    data = made("ConfigMap")["data"]
    used = set()
    for cronjob, configuration in ((NAME, "copy.json"), (NAS, "copy-nas.json"), (OTHER, "copy-other.json")):
        (program,) = (volume["configMap"] for volume in pod(cronjob)["volumes"] if volume["name"] == "program")
        for item in program["items"]:
            _, _, name = item["path"].partition("/module_utils/")
            if item != {"key": configuration, "path": "copy.json"}:
                # Without what an annotation has no space for.
                assert data[item["key"]] == without_docstrings((UTILS / name).read_text())
        used |= {item["key"] for item in program["items"]}
    assert used == set(data)
    # An annotation has a copy of the object (script_text.py).
    assert len(json.dumps(made("ConfigMap"))) < 240 * 1024


def test_the_configuration_is_that_of_the_filter() -> None:
    data = made("ConfigMap")["data"]
    for cronjob, file, names in ((NAME, "copy.json", ["cloud", "friend"]), (NAS, "copy-nas.json", ["nas"])):
        content = json.loads(data[file])
        assert [place["name"] for place in content["places"]] == names
        assert json.loads(made("CronJob", cronjob)["metadata"]["annotations"][PLACES_ANNOTATION]) == content["places"]
    assert content["places"][0]["options"] == {"server": "192.168.2.3", "path": "/volume1/copies", "folder": "pg"}


def test_the_network_policy_allows_the_hosts_and_dns() -> None:
    spec = made("NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "copy"
    assert spec["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in spec
    rules = [
        (rule["ports"][-1]["port"], (rule.get("to") or [{}])[0].get("ipBlock", {}).get("cidr"))
        for rule in spec["egress"]
    ]
    assert rules[2:] == [(443, "0.0.0.0/0"), (443, "::/0"), (22, "0.0.0.0/0"), (22, "::/0")]


def test_the_image_is_that_of_the_watch_if_it_is_not_set() -> None:
    variables = {"postgres_backup_copies": PLACES, "postgres_backup_watch_image": "watch:1"}
    (cronjob,) = (
        each for each in objects(**variables) if each["metadata"]["name"] == NAME and each["kind"] == "CronJob"
    )
    (container,) = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "watch:1"


def test_what_is_removed_belongs_to_these_copies() -> None:
    """An installation may have the name of the CronJob of another one's copies."""
    unwanted = evaluate("{{ __postgres_backup_unwanted }}")
    found = [each for each in unwanted if each["metadata"]["name"] in (NAME, f"{NAME}-mounted")]
    assert [each["kind"] for each in found] == ["CronJob", "ConfigMap", "NetworkPolicy", "NetworkPolicy"]
    for each in found:
        assert each["metadata"]["labels"]["app.kubernetes.io/component"] == "copy"
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "postgres-backup"


def test_what_is_not_removed_is_reserved() -> None:
    def of_copies(variable: str, *places: dict[str, Any]) -> list[tuple[str, str]]:
        found = evaluate(f"{{{{ {variable} }}}}", **{**COPIED, "postgres_backup_copies": [*places]})
        return [(e["kind"], e["metadata"]["name"]) for e in found if e["metadata"]["name"].startswith(NAME)]

    first = [("CronJob", NAME), ("NetworkPolicy", NAME)]
    program, policy = ("ConfigMap", NAME), ("NetworkPolicy", f"{NAME}-mounted")
    unwanted, wanted = "__postgres_backup_unwanted", "__postgres_backup_copy_wanted"
    assert of_copies(unwanted, *PLACES) == []
    assert sorted(of_copies(wanted, *PLACES)) == sorted([
        *first, program, policy, ("CronJob", NAS), ("CronJob", OTHER)
    ])  # fmt: skip
    # A CronJob of all places may be there from an earlier version.
    assert of_copies(unwanted, PLACES[0]) == first
    assert of_copies(wanted, PLACES[0]) == [program, policy, ("CronJob", NAS)]
    assert of_copies(unwanted, *REACHED) == [policy]
    assert of_copies(wanted) == []


def test_the_prerequisites_are_the_secrets_and_the_claims() -> None:
    assert evaluate("{{ __postgres_backup_copy_secrets }}", **COPIED) == ["s3-keys", "ssh"]
    assert evaluate("{{ __postgres_backup_copy_claims }}", **COPIED) == ["copies"]
    assert evaluate("{{ __postgres_backup_copy_secrets + __postgres_backup_copy_claims }}") == []


def test_the_runbook_shows_where_the_copies_are() -> None:
    """Who has lost the cluster has this page."""
    claim = {"spec": {"volumeName": "pv"}}
    restic = {
        "name": "dedup",
        "kind": "restic",
        "repository": "s3",
        "secret": "x",
        "endpoint": "https://s",
        "bucket": "b",
    }
    page = render(
        "postgres-backup.md.j2", __postgres_backup_claim_now=claim, __postgres_backup_location="nas:/x",
        __postgres_backup_reclaim_policy="Retain", **{**COPIED, "postgres_backup_copies": [*PLACES, restic]},
    )  # fmt: skip
    for line in (
        "| copies at nas | nfs, server `192.168.2.3`, path `/volume1/copies`, folder `pg` |",
        "| copies at cloud | s3, endpoint `https://s3.example.com`, bucket `backups` |",
        "| copies at dedup | restic at s3, endpoint `https://s`, bucket `b` |",
        "ansible-playbook homelab.postgres_backup.retrieve -e postgres_backup_namespace=data "
        "-e postgres_backup_name=postgres-backup -e postgres_backup_place=nas",
    ):
        assert f"\n{line}\n" in page
