# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The server behind a service, for the role and for backup_info: one table, two faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.installation import installation
from plugins.module_utils._cluster.prerequisites import Server, read_server
from plugins.module_utils._jobs.postgres_server import (
    ServiceName,
    labels_problem,
    major_of_image,
    postgres_server,
    service_behind,
)
from plugins.module_utils.errors import NotFoundError

from ..cronjobs import cronjob as backup_cronjob

SELECTOR = {"app": "db"}


def service(**spec: Any) -> dict[str, Any]:
    spec = {"selector": SELECTOR, "ports": [{"port": 5432, "targetPort": 5432}], **spec}
    return {"metadata": {"name": "db", "namespace": "data"}, "spec": spec}


def container(name: str, image: str, *ports: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "image": image, **({"ports": [*ports]} if ports else {}), **more}


def pod(name: str, *containers: dict[str, Any], ready: bool = True, deleted: bool = False, **spec: Any) -> Any:
    return {
        "metadata": {"name": name, "labels": SELECTOR, **({"deletionTimestamp": "now"} if deleted else {})},
        "spec": {"containers": [*containers], **spec},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


DECLARED = {"containerPort": 5432}
NAMED = {"containerPort": 5433, "name": "tcp-postgresql"}
TO_NAME = [{"port": 5432, "targetPort": "tcp-postgresql"}]
OLD, NEW = (container("db", f"pg:{version}", DECLARED) for version in ("17", "18"))
METRICS = container("metrics", "exporter:1", {"containerPort": 9187, "name": "metrics"})
SIDECAR = container("proxy", "proxy:1", DECLARED, restartPolicy="Always")


@dataclass(frozen=True)
class Case:
    """A service and its pods, and the image, port and problem that are right for them."""

    service: dict[str, Any] | None
    pods: list[Any]
    image: str | None
    port: int | None = None
    problem: str | None = None


CASES = {
    "declared port": Case(service(), [pod("db-0", NEW)], "pg:18", 5432),
    "no target port": Case(service(ports=[{"port": 5432}]), [pod("db-0", NEW)], "pg:18", 5432),
    "named target port": Case(service(ports=TO_NAME), [pod("db-0", container("db", "pg:18", NAMED))], "pg:18", 5433),
    "other container first": Case(service(), [pod("db-0", METRICS, NEW)], "pg:18", 5432),
    "undeclared port": Case(service(), [pod("db-0", container("db", "pg:18"))], "pg:18", 5432),
    "undeclared port, two containers": Case(
        service(), [pod("db-0", container("db", "pg:18"), METRICS)], None, problem="container"
    ),
    "undeclared named port": Case(
        service(ports=TO_NAME), [pod("db-0", container("db", "pg:18"))], None, problem="container"
    ),
    "rolling update, old pod ready": Case(service(), [pod("db-1", OLD), pod("db-0", NEW, ready=False)], "pg:17", 5432),
    "rolling update, both ready": Case(service(), [pod("db-1", OLD), pod("db-0", NEW)], "pg:18", 5432),
    "rolling update, old pod being deleted": Case(
        service(), [pod("db-0", OLD, deleted=True), pod("db-1", NEW)], "pg:18", 5432
    ),
    "sidecar container": Case(
        service(), [pod("db-0", container("db", "pg:18"), initContainers=[SIDECAR])], "proxy:1", 5432
    ),
    "init container with the port": Case(
        service(),
        [pod("db-0", container("db", "pg:18"), initContainers=[container("init", "init:1", DECLARED)])],
        "pg:18",
        5432,
    ),
    "init container that is restarted on failure": Case(
        service(),
        [
            pod(
                "db-0",
                container("db", "pg:18"),
                initContainers=[container("init", "init:1", DECLARED, restartPolicy="OnFailure")],
            )
        ],
        "pg:18",
        5432,
    ),
    "no service": Case(None, [], None, problem="service"),
    "other port": Case(service(ports=[{"port": 5433}]), [pod("db-0", NEW)], None, problem="port"),
    "no ports": Case(service(ports=None), [pod("db-0", NEW)], None, problem="port"),
    "no selector": Case(service(selector=None), [], None, problem="selector"),
    "no pods": Case(service(), [], None, problem="pod"),
    "no ready pod": Case(service(), [pod("db-0", NEW, ready=False)], None, problem="pod"),
    "no status yet": Case(service(), [{**pod("db-0", NEW), "status": {}}], None, problem="pod"),
}


class OneService:
    """In place of the API server: a service and the pods that its selector fits."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def service(self, namespace: str, name: str) -> Any:
        assert (namespace, name) == ("data", "db")
        if self.case.service is None:
            raise NotFoundError("no such service")
        return self.case.service

    def endpoint_slices(self, namespace: str, name: str) -> Any:
        assert (namespace, name) == ("data", "db")
        return []

    def pods(self, namespace: str, selector: str) -> Any:
        assert (namespace, selector) == ("data", "app=db")
        return self.case.pods

    def config_map(self, *_: str) -> Any:
        raise NotFoundError("no such ConfigMap")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_servers_image(case: Case) -> None:
    server = postgres_server(case.service, case.pods, 5432)
    assert (server.image, server.port, server.problem) == (case.image, case.port, case.problem)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_role_and_backup_info_agree(case: Case) -> None:
    connection = cast(Connection, OneService(case))
    seen_by_role = read_server(connection, Server(ServiceName("data", "db"), 5432))
    cronjob = backup_cronjob()
    (backup,) = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    backup["env"] += [{"name": "POSTGRES_BACKUP_HOST", "value": "db.data.svc"}]
    state, notes = installation(connection, cronjob, None)
    assert seen_by_role.get("image") == state.server_image == case.image
    assert notes == []


def test_what_is_known_of_a_server() -> None:
    dedicated = {"key": "dedicated", "operator": "Exists"}
    # Kubernetes adds the second one to every pod.
    tolerations = [dedicated, {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}]
    nodes: dict[str, Any] = {"nodeSelector": {"kubernetes.io/arch": "arm64"}, "tolerations": tolerations}
    pods = [pod("db-0", NEW, imagePullSecrets=[{"name": "pull"}], **nodes)]
    assert postgres_server(service(), pods, 5432).to_dict() == {
        "selector": SELECTOR,
        "pod": "db-0",
        "labels": SELECTOR,
        "container": "db",
        "image": "pg:18",
        "port": 5432,
        "pull_secrets": ["pull"],
        "node_selector": {"kubernetes.io/arch": "arm64"},
        "tolerations": [dedicated],
    }


FOUND = {
    "no service": "no such service",
    "other port": "the ports 5433",
    "no selector": "a service without a selector and without endpoints",
    "no pods": "no pods",
    "no ready pod": "1 pods, none of them ready",
    "undeclared named port": "pod db-0 with the containers db",
}


@pytest.mark.parametrize("name", FOUND)
def test_a_problem_names_what_exists(name: str) -> None:
    case = CASES[name]
    assert postgres_server(case.service, case.pods, 5432).found == FOUND[name]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [({}, None), ({"app": "web"}, None), ({"app": "db"}, "labels"), ({"app": "db", "tier": "backup"}, "labels")],
)
def test_a_service_must_not_select_the_backups_pods(labels: dict[str, str], problem: str | None) -> None:
    server = postgres_server(service(), [pod("db-0", NEW)], 5432)
    conflict = labels_problem(server, labels)
    assert (conflict.problem if conflict else None) == problem
    if conflict:
        assert conflict.to_dict() == {**server.to_dict(), "problem": "labels", "found": '{"app": "db"}'}


HOSTS = {
    "db": ServiceName("data", "db"),
    "db.other": ServiceName("other", "db"),
    "db.other.": ServiceName("other", "db"),
    "db.other.svc": ServiceName("other", "db"),
    "db.other.svc.cluster.local.": ServiceName("other", "db"),
    "db.other.svc.home.lan": ServiceName("other", "db"),
    "db.example.org": None,
    "10.0.0.1": None,
    "fd00::1": None,
    "": None,
}


@pytest.mark.parametrize("host", HOSTS)
def test_the_service_behind_a_host(host: str) -> None:
    assert service_behind(host, "data") == HOSTS[host]


IMAGES = {
    "postgres:18": 18,
    "docker.io/library/postgres:17.2-bookworm": 17,
    "registry.example:5000/bitnami/postgresql:16.4.0-debian-12-r0@sha256:abc": 16,
    "postgis/postgis:15-3.5": 15,
    "timescale/timescaledb:2.17.2-pg16": 16,
    "pgvector/pgvector:pg17": 17,
    "timescale/timescaledb-ha:pg15.8-ts2.17": 15,
    "postgres": None,
    "postgres:latest": None,
    "postgres:9.6": None,
    "postgres:180": None,
    "postgres@sha256:18": None,
    "registry.example:5432/backup": None,
    "postgres:18/backup:latest": None,
    "timescale/timescaledb:17.2": None,
    "backup:pgbouncer": None,
    "": None,
}


@pytest.mark.parametrize("image", IMAGES)
def test_the_major_version_in_the_name_of_an_image(image: str) -> None:
    assert major_of_image(image) == IMAGES[image]
