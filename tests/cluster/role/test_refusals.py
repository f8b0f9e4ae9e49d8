# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is missing, or what only the API server can judge, is refused before anything is created."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import apply, delete_namespace, kubectl
from tests.cluster.support.namespaces import new_namespace, secret
from tests.cluster.support.servers import Server
from tests.in_turn import weekly_but

CLIENT = {"app": "client"}
POOLER = {"cnpg.io/poolerName": "pooled", "cnpg.io/cluster": "shop"}


def pooler(namespace: str) -> dict[str, Any]:
    """A pod with the labels of CloudNativePG's poolers; nothing connects to it."""
    container = {
        "name": "pgbouncer",
        "image": "localhost/postgresql:18-bitnami",
        "command": ["sleep", "infinity"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1001, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pooled-0", "namespace": namespace, "labels": POOLER},
        "spec": {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0},
    }


def addresses(namespace: str) -> dict[str, Any]:
    """The EndpointSlice of a service without a selector: a server outside the cluster."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "outside-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": "outside"}},
        "addressType": "IPv4",
        "ports": [{"name": "db", "port": 5432}],
        "endpoints": [{"addresses": ["192.0.2.7"]}],
    }


@pytest.fixture(scope="module")
def empty(server: Server) -> Iterator[str]:
    """One namespace for all refusals, which leave nothing in it: a secret, and services that lead nowhere."""
    name = new_namespace("refuse")
    service = {"apiVersion": "v1", "kind": "Service"}
    port = {"name": "db", "port": 5432}
    apply(
        secret(name, server.password),
        {**service, "metadata": {"name": "deaf", "namespace": name}, "spec": {"selector": CLIENT, "ports": [port]}},
        {**service, "metadata": {"name": "bare", "namespace": name}, "spec": {"ports": [port]}},
        {**service, "metadata": {"name": "outside", "namespace": name}, "spec": {"ports": [port]}},
        {**service, "metadata": {"name": "pooled", "namespace": name}, "spec": {"selector": POOLER, "ports": [port]}},
        addresses(name),
        pooler(name),
    )
    kubectl("wait", "--for=condition=Ready", "pod/pooled-0", "-n", name, "--timeout=60s")
    yield name
    delete_namespace(name)


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "namespace": (
        {"namespace": "no-such-namespace"},
        ["postgres_backup_namespace: expected a namespace that exists, found none named no-such-namespace."],
    ),
    "secret, pod and CA": (
        {"secret_name": "no-such-secret", "host": "deaf", "ssl_ca": {"secret": "no-such-ca"}},
        [
            "postgres_backup_secret_name: expected the Secret {namespace}/no-such-secret with the server's password",
            "postgres_backup_host: expected a ready pod behind the service {namespace}/deaf, found no pods.",
            "postgres_backup_ssl_ca: expected the Secret {namespace}/no-such-ca with the CA certificate, found none.",
        ],
    ),
    "keys and port": (
        {"secret_key": "no-key", "port": 5433, "ssl_ca": {"config_map": "kube-root-ca.crt", "key": "other"}},
        [
            "postgres_backup_secret_key: expected the key no-key in the Secret {namespace}/postgres-postgresql, "
            "found postgres-password.",
            "postgres_backup_port: expected the service {server}/postgres-postgresql to serve port 5433, found ",
            "postgres_backup_ssl_ca: expected the key other in the ConfigMap {namespace}/kube-root-ca.crt, found ",
        ],
    ),
    "service": (
        {"host": "no-such-service"},
        [
            "postgres_backup_host: expected the service {namespace}/no-such-service behind no-such-service, found no ",
        ],
    ),
    "selector": (
        {"host": "bare"},
        ["postgres_backup_image: expected pods behind the service {namespace}/bare that show the server's image"],
    ),
    "addresses without pods": (
        {"host": "outside"},
        [
            "postgres_backup_image: expected pods behind the service {namespace}/outside that show the server's image, "
            "found a service without a selector, whose EndpointSlices name no pods for 192.0.2.7."
        ],
    ),
    "pooler": (
        {"host": "pooled", "ssl_cert": {"secret": "postgres-postgresql"}},
        [
            "postgres_backup_host: expected PostgreSQL itself behind the service {namespace}/pooled, found the "
            "connection pooler PgBouncer in the pod pooled-0: ",
            "Set postgres_backup_host to shop-rw.{namespace}.svc.cluster.local.",
            "postgres_backup_ssl_cert: expected the key tls.crt in the Secret {namespace}/postgres-postgresql, found ",
        ],
    ),
    "policy of the server": (
        {"server_network_policy": True},
        ["postgres_backup_server_network_policy: expected a NetworkPolicy in {server} that already isolates"],
    ),
    # What only the API server knows, all at once.
    "class and objects": (
        {
            "storage_class": "no-such-class",
            "time_zone": "Mars/Base",
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
            "tolerations": [{"key": "a", "operator": "Sometimes"}],
            "pod_labels": {"not a label": "x"},
            "pod_annotations": {"not an annotation": "x"},
            "node_selector": {"not a label": "x"},
            "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
        },
        [
            "postgres_backup_storage_class: expected a StorageClass that exists, found none named no-such-class among ",
            "postgres_backup_time_zone: the API server refuses it: spec.timeZone: ",
            "postgres_backup_affinity: the API server refuses it: ",
            "postgres_backup_tolerations: the API server refuses it: ",
            "postgres_backup_pod_labels: the API server refuses it: ",
            "postgres_backup_pod_annotations: the API server refuses it: ",
            "postgres_backup_node_selector: the API server refuses it: ",
            "postgres_backup_resources: the API server refuses it: ",
        ],
    ),
    "unknown field": (
        {"affinity": {"nodeAfinity": {}}},
        ["postgres_backup_affinity: the API server refuses it: unknown"],
    ),
    "wrong shape": ({"affinity": {"nodeAffinity": "x"}}, ["postgres_backup_affinity: the API server refuses it: "]),
}


@pytest.mark.parametrize(
    "case",
    weekly_but(CASES, "secret, pod and CA", "policy of the server"),
)
def test_refusal_names_the_variable(ansible: Ansible, empty: str, server: Server, case: str) -> None:
    variables, expected = CASES[case]
    variables = {"namespace": empty, "host": server.host, **variables}
    play = ansible.site(**variables)
    assert play.status != 0
    assert play.changed == 0
    for message in expected:
        assert message.format(namespace=empty, server=server.namespace) in play.output, play.output
    kinds = "persistentvolumeclaims,cronjobs,networkpolicies,configmaps,serviceaccounts"
    there = kubectl("get", kinds, "-n", empty, "-o", "name").split()
    assert there == ["configmap/kube-root-ca.crt", "serviceaccount/default"]
    assert not list(ansible.folder.iterdir())
