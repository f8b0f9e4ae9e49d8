# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Services, pods and EndpointSlices in the shape that operators, charts and people give them."""

from __future__ import annotations

from typing import Any

from plugins.module_utils._servers.find import ClusterObjects, find_servers
from plugins.module_utils._servers.found_server import FoundServer

Object = dict[str, Any]
NAMESPACE = "data"


def service(name: str, selector: dict[str, str] | None = None, *ports: Object, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": selector,
            "ports": [*ports] or [{"name": "postgresql", "port": 5432, "targetPort": 5432}],
            **spec,
        },
    }


def container(name: str, image: str, *env: Object, port: int | None = 5432, **fields: Any) -> Object:
    ports = [{"containerPort": port}] if port else []
    return {"name": name, "image": image, "env": [*env], "ports": ports, **fields}


def pod(name: str, labels: dict[str, str], *containers: Object, is_ready: bool = True, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [*containers], **spec},
        "status": {"conditions": [{"type": "Ready", "status": "True" if is_ready else "False"}]},
    }


def endpoint_slice(service_name: str, *pods: str, address: str = "10.0.0.1") -> Object:
    endpoints: list[Object] = [
        {"addresses": [f"10.1.0.{number}"], "targetRef": {"kind": "Pod", "name": name}}
        for number, name in enumerate(pods)
    ]
    return {
        "metadata": {
            "name": f"{service_name}-x",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "endpoints": endpoints or [{"addresses": [address]}],
        "ports": [{"name": "postgresql", "port": 5432}],
    }


def value(name: str, text: str) -> Object:
    return {"name": name, "value": text}


def from_secret(name: str, secret: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def find(*objects: Object) -> list[FoundServer]:
    """The servers among these objects: pods have containers, EndpointSlices have endpoints, services the rest."""
    return find_servers(
        ClusterObjects(
            services=[each for each in objects if "ports" in each.get("spec", {})],
            pods=[each for each in objects if "containers" in each.get("spec", {})],
            slices=[each for each in objects if "endpoints" in each],
        )
    )


def cloudnativepg(name: str = "shop") -> list[Object]:
    labels = {"cnpg.io/cluster": name, "cnpg.io/podRole": "instance"}
    primary = labels | {"cnpg.io/instanceRole": "primary", "role": "primary"}
    replica = labels | {"cnpg.io/instanceRole": "replica", "role": "replica"}
    image = container("postgres", "ghcr.io/cloudnative-pg/postgresql:17.5")
    pooler = {"cnpg.io/cluster": name, "cnpg.io/poolerName": "pooler"}
    return [
        service(f"{name}-rw", {"cnpg.io/cluster": name, "cnpg.io/instanceRole": "primary"}),
        service(f"{name}-ro", {"cnpg.io/cluster": name, "cnpg.io/instanceRole": "replica"}),
        service(f"{name}-r", {"cnpg.io/cluster": name, "cnpg.io/podRole": "instance"}),
        service("pooler", {"cnpg.io/poolerName": "pooler"}),
        pod(f"{name}-1", replica, image, securityContext={"runAsUser": 26}),
        pod(f"{name}-2", primary, image, securityContext={"runAsUser": 26}),
        pod("pooler-1", pooler, container("pgbouncer", "ghcr.io/cloudnative-pg/pgbouncer:1.24")),
        # The Job that creates the cluster has its label, too.
        pod(f"{name}-1-initdb-x", {"cnpg.io/cluster": name, "cnpg.io/jobRole": "initdb"}, image, is_ready=False),
    ]


def zalando(name: str = "acid-shop") -> list[Object]:
    labels = {"application": "spilo", "cluster-name": name}
    spilo = container(
        "postgres",
        "ghcr.io/zalando/spilo-18:4.1-p2",
        value("PGUSER_SUPERUSER", "postgres"),
        from_secret("PGPASSWORD_SUPERUSER", f"postgres.{name}.credentials.postgresql.acid.zalan.do", "password"),
        value("PGVERSION", "17"),
    )
    pooler = {"application": "db-connection-pooler", "cluster-name": name}
    return [
        service(name),
        service(f"{name}-repl", labels | {"spilo-role": "replica"}),
        service(f"{name}-pooler", pooler),
        endpoint_slice(name, f"{name}-0"),
        pod(f"{name}-0", labels | {"spilo-role": "master"}, spilo),
        pod(f"{name}-1", labels | {"spilo-role": "replica"}, spilo),
        pod(f"{name}-pooler-x", pooler, container("connection-pooler", "pgbouncer:1")),
    ]


def crunchy(name: str = "hippo", **labels: str) -> list[Object]:
    prefix = "postgres-operator.crunchydata.com/"
    common = {f"{prefix}cluster": name, **{key.replace("__", "/").replace("_", "."): labels[key] for key in labels}}
    database = container(
        "database", "registry.developers.crunchydata.com/crunchydata/crunchy-postgres:ubi9-17.5-2520", port=None
    )
    database["ports"] = [{"name": "postgres", "containerPort": 5432}]
    port = {"name": "postgres", "port": 5432, "targetPort": "postgres"}
    instance = {f"{prefix}data": "postgres", f"{prefix}instance-set": "one", f"{prefix}patroni": f"{name}-ha"}
    return [
        service(f"{name}-ha", None, port),
        endpoint_slice(f"{name}-ha", f"{name}-one-abcd-0"),
        service(f"{name}-primary", None, port, clusterIP="None"),
        endpoint_slice(f"{name}-primary"),
        service(f"{name}-replicas", {f"{prefix}cluster": name, f"{prefix}role": "replica"}, port),
        service(f"{name}-pgbouncer", {f"{prefix}cluster": name, f"{prefix}role": "pgbouncer"}),
        pod(f"{name}-one-abcd-0", common | instance | {f"{prefix}role": "master"}, database),
        pod(f"{name}-one-efgh-0", common | instance | {f"{prefix}role": "replica"}, database),
        pod(
            f"{name}-pgbouncer-x",
            common | {f"{prefix}role": "pgbouncer"},
            container("pgbouncer", "crunchy-pgbouncer:1"),
        ),
        pod(
            f"{name}-repo-host-0",
            common | {f"{prefix}data": "pgbackrest"},
            container("pgbackrest", "crunchy-pgbackrest:1", port=None),
        ),
    ]


def stackgres(name: str = "stack") -> list[Object]:
    labels = {
        "app": "StackGresCluster",
        "stackgres.io/cluster": "true",
        "stackgres.io/cluster-name": name,
        "stackgres.io/cluster-scope": name,
    }
    envoy = container("envoy", "quay.io/ongres/envoy:v1", port=None)
    envoy["ports"] = [{"name": "pgport", "containerPort": 7432}, {"name": "pgreplication", "containerPort": 7433}]
    ports = [
        {"name": "pgport", "port": 5432, "targetPort": "pgport"},
        {"name": "pgreplication", "port": 5433, "targetPort": "pgreplication"},
    ]
    return [
        service(name, None, *ports),
        endpoint_slice(name, f"{name}-0"),
        service(f"{name}-replicas", labels | {"role": "replica"}, *ports),
        pod(
            f"{name}-0",
            labels | {"role": "primary"},
            container("patroni", "quay.io/ongres/patroni:v4.0.4-pg17.4-build-6.38", port=None),
            envoy,
            container("pgbouncer", "quay.io/ongres/pgbouncer:v1", port=None),
        ),
    ]


def patroni(name: str = "batman") -> list[Object]:
    labels = {"application": "patroni", "cluster-name": name}
    env = [
        value("PATRONI_SCOPE", name),
        value("PATRONI_SUPERUSER_USERNAME", "admin"),
        from_secret("PATRONI_SUPERUSER_PASSWORD", name, "superuser-password"),
    ]
    program = container(name, "registry.example/patroni", *env)
    return [
        service(name),
        service(f"{name}-repl", labels | {"role": "replica"}),
        service(f"{name}-config", None, clusterIP="None", ports=[]),
        endpoint_slice(name, f"{name}-1"),
        pod(f"{name}-0", labels | {"role": "replica"}, program),
        pod(f"{name}-1", labels | {"role": "primary"}, program),
    ]


def bitnami(name: str = "db", *env: Object, image: str = "docker.io/bitnami/postgresql:17.6.0") -> list[Object]:
    labels = {"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": name}
    primary = labels | {"app.kubernetes.io/component": "primary"}
    env = env or (value("POSTGRES_PASSWORD_FILE", "/opt/bitnami/postgresql/secrets/postgres-password"),)
    postgresql = container(
        "postgresql",
        image,
        *env,
        securityContext={"runAsUser": 1001},
        volumeMounts=[{"name": "password", "mountPath": "/opt/bitnami/postgresql/secrets/"}],
    )
    volume = {"name": "password", "secret": {"secretName": f"{name}-postgresql"}}
    return [
        service(f"{name}-postgresql", primary),
        service(f"{name}-postgresql-hl", primary, clusterIP="None"),
        pod(f"{name}-postgresql-0", primary, postgresql, volumes=[volume]),
    ]


def official(name: str = "app-db", *env: Object, image: str = "postgres:18.1", **fields: Any) -> list[Object]:
    labels = {"app": name}
    env = env or (value("POSTGRES_USER", "app"), from_secret("POSTGRES_PASSWORD", f"{name}-login", "password"))
    return [service(name, labels), pod(f"{name}-7d9", labels, container("db", image, *env, **fields))]
