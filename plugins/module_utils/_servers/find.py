# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The PostgreSQL servers among the services and pods of a cluster. Pure: from the objects that were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._jobs.endpoint_slices import SERVICE_LABEL, endpoints_of
from .._jobs.postgres_server import PostgresServer, major_of_image, postgres_server, selector_of
from .found_server import FoundServer
from .kinds import CONVENTIONS, OPERATORS, Convention, Operator
from .pod_environment import PasswordSource, literal_of, password_source

Object = Mapping[str, Any]
_PORT_NAMES = ("postgres", "postgresql", "tcp-postgresql", "pgport", "pgsql")
_POSTGRES_PORT = 5432
_HEADLESS = "None"
_BITNAMI_FOLDER = "/bitnami/"


@dataclass(frozen=True)
class ClusterObjects:
    """Services, pods and EndpointSlices, of one namespace or of several."""

    services: Sequence[Object]
    pods: Sequence[Object]
    slices: Sequence[Object]


def find_servers(objects: ClusterObjects) -> list[FoundServer]:
    """The servers, sorted by namespace and name. Poolers are not among them."""
    pods, slices, services = (_by_namespace(each) for each in (objects.pods, objects.slices, objects.services))
    found: list[FoundServer] = []
    for namespace in services:
        found += _find_in(namespace, services[namespace], pods[namespace], slices[namespace])
    return sorted(found, key=lambda server: (server.namespace, server.name, server.kind))


def _by_namespace(objects: Iterable[Object]) -> dict[str, list[Object]]:
    result: dict[str, list[Object]] = defaultdict(list)
    for one in objects:
        result[one["metadata"].get("namespace", "")].append(one)
    return result


@dataclass(frozen=True)
class _Candidate:
    """A service that leads to PostgreSQL, and the pods behind it."""

    service: Object
    port: int
    server: PostgresServer
    pod: Object
    pods: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.service["metadata"]["name"])


def _find_in(
    namespace: str, services: Sequence[Object], pods: Sequence[Object], slices: Sequence[Object]
) -> list[FoundServer]:
    groups: dict[tuple[str, object], list[tuple[_Candidate, FoundServer]]] = defaultdict(list)
    for candidate in _candidates(services, pods, slices):
        server = _by_operator(namespace, candidate) or _by_convention(namespace, candidate)
        if server is not None:
            # Without another name, a server has that of one of its services.
            identity = candidate.pods if server.name == candidate.name else server.name
            groups[server.kind, identity].append((candidate, server))
    return [_merged(group) for group in groups.values()]


def _candidates(services: Sequence[Object], pods: Sequence[Object], slices: Sequence[Object]) -> Iterable[_Candidate]:
    for service in services:
        selector = selector_of(service)
        if selector:
            behind = [pod for pod in pods if selector.items() <= (pod["metadata"].get("labels") or {}).items()]
            own: list[Object] = []
        else:
            own = [each for each in slices if _service_of(each) == service["metadata"]["name"]]
            names = {endpoint.pod for endpoint in endpoints_of(own)}
            behind = [pod for pod in pods if pod["metadata"]["name"] in names]
        for port in _ports(service):
            server = postgres_server(service, behind, port, own)
            pod = next((each for each in behind if each["metadata"]["name"] == server.pod), None)
            if server.image and pod is not None:
                yield _Candidate(
                    service, port, server, pod, tuple(sorted(str(each["metadata"]["name"]) for each in behind))
                )


def _service_of(endpoint_slice: Object) -> str | None:
    return (endpoint_slice["metadata"].get("labels") or {}).get(SERVICE_LABEL)


def _ports(service: Object) -> list[int]:
    """The ports that may be PostgreSQL's, by number or name."""
    ports = (service.get("spec") or {}).get("ports") or []
    return [
        port["port"]
        for port in ports
        if _POSTGRES_PORT in (port["port"], port.get("targetPort")) or port.get("name") in _PORT_NAMES
    ]


def _base(namespace: str, candidate: _Candidate, kind: str, name: str) -> FoundServer:
    image = str(candidate.server.image)
    return FoundServer(
        kind=kind,
        namespace=namespace,
        name=name,
        service=candidate.name,
        port=candidate.port,
        image=image,
        version=major_of_image(image),
        pods=candidate.pods,
        services=(candidate.name,),
    )


def _by_operator(namespace: str, candidate: _Candidate) -> FoundServer | None:
    labels = candidate.pod["metadata"].get("labels") or {}
    for operator in OPERATORS:
        name = labels.get(operator.name_label)
        if name and _has_labels(labels, operator.labels):
            return _of_operator(_base(namespace, candidate, operator.kind, name), operator)
    return None


def _has_labels(labels: Mapping[str, str], expected: Mapping[str, str | None]) -> bool:
    return all(key in labels and value in (None, labels[key]) for key, value in expected.items())


def _of_operator(server: FoundServer, operator: Operator) -> FoundServer:
    return replace(
        server,
        service=operator.service.format(server.name),
        port=operator.port,
        user=operator.user,
        secret_name=operator.secret.format(server.name),
        secret_key=operator.secret_key,
        sslmode=operator.sslmode,
        ssl_ca={key: value.format(server.name) for key, value in operator.ssl_ca.items()} or None,
        run_as_user=operator.run_as_user,
        advice=operator.advice,
    )


def _by_convention(namespace: str, candidate: _Candidate) -> FoundServer | None:
    spec = candidate.pod["spec"]
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    container = next(each for each in containers if each["name"] == candidate.server.container)
    for convention in CONVENTIONS:
        source = password_source(spec, container, convention.password)
        if source is not None and _is_of(convention, candidate.server, container):
            return _of_convention(namespace, candidate, container, convention, source)
    return None


def _is_of(convention: Convention, server: PostgresServer, container: Object) -> bool:
    mounts = [str(mount.get("mountPath")) for mount in container.get("volumeMounts") or []]
    is_bitnami = any(path.startswith(_BITNAMI_FOLDER) for path in mounts)
    return not convention.image or convention.image in str(server.image) or is_bitnami


def _of_convention(
    namespace: str, candidate: _Candidate, container: Object, convention: Convention, source: PasswordSource
) -> FoundServer:
    labels = candidate.pod["metadata"].get("labels") or {}
    name = literal_of(container, convention.scope) if convention.scope else ""
    if not name and convention.image:
        name = labels.get("app.kubernetes.io/instance", "")
    user = (literal_of(container, convention.user) if convention.user else "") or "postgres"
    server = replace(
        _base(namespace, candidate, convention.kind, name or candidate.name),
        user=user,
        secret_name=source.secret_name,
        secret_key=source.secret_key,
        run_as_user=convention.run_as_user,
        advice=source.advice,
    )
    if convention.image and user != "postgres":
        # The chart's auth.username: the owner of one database.
        advice = (
            f"The chart's user {user} is not a superuser, and its user postgres has no password "
            "(auth.enablePostgresUser). Set postgres_backup_user and postgres_backup_secret_name to a user that may "
            "read all databases."
        )
        server = replace(server, secret_name="", secret_key="", advice=advice)
    return server


def _merged(group: Sequence[tuple[_Candidate, FoundServer]]) -> FoundServer:
    """One server of all services that lead to it; by the one that leads to the leader."""
    _, server = min(group, key=lambda pair: _rank(pair[0], pair[1]))
    pods = sorted({name for candidate, _ in group for name in candidate.pods})
    services = sorted({candidate.name for candidate, _ in group} | {server.service})
    return replace(server, pods=tuple(pods), services=tuple(services))


def _rank(candidate: _Candidate, server: FoundServer) -> tuple[Any, ...]:
    """The operator's service is the first, then one without a selector, which leads to the leader.

    The last are those of replicas, and headless ones.
    """
    spec = candidate.service["spec"]
    selector = selector_of(candidate.service)
    is_of_replicas = any(value in ("read", "replica", "secondary", "standby") for value in selector.values())
    is_headless = spec.get("clusterIP") == _HEADLESS
    return (
        candidate.name != server.service,
        is_of_replicas,
        is_headless,
        bool(selector),
        len(candidate.name),
        candidate.name,
    )
