# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Quotas, limit ranges and policies that refuse the pods, not the CronJob: `site.yml` fails before it creates anything.

Each of them is built into the API server, so these are its answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import NAME, apply, kubectl, listed, must_get, wait_until
from tests.in_turn import weekly, weekly_but

REFUSES = "the API server refuses the pods of the backups: "
LIMITS = {"limits": {"cpu": "500m", "memory": "256Mi"}}
# As OpenShift assigns them: far above those of an image.
USER_ID = 1000680000
POLICY = "admissionregistration.k8s.io/v1"


@pytest.fixture
def label_policy(namespace: str) -> Iterator[str]:
    """A ValidatingAdmissionPolicy that refuses pods without the label `team` in the namespace."""
    name = f"team-{namespace}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    apply(
        {
            "apiVersion": POLICY,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "'team' in object.metadata.labels"}],
            },
        },
        {
            "apiVersion": POLICY,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": selector},
            },
        },
    )
    yield name
    kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", name)


def quota(namespace: str, **hard: str) -> dict[str, Any]:
    amounts = {name.replace("_", "."): amount for name, amount in hard.items()}
    about = {"name": "team", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": about, "spec": {"hard": amounts}}


def limit_range(namespace: str, **limits: Any) -> dict[str, Any]:
    about = {"name": "team", "namespace": namespace}
    spec = {"limits": [{"type": "Container", **limits}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": about, "spec": spec}


def pod(namespace: str) -> dict[str, Any]:
    """One that no node takes, with most of the quota."""
    container = {
        "name": "other",
        "image": "none",
        "resources": {"limits": {"cpu": "800m"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    user = {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"securityContext": user, "nodeSelector": {"no-such": "node"}, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": namespace}, "spec": spec}


def wait_for_quota(namespace: str) -> None:
    """A quota counts once its controller has calculated what is used."""
    kubectl("wait", "resourcequota/team", "-n", namespace, "--for=jsonpath={.status.hard}", "--timeout=60s")


def assert_refused(ansible: Ansible, message: str, role_variables: dict[str, Any], **variables: Any) -> None:
    play = ansible.site(**role_variables, **variables)
    assert play.status != 0
    assert play.changed == 0
    assert message in play.output, play.output
    kinds = "persistentvolumeclaims,cronjobs,pods,configmaps,serviceaccounts"
    objects = kubectl("get", kinds, "-n", role_variables["namespace"], "-o", "name").split()
    assert objects == ["configmap/kube-root-ca.crt", "serviceaccount/default"]


def test_quota_that_demands_limits(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    apply(quota(namespace, limits_cpu="1"))
    wait_for_quota(namespace)
    message = (
        f'postgres_backup_resources: {REFUSES}pods \\"postgres-backup-dry-run\\" is forbidden: failed quota: team: '
    )
    assert_refused(ansible, message, role_variables, resources={"requests": {"cpu": "50m"}})
    play = ansible.site(**role_variables, resources=LIMITS)
    assert play.status == 0, play.output
    assert not [line for line in play.summary if "quota" in line]
    # The quota is used up: nothing is wrong with the pods, which wait until another one has ended.
    apply(pod(namespace))
    play = ansible.site(**role_variables, resources=LIMITS)
    assert (play.status, play.changed) == (0, 0), play.output
    assert [line for line in play.summary if line.startswith("The quota of the namespace admits no further pod")]


@pytest.mark.weekly
@pytest.mark.usefixtures("label_policy")
def test_policy_that_demands_a_label(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    probe = json.dumps(pod(namespace))
    create = ["create", "--dry-run=server", "-o", "name", "-f", "-"]
    wait_until(lambda: not kubectl(*create, stdin=probe, check=False), "the policy takes effect")
    assert_refused(ansible, f"postgres_backup_pod_labels: {REFUSES}", role_variables)
    play = ansible.site(**role_variables, pod_labels={"team": "data"})
    assert play.status == 0, play.output


def mutating_policy(name: str, namespace: str, patch: str) -> None:
    """A MutatingAdmissionPolicy for the pods of the namespace; `patch` is a list of JSONPatch in CEL."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    apply(
        {
            "apiVersion": POLICY,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
            },
        },
        {
            "apiVersion": POLICY,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        },
    )


def delete_mutating_policy(name: str) -> None:
    kubectl("delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", name)


def wait_for_mutation(namespace: str, text: str) -> None:
    """A policy takes effect within a second or two."""
    probe = json.dumps(pod(namespace))
    create = ["create", "--dry-run=server", "-o", "yaml", "-f", "-"]
    wait_until(lambda: text in kubectl(*create, stdin=probe), "the policy takes effect")


@pytest.fixture
def proxy_policy(namespace: str) -> Iterator[str]:
    """Adds a container to each pod of the namespace, as the webhook of a mesh does."""
    name, limits = f"proxy-{namespace}", "Object.spec.containers.securityContext"
    container = (
        f'Object.spec.containers{{name: "istio-proxy", image: "none", securityContext: {limits}{{'
        f'allowPrivilegeEscalation: false, capabilities: {limits}.capabilities{{drop: ["ALL"]}}}}}}'
    )
    mutating_policy(name, namespace, f'[JSONPatch{{op: "add", path: "/spec/containers/-", value: {container}}}]')
    wait_for_mutation(namespace, "istio-proxy")
    yield name
    delete_mutating_policy(name)


@pytest.mark.weekly
@pytest.mark.usefixtures("proxy_policy")
def test_container_that_a_mesh_adds(ansible: Ansible, role_variables: dict[str, Any]) -> None:
    play = ansible.site(**role_variables)
    assert play.status == 0, play.output
    (line,) = [line for line in play.summary if "istio-proxy" in line]
    assert line.startswith("WARNING: the cluster adds the container istio-proxy to the pods.")


@pytest.fixture
def user_id_policy(namespace: str) -> Iterator[str]:
    """Assigns user ids as the SCC restricted-v2 of OpenShift does: any id, group 0, and an fsGroup."""
    name = f"uid-{namespace}"
    ids = {"runAsUser": USER_ID, "fsGroup": USER_ID}
    steps = [
        f'JSONPatch{{op: "add", path: "/spec/securityContext/{key}", value: {value}}}' for key, value in ids.items()
    ]
    mutating_policy(name, namespace, f"[{', '.join(steps)}]")
    wait_for_mutation(namespace, f"runAsUser: {USER_ID}")
    yield name
    delete_mutating_policy(name)


@pytest.mark.weekly
@pytest.mark.usefixtures("user_id_policy")
@pytest.mark.parametrize("modules", [["backup_job"], weekly(["backup_job", "restore_drill"])], ids=len)
def test_user_id_that_the_platform_assigns(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, modules: list[str]
) -> None:
    play = ansible.site(**role_variables, run_as_user=None)
    assert play.status == 0, play.output
    template = must_get("cronjob", NAME, namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert not {"runAsUser", "fsGroup"} & template["securityContext"].keys()
    for module in modules:
        result = ansible.module(module, namespace=namespace)
        assert not result["failed"], result["msg"]
    users = {entry["spec"]["securityContext"]["runAsUser"] for entry in listed("pod", namespace)}
    assert users == {USER_ID}


SMALL = {"max": {"memory": "64Mi"}}
APPARMOR = {"container.apparmor.security.beta.kubernetes.io/backup": "unconfined"}
CASES: dict[str, tuple[dict[str, Any] | None, dict[str, Any], str]] = {
    "limit range": (SMALL, {"resources": {"limits": {"memory": "1Gi"}}}, "postgres_backup_resources"),
    # The namespace enforces `restricted`, as that of every test.
    "Pod Security": (None, {"pod_annotations": APPARMOR}, "postgres_backup_pod_annotations"),
}


@pytest.mark.weekly
@pytest.mark.parametrize("case", weekly_but(CASES, "Pod Security"))
def test_refused_pods_name_the_variable(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, case: str
) -> None:
    limits, variables, name = CASES[case]
    if limits:
        apply(limit_range(namespace, **limits))
    assert_refused(ansible, f"{name}: {REFUSES}", role_variables, **variables)
