# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which of the servers that were found an installation backs up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._jobs.postgres_server import ServiceName, service_behind
from .found_server import FoundServer

AUTO, NONE = "auto", "none"
# The role records here which server it has found, so that an installation keeps it.
SERVER_ANNOTATION = "postgres-backup.homelab/server"


@dataclass(frozen=True)
class Wanted:
    """What the role's variables and its CronJob say about the server.

    `server` is postgres_backup_server; `host` is empty unless a user has set it. `is_installed` is whether the CronJob
    exists, and `recorded` the server that it was installed for, empty for one that was not found.
    """

    server: str
    namespace: str
    host: str = ""
    is_installed: bool = False
    recorded: str = ""


@dataclass(frozen=True)
class Choice:
    """The server, None where the variables count as they are; `problem` is a message that stops the role."""

    server: FoundServer | None = None
    problem: str = ""


def is_search_needed(wanted: Wanted) -> bool:
    """Whether the servers are listed: not for an installation from before, unless one is named."""
    if wanted.server == NONE:
        return False
    return wanted.server != AUTO or not wanted.is_installed or bool(wanted.recorded)


def choose_server(servers: Sequence[FoundServer], wanted: Wanted) -> Choice:
    """The server to back up, from those of the installation's namespace, or of the namespace of its host."""
    if wanted.server != AUTO:
        return _named(servers, wanted)
    if wanted.host:
        service = service_behind(wanted.host, wanted.namespace)
        return Choice(next((server for server in servers if service and _has_service(server, service)), None))
    if wanted.recorded:
        kept = next((server for server in servers if server.id == wanted.recorded), None)
        if kept is not None:
            return Choice(kept)
        return Choice(
            problem=f"postgres_backup_server: expected the server {wanted.recorded}, which this installation backs up, "
            f"found {_list(servers)}. Start it, or set postgres_backup_server to another one."
        )
    if len(servers) > 1:
        return Choice(
            problem=f"postgres_backup_server: expected one PostgreSQL server in the namespace {wanted.namespace}, "
            f"found {_list(servers)}. Set postgres_backup_server to one of these names, for each with a different "
            "postgres_backup_name."
        )
    return Choice(servers[0] if servers else None)


def unsearched(wanted: Wanted) -> Choice:
    """The choice where this user may not list the servers: without a certain one, the variables count as they are."""
    expected = wanted.recorded if wanted.server == AUTO else wanted.server
    if not expected:
        return Choice()
    return Choice(
        problem="postgres_backup_server: expected the right to list services, pods and EndpointSlices in the namespace "
        f"{wanted.namespace}, to find the server {expected}, found none. Grant it, or set postgres_backup_server to "
        "none, and the variables of the server."
    )


def _named(servers: Sequence[FoundServer], wanted: Wanted) -> Choice:
    name = wanted.server
    named = [server for server in servers if server.is_named(name)]
    service = service_behind(wanted.host, wanted.namespace) if wanted.host else None
    if len(named) == 1 and wanted.host and not (service and _has_service(named[0], service)):
        return Choice(
            problem=f"postgres_backup_host: expected a service of the server {name} ({', '.join(named[0].services)}), "
            f"found {wanted.host}. Leave out postgres_backup_host or postgres_backup_server."
        )
    if len(named) == 1:
        return Choice(named[0])
    return Choice(
        problem=f"postgres_backup_server: expected auto, none, or the name of a server in the namespace, found {name}, "
        f"and the servers {_list(servers)}."
    )


def _has_service(server: FoundServer, service: ServiceName) -> bool:
    return server.namespace == service.namespace and service.name in server.services


def _list(servers: Sequence[FoundServer]) -> str:
    return ", ".join(server.id for server in servers) or "none"


def variables_of(server: FoundServer) -> Mapping[str, Any]:
    """The role's variables without their prefix, as far as the server determines them."""
    known = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "database": server.database,
        "secret_name": server.secret_name,
        "secret_key": server.secret_key,
        "sslmode": server.sslmode,
        "ssl_ca": server.ssl_ca or {},
        "run_as_user": server.run_as_user,
    }
    return {name: value for name, value in known.items() if value not in (None, "")}
