# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server refuses, explained by the role's variables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.module_utils._role.rejections import explain_rejections

NAMESPACE = "data"
CLAIM: dict[str, Any] = {
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "claim", "namespace": NAMESPACE},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
        "storageClassName": "nfs-client",
    },
}
VOLUME: dict[str, Any] = {
    "kind": "PersistentVolume",
    "metadata": {"name": "data-claim"},
    "spec": {"nfs": {"server": "nas", "path": "/x"}},
}
POLICY: dict[str, Any] = {"kind": "NetworkPolicy", "metadata": {"name": "policy", "namespace": NAMESPACE}}


def cronjob(name: str, *volumes: str) -> dict[str, Any]:
    pod = {"volumes": [{"name": volume} for volume in volumes]}
    return {
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }


DRILL = cronjob("backup-drill", "backups", "script", "tmp", "drill")
BACKUP = cronjob("backup", "backups", "script", "tmp", "ca")
VOLUMES = "spec.jobTemplate.spec.template.spec.volumes"


def error(message: str, *causes: tuple[str, str]) -> dict[str, Any]:
    """As kubernetes.core gives it, with the API server's Status in it."""
    details = {"causes": [{"field": field, "message": text} for field, text in causes]}
    status = json.dumps({"kind": "Status", "message": message, "details": details if causes else None})
    return {"error": {"msg": f"Failed to apply object: b'{status}\\n'"}}


def explain(refused: dict[str, Any], result: dict[str, Any], **others: Any) -> list[str]:
    """The explanation where one of the objects is refused, or several of its kind."""
    objects = [CLAIM, POLICY, DRILL, BACKUP]
    return explain_rejections(objects, [result if each is refused else {"result": {}} for each in objects], **others)


FIELDS = [
    ("spec.schedule", "schedule"),
    ("spec.timeZone", "time_zone"),
    ("spec.jobTemplate.spec.template.spec.affinity.nodeAffinity", "affinity"),
    ("spec.jobTemplate.spec.template.spec.tolerations[0].operator", "tolerations"),
    ("spec.jobTemplate.spec.template.spec.nodeSelector", "node_selector"),
    ("spec.jobTemplate.spec.template.spec.containers[0].resources.requests", "resources"),
    ("spec.jobTemplate.spec.template.labels", "pod_labels"),
    ("spec.jobTemplate.spec.template.annotations", "pod_annotations"),
    ("spec.jobTemplate.spec.template.spec.containers[10].image", "image"),
    ("spec.jobTemplate.spec.template.spec.imagePullSecrets[0].name", "image_pull_secrets"),
    ("spec.jobTemplate.spec.template.spec.securityContext.runAsUser", "run_as_user"),
    ("spec.jobTemplate.spec.template.spec.securityContext.fsGroup", "fs_group"),
    (f"{VOLUMES}[3].secret.secretName", "ssl_ca"),
]


@pytest.mark.parametrize(("field", "variable"), FIELDS)
def test_a_refused_field_is_reported_with_its_variable(field: str, variable: str) -> None:
    (message,) = explain(BACKUP, error("CronJob is invalid", (field, "Invalid value")))
    assert message == f"postgres_backup_{variable}: the API server refuses it: {field}: Invalid value"


def test_a_volume_is_told_by_its_name_wherever_it_stands() -> None:
    """The drill's fourth volume is not the CA, and a CA may be another than the fourth."""
    (message,) = explain(DRILL, error("invalid", (f"{VOLUMES}[3].emptyDir.sizeLimit", "Invalid value")))
    assert message.startswith("postgres_backup_drill_size_limit: the API server refuses it: ")
    backup = cronjob("backup", "ca", "backups")
    result = error("invalid", (f"{VOLUMES}[0].configMap.name", "Required value"))
    (message,) = explain_rejections([backup], [result])
    assert message.startswith("postgres_backup_ssl_ca: the API server refuses it: ")
    result = error("invalid", (f"{VOLUMES}[0].secret.secretName", "Required value"))
    (message,) = explain_rejections([cronjob("backup", "client-certificate")], [result])
    assert message.startswith("postgres_backup_ssl_cert: the API server refuses it: ")
    result = error("invalid", (f"{VOLUMES}[1].name", "Required value"))
    assert explain_rejections([backup], [result])[0].startswith("CronJob backup: the API server refuses it: ")
    result = error("invalid", (f"{VOLUMES}[7].name", "Required value"))
    assert explain_rejections([backup], [result])[0].startswith("CronJob backup: the API server refuses it: ")


def test_each_cause_is_a_message_and_each_variable_is_named_once() -> None:
    affinity = "Invalid value: affinity"
    messages = explain(BACKUP, error("invalid", ("spec.affinity", affinity), ("spec.timeZone", "unknown time zone")))
    assert messages == [
        f"postgres_backup_affinity: the API server refuses it: spec.affinity: {affinity}",
        "postgres_backup_time_zone: the API server refuses it: spec.timeZone: unknown time zone",
    ]


@pytest.mark.parametrize("text", ["Failed: {not json}", "Failed: []", 'Failed: {"message": null}', "Failed"])
def test_an_error_without_a_status_is_reported_as_it_is(text: str) -> None:
    (message,) = explain(POLICY, {"error": {"msg": text}})
    assert message == f"NetworkPolicy policy: the API server refuses it: {text}"


def test_a_problem_of_both_cronjobs_is_reported_once() -> None:
    """In whatever words: the drill's CronJob is explained when the backup's is accepted."""
    drill, backup = (error("invalid", (field, "Invalid value")) for field in ("spec.schedule", "spec.tolerations"))
    (message,) = explain_rejections([DRILL, BACKUP], [drill, backup])
    assert message.startswith("postgres_backup_tolerations: ")


def test_the_drills_schedule_is_another_variable() -> None:
    (message,) = explain(DRILL, error("invalid", ("spec.schedule", "Invalid value")))
    assert message.startswith("postgres_backup_drill_schedule: ")


def test_unknown_fields_are_refused_although_they_are_warnings() -> None:
    warning = 'unknown field "spec.jobTemplate.spec.template.spec.affinity.nodeAfinity"'
    messages = explain(BACKUP, {"result": {}, "warnings": [warning, "deprecated"]})
    assert messages == [f"postgres_backup_affinity: the API server refuses it: {warning}"]


def test_a_cronjob_that_can_be_replaced_is_not_refused() -> None:
    refused = error("invalid", ("spec.tolerations", "Invalid value"))
    assert explain(BACKUP, refused, replacement={"result": {}}) == []
    (message,) = explain(BACKUP, refused, replacement={"msg": "spec.timeZone: Invalid value"})
    assert message.startswith("postgres_backup_time_zone: ")
    (message,) = explain(BACKUP, refused, replacement={"skipped": True})
    assert message.startswith("postgres_backup_tolerations: ")
    (message,) = explain(DRILL, refused, replacement={"result": {}})
    assert message.startswith("postgres_backup_tolerations: ")


def test_a_missing_namespace_is_reported_once() -> None:
    result = error('namespaces "data" not found')
    messages = explain_rejections([CLAIM, DRILL, BACKUP], [result, result, result])
    assert messages == [
        "postgres_backup_namespace: expected a namespace that exists, found none named data. "
        "Create it, or set postgres_backup_namespace."
    ]


def test_a_right_that_is_missing() -> None:
    text = 'networkpolicies.networking.k8s.io is forbidden: User "u" cannot patch resource "networkpolicies"'
    assert explain(POLICY, error(text)) == ["The current user may not create or update NetworkPolicy policy: " + text]


def live_claim(**spec: Any) -> dict[str, Any]:
    return {"spec": {**CLAIM["spec"], "volumeName": "pv-1", **spec}, "status": {"capacity": {"storage": "12Gi"}}}


REQUESTS = {"resources": {"requests": {"storage": "5Gi"}}}
CLAIMS: list[tuple[dict[str, Any], str, str]] = [
    (
        live_claim(storageClassName="old"),
        "immutable",
        "postgres_backup_storage_class: expected old, the class of the claim data/claim, found nfs-client. ",
    ),
    (live_claim(storageClassName=None), "immutable", "postgres_backup_storage_class: expected no class, the class of "),
    (
        live_claim(accessModes=["ReadWriteMany", "ReadOnlyMany"]),
        "immutable",
        "postgres_backup_access_mode: expected ReadWriteMany and ReadOnlyMany, the access mode of the claim data/claim,"
        " found ReadWriteOnce. ",
    ),
    (
        live_claim(),
        "field can not be less than status.capacity",
        "postgres_backup_storage_size: expected at least 12Gi, the size of the claim data/claim, found 10Gi. "
        "A claim cannot shrink: keep the size, or set another postgres_backup_claim_name.",
    ),
    (
        {**live_claim(**REQUESTS), "status": {}},
        "field can not be less than status.capacity",
        "postgres_backup_storage_size: expected at least 5Gi, ",
    ),
    (
        live_claim(**REQUESTS),
        "only dynamically provisioned pvc can be resized",
        "postgres_backup_storage_size: expected 5Gi, the size of the claim data/claim, found 10Gi. Its storage class ",
    ),
    (
        live_claim(),
        "spec is immutable after creation",
        "postgres_backup_volume_name: expected pv-1, the volume of the claim data/claim, found none. Set "
        "postgres_backup_volume_name, or another postgres_backup_claim_name. Message of the API server: spec is "
        "immutable ",
    ),
]


@pytest.mark.parametrize(("claim", "text", "beginning"), CLAIMS)
def test_a_claim_that_cannot_become_what_is_desired(claim: dict[str, Any], text: str, beginning: str) -> None:
    (message,) = explain(CLAIM, error(text), live_claim=claim)
    assert message.startswith(beginning)


def test_a_claim_that_was_not_read_is_explained_by_its_field() -> None:
    (message,) = explain(CLAIM, error("invalid", ("spec.resources.requests.storage", "Invalid value")))
    assert message.startswith("postgres_backup_storage_size: the API server refuses it: ")


def test_a_claim_of_another_class_than_the_nfs_volume() -> None:
    claim = {**CLAIM, "spec": {**CLAIM["spec"], "storageClassName": ""}}
    results = [{"result": {}}, error("immutable")]
    (message,) = explain_rejections([VOLUME, claim], results, live_claim=live_claim())
    assert message.startswith(
        "postgres_backup_nfs: expected nfs-client, the class of the claim data/claim, found none."
    )


def test_an_nfs_volume_keeps_its_share() -> None:
    result = error("spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation")
    (message,) = explain_rejections([VOLUME], [result])
    assert message.startswith("postgres_backup_nfs: expected the share of the existing volume data-claim, found ")
    assert "found nas:/x. " in message


def test_a_storage_class_that_is_missing() -> None:
    none: list[dict[str, Any]] = [{"result": {}}]
    classes = [{"metadata": {"name": "local-path"}}, {"metadata": {"name": "fast"}}]
    (message,) = explain_rejections([CLAIM], none, storage_classes=classes)
    expected = "postgres_backup_storage_class: expected a StorageClass that exists, found none named nfs-client among "
    assert message.startswith(f"{expected}local-path, fast. Set ")
    (message,) = explain_rejections([CLAIM], none, storage_classes=[])
    assert message.startswith(f"{expected}none. Set ")
    assert explain_rejections([CLAIM], none, storage_classes=[{"metadata": {"name": "nfs-client"}}]) == []
    without_class = {**CLAIM, "spec": {**CLAIM["spec"], "storageClassName": ""}}
    assert explain_rejections([without_class], none, storage_classes=[]) == []
    assert explain_rejections([CLAIM], none) == []


def labelled(component: str, *volumes: str) -> dict[str, Any]:
    made = cronjob(f"backup-{component}", *volumes)
    made["metadata"]["labels"] = {"app.kubernetes.io/component": component}
    return made


@pytest.mark.parametrize(
    ("component", "field", "name"),
    [
        ("copy", "spec.schedule", "copy_schedule"),
        ("copy", "spec.jobTemplate.spec.template.spec.containers[0].image", "copy_image"),
        ("copy", f"{VOLUMES}[1].nfs.server", "copies"),
        ("watch", "spec.schedule", "watch_schedule"),
    ],
)
def test_the_variables_of_the_other_cronjobs(component: str, field: str, name: str) -> None:
    other = labelled(component, "backups", "place-0")
    (message,) = explain_rejections([other, BACKUP], [error("invalid", (field, "Invalid value")), {"result": {}}])
    assert message.startswith(f"postgres_backup_{name}: the API server refuses it: ")
    # Most likely it is refused for the same reason as that of the backups.
    both = [error("invalid", (field, "x")), error("invalid", ("spec.tolerations", "x"))]
    assert len(explain_rejections([other, BACKUP], both)) == 1
