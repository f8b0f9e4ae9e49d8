# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The PostgreSQL server behind a host: its service, the pod that serves it, and the image of that pod's container.

One rule for the role, which installs backups with the server's image, and for backup_info, which compares the two.
All objects are plain dictionaries as the Kubernetes API has them (core/v1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .endpoint_slices import Endpoint, endpoints_of
from .pooler import pooler_behind

Object = Mapping[str, Any]
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")
# `postgres:17.2-bookworm`, `bitnami/postgresql:17.5.0`, `postgis/postgis:17-3.5`; `timescale/timescaledb:2.17.2-pg17`.
_POSTGRES_IMAGE = re.compile(r"(?:.*/)?(?:postgres|postgresql|postgis)[^/:]*:v?([1-9][0-9])(?![0-9])[^/]*")
_PG_TAG = re.compile(r".*:(?:[^/:]*[-_.])?pg([1-9][0-9])(?![0-9])[^/:]*")
# StackGres (1.18): the container of PostgreSQL and Patroni; Envoy may serve the ports.
_STACKGRES_CONTAINER = "patroni"


@dataclass(frozen=True)
class ServiceName:
    """A service of this cluster."""

    namespace: str
    name: str


@dataclass(frozen=True)
class PostgresServer:
    """What is known of the server from its service and pods; fields that are not known are None or empty.

    `problem` names what is missing: `service`, `port`, `selector`, `pod` or `container`; `labels` when the service
    would select the backup's pods too; `pooler` when a connection pooler serves the port, and then `direct_service` or
    `direct_port` is the service, or the port of this service, of PostgreSQL itself, if it is known. `found` describes
    what exists instead. `port` is the container's.

    `selector` has the labels by which the server's pods can be selected. A service without a selector has the pods that
    its EndpointSlices name (`is_by_endpoints`); then these are the labels that the service and all those pods have.
    `other_pods` names pods that these labels select too, and that are not the server's. `node_selector` and
    `tolerations` are the pod's, without those tolerations that Kubernetes adds to every pod.
    """

    problem: str | None = None
    found: str | None = None
    selector: Mapping[str, str] = field(default_factory=dict)
    pod: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    container: str | None = None
    image: str | None = None
    port: int | None = None
    pull_secrets: tuple[str, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    is_by_endpoints: bool = False
    other_pods: tuple[str, ...] = ()
    direct_service: str | None = None
    direct_port: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields that are known."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, {}, (), False)}
        lists = {"tolerations": [*self.tolerations]} if self.tolerations else {}
        return {**known, **lists, "pull_secrets": [*self.pull_secrets]}


def service_behind(host: str, namespace: str) -> ServiceName | None:
    """The service that a pod in `namespace` reaches by this host name; None for a host outside the cluster.

    Kubernetes resolves `<service>`, `<service>.<namespace>` and `<service>.<namespace>.svc.<cluster domain>`
    (Kubernetes, "DNS for Services and Pods").
    """
    if _ADDRESS.fullmatch(host):
        return None
    labels = host.removesuffix(".").split(".")
    if not labels[0] or (len(labels) > 2 and labels[2] != "svc"):
        return None
    return ServiceName(labels[1] if len(labels) > 1 else namespace, labels[0])


def major_of_image(image: str) -> int | None:
    """The major version of PostgreSQL, from the image's name; None if the name does not contain it."""
    name = image.partition("@")[0]
    match = _PG_TAG.fullmatch(name) or _POSTGRES_IMAGE.fullmatch(name)
    return int(match[1]) if match else None


def selector_of(service: Object) -> dict[str, str]:
    """The labels by which a service selects its pods; empty for a service without a selector."""
    return dict((service.get("spec") or {}).get("selector") or {})


def postgres_server(
    service: Object | None, pods: Iterable[Object], port: int, slices: Iterable[Object] = ()
) -> PostgresServer:
    """The server behind `port` of the service, None where there is no such service.

    `pods` are those that the service selects, or without a selector all of its namespace; `slices` are its
    EndpointSlices, which only a service without a selector needs. The first ready pod by name decides: in a rolling
    update, pods may have different images.
    """
    if not service:
        return PostgresServer(problem="service", found="no such service")
    ports = service["spec"].get("ports") or []
    service_port = next((entry for entry in ports if entry["port"] == port), None)
    if service_port is None:
        return PostgresServer(problem="port", found=f"the ports {', '.join(str(entry['port']) for entry in ports)}")
    pods = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    selector = selector_of(service)
    if not selector:
        return _server_by_endpoints(service, service_port, pods, endpoints_of(slices))
    pod = next(filter(is_ready, pods), None)
    if pod is None:
        count = f"{len(pods)} pods, none of them ready" if pods else "no pods"
        return PostgresServer(problem="pod", found=count, selector=selector)
    return _server_in(service, pod, service_port.get("targetPort", port), selector)


def _server_in(service: Object, pod: Object, target: int | str, selector: Mapping[str, str]) -> PostgresServer:
    """The server that a port of the pod belongs to."""
    name, labels = pod["metadata"]["name"], pod["metadata"].get("labels") or {}
    serving = _serving_container(pod["spec"], target)
    if serving is None:
        containers = ", ".join(container["name"] for container in pod["spec"]["containers"])
        text = f"pod {name} with the containers {containers}"
        return PostgresServer(problem="container", found=text, selector=selector, pod=name, labels=labels)
    container, container_port = serving
    pooler = pooler_behind(service, pod, container, target)
    if pooler is not None:
        return PostgresServer(
            problem="pooler",
            found=f"the connection pooler {pooler.name} in the pod {name}",
            selector=selector,
            pod=name,
            labels=labels,
            container=container["name"],
            direct_service=pooler.service,
            direct_port=pooler.port,
        )
    container = _behind_proxy(pod, container)
    return PostgresServer(
        selector=selector,
        pod=name,
        labels=labels,
        container=container["name"],
        image=container["image"],
        port=container_port,
        pull_secrets=tuple(secret["name"] for secret in pod["spec"].get("imagePullSecrets") or []),
        node_selector=pod["spec"].get("nodeSelector") or {},
        # kubernetes plugin/pkg/admission/defaulttolerationseconds, and for DaemonSets pkg/controller/daemon/util.
        tolerations=tuple(
            toleration
            for toleration in pod["spec"].get("tolerations") or []
            if not str(toleration.get("key") or "").startswith("node.kubernetes.io/")
        ),
    )


def _behind_proxy(pod: Object, container: Object) -> Object:
    """The container of PostgreSQL, where the one that serves the port is a proxy in the same pod."""
    if (pod["metadata"].get("labels") or {}).get("app") != "StackGresCluster":
        return container
    return next((other for other in pod["spec"]["containers"] if other["name"] == _STACKGRES_CONTAINER), container)


def _server_by_endpoints(
    service: Object, service_port: Object, pods: Sequence[Object], endpoints: Sequence[Endpoint]
) -> PostgresServer:
    """The server behind a service without a selector; `pods` are all of its namespace.

    Whether an endpoint is ready is read from its EndpointSlice, and not from its pod: Kubernetes sends the service's
    connections to the former.
    """
    by_name = {str(pod["metadata"]["name"]): pod for pod in pods}
    named = [endpoint for endpoint in endpoints if endpoint.pod]
    if not named:
        return PostgresServer(problem="selector", found=_without_pods(service, endpoints))
    behind = [by_name[str(endpoint.pod)] for endpoint in named if endpoint.pod in by_name]
    selector = _common_labels([service, *behind]) if behind else {}
    endpoint = next((entry for entry in named if entry.is_ready and entry.pod in by_name), None)
    if endpoint is None:
        names = ", ".join(str(entry.pod) for entry in named)
        found = f"EndpointSlices with the pods {names}, none of them ready"
        return PostgresServer(problem="pod", found=found, selector=selector, is_by_endpoints=True)
    target = service_port.get("targetPort", service_port["port"])
    number = endpoint.port(service_port.get("name"), target if isinstance(target, int) else None)
    server = _server_in(service, by_name[str(endpoint.pod)], number or target, selector)
    others = [name for name, pod in by_name.items() if _is_another(pod, selector, server)] if selector else []
    return replace(server, is_by_endpoints=True, other_pods=tuple(others))


def _without_pods(service: Object, endpoints: Sequence[Endpoint]) -> str:
    """What there is behind a service without a selector whose EndpointSlices name no pods."""
    if service["spec"].get("type") == "ExternalName":
        return f"a service that is another name of {service['spec'].get('externalName')}"
    if not endpoints:
        return "a service without a selector and without endpoints"
    addresses = ", ".join(endpoint.address for endpoint in endpoints)
    return f"a service without a selector, whose EndpointSlices name no pods for {addresses}"


def _common_labels(objects: Sequence[Object]) -> dict[str, str]:
    """The labels that all these objects have with the same values."""
    first, *others = [object_["metadata"].get("labels") or {} for object_ in objects]
    return {key: value for key, value in first.items() if all(labels.get(key) == value for labels in others)}


def _is_another(pod: Object, selector: Mapping[str, str], server: PostgresServer) -> bool:
    """Whether the labels select the pod, and it does not have the server's container: a pooler, for example."""
    names = [container["name"] for container in pod["spec"]["containers"]]
    labels = pod["metadata"].get("labels") or {}
    return selector.items() <= labels.items() and server.container not in names


def labels_problem(server: PostgresServer, backup_labels: Mapping[str, str]) -> PostgresServer | None:
    """The server with the problem `labels`, where its service would select pods with `backup_labels`; else None."""
    if server.image is None or server.is_by_endpoints or not server.selector.items() <= backup_labels.items():
        return None
    return PostgresServer(**{**vars(server), "problem": "labels", "found": json.dumps(server.selector)})


def is_ready(pod: Object) -> bool:
    """Whether the pod gets a service's connections: ready, and not being deleted."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    is_ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return is_ready and "deletionTimestamp" not in pod["metadata"]


def _serving_container(spec: Object, target: int | str) -> tuple[Object, int] | None:
    """The container that serves the target port, a number or a name, and the port's number.

    A sidecar container is an init container that is always restarted. Containers need not declare their ports: in a pod
    with one container, this is the one that serves.
    """
    init_containers = spec.get("initContainers") or []
    sidecars = [container for container in init_containers if container.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *sidecars]:
        for port in container.get("ports") or []:
            if target in (port["containerPort"], port.get("name")):
                return container, port["containerPort"]
    if len(spec["containers"]) == 1 and isinstance(target, int):
        return spec["containers"][0], target
    return None
