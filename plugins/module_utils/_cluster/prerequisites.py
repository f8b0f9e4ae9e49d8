# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the role reads before it changes anything, all over one connection.

Each result is a dictionary. `readable` is false where this user may not read the objects (the API server's 403); then
`error` has the reason. Otherwise `resources` has the objects that exist. Of Secrets and of CronJobs, which may hold
passwords, only keys, what is found out about values, labels and claims are passed on. Every function raises
ClusterError when the API server does not respond, or does not know the user.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from .._jobs.copy_job import mounted_places
from .._jobs.endpoint_slices import endpoints_of
from .._jobs.job_templates import claim_names, is_ours
from .._jobs.postgres_server import PostgresServer, ServiceName, labels_problem, postgres_server, selector_of
from .._jobs.volume_jobs import COMPONENT, COPY
from ..errors import ForbiddenError, NotFoundError, UnauthenticatedError
from .connection import Connection, Object

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Server:
    """A service whose server is to be found, and the labels of the backup's pods, which it must not select."""

    service: ServiceName
    port: int
    backup_labels: Mapping[str, str] = field(default_factory=dict)


def read_server(connection: Connection, server: Server) -> Object:
    """What is known of the server (PostgresServer), or `unreadable` where this user may not read service or pods."""
    try:
        postgres = find_server(connection, server.service, server.port)
    except UnauthenticatedError:
        raise
    except ForbiddenError as error:
        return {"unreadable": True, "error": str(error)}
    return (labels_problem(postgres, server.backup_labels) or postgres).to_dict()


def find_server(connection: Connection, service: ServiceName, port: int) -> PostgresServer:
    """The server behind a port of the service.

    The endpoint of a service without a selector may be another service of its namespace, as in Crunchy's operator; the
    result is then that one's server. Raises ForbiddenError where this user may not read the service or its pods, or for
    a service without a selector its EndpointSlices.
    """
    try:
        manifest = connection.service(service.namespace, service.name)
    except NotFoundError:
        return postgres_server(None, [], port)
    selector = ",".join(f"{key}={value}" for key, value in selector_of(manifest).items())
    if selector:
        return postgres_server(manifest, connection.pods(service.namespace, selector), port)
    slices = connection.endpoint_slices(service.namespace, service.name)
    endpoints = endpoints_of(slices)
    if endpoints and not any(endpoint.pod for endpoint in endpoints):
        next_service = _service_at(connection, service, endpoints[0].address)
        if next_service is not None:
            return find_server(connection, next_service, endpoints[0].port(None, None) or port)
    pods = connection.pods(service.namespace) if any(endpoint.pod for endpoint in endpoints) else []
    return postgres_server(manifest, pods, port, slices)


def _service_at(connection: Connection, service: ServiceName, address: str) -> ServiceName | None:
    """The other service with this cluster IP; None where there is none, or this user may not list services."""
    try:
        services = connection.services(service.namespace)
    except UnauthenticatedError:
        raise
    except ForbiddenError:
        return None
    for other in services:
        name = other["metadata"]["name"]
        if address in (other["spec"].get("clusterIPs") or []) and name != service.name:
            return ServiceName(service.namespace, name)
    return None


def read(request: Callable[[], Object | Iterable[Object] | None]) -> Object:
    """The result of one request, for an object or for several."""
    try:
        response = request()
    except UnauthenticatedError:
        raise
    except NotFoundError:
        return {"readable": True, "resources": []}
    except ForbiddenError as error:
        return {"readable": False, "error": str(error)}
    resources = [response] if isinstance(response, dict) else [*(response or [])]
    for resource in resources:
        resource["metadata"].pop("managedFields", None)
        (resource["metadata"].get("annotations") or {}).pop(LAST_APPLIED, None)
    return {"readable": True, "resources": resources}


def read_keys(
    connection: Connection,
    kind: str,
    namespace: str,
    name: str,
    examinations: Mapping[str, Callable[[str], object]] | None = None,
) -> Object:
    """The keys of a Secret or ConfigMap without their values, as `found`, `keys` and those of them that are `empty`.

    Under the name of each examination, it also has what that finds in values that are not empty, by their keys.
    """
    get = connection.secret if kind == "Secret" else connection.config_map
    result = read(partial(get, namespace, name))
    if not result["readable"]:
        return {**result, "found": False, "keys": [], "empty": []}
    data = [resource.get("data") or {} for resource in result["resources"]]
    values = {key: _decoded(kind, value or "") for key, value in (data[0] if data else {}).items()}
    empty = [key for key, value in values.items() if not value.strip()]
    answer = {"readable": True, "found": bool(data), "keys": sorted(values), "empty": sorted(empty)}
    texts = {key: value.decode("utf-8", "replace") for key, value in values.items() if key not in empty}
    for title, examine in (examinations or {}).items():
        answer[title] = {key: found for key, text in texts.items() if (found := examine(text))}
    return answer


def _decoded(kind: str, value: str) -> bytes:
    return base64.b64decode(value) if kind == "Secret" else value.encode()


def read_cronjob(connection: Connection, namespace: str, name: str) -> Object:
    """A CronJob's labels and annotations, with `is_ours` and the names of its `claims`, as `resources`."""
    result = read(partial(connection.cronjob_if_any, namespace, name))
    if not result["readable"]:
        return result
    return {"readable": True, "resources": [_summary(cronjob) for cronjob in result["resources"]]}


def _summary(cronjob: Object) -> Object:
    metadata = cronjob["metadata"]
    return {
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "is_ours": is_ours(cronjob),
        "claims": claim_names(cronjob),
    }


def read_claim(connection: Connection, namespace: str, name: str) -> tuple[Object, Object]:
    """The claim, and the volume that it is bound to or requests; the second result is empty where there is none."""
    claim = read(partial(connection.claim, namespace, name))
    names = [resource["spec"].get("volumeName") for resource in claim.get("resources", [])]
    if not any(names):
        return claim, {}
    return claim, read(partial(connection.volume, names[0]))


def read_of_copies(
    connection: Connection, namespace: str, secrets: Iterable[str], claims: Iterable[str]
) -> tuple[Object, Object]:
    """The keys of the Secrets, and the claims, each by its name."""
    return (
        {name: read_keys(connection, "Secret", namespace, name) for name in secrets},
        {name: read(partial(connection.claim, namespace, name)) for name in claims},
    )


def cronjobs_of_places(
    namespace: str, name: str, annotations: Mapping[str, str], reserved: Iterable[Object]
) -> list[Object]:
    """Definitions of the CronJobs of the mounted places that the CronJob of that name records in its annotations.

    Without those of `reserved`, definitions of what the installation will create.
    """
    labels = {"app.kubernetes.io/instance": name, COMPONENT: COPY}
    kept = {each["metadata"]["name"] for each in reserved if each["kind"] == "CronJob"}
    names = [f"{name}-{COPY}-{place}" for place in mounted_places({"metadata": {"annotations": annotations}})]
    return [
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": each, "namespace": namespace, "labels": labels},
        }
        for each in names
        if each not in kept
    ]


def is_bound(claim: Object) -> bool:
    """Whether `read_claim` found a claim that has its volume."""
    return any(resource.get("status", {}).get("phase") == "Bound" for resource in claim.get("resources", []))


def read_existing(connection: Connection, definitions: Iterable[Object]) -> Object:
    """Those of these definitions of CronJobs, ConfigMaps, NetworkPolicies and PrometheusRules whose objects exist.

    With labels, only those that have them. Not `readable` where this user may not read one of them; `resources` still
    has the others.
    """
    resources, errors = [], []
    for definition in definitions:
        metadata = definition["metadata"]
        result = _read_object(connection, definition)
        if not result["readable"]:
            errors.append(result["error"])
        elif any(_has_labels(found, metadata.get("labels") or {}) for found in result["resources"]):
            resources.append(definition)
    return {"readable": not errors, "resources": resources, **({"error": "; ".join(errors)} if errors else {})}


def read_served(connection: Connection, version: str, kind: str) -> Object:
    """Whether the cluster has objects of that kind, as `served`; empty where this user may not know."""
    try:
        return {"served": connection.serves(version, kind)}
    except UnauthenticatedError:
        raise
    except ForbiddenError:
        return {}


def read_foreign(connection: Connection, definitions: Iterable[Object]) -> Object:
    """Those of these definitions whose objects exist without the labels: they belong to something else."""
    results = [(definition, _read_object(connection, definition)) for definition in definitions]
    resources = [
        definition
        for definition, result in results
        if any(not _has_labels(found, definition["metadata"]["labels"]) for found in result.get("resources") or [])
    ]
    return {"readable": all(result["readable"] for _definition, result in results), "resources": resources}


def _read_object(connection: Connection, definition: Object) -> Object:
    metadata = definition["metadata"]
    get = {
        "ConfigMap": connection.config_map,
        "CronJob": connection.cronjob_if_any,
        "NetworkPolicy": connection.network_policy,
        "PrometheusRule": connection.prometheus_rule,
    }[definition["kind"]]
    return read(partial(get, metadata["namespace"], metadata["name"]))


def _has_labels(resource: Object, labels: Object) -> bool:
    found = resource["metadata"].get("labels") or {}
    return all(found.get(name) == value for name, value in labels.items())
