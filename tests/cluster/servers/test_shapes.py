# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A server with the names of the official image or of an operator, and no variable but the namespace.

The server is always the same PostgreSQL; only the names, labels, services and user ids differ. Where they were read
is in plugins/module_utils/_servers/kinds.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.certificates import make_certificates
from tests.cluster.support.kube import NAME, apply, create, delete_namespace, must_get, wait_until
from tests.cluster.support.namespaces import new_namespace
from tests.in_turn import weekly_but

POD, PORT = "shop-0", 5432
_PGO = "postgres-operator.crunchydata.com/"


@dataclass(frozen=True)
class Shape:
    """How a kind of server looks from outside.

    `secret` and `key` have the superuser's password. `leader` is the service of the leader; Patroni writes its
    endpoints unless the kind uses selectors. `ports` are the ports of that service, by name.
    """

    id: str
    leader: str
    secret: str
    key: str
    container: str
    user_id: int
    labels: Mapping[str, str]
    user: str = "postgres"
    ports: Mapping[str, int] = field(default_factory=lambda: {"postgresql": PORT})
    port: int = PORT
    has_selector: bool = False
    variables: Sequence[Mapping[str, Any]] = ()
    tls_secret: str = ""
    # A service whose endpoint is the address of the leader's service.
    alias: str = ""


def of_secret(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


_ZALANDO_SECRET = "postgres.shop.credentials.postgresql.acid.zalan.do"
_OF_PGO = {f"{_PGO}cluster": "shop", f"{_PGO}data": "postgres", f"{_PGO}instance": POD, f"{_PGO}role": "master"}
SHAPES = {
    "image": Shape(
        id="image/shop",
        leader="shop",
        secret="shop-database",  # noqa: S106 - a name
        key="password",
        container="db",
        user_id=999,
        labels={"app": "shop"},
        user="owner",
        has_selector=True,
        variables=(
            {"name": "POSTGRES_USER", "value": "owner"},
            of_secret("POSTGRES_PASSWORD", "shop-database", "password"),
        ),
    ),
    "zalando": Shape(
        id="Zalando/shop",
        leader="shop",
        secret=_ZALANDO_SECRET,
        key="password",
        container="postgres",
        user_id=101,
        labels={"application": "spilo", "cluster-name": "shop", "team": "shop", "spilo-role": "master"},
        variables=(
            {"name": "SCOPE", "value": "shop"},
            {"name": "PGVERSION", "value": "18"},
            {"name": "PGUSER_SUPERUSER", "value": "postgres"},
            of_secret("PGPASSWORD_SUPERUSER", _ZALANDO_SECRET, "password"),
        ),
    ),
    "crunchy": Shape(
        id="Crunchy/shop",
        leader="shop-ha",
        secret="shop-pguser-postgres",  # noqa: S106 - a name
        key="password",
        container="database",
        user_id=26,
        labels=_OF_PGO,
        tls_secret="shop-cluster-cert",  # noqa: S106 - a name
        alias="shop-primary",
    ),
    "percona": Shape(
        id="Percona/shop",
        leader="shop-ha",
        secret="shop-pguser-postgres",  # noqa: S106 - a name
        key="password",
        container="database",
        user_id=26,
        labels={
            **_OF_PGO,
            "app.kubernetes.io/name": "percona-postgresql",
            "app.kubernetes.io/managed-by": "percona-postgresql-operator",
            "app.kubernetes.io/instance": "shop",
        },
        tls_secret="shop-cluster-cert",  # noqa: S106 - a name
        alias="shop-primary",
    ),
    "stackgres": Shape(
        id="StackGres/shop",
        leader="shop",
        secret="shop",  # noqa: S106 - a name
        key="superuser-password",
        container="patroni",
        user_id=999,
        labels={
            "app": "StackGresCluster",
            "stackgres.io/cluster": "true",
            "stackgres.io/cluster-name": "shop",
            "role": "master",
        },
        # Nothing listens at the pooler's port here.
        ports={"pgport": 5432, "pgreplication": 5433},
        port=5433,
    ),
}


def pod(shape: Shape, namespace: str) -> dict[str, Any]:
    command = 'POSTGRES_PASSWORD=$(cat /superuser/password) exec docker-entrypoint.sh "$@"'
    server = ["postgres", "-c", "fsync=off"]
    if shape.tls_secret:
        server += ["-c", "ssl=on", "-c", "ssl_cert_file=/tls/tls.crt", "-c", "ssl_key_file=/tls/tls.key"]
    names_password = any(each["name"] == "POSTGRES_PASSWORD" for each in shape.variables)
    volumes: list[dict[str, Any]] = [{"name": "data", "emptyDir": {}}]
    mounts = [{"name": "data", "mountPath": "/var/lib/postgresql"}]
    secrets = {"superuser": (shape.secret, [{"key": shape.key, "path": "password"}])}
    if shape.tls_secret:
        secrets["tls"] = (shape.tls_secret, [{"key": name, "path": name} for name in ("tls.crt", "tls.key")])
    for name, (secret, items) in secrets.items():
        volumes.append({"name": name, "secret": {"secretName": secret, "items": items, "defaultMode": 0o640}})
        mounts.append({"name": name, "mountPath": f"/{name}"})
    container = {
        "name": shape.container,
        "image": "localhost/postgresql:18-debian",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "args": server if names_password else ["sh", "-c", command, "sh", *server],
        "env": [*shape.variables],
        "ports": [{"name": "postgresql", "containerPort": PORT}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-U", "postgres", "-h", "127.0.0.1"]},
            "periodSeconds": 1,
        },
        "volumeMounts": mounts,
    }
    user = {"runAsUser": shape.user_id, "runAsGroup": shape.user_id, "fsGroup": shape.user_id, "runAsNonRoot": True}
    spec = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {**user, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": volumes,
    }
    about = {"name": POD, "namespace": namespace, "labels": {**shape.labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


def service(name: str, namespace: str, shape: Shape, selector: Mapping[str, str]) -> dict[str, Any]:
    ports = [{"name": port, "port": number, "targetPort": PORT} for port, number in shape.ports.items()]
    about = {"name": name, "namespace": namespace, "labels": {**shape.labels}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": about,
        "spec": {"ports": ports, **({"selector": {**selector}} if selector else {})},
    }


def endpoints(name: str, namespace: str, shape: Shape, address: dict[str, Any]) -> dict[str, Any]:
    """As Patroni writes them; Kubernetes makes EndpointSlices of them."""
    ports = [{"name": port, "port": PORT} for port in shape.ports]
    about = {"name": name, "namespace": namespace, "labels": {**shape.labels}}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": about,
        "subsets": [{"addresses": [address], "ports": ports}],
    }


def bring_up(shape: Shape, namespace: str, folder: Path) -> None:
    def secret(name: str, data: dict[str, str]) -> dict[str, Any]:
        about = {"name": name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "stringData": data}

    objects = [secret(shape.secret, {shape.key: "of the superuser"})]
    if shape.tls_secret:
        objects.append(secret(shape.tls_secret, make_certificates(folder, namespace, ("shop-primary",))))
    create(*objects)
    create(pod(shape, namespace))
    apply(service(shape.leader, namespace, shape, shape.labels if shape.has_selector else {}))
    wait_until(lambda: is_ready(namespace), "the server is ready", 120)
    if not shape.has_selector:
        status = must_get("pod", POD, namespace)
        target = {"kind": "Pod", "name": POD, "namespace": namespace, "uid": status["metadata"]["uid"]}
        address = {"ip": status["status"]["podIP"], "targetRef": target}
        apply(endpoints(shape.leader, namespace, shape, address))
    if shape.alias:
        leader = must_get("service", shape.leader, namespace)
        apply(service(shape.alias, namespace, shape, {}))
        apply(endpoints(shape.alias, namespace, shape, {"ip": leader["spec"]["clusterIP"]}))


def is_ready(namespace: str) -> bool:
    conditions = must_get("pod", POD, namespace)["status"].get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


@pytest.fixture
def namespace() -> Iterator[str]:
    """An empty namespace, without the Secret of the shared server."""
    name = new_namespace("shape")
    yield name
    delete_namespace(name)


@pytest.mark.parametrize("name", weekly_but(SHAPES, "image"))
def test_server_is_found_and_backed_up(name: str, namespace: str, ansible: Ansible, tmp_path: Path) -> None:
    shape = SHAPES[name]
    bring_up(shape, namespace, tmp_path)
    play = ansible.site(namespace=namespace)
    assert play.status == 0, play.output
    assert shape.id in play.output
    template = must_get("cronjob", NAME, namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = template["containers"]
    variables = {each["name"]: each for each in container["env"]}
    host = f"{shape.leader}.{namespace}.svc.cluster.local"
    assert variables["POSTGRES_BACKUP_HOST"]["value"] == host
    assert variables["POSTGRES_BACKUP_PORT"]["value"] == str(shape.port)
    assert variables["POSTGRES_BACKUP_USER"]["value"] == shape.user
    assert variables["PGPASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": shape.secret, "key": shape.key}
    assert template["securityContext"]["runAsUser"] == shape.user_id
    made = ansible.module("backup_job", namespace=namespace)
    assert not made["failed"], made["msg"]
    assert made["result"]["backup_state"] == "complete"
