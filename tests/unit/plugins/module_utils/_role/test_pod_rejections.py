# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a dry run of the CronJobs' pods shows, with messages of Kubernetes 1.36."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.module_utils._role.pod_rejections import dry_run_pods, explain_pods


def cronjob(name: str) -> dict[str, Any]:
    pod = {"serviceAccountName": name, "containers": [{"name": "backup"}], "volumes": [{"name": "backups"}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    return {
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": "data"},
        "spec": {"jobTemplate": {"spec": {"template": template}}},
    }


CONFIG_MAP = {"kind": "ConfigMap", "metadata": {"name": "script", "namespace": "data"}}
OBJECTS = [CONFIG_MAP, cronjob("backup-drill"), cronjob("backup")]
ACCEPTED: dict[str, Any] = {"result": {}}
FORBIDDEN = 'pods "backup-dry-run" is forbidden: '


def error(message: str, code: int = 403, *causes: tuple[str, str]) -> dict[str, Any]:
    """As kubernetes.core has it: the API server's Status within a message."""
    details = {"causes": [{"field": field, "message": text} for field, text in causes]}
    status = json.dumps({"kind": "Status", "message": message, "code": code, "details": details})
    return {"error": {"msg": f"Failed to apply object: b'{status}\\n'"}}


def explained(backup: dict[str, Any], drill: dict[str, Any] = ACCEPTED) -> dict[str, list[str]]:
    return explain_pods(OBJECTS, [ACCEPTED, ACCEPTED, ACCEPTED, drill, backup])


def test_pods_are_those_that_the_jobs_would_make() -> None:
    drill, backup = dry_run_pods(OBJECTS, "default")
    assert (drill["metadata"]["name"], backup["metadata"]["name"]) == ("backup-drill-dry-run", "backup-dry-run")
    assert backup["metadata"] == {"labels": {"app": "backup"}, "name": "backup-dry-run", "namespace": "data"}
    assert backup["spec"] == {
        "serviceAccountName": "default",
        "containers": [{"name": "backup"}],
        "volumes": [{"name": "backups"}],
    }
    assert OBJECTS[2] == cronjob("backup")


def test_accepted_pods_need_no_message() -> None:
    assert explained(ACCEPTED) == {"refused": [], "notes": []}


QUOTA = "exceeded quota: q, requested: limits.cpu=2, used: limits.cpu=1, limited: limits.cpu="
POLICY = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "


@pytest.mark.parametrize(
    ("message", "variables"),
    [
        ("failed quota: q: must specify limits.cpu for: backup", "postgres_backup_resources"),
        (f"{QUOTA}1", "postgres_backup_resources"),
        ("maximum memory usage per Container is 500Mi, but limit is 2Gi", "postgres_backup_resources"),
        (f"{POLICY}failed expression: 'team' in object.metadata.labels", "postgres_backup_pod_labels"),
        (f"{POLICY}every pod needs the label team", "postgres_backup_pod_labels"),
        (f"{POLICY}images come from registry.example only", "postgres_backup_image"),
        (f"{POLICY}cpu and memory limits are required", "postgres_backup_resources"),
        (
            'violates PodSecurity "restricted:latest": forbidden AppArmor profiles (annotation must not set '
            'container.apparmor.security.beta.kubernetes.io/backup="unconfined")',
            "postgres_backup_pod_annotations",
        ),
        (
            'violates PodSecurity "restricted:latest": runAsUser=0 (pod must not set runAsUser=0)',
            "postgres_backup_run_as_user",
        ),
        (
            "unable to validate against any security context constraint: provider restricted-v2: "
            ".spec.securityContext.fsGroup: Invalid value: 1001",
            "postgres_backup_fs_group",
        ),
    ],
)
def test_refusal_names_the_variable(message: str, variables: str) -> None:
    answers = explained(error(f"{FORBIDDEN}{message}"))
    (line,) = answers["refused"]
    assert line.startswith(f"{variables}: the API server refuses the pods of the backups: {FORBIDDEN}{message}")
    assert answers["notes"] == []


def test_refusal_for_another_reason_names_what_changes_the_pods() -> None:
    (line,) = explained(error('admission webhook "w.example" denied the request: not on Sundays'))["refused"]
    assert line.startswith("CronJob backup: the API server refuses the pods of the backups: ")
    assert "Variables that change the pods: postgres_backup_resources, postgres_backup_pod_labels, " in line


def test_share_that_pod_security_does_not_admit_may_be_a_claim() -> None:
    message = (
        'violates PodSecurity "restricted:latest": restricted volume types (volume "place-0" uses restricted volume '
        'type "nfs")'
    )
    copies = cronjob("backup-copy-nas")
    copies["metadata"]["labels"] = {"app.kubernetes.io/component": "copy"}
    (line,) = explain_pods([copies], [ACCEPTED, error(f"{FORBIDDEN}{message}")])["refused"]
    assert line.startswith("postgres_backup_copies: the API server refuses the pods of the copies: ")
    assert line.endswith("use the kind claim: a pod of this namespace may mount claims.")


def test_refusal_of_both_pods_is_reported_once() -> None:
    refusal = error(f"{FORBIDDEN}failed quota: q: must specify limits.cpu for: backup")
    (line,) = explained(refusal, refusal)["refused"]
    assert "the pods of the backups" in line
    (line,) = explained(ACCEPTED, refusal)["refused"]
    assert line.startswith("postgres_backup_resources: the API server refuses the pods of the drills: ")


def test_pod_of_a_refused_cronjob_is_left_out() -> None:
    refusal = error("spec.tolerations: Invalid value")
    assert explain_pods(OBJECTS, [ACCEPTED, ACCEPTED, refusal, ACCEPTED, refusal])["refused"] == []


def test_container_that_the_cluster_adds_is_named_with_its_variable() -> None:
    pod = {"spec": {"containers": [{"name": "backup"}, {"name": "istio-proxy"}], "initContainers": [{"name": "init"}]}}
    answers = explained({"result": pod}, {"result": pod})
    assert answers["refused"] == []
    (note,) = answers["notes"]
    assert note.startswith("WARNING: the cluster adds the container istio-proxy to the pods.")
    assert 'Set postgres_backup_pod_annotations: {sidecar.istio.io/nativeSidecar: "true"} or postgres_backup_' in note
    assert explained({"result": {"spec": {"containers": [{"name": "backup"}]}}}) == {"refused": [], "notes": []}


def test_missing_namespace_is_reported_by_the_objects() -> None:
    assert explained(error('namespaces "data" not found', 404)) == {"refused": [], "notes": []}


@pytest.mark.parametrize(
    ("result", "beginning"),
    [
        (
            error('pods "backup-dry-run" is forbidden: User "u" cannot get resource "pods" in API group ""'),
            "Not checked: whether quotas and policies admit the pods, since this user may not get and create pods.",
        ),
        (error(f"{FORBIDDEN}{QUOTA}2"), "The quota of the namespace admits no further pod now"),
        (
            error('admission webhook "w.example" does not support dry run', 400),
            "Not checked: whether quotas and policies admit the pods. The API server's answer: admission webhook",
        ),
        (error('failed calling webhook "w.example": timeout', 500), "Not checked: "),
        (error("the server is too busy", 503), "Not checked: "),
        # The policy asks for a ServiceAccount, which the pods have as soon as it exists.
        (error(f"{POLICY}the default service account is not allowed"), "Not checked: "),
        (error(f'{FORBIDDEN}error looking up service account data/backup: serviceaccount "backup" not found'), "Not "),
    ],
)
def test_what_is_not_certain_is_a_note(result: dict[str, Any], beginning: str) -> None:
    drill = {"error": {"msg": result["error"]["msg"].replace("backup-dry-run", "backup-drill-dry-run")}}
    answers = explained(result, drill)
    assert answers["refused"] == []
    (note,) = answers["notes"]
    assert note.startswith(beginning)
