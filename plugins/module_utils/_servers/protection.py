# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which of the found servers have a recent backup: the CronJobs of this collection, matched by their hosts. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._jobs.job_templates import PREFIX, is_ours, is_run, pod_spec, variables
from .._jobs.postgres_server import ServiceName, service_behind
from .._volume.backup_names import parse_time
from .found_server import FoundServer

Object = Mapping[str, Any]
HOST = f"{PREFIX}HOST"
PORT = f"{PREFIX}PORT"


@dataclass(frozen=True)
class BackupCronJob:
    """A CronJob that backs up the server at `host`; `newest` is when its newest successful run ended, if there is one.

    A run is successful only if its backup is complete and was read back. Times are UTC. `port` is empty for the usual
    one.
    """

    namespace: str
    name: str
    host: str
    port: str
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
    owned: dict[str, list[Object]] = defaultdict(list)
    for job in jobs:
        for owner in job["metadata"].get("ownerReferences") or []:
            if owner.get("kind") == "CronJob":
                owned[owner["uid"]].append(job)
    result = []
    for cronjob in filter(is_ours, cronjobs):
        container = _container(cronjob)
        if container is not None:
            settings = variables(container)
            made = BackupCronJob(
                namespace=cronjob["metadata"].get("namespace", ""),
                name=cronjob["metadata"]["name"],
                host=settings[HOST],
                port=settings.get(PORT, ""),
                is_suspended=bool(cronjob["spec"].get("suspend")),
                newest=_newest(cronjob, owned[str(cronjob["metadata"].get("uid"))], container["name"]),
            )
            result.append(made)
    return result


def _container(cronjob: Object) -> Object | None:
    """The one that connects to the server; None in a CronJob of drills."""
    return next((each for each in pod_spec(cronjob)["containers"] if variables(each).get(HOST)), None)


def _newest(cronjob: Object, jobs: Sequence[Object], container: str) -> datetime | None:
    """Of the runs that still exist, and of the CronJob's status, which does not distinguish runs from other Jobs."""
    ends = [(_time(job, "completionTime"), is_run(job, cronjob, container)) for job in jobs]
    of_status = _time(cronjob, "lastSuccessfulTime")
    if (of_status, False) in ends:
        of_status = None
    return max(filter(None, (of_status, *(end for end, is_of_run in ends if is_of_run))), default=None)


def _time(one: Object, name: str) -> datetime | None:
    return parse_time(str((one.get("status") or {}).get(name) or ""))


def protections(
    servers: Sequence[FoundServer],
    cronjobs: Sequence[BackupCronJob],
    addresses: Mapping[str, ServiceName],
    now: datetime,
    max_age: timedelta,
    *,
    sees_every_cronjob: bool = True,
) -> list[Protection]:
    """One for each server, then one for each host and port of a CronJob that none of these servers has.

    `addresses` are the cluster IPs of the services. `sees_every_cronjob` is whether this user may list all CronJobs.
    """
    without = "no CronJob of this collection backs it up"
    if not sees_every_cronjob:
        without = "not known: this user may not list all CronJobs"
    owners = {ServiceName(server.namespace, service): server for server in servers for service in {*server.services}}
    by_server: dict[str, list[BackupCronJob]] = {}
    others: dict[str, list[BackupCronJob]] = {}
    for cronjob in cronjobs:
        service = addresses.get(cronjob.host.strip("[]")) or service_behind(cronjob.host, cronjob.namespace)
        server = owners.get(service) if service else None
        if server is not None:
            by_server.setdefault(_key(server), []).append(cronjob)
        else:
            others.setdefault(f"{service or cronjob.host} {cronjob.port}", []).append(cronjob)

    def protection(server: FoundServer | None, cronjobs: Sequence[BackupCronJob]) -> Protection:
        return _protection(server, cronjobs, now, max_age) if cronjobs else Protection(server, None, without, None)

    found = [protection(server, by_server.get(_key(server), [])) for server in servers]
    return found + [protection(None, group) for group in others.values()]


def _key(server: FoundServer) -> str:
    return f"{server.namespace}/{server.id}"


def _protection(
    server: FoundServer | None, cronjobs: Sequence[BackupCronJob], now: datetime, max_age: timedelta
) -> Protection:
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
