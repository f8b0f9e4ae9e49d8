# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A connection pooler behind a service, by what its pods look like; servers that look similar are none."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._jobs.pooler import Pooler, pooler_behind
from plugins.module_utils._jobs.postgres_server import postgres_server

CRUNCHY = "postgres-operator.crunchydata.com"


def pod(labels: dict[str, str], image: str, name: str = "main") -> dict[str, Any]:
    return {
        "metadata": {"name": "p-0", "labels": labels},
        "spec": {"containers": [{"name": name, "image": image, "ports": [{"containerPort": 5432}]}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def service(labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 5432}]}}


POOLERS: dict[str, tuple[dict[str, Any], dict[str, Any], Pooler]] = {
    "CloudNativePG, cluster on the service only": (
        service({"cnpg.io/cluster": "shop"}),
        pod({"cnpg.io/poolerName": "pool"}, "ghcr.io/x/pooled:1"),
        Pooler("PgBouncer", "shop-rw"),
    ),
    "CloudNativePG, no cluster": (service(), pod({"cnpg.io/poolerName": "pool"}, "x"), Pooler("PgBouncer")),
    "Zalando": (
        service(),
        pod({"application": "db-connection-pooler", "cluster-name": "acid-shop"}, "registry.example/acid/pooler:32"),
        Pooler("PgBouncer", "acid-shop"),
    ),
    "Crunchy": (
        service(),
        pod({f"{CRUNCHY}/role": "pgbouncer", f"{CRUNCHY}/cluster": "hippo"}, "crunchy-postgres:ubi9"),
        Pooler("PgBouncer", "hippo-primary"),
    ),
    "Bitnami's chart with Pgpool-II": (service(), pod({}, "docker.io/bitnami/pgpool:4.5.2"), Pooler("Pgpool-II")),
    "image with a digest": (service(), pod({}, "edoburu/pgbouncer:v1.24@sha256:abc"), Pooler("PgBouncer")),
    "image with a longer name": (service(), pod({}, "lan:5000/percona-pgbouncer:1.23"), Pooler("PgBouncer")),
    "container's name": (service(), pod({}, "lan/db-tools:1", "odyssey"), Pooler("Odyssey")),
    "label": (service(), pod({"app.kubernetes.io/name": "pgcat"}, "lan/proxy:1"), Pooler("PgCat")),
    "Supavisor": (service(), pod({}, "supabase/supavisor:1.1.56"), Pooler("Supavisor")),
}


@pytest.mark.parametrize("name", POOLERS)
def test_poolers(name: str) -> None:
    of, behind, pooler = POOLERS[name]
    assert pooler_behind(of, behind, behind["spec"]["containers"][0], 5432) == pooler
    server = postgres_server(of, [behind], 5432)
    assert (server.problem, server.direct_service, server.image) == ("pooler", pooler.service, None)
    assert server.found == f"the connection pooler {pooler.name} in the pod p-0"


SERVERS = {
    "CloudNativePG": pod({"cnpg.io/cluster": "shop"}, "ghcr.io/cloudnative-pg/postgresql:18", "postgres"),
    "Zalando": pod({"application": "spilo", "cluster-name": "acid-shop"}, "ghcr.io/zalando/spilo-17:4.0", "postgres"),
    "Crunchy": pod({f"{CRUNCHY}/role": "primary", f"{CRUNCHY}/cluster": "hippo"}, "crunchy-postgres:ubi9", "database"),
    "an address in the image's name": pod({}, "pgbouncer.example.org:5000/postgres:18"),
    "a folder in the image's name": pod({}, "lan/pgbouncer/postgres:18"),
    "an exporter": pod({}, "prom/pgbouncer-exporter:1", "pgbouncer-metrics"),
    "a word that only begins alike": pod({}, "lan/pgpools18:1", "odysseys"),
    "no image yet": pod({}, ""),
}


@pytest.mark.parametrize("name", SERVERS)
def test_servers(name: str) -> None:
    behind = SERVERS[name]
    assert pooler_behind(service(), behind, behind["spec"]["containers"][0], 5432) is None
    assert postgres_server(service(), [behind], 5432).problem is None


def test_a_pooler_beside_the_server_does_not_serve_its_port() -> None:
    behind = pod({}, "postgres:18")
    behind["spec"]["containers"].append(
        {"name": "pgbouncer", "image": "pgbouncer:1", "ports": [{"containerPort": 6432}]}
    )
    assert postgres_server(service(), [behind], 5432).image == "postgres:18"
    pooled = {"metadata": {}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 5432, "targetPort": 6432}]}}
    assert postgres_server(pooled, [behind], 5432).problem == "pooler"


def stackgres(*, pooling: bool, envoy: bool) -> dict[str, Any]:
    """A pod of StackGres. Without Envoy, PgBouncer or else PostgreSQL has the port `pgport`."""
    containers: list[dict[str, Any]] = [{"name": "patroni", "image": "pg:18", "ports": []}]
    replication, entry = {"name": "pgreplication", "containerPort": 5432}, {"name": "pgport", "containerPort": 5432}
    if pooling:
        containers.append({"name": "pgbouncer", "image": "pgbouncer:1", "ports": []})
    if envoy:
        ports = [{"name": "pgport", "containerPort": 7432}, {"name": "pgreplication", "containerPort": 7433}]
        containers.append({"name": "envoy", "image": "envoy:1", "ports": ports})
    elif pooling:
        containers[0]["ports"] = [replication]
        containers[1]["ports"] = [{"name": "pgport", "containerPort": 6432}]
    else:
        containers[0]["ports"] = [entry]
    behind = pod({"app": "StackGresCluster"}, "x")
    behind["spec"]["containers"] = containers
    return behind


STACKGRES = [
    (stackgres(pooling=True, envoy=True), 5432, ("pooler", 5433, None)),
    (stackgres(pooling=True, envoy=True), 5433, (None, None, "pg:18")),
    (stackgres(pooling=True, envoy=False), 5432, ("pooler", 5433, None)),
    (stackgres(pooling=True, envoy=False), 5433, (None, None, "pg:18")),
    (stackgres(pooling=False, envoy=True), 5432, (None, None, "pg:18")),
    (stackgres(pooling=False, envoy=False), 5432, (None, None, "pg:18")),
]


@pytest.mark.parametrize(("behind", "port", "expected"), STACKGRES)
def test_stackgres(behind: dict[str, Any], port: int, expected: tuple[str | None, int | None, str | None]) -> None:
    ports = [{"port": 5432, "targetPort": "pgport"}, {"port": 5433, "targetPort": "pgreplication"}]
    of = {"metadata": {}, "spec": {"selector": {"a": "b"}, "ports": ports}}
    server = postgres_server(of, [behind], port)
    assert (server.problem, server.direct_port, server.image) == expected
