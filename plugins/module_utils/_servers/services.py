# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Services: the pods that they lead to, and the ports that may be PostgreSQL's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._jobs.endpoint_slices import SERVICE_LABEL, endpoints_of
from .._jobs.postgres_server import selector_of

Object = Mapping[str, Any]
POSTGRES_PORT = 5432
_PORT_NAMES = ("postgres", "postgresql", "tcp-postgresql", "pgport", "pgsql")


def pods_behind(service: Object, pods: Sequence[Object], slices: Sequence[Object]) -> list[Object]:
    """The pods that a service selects, or that its EndpointSlices name; all objects are of one namespace."""
    selector = selector_of(service)
    if selector:
        return [pod for pod in pods if selector.items() <= (pod["metadata"].get("labels") or {}).items()]
    names = {endpoint.pod for endpoint in endpoints_of(slices_of(service, slices))}
    return [pod for pod in pods if pod["metadata"]["name"] in names]


def slices_of(service: Object, slices: Sequence[Object]) -> list[Object]:
    """The EndpointSlices of a service without a selector."""
    if selector_of(service):
        return []
    name = service["metadata"]["name"]
    return [each for each in slices if (each["metadata"].get("labels") or {}).get(SERVICE_LABEL) == name]


def ports_of(service: Object) -> list[int]:
    return [port["port"] for port in (service.get("spec") or {}).get("ports") or []]


def postgres_ports(service: Object) -> list[int]:
    """The ports that may be PostgreSQL's, by number or name."""
    ports = (service.get("spec") or {}).get("ports") or []
    return [
        port["port"]
        for port in ports
        if POSTGRES_PORT in (port["port"], port.get("targetPort")) or port.get("name") in _PORT_NAMES
    ]
