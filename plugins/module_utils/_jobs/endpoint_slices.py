# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""EndpointSlices (discovery.k8s.io/v1): where a service without a selector sends its connections.

The program that makes such a service, such as Patroni, writes its EndpointSlices, or Endpoints that Kubernetes mirrors
as EndpointSlices with a reference to each pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

Object = Mapping[str, Any]
# The label that names the service of an EndpointSlice.
SERVICE_LABEL = "kubernetes.io/service-name"
# The name of a port; Optional, since Python 3.9 evaluates an alias.
PortName = Optional[str]


@dataclass(frozen=True)
class Endpoint:
    """An address behind a service; `pod` is None for an address that no pod is named for, such as one outside.

    `ports` has the numbers of the ports by their names; the name of a port without one is empty.
    """

    address: str
    pod: str | None
    is_ready: bool
    ports: Mapping[str, int]

    def port(self, name: PortName, default: int | None) -> int | None:
        """The port that a service's port of this name is sent to; `default` if the EndpointSlice does not name it."""
        return self.ports.get(name or "", default)


def endpoints_of(slices: Iterable[Object]) -> list[Endpoint]:
    """The endpoints in all EndpointSlices of a service, sorted by pod and address, each pod once.

    An endpoint whose `ready` is not set is ready (EndpointConditions).
    """
    result: dict[str, Endpoint] = {}
    for endpoint_slice in slices:
        ports = {
            port.get("name") or "": port["port"]
            for port in endpoint_slice.get("ports") or []
            if port.get("port") is not None
        }
        for endpoint in endpoint_slice.get("endpoints") or []:
            reference = endpoint.get("targetRef") or {}
            pod = reference.get("name") if reference.get("kind") == "Pod" else None
            address = next(iter(endpoint.get("addresses") or []), "")
            is_ready = (endpoint.get("conditions") or {}).get("ready") is not False
            result.setdefault(pod or address, Endpoint(address, pod, is_ready, ports))
    return sorted(result.values(), key=lambda endpoint: (endpoint.pod or "", endpoint.address))
