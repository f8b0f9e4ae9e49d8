# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which servers are found among services, pods and EndpointSlices, and how each kind is backed up."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from plugins.module_utils._servers.kinds import CONVENTIONS, OPERATORS

from .shapes import (
    Object,
    bitnami,
    cloudnativepg,
    container,
    crunchy,
    endpoint_slice,
    find,
    from_secret,
    official,
    patroni,
    pod,
    service,
    stackgres,
    value,
    zalando,
)

# Kind, objects, and what is found; `service` leads to the server that accepts writes.
SHAPES: list[tuple[str, list[Object], dict[str, Any]]] = [
    (
        "CloudNativePG",
        cloudnativepg(),
        {
            "name": "shop",
            "service": "shop-rw",
            "services": ("shop-r", "shop-ro", "shop-rw"),
            "pods": ("shop-1", "shop-2"),
            "secret_name": "shop-superuser",
            "secret_key": "password",
            "sslmode": "verify-ca",
            "ssl_ca": {"secret": "shop-ca", "key": "ca.crt"},
            "run_as_user": 26,
            "version": 17,
        },
    ),
    (
        "Zalando",
        zalando(),
        {
            "name": "acid-shop",
            "service": "acid-shop",
            "services": ("acid-shop", "acid-shop-repl"),
            "pods": ("acid-shop-0", "acid-shop-1"),
            "secret_name": "postgres.acid-shop.credentials.postgresql.acid.zalan.do",
            "secret_key": "password",
            "run_as_user": 101,
            "version": 17,
            "sslmode": "",
        },
    ),
    (
        "Crunchy",
        crunchy(),
        {
            "name": "hippo",
            "service": "hippo-ha",
            "services": ("hippo-ha", "hippo-primary", "hippo-replicas"),
            "pods": ("hippo-one-abcd-0", "hippo-one-efgh-0"),
            "secret_name": "hippo-pguser-postgres",
            "ssl_ca": {"secret": "hippo-cluster-cert", "key": "ca.crt"},
            "run_as_user": 26,
            "version": 17,
        },
    ),
    (
        "Percona",
        crunchy("cluster1", app_kubernetes_io__name="percona-postgresql"),
        {"name": "cluster1", "service": "cluster1-ha", "secret_name": "cluster1-pguser-postgres"},
    ),
    (
        "StackGres",
        stackgres(),
        {
            "name": "stack",
            "service": "stack",
            "port": 5433,
            "image": "quay.io/ongres/patroni:v4.0.4-pg17.4-build-6.38",
            "secret_name": "stack",
            "secret_key": "superuser-password",
            "run_as_user": 999,
            "version": 17,
        },
    ),
    (
        "Patroni",
        patroni(),
        {
            "name": "batman",
            "service": "batman",
            "services": ("batman", "batman-repl"),
            "pods": ("batman-0", "batman-1"),
            "user": "admin",
            "secret_name": "batman",
            "secret_key": "superuser-password",
            "version": None,
        },
    ),
    (
        "Bitnami",
        bitnami(),
        {
            "name": "db",
            "service": "db-postgresql",
            "services": ("db-postgresql", "db-postgresql-hl"),
            "user": "postgres",
            "secret_name": "db-postgresql",
            "secret_key": "postgres-password",
            "run_as_user": 1001,
            "version": 17,
        },
    ),
    (
        "image",
        official(),
        {
            "name": "app-db",
            "service": "app-db",
            "user": "app",
            "secret_name": "app-db-login",
            "secret_key": "password",
            "run_as_user": 999,
            "version": 18,
        },
    ),
]
KINDS = [kind for kind, _objects, _expected in SHAPES]


@pytest.mark.parametrize(("kind", "objects", "expected"), SHAPES, ids=KINDS)
def test_server_of_each_kind(kind: str, objects: list[Object], expected: dict[str, Any]) -> None:
    (server,) = find(*objects)
    assert server.kind == kind
    assert {name: getattr(server, name) for name in expected} == expected
    assert server.host == f"{server.service}.data.svc.cluster.local"


def test_every_kind_has_a_shape_and_a_source() -> None:
    assert {rule.kind for rule in (*OPERATORS, *CONVENTIONS)} == set(KINDS)
    assert all(rule.read_from for rule in (*OPERATORS, *CONVENTIONS))


def test_several_servers_of_all_kinds() -> None:
    objects = [each for _kind, shape, _expected in SHAPES for each in shape]
    assert sorted(server.kind for server in find(*objects, *cloudnativepg("other"))) == sorted(
        [*KINDS, "CloudNativePG"]
    )


def test_objects_of_another_namespace_do_not_count() -> None:
    first, second = official("a"), official("a")
    for made in second:
        made["metadata"]["namespace"] = "other"
    assert [(server.namespace, server.pods) for server in find(*first, *second)] == [
        ("data", ("a-7d9",)),
        ("other", ("a-7d9",)),
    ]
    assert find(first[0], second[1]) == []


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [service("web", {"app": "web"}, {"port": 80}), pod("web", {"app": "web"}, container("web", "nginx", port=80))],
        [service("db", {"app": "db"}), pod("db", {"app": "db"}, container("db", "mysql"))],
        [service("pgbouncer", {"app": "p"}), pod("p", {"app": "p"}, container("p", "pgbouncer:1", value("X", "1")))],
        [service("outside", None), endpoint_slice("outside")],
        [service("db", {"app": "db"})],
        # Without a service, a server cannot be reached by a name that is kept.
        [pod("db", {"app": "db"}, container("db", "postgres:18", value("POSTGRES_PASSWORD", "x")))],
        cloudnativepg()[4:6],
    ],
)
def test_no_server(objects: list[Object]) -> None:
    assert find(*objects) == []


def test_pooler_in_front_of_bitnami_is_not_the_server() -> None:
    pgpool = {"app.kubernetes.io/component": "pgpool", "app.kubernetes.io/instance": "db"}
    objects = [
        service("db-postgresql-ha-pgpool", pgpool),
        pod(
            "pgpool",
            pgpool,
            container("pgpool", "bitnami/pgpool:4", from_secret("PGPOOL_POSTGRES_PASSWORD", "db", "password")),
        ),
        *bitnami(),
    ]
    (server,) = find(*objects)
    assert server.service == "db-postgresql"
    assert "db-postgresql-ha-pgpool" not in server.services


def test_replicas_of_bitnami_belong_to_the_server() -> None:
    labels = {"app.kubernetes.io/instance": "db", "app.kubernetes.io/component": "read"}
    replica = container("postgresql", "bitnami/postgresql:17", from_secret("POSTGRES_PASSWORD", "db-postgresql", "p"))
    objects = [service("db-a-read", labels), pod("db-postgresql-read-0", labels, replica), *bitnami()]
    (server,) = find(*objects)
    assert server.service == "db-postgresql"
    assert server.services == ("db-a-read", "db-postgresql", "db-postgresql-hl")
    assert server.pods == ("db-postgresql-0", "db-postgresql-read-0")


def test_server_without_a_ready_pod_is_found_if_an_operator_runs_it() -> None:
    objects = cloudnativepg()
    for made in objects:
        if "status" in made:
            made["status"]["conditions"][0]["status"] = "False"
    (server,) = find(*objects)
    assert (server.service, server.version) == ("shop-rw", 17)


def test_other_service_if_that_of_the_operator_is_missing() -> None:
    (server,) = find(*cloudnativepg()[1:])
    assert server.service == "shop-r"


def test_other_port_of_a_cluster() -> None:
    objects = crunchy()
    for made in objects:
        for port in made.get("spec", {}).get("ports") or []:
            port["port"] = 5433
    (server,) = find(*objects)
    assert server.port == 5433


def test_secret_that_the_operator_was_told_to_name_in_another_way() -> None:
    objects = zalando()
    for made in objects:
        for each in made["spec"].get("containers", []) if "spec" in made else []:
            for entry in each["env"]:
                if "valueFrom" in entry:
                    entry["valueFrom"]["secretKeyRef"]["name"] = "acid-shop-postgres"
    (server,) = find(*objects)
    assert server.secret_name == "acid-shop-postgres"


USERS = [
    (official(image="postgres:18-alpine"), 70),
    (official(securityContext={"runAsUser": 1000}), 1000),
    (official(securityContext={"runAsUser": 0}), 999),
]


@pytest.mark.parametrize(("objects", "user"), USERS)
def test_user_id(objects: list[Object], user: int) -> None:
    (server,) = find(*objects)
    assert server.run_as_user == user


def test_chart_with_a_user_for_an_application() -> None:
    """auth.username: that user owns one database, and is not a superuser."""
    user = (value("POSTGRES_USER", "app"), from_secret("POSTGRES_PASSWORD", "db-postgresql", "password"))
    (server,) = find(*bitnami("db", *user, from_secret("POSTGRES_POSTGRES_PASSWORD", "db-postgresql", "postgres")))
    assert (server.user, server.secret_name, server.secret_key) == ("postgres", "db-postgresql", "postgres")
    (server,) = find(*bitnami("db", *user))
    assert (server.secret_name, server.secret_key) == ("", "")
    assert "is not a superuser" in server.advice


def test_password_that_is_not_in_a_secret() -> None:
    (server,) = find(*official("db", value("POSTGRES_PASSWORD", "hunter2")))
    assert server.secret_name == ""
    assert "put it into a Secret" in server.advice
    assert "hunter2" not in str(server)


def test_secret_for_all_variables() -> None:
    reference = {"secretRef": {"name": "db-env"}}
    for source, key in (reference, "POSTGRES_PASSWORD"), ({**reference, "prefix": "POSTGRES_"}, "PASSWORD"):
        (server,) = find(*official("db", value("PGDATA", "/data"), envFrom=[{"configMapRef": {"name": "x"}}, source]))
        assert (server.kind, server.secret_name, server.secret_key) == ("image", "db-env", key)


def test_ready_pod_decides() -> None:
    objects = cloudnativepg()
    updated, current = objects[4], objects[5]
    updated["spec"]["containers"] = [container("postgres", "ghcr.io/cloudnative-pg/postgresql:18.1")]
    updated["status"]["conditions"][0]["status"] = "False"
    (server,) = find(*objects)
    assert server.image == current["spec"]["containers"][0]["image"]


def test_pod_of_an_operator_is_not_found_again_by_its_variables() -> None:
    objects = zalando()
    for made in objects:
        for each in made["spec"].get("containers", []) if "spec" in made else []:
            each["env"].append(from_secret("POSTGRES_PASSWORD", "other", "password"))
    assert [server.kind for server in find(*objects)] == ["Zalando"]


def test_two_clusters_whose_services_have_no_selector() -> None:
    assert [(server.name, server.services) for server in find(*patroni("a"), *patroni("b"))] == [
        ("a", ("a", "a-repl")),
        ("b", ("b", "b-repl")),
    ]


def test_order_of_the_services_does_not_matter() -> None:
    """A headless service of two servers does not make them one, so that neither is taken without asking."""
    image = container("db", "postgres:18", from_secret("POSTGRES_PASSWORD", "db", "password"))
    pods = [pod(f"db-{number}", {"app": "db", "number": str(number)}, image) for number in range(2)]
    services = [
        service("db", {"number": "0"}),
        service("db-ro", {"number": "1"}),
        service("db-hl", {"app": "db"}, clusterIP="None"),
    ]
    found = {tuple(server.service for server in find(*order, *pods)) for order in itertools.permutations(services)}
    assert found == {("db", "db-ro")}


def test_service_of_the_leader_wins_over_one_of_all() -> None:
    image = container(
        "db",
        "patroni:4",
        value("PATRONI_SCOPE", "shop"),
        from_secret("PATRONI_SUPERUSER_PASSWORD", "shop", "password"),
    )
    pods = [
        pod(f"shop-{number}", {"app": "shop", "role": role}, image)
        for number, role in enumerate(("replica", "primary"))
    ]
    services = [service("db", {"app": "shop"}), service("db-the-leader", {"app": "shop", "role": "primary"})]
    for order in itertools.permutations(services):
        (server,) = find(*order, *pods)
        assert (server.service, server.services) == ("db-the-leader", ("db", "db-the-leader"))
