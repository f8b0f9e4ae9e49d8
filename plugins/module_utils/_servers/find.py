# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The PostgreSQL servers among the services and pods of a cluster. Pure: from the objects that were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._jobs.job_templates import variables
from .._jobs.postgres_server import PostgresServer, major_of_image, postgres_server, selector_of
from .found_server import FoundServer
from .kinds import CONVENTIONS, Convention
from .operators import servers_of_operators
from .pod_environment import PasswordSource, password_source, secret_of_all_variables, user_id
from .services import pods_behind, postgres_ports, slices_of

Object = Mapping[str, Any]
_HEADLESS = "None"
# Values of the labels by which services select.
_REPLICAS = ("read", "replica", "secondary", "standby")
_LEADERS = ("master", "primary")
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
    found = list(servers_of_operators(namespace, services, pods, slices))
    theirs = {name for server in found for name in server.pods}
    groups: list[list[_Pair]] = []
    # Those with the fewest pods first: a service of several servers must not make them one, and the order of the
    # services must not matter.
    candidates = sorted(_candidates(services, pods, slices), key=lambda each: (len(each.pods), each.name))
    for candidate in candidates:
        server = None if candidate.server.pod in theirs else _by_convention(namespace, candidate)
        if server is not None:
            group = next((each for each in groups if _is_same(each[0].server, server)), None)
            if group is None:
                groups.append([_Pair(candidate, server)])
            else:
                group.append(_Pair(candidate, server))
    return found + [_merged(group) for group in groups]


@dataclass(frozen=True)
class _Pair:
    """A server as one of its services shows it. Its name is empty if only its services have names."""

    candidate: _Candidate
    server: FoundServer


def _is_same(one: FoundServer, other: FoundServer) -> bool:
    has_name = bool(one.name) and one.name == other.name
    return one.kind == other.kind and (has_name or bool(set(one.pods) & set(other.pods)))


def _candidates(services: Sequence[Object], pods: Sequence[Object], slices: Sequence[Object]) -> Iterable[_Candidate]:
    for service in services:
        behind = pods_behind(service, pods, slices)
        for port in postgres_ports(service):
            server = postgres_server(service, behind, port, slices_of(service, slices))
            pod = next((each for each in behind if each["metadata"]["name"] == server.pod), None)
            if server.image and pod is not None:
                names = tuple(sorted(str(each["metadata"]["name"]) for each in behind))
                yield _Candidate(service, port, server, pod, names)


def _by_convention(namespace: str, candidate: _Candidate) -> FoundServer | None:
    spec = candidate.pod["spec"]
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    container = next(each for each in containers if each["name"] == candidate.server.container)
    ours = [convention for convention in CONVENTIONS if _is_of(convention, candidate.server, container)]
    for convention in ours:
        source = password_source(spec, container, convention.password)
        if source is not None:
            return _of_convention(namespace, candidate, container, convention, source)
    # Which variables such a Secret has is not known without reading it.
    for convention in ours:
        source = secret_of_all_variables(container, convention.password) if convention.is_usual else None
        if source is not None:
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
    literals, image = variables(container), str(candidate.server.image)
    name = literals.get(convention.scope, "")
    if not name and convention.image:
        name = labels.get("app.kubernetes.io/instance", "")
    user = literals.get(convention.user) or "postgres"
    server = FoundServer(
        kind=convention.kind,
        namespace=namespace,
        name=name,
        service=candidate.name,
        port=candidate.port,
        user=user,
        secret_name=source.secret_name,
        secret_key=source.secret_key,
        image=image,
        run_as_user=user_id(candidate.pod["spec"], container) or convention.user_id_of(image),
        version=major_of_image(image),
        pods=candidate.pods,
        services=(candidate.name,),
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


def _merged(group: Sequence[_Pair]) -> FoundServer:
    """One server of all services that lead to it; by the one that leads to the leader."""
    first = min(group, key=lambda pair: _rank(pair.candidate)).server
    pods = {name for pair in group for name in pair.candidate.pods}
    services = {pair.candidate.name for pair in group}
    return replace(first, name=first.name or first.service, pods=tuple(sorted(pods)), services=tuple(sorted(services)))


def _rank(candidate: _Candidate) -> tuple[Any, ...]:
    """The first is a service without a selector, which leads to the leader, or one that selects the leader; the last
    are those of replicas, and headless ones."""
    selector = selector_of(candidate.service)
    is_of_replicas = any(value in _REPLICAS for value in selector.values())
    is_headless = candidate.service["spec"].get("clusterIP") == _HEADLESS
    is_of_all = bool(selector) and not any(value in _LEADERS for value in selector.values())
    return (is_of_replicas, is_headless, is_of_all, len(candidate.name), candidate.name)
