# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The server behind a service without a selector, such as Patroni's: its EndpointSlices name the pods."""

from __future__ import annotations

from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.prerequisites import Server, find_server, read_server
from plugins.module_utils._jobs.endpoint_slices import Endpoint, endpoints_of
from plugins.module_utils._jobs.postgres_server import PostgresServer, ServiceName, labels_problem, postgres_server
from plugins.module_utils.errors import ForbiddenError

CLUSTER = {"application": "patroni", "cluster-name": "demo"}
PORT = {"port": 5432, "targetPort": 5432}


def service(labels: dict[str, str] = CLUSTER, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "demo", "labels": labels}, "spec": {"ports": [PORT], **spec}}


def pod(name: str, *containers: str, **labels: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"name": name, "image": f"{name}:18"} for name in containers or ("postgres",)]
    if len(listed) > 1:
        listed[0]["ports"] = [{"containerPort": 5432}]
    # Without conditions: an EndpointSlice shows which endpoints are ready.
    return {"metadata": {"name": name, "labels": {**CLUSTER, **labels}}, "spec": {"containers": listed}}


def endpoint(name: str | None, address: str = "10.0.0.1", ready: bool | None = None) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": name}} if name else {}
    return {"addresses": [address], **target, **({} if ready is None else {"conditions": {"ready": ready}})}


def endpoint_slice(*endpoints: dict[str, Any], **ports: int) -> dict[str, Any]:
    listed = [{"name": name, "port": number} for name, number in ports.items()]
    return {"endpoints": [*endpoints], "ports": listed or [{"port": 5432}]}


def server(slices: list[dict[str, Any]], *pods: dict[str, Any], of: dict[str, Any] | None = None) -> PostgresServer:
    return postgres_server(of or service(), pods, 5432, slices)


def test_the_pod_that_an_endpoint_slice_names() -> None:
    slices = [endpoint_slice(endpoint("demo-1"))]
    pods = [pod("demo-0", role="replica"), pod("demo-1", role="primary"), pod("web-0", "web", application="web")]
    assert server(slices, *pods).to_dict() == {
        "selector": CLUSTER,
        "pod": "demo-1",
        "labels": {**CLUSTER, "role": "primary"},
        "container": "postgres",
        "image": "postgres:18",
        "port": 5432,
        "pull_secrets": [],
        "is_by_endpoints": True,
    }


@pytest.mark.parametrize(
    ("ready", "expected"),
    [(None, "demo-0"), (True, "demo-0"), (False, "demo-1")],
)
def test_the_first_ready_endpoint(ready: bool | None, expected: str) -> None:
    slices = [endpoint_slice(endpoint("demo-1")), endpoint_slice(endpoint("demo-0", ready=ready))]
    assert server(slices, pod("demo-0"), pod("demo-1")).pod == expected


NAMED = {"port": 5432, "name": "postgresql", "targetPort": "postgresql"}
PORTS: list[tuple[dict[str, Any], dict[str, int], int]] = [
    (PORT, {}, 5432),
    ({"port": 5432, "targetPort": 5433}, {"other": 8008}, 5433),
    ({"port": 5432}, {"other": 8008}, 5432),
    (NAMED, {"postgresql": 5433, "api": 8008}, 5433),
]


@pytest.mark.parametrize(("port", "ports", "expected"), PORTS)
def test_the_port_of_the_same_name(port: dict[str, Any], ports: dict[str, int], expected: int) -> None:
    found = server([endpoint_slice(endpoint("demo-0"), **ports)], pod("demo-0"), of=service(ports=[port]))
    assert (found.problem, found.port) == (None, expected)


def test_a_named_port_that_no_endpoint_slice_has() -> None:
    found = server([endpoint_slice(endpoint("demo-0"), api=8008)], pod("demo-0"), of=service(ports=[NAMED]))
    assert (found.problem, found.found) == ("container", "pod demo-0 with the containers postgres")


PROBLEMS: dict[str, tuple[dict[str, Any], list[Any], str, str]] = {
    "nothing behind it": (service(), [], "selector", "a service without a selector and without endpoints"),
    "another name": (
        service(type="ExternalName", externalName="db.example.org"),
        [],
        "selector",
        "a service that is another name of db.example.org",
    ),
    "addresses outside": (
        service(),
        [endpoint_slice(endpoint(None, "192.0.2.7"), endpoint(None, "192.0.2.6"))],
        "selector",
        "a service without a selector, whose EndpointSlices name no pods for 192.0.2.6, 192.0.2.7",
    ),
    "not ready": (
        service(),
        [endpoint_slice(endpoint("demo-1", ready=False), endpoint("demo-0", ready=False))],
        "pod",
        "EndpointSlices with the pods demo-0, demo-1, none of them ready",
    ),
    "a pod that is gone": (
        service(),
        [endpoint_slice(endpoint("demo-9"))],
        "pod",
        "EndpointSlices with the pods demo-9, none of them ready",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_exists_instead(name: str) -> None:
    of, slices, problem, text = PROBLEMS[name]
    found = server(slices, pod("demo-0"), pod("demo-1"), of=of)
    assert (found.problem, found.found, found.image) == (problem, text, None)


def test_labels_that_the_service_and_all_its_pods_have() -> None:
    slices = [endpoint_slice(endpoint("demo-0"), endpoint("demo-1"))]
    pods = [pod("demo-0", zone="a", role="primary"), pod("demo-1", zone="b")]
    assert server(slices, *pods, of=service({"zone": "a", **CLUSTER})).selector == CLUSTER
    assert server(slices, *pods, of=service({})).selector == {}


def test_pods_that_the_labels_select_too() -> None:
    slices = [endpoint_slice(endpoint("demo-0"))]
    pods = [pod("demo-0", "postgres", "exporter"), pod("demo-1"), pod("pooler-0", "pgbouncer")]
    assert server(slices, *pods).other_pods == ("pooler-0",)
    assert server(slices, *pods, of=service({})).other_pods == ()


def test_a_service_without_a_selector_sends_nothing_to_the_backups_pods() -> None:
    assert labels_problem(server([endpoint_slice(endpoint("demo-0"))], pod("demo-0")), CLUSTER) is None


def test_endpoints_are_sorted_and_each_pod_is_there_once() -> None:
    both = [endpoint_slice(endpoint("b"), endpoint(None, "192.0.2.1")), endpoint_slice(endpoint("b", "fd00::2"))]
    ports = {"": 5432}
    assert endpoints_of(both) == [
        Endpoint("192.0.2.1", None, True, ports),
        Endpoint("10.0.0.1", "b", True, ports),
    ]
    assert endpoints_of([{"endpoints": None, "ports": [{}]}]) == []


class Api:
    """In place of the API server: a service without a selector, its EndpointSlices and the namespace's pods.

    The service `behind` has the endpoint demo-0.
    """

    def __init__(self, slices: list[dict[str, Any]] | Exception) -> None:
        self.slices = slices
        self.requests: list[str] = []
        self.listed: list[dict[str, Any]] | Exception = []

    def services(self, namespace: str) -> Any:
        self.requests.append(f"services in {namespace}")
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed

    def service(self, *_: str) -> Any:
        return service()

    def endpoint_slices(self, namespace: str, name: str) -> Any:
        self.requests.append(f"slices of {namespace}/{name}")
        if name == "behind":
            return [endpoint_slice(endpoint("demo-0"))]
        if isinstance(self.slices, Exception):
            raise self.slices
        return self.slices

    def pods(self, namespace: str, selector: str = "") -> Any:
        self.requests.append(f"pods in {namespace}{selector}")
        return [pod("demo-0")]


def test_endpoint_slices_are_read_and_pods_only_where_they_are_named() -> None:
    api = Api([endpoint_slice(endpoint("demo-0"))])
    assert find_server(cast(Connection, api), ServiceName("data", "demo"), 5432).image == "postgres:18"
    assert api.requests == ["slices of data/demo", "pods in data"]
    api = Api([endpoint_slice(endpoint(None))])
    assert find_server(cast(Connection, api), ServiceName("data", "demo"), 5432).problem == "selector"
    assert api.requests == ["slices of data/demo", "services in data"]


def test_endpoint_slices_that_this_user_may_not_read() -> None:
    error = ForbiddenError("this user may not use the EndpointSlices")
    answer = read_server(cast(Connection, Api(error)), Server(ServiceName("data", "demo"), 5432))
    assert answer == {"unreadable": True, "error": str(error)}


def test_an_endpoint_that_is_another_service() -> None:
    """Crunchy's operator: the endpoint of NAME-primary is the cluster IP of NAME-ha."""
    api = Api([endpoint_slice(endpoint(None, "10.96.0.7"))])
    api.listed = [
        {"metadata": {"name": name}, "spec": {"clusterIPs": [address]}}
        for name, address in [("demo", "10.96.0.7"), ("other", "10.96.0.8"), ("behind", "10.96.0.7")]
    ]
    assert find_server(cast(Connection, api), ServiceName("data", "demo"), 5432).pod == "demo-0"
    assert "slices of data/behind" in api.requests
    api.listed = ForbiddenError("no list")
    assert find_server(cast(Connection, api), ServiceName("data", "demo"), 5432).problem == "selector"
