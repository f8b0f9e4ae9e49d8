# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which CronJob backs up which server, and how old the newest backup is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._jobs.postgres_server import ServiceName
from plugins.module_utils._servers.found_server import FoundServer
from plugins.module_utils._servers.protection import Protection, backup_cronjobs, protections, sentence

from ..cronjobs import cronjob as backup_cronjob
from ..cronjobs import plain

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
MAX_AGE = timedelta(hours=26)
SHOP = FoundServer("CloudNativePG", "shop", "shop", "shop-rw", version=18, services=("shop-r", "shop-ro", "shop-rw"))
ORDERS = FoundServer("Bitnami", "data", "orders", "orders", services=("orders", "orders-hl"))


def cronjob(host: str | None, name: str = "backup", namespace: str = "data", **spec: Any) -> dict[str, Any]:
    made = backup_cronjob()
    (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    if host is not None:
        container["env"] += [{"name": "POSTGRES_BACKUP_HOST", "value": host}]
    made["metadata"] = {"name": name, "namespace": namespace, "uid": f"uid of {name}"}
    made["spec"] |= spec
    return made


def ended(text: str | None, made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "status": {"lastSuccessfulTime": text} if text else {}}


def job(owner: str, finished: str | None, kind: str = "CronJob", command: str = "run") -> dict[str, Any]:
    made = backup_cronjob()["spec"]["jobTemplate"]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["args"] = [command]
    metadata = {"name": "run", "ownerReferences": [{"kind": kind, "uid": f"uid of {owner}"}]}
    return {**made, "metadata": metadata, "status": {"completionTime": finished} if finished else {"failed": 1}}


def protected(
    cronjobs: list[dict[str, Any]], *jobs: dict[str, Any], servers: tuple[FoundServer, ...] = (SHOP, ORDERS)
) -> list[Protection]:
    addresses = {"10.96.0.7": ServiceName("data", "orders"), "fd00::7": ServiceName("data", "orders")}
    return protections(servers, backup_cronjobs(cronjobs, jobs), addresses, NOW, MAX_AGE)


HOSTS = {
    "orders": ORDERS,
    "orders.data": ORDERS,
    "orders-hl.data.svc.cluster.local.": ORDERS,
    "10.96.0.7": ORDERS,
    "[fd00::7]": ORDERS,
    "shop-ro.shop.svc": SHOP,
    "shop-rw": None,
    "db.example.org": None,
    "10.96.0.8": None,
}


@pytest.mark.parametrize("host", HOSTS)
def test_the_server_behind_the_host_of_a_cronjob(host: str) -> None:
    found = protected([ended("2026-11-28T02:00:00Z", cronjob(host))])
    (backed_up,) = (each for each in found if each.cronjob)
    assert (backed_up.server, backed_up.reason) == (HOSTS[host], "")
    assert [each.server for each in found[:2]] == [SHOP, ORDERS]
    assert backed_up.to_dict()["host"] == (HOSTS[host].host if HOSTS[host] else host)  # type: ignore[union-attr]


AGES: list[tuple[str | None, str, int | None]] = [
    ("2026-11-28T02:00:00Z", "", 36000),
    ("2026-11-27T10:00:00Z", "", 26 * 3600),
    ("2026-11-27T09:59:59Z", "the newest backup of data/backup is 26 hours old", 26 * 3600 + 1),
    ("2026-11-20T12:00:00Z", "the newest backup of data/backup is 192 hours old", 192 * 3600),
    (None, "the CronJob data/backup has no successful run yet", None),
]


@pytest.mark.parametrize(("time", "reason", "age"), AGES)
def test_the_age_of_the_newest_backup(time: str | None, reason: str, age: int | None) -> None:
    (server,) = protected([ended(time, cronjob("orders"))], servers=(ORDERS,))
    result = server.to_dict()
    assert (result["reason"], result["age_seconds"], result["newest_backup"]) == (reason, age, time)
    assert result["protected"] == (reason == "")


def test_a_suspended_cronjob_is_named_as_such() -> None:
    (server,) = protected([ended("2026-11-20T12:00:00Z", cronjob("orders", suspend=True))], servers=(ORDERS,))
    assert server.reason == "the newest backup of data/backup is 192 hours old; it is suspended"


def test_a_manual_run_counts_and_a_failed_one_does_not() -> None:
    old = ended("2026-11-20T12:00:00Z", cronjob("orders"))
    manual = job("backup", "2026-11-28T11:00:00Z")
    (server,) = protected([old], manual, job("backup", None), job("other", "2026-11-28T11:30:00Z"), servers=(ORDERS,))
    assert server.to_dict()["newest_backup"] == "2026-11-28T11:00:00Z"
    (server,) = protected([old], job("backup", "2026-11-28T11:00:00Z", kind="Other"), servers=(ORDERS,))
    assert not server.to_dict()["protected"]


def test_a_job_that_makes_no_backup_does_not_count() -> None:
    """Such as one that lists the volume; it also moves the time in the CronJob's status."""
    listing = job("backup", "2026-11-28T11:00:00Z", command="list")
    made = ended("2026-11-28T11:00:00Z", cronjob("orders"))
    (server,) = protected([made], listing, servers=(ORDERS,))
    assert server.reason == "the CronJob data/backup has no successful run yet"
    (server,) = protected([made], listing, job("backup", "2026-11-20T12:00:00Z"), servers=(ORDERS,))
    assert server.to_dict()["newest_backup"] == "2026-11-20T12:00:00Z"


def test_two_ports_of_a_host_are_two_servers() -> None:
    cronjobs = [
        ended("2026-11-28T02:00:00Z", cronjob("db.example.org", "a")),
        ended(None, cronjob("db.example.org", "b")),
    ]
    for made, port in zip(cronjobs, ("5432", "5433"), strict=True):
        (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        container["env"] += [{"name": "POSTGRES_BACKUP_PORT", "value": port}]
    assert [each.to_dict()["protected"] for each in protected(cronjobs, servers=())] == [True, False]


def test_without_the_right_to_list_cronjobs() -> None:
    (server,) = protections((SHOP,), [], {}, NOW, MAX_AGE, sees_every_cronjob=False)
    assert server.reason == "not known: this user may not list all CronJobs"


def test_the_cronjob_with_the_newest_backup_counts() -> None:
    cronjobs = [
        ended(None, cronjob("orders", "new")),
        ended("2026-11-28T02:00:00Z", cronjob("orders.data", "good")),
        ended("2026-11-20T02:00:00Z", cronjob("orders-hl", "old")),
    ]
    (server,) = protected(cronjobs, servers=(ORDERS,))
    assert server.to_dict()["installation"] == "data/good"


def test_cronjobs_that_are_not_of_backups() -> None:
    drill = cronjob(None, "backup-drill")
    other = plain(("data", "/backups"))
    other["metadata"]["namespace"] = "data"
    assert backup_cronjobs([drill, other], []) == []


def test_the_result_in_words() -> None:
    good = ended("2026-11-28T02:00:00Z", cronjob("shop-rw.shop"))
    outside = ended(None, cronjob("db.example.org", "outside"))
    assert sentence(protected([good, outside]), "26h") == (
        "3 servers, 1 with a backup younger than 26h, without: data/orders, db.example.org"
    )
    assert sentence(protected([good], servers=(SHOP,)), "2d") == "1 server, 1 with a backup younger than 2d"
    assert sentence([], "26h") == "0 servers, 0 with a backup younger than 26h"


def test_a_server_without_a_cronjob() -> None:
    (server,) = protected([], servers=(SHOP,))
    assert server.to_dict() == {
        "kind": "CloudNativePG",
        "name": "shop",
        "namespace": "shop",
        "version": 18,
        "host": "shop-rw.shop.svc.cluster.local",
        "installation": None,
        "newest_backup": None,
        "age_seconds": None,
        "protected": False,
        "reason": "no CronJob of this collection backs it up",
    }
