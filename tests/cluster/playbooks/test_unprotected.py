# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""postgres_discover and unprotected.yml on a cluster with a hundred servers.

Their pods are never scheduled: EndpointSlices, which name them, decide which are ready.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import CHECKOUT, NAME, apply, delete_namespace
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.servers import Server

COUNT = 100
SECONDS = 5


def server_objects(namespace: str, number: int) -> list[dict[str, Any]]:
    """A service without a selector, its EndpointSlice, and its pod of the official image."""
    name = f"db-{number:03}"
    where = {"name": name, "namespace": namespace}
    password = {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}}
    container = {
        "name": "postgres",
        "image": "postgres:18",
        "env": [password],
        "ports": [{"containerPort": 5432}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "schedulerName": "none"}
    labels = {"kubernetes.io/service-name": name}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": where, "spec": {"ports": [{"port": 5432}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": where, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**where, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"port": 5432}],
            "endpoints": [
                {
                    "addresses": [f"192.0.2.{number}"],
                    "targetRef": {"kind": "Pod", **where},
                    "conditions": {"ready": True},
                }
            ],
        },
    ]


@pytest.fixture
def many() -> Iterator[str]:
    namespace = new_namespace("many")
    apply(*(each for number in range(COUNT) for each in server_objects(namespace, number)), how="create")
    yield namespace
    delete_namespace(namespace)


@pytest.mark.weekly
def test_a_hundred_servers_and_one_that_is_backed_up(
    ansible: Ansible, many: str, namespace: str, server: Server, role_variables: dict[str, Any]
) -> None:
    begun = time.monotonic()
    found = ansible.module("postgres_discover", namespaces=[many])
    seconds = time.monotonic() - begun
    assert not found["failed"] and found["unreadable"] == [], found["msg"]
    assert [each["name"] for each in found["servers"]] == [f"db-{number:03}" for number in range(COUNT)]
    assert {(each["version"], each["protected"]) for each in found["servers"]} == {(18, False)}
    print(f"{COUNT} servers in {seconds:.1f} s")
    assert seconds < SECONDS

    assert ansible.site(**role_variables).status == 0
    made = ansible.module("backup_job", namespace=namespace)
    assert not made["failed"], made["msg"]
    variables: dict[str, Any] = {"postgres_backup_namespaces": [server.namespace, namespace]}
    playbook = str(CHECKOUT / "playbooks" / "unprotected.yml")
    shown = ansible(playbook, postgres_backup_unprotected_fail=True, **variables)
    assert shown.status == 0, shown.output
    assert "1 server, 1 with a backup younger than 26h" in shown.output
    assert f"{namespace}/{NAME}" in shown.output
    variables["postgres_backup_namespaces"] += [many]
    refused = ansible(playbook, postgres_backup_unprotected_fail=True, **variables)
    assert (
        refused.status != 0
        and f"101 servers, 1 with a backup younger than 26h, without: {many}/db-000" in refused.output
    )
    assert ansible(playbook, **variables).status == 0
