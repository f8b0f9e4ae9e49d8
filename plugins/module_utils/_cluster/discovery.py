# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Reads every object that shows PostgreSQL servers and their backups, in some namespaces or in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .._jobs.postgres_server import ServiceName
from .._servers.find import ClusterObjects
from ..errors import ForbiddenError, UnauthenticatedError
from .connection import Connection, Object

_NO_ADDRESS = ("", "None")


@dataclass(frozen=True)
class Discovered:
    """What this user may list; `unreadable` has the errors for the rest, none of CronJobs if `sees_every_cronjob`."""

    objects: ClusterObjects
    cronjobs: list[Object] = field(default_factory=list)
    jobs: list[Object] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    sees_every_cronjob: bool = True

    @property
    def addresses(self) -> dict[str, ServiceName]:
        """The services by their cluster IPs."""
        return {
            address: ServiceName(service["metadata"]["namespace"], service["metadata"]["name"])
            for service in self.objects.services
            for address in service["spec"].get("clusterIPs") or []
            if address not in _NO_ADDRESS
        }


def discover(connection: Connection, namespaces: Sequence[str]) -> Discovered:
    """The objects of these namespaces, of all if none is named.

    Raises ClusterError when the API server does not respond, or does not know the user.
    """
    unreadable: list[str] = []

    def listed(request: Callable[[str], list[Object]]) -> list[Object]:
        result: list[Object] = []
        for namespace in namespaces or [""]:
            try:
                result += request(namespace)
            except UnauthenticatedError:
                raise
            except ForbiddenError as error:
                unreadable.append(str(error))
        return result

    objects = ClusterObjects(
        services=listed(connection.services), pods=listed(connection.pods), slices=listed(connection.endpoint_slices)
    )
    number = len(unreadable)
    cronjobs = listed(connection.cronjobs)
    sees_every_cronjob = len(unreadable) == number
    return Discovered(objects, cronjobs, listed(connection.jobs), unreadable, sees_every_cronjob)
