# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which variables manifests need that are otherwise read from the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._role.manifests import missing_for_manifests

REASON = "postgres_backup_state: rendered reads nothing from a cluster, so it needs these variables:"
UNSET = "(not set)"
SERVER = {
    "host": "db",
    "port": 5432,
    "user": "postgres",
    "database": "postgres",
    "secret_name": "db",
    "secret_key": "password",
    "sslmode": "",
    "ssl_ca": {},
    "run_as_user": 1001,
}
PODS = {"labels": {"app": "db"}, "port": 5432}


def variables(**values: Any) -> dict[str, Any]:
    names = {
        "manifest_dir": "manifests",
        "applied_by": "kubectl",
        "image": "postgres:18",
        "network_policy": False,
        "server_network_policy": False,
        "server_pods": {},
        "storage_class": "standard",
        "namespace": "data",
        **SERVER,
        "nfs": {},
        "node_selector": {},
        "tolerations": [],
        "metrics": False,
        "alerts": "auto",
        **values,
    }
    return {f"postgres_backup_{name}": value for name, value in names.items()}


def missing(variables: dict[str, Any], **surroundings: Any) -> list[str]:
    return missing_for_manifests(variables, unset=UNSET, **surroundings)


def named(messages: list[str]) -> list[str]:
    return [message.partition(":")[0].removeprefix("postgres_backup_") for message in messages[1:]]


def test_nothing_is_missing() -> None:
    assert missing(variables()) == []


def test_one_failure_lists_everything() -> None:
    nothing = variables(
        manifest_dir="",
        applied_by="",
        image="",
        storage_class=UNSET,
        network_policy=True,
        node_selector="auto",
        tolerations="auto",
    )
    messages = missing(nothing)
    assert messages[0] == REASON
    assert named(messages) == [
        "manifest_dir",
        "applied_by",
        "image",
        "storage_class",
        "node_selector",
        "tolerations",
        "server_pods",
    ]


@pytest.mark.parametrize("name", ["manifest_dir", "applied_by", "image"])
def test_each_variable_is_asked_for(name: str) -> None:
    assert named(missing(variables(**{name: ""}))) == [name]


@pytest.mark.parametrize(
    ("policies", "reads_service", "pods", "is_missing"),
    [
        ({"network_policy": True}, True, {}, True),
        ({"network_policy": "true"}, True, {"labels": {"app": "db"}}, True),
        ({"network_policy": True}, True, PODS, False),
        # If the service is not read, the policy allows any address.
        ({"network_policy": True}, False, {}, False),
        ({"server_network_policy": True}, False, {}, True),
        ({"server_network_policy": True}, False, {"port": 5432}, True),
        ({"server_network_policy": True}, False, PODS, False),
    ],
)
def test_policies_need_the_pods_of_the_server(
    policies: dict[str, Any], reads_service: bool, pods: dict[str, Any], is_missing: bool
) -> None:
    messages = missing(variables(**policies, server_pods=pods), reads_service=reads_service)
    assert named(messages) == (["server_pods"] if is_missing else [])


@pytest.mark.parametrize(
    ("text", "is_missing"),
    [
        ("resources: [other.yaml]", True),
        ("resources: [backup-pvc.yaml]", True),
        ("resources: [./backup-pvc.yaml, other.yaml, backup-cronjob.yaml]", False),
        ("", True),
        ('resources:\n- "backup-pvc.yaml"\n- ./backup-cronjob.yaml # all but the claim', False),
        ("resources:\n- backup-pvc.yaml\n# - backup-cronjob.yaml", True),
        ("resources: [my-backup-pvc.yaml, backup-cronjob.yaml]", True),
    ],
)
def test_somebody_elses_kustomization_must_list_the_manifests(text: str, is_missing: bool) -> None:
    path = "/srv/manifests/kustomization.yaml"
    messages = missing(variables(), kustomization_path=path, kustomization=text)
    assert named(messages) == (["manifest_dir"] if is_missing else [])
    assert all(path in message for message in messages[1:])


def test_share_needs_no_storage_class() -> None:
    assert missing(variables(storage_class=UNSET, nfs={"server": "nas", "path": "/backups"})) == []


def test_variables_that_a_server_determines_are_asked_for_together() -> None:
    (_, message) = missing(variables(**dict.fromkeys(SERVER, UNSET)))
    names = ", ".join(f"postgres_backup_{name}" for name in SERVER)
    assert message.startswith(f"{names}: expected values, ")
    assert "Set postgres_backup_server to none if their defaults are right." in message
    (_, message) = missing(variables(port=UNSET, sslmode=UNSET))
    assert message.startswith("postgres_backup_port, postgres_backup_sslmode: expected values, ")


@pytest.mark.parametrize("host", ["db.example.com", "db.servers.svc"])
def test_no_server_is_found_for_a_host_outside_the_namespace(host: str) -> None:
    assert missing(variables(**{**dict.fromkeys(SERVER, UNSET), "host": host})) == []


@pytest.mark.parametrize(
    ("metrics", "alerts", "is_missing"),
    [(False, "auto", False), (True, "auto", True), ("yes", "auto", True), (True, True, False), (True, "false", False)],
)
def test_alerts_of_a_cluster_that_is_not_read(metrics: Any, alerts: Any, is_missing: bool) -> None:
    messages = missing(variables(metrics=metrics, alerts=alerts))
    assert named(messages) == (["alerts"] if is_missing else [])
