# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The servers in a namespace: three lists of objects, and the one that is backed up."""

from __future__ import annotations

from dataclasses import dataclass

from .._jobs.postgres_server import service_behind
from .._servers.choose import AUTO, SERVER_ANNOTATION, Choice, Wanted, choose_server, is_search_needed, unsearched
from .._servers.find import ClusterObjects, find_servers
from ..errors import ForbiddenError, UnauthenticatedError
from .connection import Connection, Object


def read_objects(connection: Connection, namespace: str) -> ClusterObjects:
    """Services, pods and EndpointSlices of the namespace.

    Raises ForbiddenError where this user may not list one of them.
    """
    return ClusterObjects(
        services=connection.services(namespace),
        pods=connection.pods(namespace),
        slices=connection.endpoint_slices(namespace),
    )


@dataclass(frozen=True)
class Search:
    """`choice` is empty if no search was needed; `error` is why this user may not search."""

    choice: Choice
    error: str = ""


def search_server(connection: Connection, wanted: Wanted) -> Search:
    """The server that the installation backs up, as far as the role's variables leave that open."""
    service = service_behind(wanted.host, wanted.namespace) if wanted.host else None
    # The Secrets of a server in another namespace are of no use.
    is_elsewhere = bool(wanted.host) and (service is None or service.namespace != wanted.namespace)
    is_elsewhere = is_elsewhere and wanted.server == AUTO
    if not is_search_needed(wanted) or is_elsewhere:
        return Search(Choice())
    try:
        servers = find_servers(read_objects(connection, wanted.namespace))
    except UnauthenticatedError:
        raise
    except ForbiddenError as error:
        return Search(unsearched(wanted), str(error))
    return Search(choose_server(servers, wanted))


def wanted_server(server: str, namespace: str, host: str, cronjob: Object | None) -> Wanted:
    """`cronjob` is what `prerequisites.read_cronjob` returned, None without a name."""
    resources = (cronjob or {}).get("resources", [])
    ours = [resource for resource in resources if resource["is_ours"]]
    recorded = ours[0]["annotations"].get(SERVER_ANNOTATION, "") if ours else ""
    # A CronJob that this user may not read may exist.
    is_installed = bool(resources) or not (cronjob or {"readable": True})["readable"]
    return Wanted(server, namespace, host, is_installed, recorded)
