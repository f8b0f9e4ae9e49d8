# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which of the found servers have a recent backup: the CronJobs of this collection, matched by their hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._jobs.job_templates import PREFIX, is_ours, pod_spec, variables
from .._jobs.postgres_server import ServiceName, service_behind
from .._volume.backup_names import parse_time
from .found_server import FoundServer

Object = Mapping[str, Any]
HOST = f"{PREFIX}HOST"


@dataclass(frozen=True)
class BackupCronJob:
    """A CronJob that backs up the server at `host`; `newest` is when its newest successful run ended, if there is one.

    A run is successful only if its backup is complete and was read back. Times are UTC.
    """

    namespace: str
    name: str
    host: str
    is_suspended: bool
    newest: datetime | None

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Protection:
    """A server, None for one that is not among those that were found, and the CronJob that backs it up, if any.

    Of several CronJobs, this is the one with the newest backup.
    """

    server: FoundServer | None
    cronjob: BackupCronJob | None
    reason: str
    age: timedelta | None

    def to_dict(self) -> dict[str, Any]:
        cronjob, server = self.cronjob, self.server
        host = server.host if server else cronjob.host if cronjob else ""
        newest = cronjob.newest if cronjob else None
        return {
            "kind": server.kind if server else None,
            "name": server.name if server else None,
            "namespace": server.namespace if server else None,
            "version": server.version if server else None,
            "host": host,
            "installation": cronjob.id if cronjob else None,
            "newest_backup": newest.strftime("%Y-%m-%dT%H:%M:%SZ") if newest else None,
            "age_seconds": int(self.age.total_seconds()) if self.age is not None else None,
            "protected": not self.reason,
            "reason": self.reason,
        }


def backup_cronjobs(cronjobs: Iterable[Object], jobs: Sequence[Object]) -> list[BackupCronJob]:
    """Those that this collection's role has made for backups, with their newest successful runs."""
    newest: dict[str, datetime] = {}
    for job in jobs:
        finished = parse_time(str((job.get("status") or {}).get("completionTime") or ""))
        for owner in job["metadata"].get("ownerReferences") or []:
            if finished and owner.get("kind") == "CronJob":
                newest[owner["uid"]] = max(finished, newest.get(owner["uid"], finished))
    return [
        BackupCronJob(
            namespace=cronjob["metadata"].get("namespace", ""),
            name=cronjob["metadata"]["name"],
            host=host,
            is_suspended=bool(cronjob["spec"].get("suspend")),
            newest=_newest(cronjob, newest.get(str(cronjob["metadata"].get("uid")))),
        )
        for cronjob in cronjobs
        if is_ours(cronjob)
        for host in _hosts(cronjob)
    ]


def _hosts(cronjob: Object) -> list[str]:
    """The host of the server; none in a CronJob of drills."""
    hosts = [variables(container).get(HOST, "") for container in pod_spec(cronjob)["containers"]]
    return [host for host in hosts if host][:1]


def _newest(cronjob: Object, of_jobs: datetime | None) -> datetime | None:
    of_status = parse_time(str((cronjob.get("status") or {}).get("lastSuccessfulTime") or ""))
    return max(filter(None, (of_status, of_jobs)), default=None)


def protections(
    servers: Sequence[FoundServer],
    cronjobs: Sequence[BackupCronJob],
    addresses: Mapping[str, ServiceName],
    now: datetime,
    max_age: timedelta,
) -> list[Protection]:
    """One for each server, then one for each host of a CronJob that none of these servers has.

    `addresses` are the cluster IPs of the services.
    """
    owners = {ServiceName(server.namespace, service): server for server in servers for service in {*server.services}}
    by_server: dict[str, list[BackupCronJob]] = {}
    others: dict[str, list[BackupCronJob]] = {}
    for cronjob in cronjobs:
        service = addresses.get(cronjob.host.strip("[]")) or service_behind(cronjob.host, cronjob.namespace)
        server = owners.get(service) if service else None
        if server is not None:
            by_server.setdefault(_key(server), []).append(cronjob)
        else:
            others.setdefault(str(service) if service else cronjob.host, []).append(cronjob)
    found = [_protection(server, by_server.get(_key(server), []), now, max_age) for server in servers]
    return found + [_protection(None, group, now, max_age) for group in others.values()]


def _key(server: FoundServer) -> str:
    return f"{server.namespace}/{server.id}"


def _protection(
    server: FoundServer | None, cronjobs: Sequence[BackupCronJob], now: datetime, max_age: timedelta
) -> Protection:
    if not cronjobs:
        return Protection(server, None, "no CronJob of this collection backs it up", None)
    newest = max(cronjobs, key=lambda each: (each.newest is not None, each.newest or now, each.id))
    if newest.newest is None:
        return Protection(server, newest, f"the CronJob {newest.id} has no successful run yet", None)
    age = now - newest.newest
    if age <= max_age:
        return Protection(server, newest, "", age)
    suspended = "; it is suspended" if newest.is_suspended else ""
    hours = int(age.total_seconds() // 3600)
    return Protection(server, newest, f"the newest backup of {newest.id} is {hours} hours old{suspended}", age)


def sentence(found: Sequence[Protection], max_age: str) -> str:
    """The result in words; a server is named by its namespace and name, others by their host."""
    missing = [
        f"{each.server.namespace}/{each.server.name}" if each.server else _host(each) for each in found if each.reason
    ]
    servers = "1 server" if len(found) == 1 else f"{len(found)} servers"
    protected = f"{len(found) - len(missing)} with a backup younger than {max_age}"
    return f"{servers}, {protected}" + (f", without: {', '.join(missing)}" if missing else "")


def _host(protection: Protection) -> str:
    return protection.cronjob.host if protection.cronjob else ""
