# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The PostgreSQL server behind a host: its service, the pod that serves it, and the image of that pod's container.

One rule for the role, which installs backups with the server's image, and for backup_info, which compares the two.
All objects are plain dictionaries as the Kubernetes API has them (core/v1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Object = Mapping[str, Any]
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")
# `postgres:17.2-bookworm`, `bitnami/postgresql:17.5.0`, `postgis/postgis:17-3.5`; `timescale/timescaledb:2.17.2-pg17`.
_POSTGRES_IMAGE = re.compile(r"(?:.*/)?(?:postgres|postgresql|postgis)[^/:]*:v?([1-9][0-9])(?![0-9])[^/]*")
_PG_TAG = re.compile(r".*:(?:[^/:]*[-_.])?pg([1-9][0-9])(?![0-9])[^/:]*")


@dataclass(frozen=True)
class ServiceName:
    """A service of this cluster."""

    namespace: str
    name: str


@dataclass(frozen=True)
class PostgresServer:
    """What is known of the server from its service and pods; fields that are not known are None or empty.

    `problem` names what is missing: `service`, `port`, `selector`, `pod` or `container`; `labels` when the service
    would select the backup's pods too. `found` describes what exists instead. `port` is the container's.
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

    def to_dict(self) -> dict[str, Any]:
        """The fields that are known."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, {})}
        return {**known, "pull_secrets": [*self.pull_secrets]}


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


def postgres_server(service: Object | None, pods: Iterable[Object], port: int) -> PostgresServer:
    """The server behind `port` of the service, None where there is no such service; `pods` are those that it selects.

    The first ready pod by name decides: in a rolling update, pods may have different images.
    """
    if not service:
        return PostgresServer(problem="service", found="no such service")
    ports = service["spec"].get("ports") or []
    service_port = next((entry for entry in ports if entry["port"] == port), None)
    if service_port is None:
        return PostgresServer(problem="port", found=f"the ports {', '.join(str(entry['port']) for entry in ports)}")
    selector = selector_of(service)
    if not selector:
        return PostgresServer(problem="selector", found="a service without a selector")
    pods = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    pod = next(filter(_is_ready, pods), None)
    if pod is None:
        count = f"{len(pods)} pods, none of them ready" if pods else "no pods"
        return PostgresServer(problem="pod", found=count, selector=selector)
    name, labels = pod["metadata"]["name"], pod["metadata"].get("labels") or {}
    serving = _serving_container(pod["spec"], service_port.get("targetPort", port))
    if serving is None:
        containers = ", ".join(container["name"] for container in pod["spec"]["containers"])
        text = f"pod {name} with the containers {containers}"
        return PostgresServer(problem="container", found=text, selector=selector, pod=name, labels=labels)
    container, container_port = serving
    return PostgresServer(
        selector=selector,
        pod=name,
        labels=labels,
        container=container["name"],
        image=container["image"],
        port=container_port,
        pull_secrets=tuple(secret["name"] for secret in pod["spec"].get("imagePullSecrets") or []),
    )


def labels_problem(server: PostgresServer, backup_labels: Mapping[str, str]) -> PostgresServer | None:
    """The server with the problem `labels`, where its service would select pods with `backup_labels`; else None."""
    if server.image is None or not server.selector.items() <= backup_labels.items():
        return None
    return PostgresServer(**{**vars(server), "problem": "labels", "found": json.dumps(server.selector)})


def _is_ready(pod: Object) -> bool:
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
