# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a playbook leaves for the next step of a workflow: a few typed values of bounded size (docs/consoles.md).

The values are taken from the results of the modules that the playbook ran. Whatever happened, each key is there: null
if its value is not known. No result of a module has a secret, and only the values named here are passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._jobs.upgrade_verdict import upgrade_verdict

LONGEST_TEXT = 1000
"""Characters."""
LONGEST_LIST = 20
"""Elements; a count has the number of all."""

Results = Mapping[str, Any]
"""The registered results by a short name; one that does not exist is empty."""


def _at(path: str) -> Callable[[Results], Any]:
    """The value at a path, such as `job.result.backup`."""

    def value(results: Results) -> Any:
        found: Any = results
        for key in path.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    return value


def _first(*paths: str) -> Callable[[Results], Any]:
    """The first value that is known."""

    def value(results: Results) -> Any:
        return next((found for path in paths if (found := _at(path)(results)) is not None), None)

    return value


def _count(path: str) -> Callable[[Results], Any]:
    """How many elements a list has."""

    def value(results: Results) -> Any:
        found = _at(path)(results)
        return len(found) if isinstance(found, list) else None

    return value


def _each(path: str, key: str) -> Callable[[Results], Any]:
    """This key of each element of a list."""

    def value(results: Results) -> Any:
        found = _at(path)(results)
        return [element.get(key) for element in found] if isinstance(found, list) else None

    return value


def _total(path: str, key: str = "") -> Callable[[Results], Any]:
    """The sum of a list's elements under a key, or of a dictionary's values; unknown numbers count nothing."""

    def value(results: Results) -> Any:
        found = _at(path)(results)
        if isinstance(found, Mapping):
            numbers = [*found.values()]
        elif isinstance(found, list):
            numbers = [element.get(key) for element in found]
        else:
            return None
        return round(sum(number for number in numbers if isinstance(number, (int, float))), 3)

    return value


def _complete(results: Results) -> bool | None:
    verified = results.get("verify") or {}
    return not verified["failures"] if "failures" in verified else None


def _upgrade(key: str) -> Callable[[Results], Any]:
    def value(results: Results) -> Any:
        drill = results.get("drill") or {}
        # Without a server there was no drill, and in check mode neither.
        return upgrade_verdict(drill)[key] if drill.get("server_version") else None

    return value


def _blocking(results: Results) -> list[str] | None:
    items = _upgrade("items")(results)
    return None if items is None else [item["message"] for item in items if item["blocks"]]


def _failed_channels(results: Results) -> list[str] | None:
    channels = _at("notify.channels")(results)
    if channels is None:
        return None
    return [channel.get("name") or "" for channel in channels if channel.get("state") != "works"]


def _failed_places(results: Results) -> list[str] | None:
    places = _at("copy.places")(results)
    return None if places is None else [place.get("name") or "" for place in places if place.get("error")]


def _copies(key: str) -> Callable[[Results], Any]:
    """How many backups all places have under a key."""

    def value(results: Results) -> Any:
        places = _at("copy.places")(results)
        return None if places is None else sum(len(place.get(key) or []) for place in places)

    return value


def _unprotected(results: Results) -> list[str] | None:
    servers = _at("discovered.servers")(results)
    if servers is None:
        return None
    return [server.get("host") or "" for server in servers if not server.get("protected")]


_RESTORE = {"backup": _first("result.backup", "plan.backup"), "sha256": _first("result.sha256", "plan.sha256")}

STATS: Mapping[str, Mapping[str, Callable[[Results], Any]]] = {
    "backup_now": {
        "backup": _first("job.result.backup", "job.newest.name"),
        "state": _first("job.result.backup_state", "job.newest.state"),
        "proven": _at("job.proven"),
        "size_bytes": _first("job.result.size_bytes", "job.newest.size_bytes"),
        "uncompressed_bytes": _at("job.result.uncompressed_bytes"),
        "sha256": _first("job.result.sha256", "job.newest.sha256"),
        "seconds": _total("job.result.seconds"),
        "deleted": _at("job.result.deleted"),
        "failed_databases": _each("job.result.failed_databases", "database"),
        "job": _at("job.job"),
    },
    "backup_user": {
        "role": _at("user.role"),
        "secret_name": _at("user.secret_name"),
        "secret_key": _at("user.secret_key"),
        "password_state": _at("user.password"),
        "granted_databases": _at("user.granted_databases"),
    },
    "copy": {
        "state": _at("copy.state"),
        "places": _count("copy.places"),
        "failed_places": _failed_places,
        "copied": _copies("copied"),
        "deleted": _copies("deleted"),
        "size_bytes": _total("copy.places", "bytes"),
        "job": _at("copy.job"),
    },
    "disaster": {
        **_RESTORE,
        "databases": _count("result.databases"),
        "rows": _at("result.rows"),
        "tables": _at("result.tables"),
        "created_roles": _count("result.created_roles"),
        "missing_databases": _at("result.missing_databases"),
        "seconds": _at("result.duration_seconds"),
    },
    "drill": {
        "backup": _at("drill.backup"),
        "sha256": _at("drill.sha256"),
        "server_version": _at("drill.server_version"),
        "databases": _count("drill.databases"),
        "tables": _at("drill.tables"),
        "rows": _at("drill.rows"),
        "compared": _at("drill.compared"),
        "missing_databases": _at("drill.missing_databases"),
        "differences": _count("drill.failures"),
        "seconds": _total("drill.seconds"),
    },
    "notify_test": {"channels": _count("notify.channels"), "failed_channels": _failed_channels},
    "report": {
        "page": _at("page.dest"),
        "healthy": _at("info.healthy"),
        "problems": _each("info.problems", "message"),
    },
    "restore": {
        **_RESTORE,
        "database": _first("result.database", "plan.database"),
        "target": _first("result.target", "plan.target"),
        "replaced": _first("result.replaced", "plan.replaced"),
        "rows": _at("result.rows"),
        "tables": _at("result.tables"),
        "created_roles": _count("result.created_roles"),
        "seconds": _total("result.seconds"),
    },
    "restore_table": {
        **_RESTORE,
        "database": _first("result.database", "plan.database"),
        "target": _first("result.target", "plan.target"),
        "schema": _at("result.schema"),
        "merged": _at("result.merged"),
        "tables": _count("result.tables"),
        "rows": _total("result.tables", "rows"),
        "inserted": _total("result.tables", "inserted"),
        "updated": _total("result.tables", "updated"),
        "seconds": _total("result.seconds"),
    },
    "retention": {
        "deleted": _count("prune.deleted"),
        "freed_bytes": _at("prune.freed_bytes"),
        "held_back": _at("prune.held_back"),
        "backups": _count("prune.backups"),
    },
    "retrieve": {
        "backup": _at("retrieve.backup"),
        "place": _at("retrieve.place"),
        "sha256": _at("retrieve.sha256"),
        "size_bytes": _at("retrieve.size_bytes"),
        "seconds": _at("retrieve.duration_seconds"),
    },
    "sample_data": {},
    "site": {"state": _at("role.state")},
    "unprotected": {
        "servers": _count("discovered.servers"),
        "unprotected": _unprotected,
        "unreadable": _count("discovered.unreadable"),
        "summary": _at("discovered.summary"),
    },
    "upgrade_rehearsal": {
        "backup": _at("drill.backup"),
        "from_version": _upgrade("from_version"),
        "to_version": _upgrade("to_version"),
        "ready": _upgrade("ready"),
        "blocking": _blocking,
        "outage_seconds": lambda results: (_upgrade("outage_seconds")(results) or {}).get("total"),
    },
    "verify": {
        "backup": _first("fetch.backup", "verify.path"),
        "complete": _complete,
        "age_seconds": _at("verify.age_seconds"),
        "size_bytes": _at("verify.size_bytes"),
        "sha256": _at("verify.sha256"),
        "databases": _count("verify.contents.databases"),
        "rows": _at("verify.contents.rows"),
        "failures": _each("verify.failures", "message"),
        "healthy": _at("info.healthy"),
        "problems": _each("info.problems", "message"),
        "backups": _count("info.backups"),
        "free_bytes": _at("info.volume.free_bytes"),
    },
}
"""The keys of each playbook, in addition to those that all have: failed, message, changed, check_mode."""


def play_stats(results: Results, playbook: str, failed: bool, check_mode: bool = False) -> dict[str, Any]:
    """What the playbook leaves. `failed` is whether it did not reach its end; the results may be those of a failure.

    `message` is the message of a module that failed, or what the playbook found; null if neither is known.
    """
    known = {name: result for name, result in results.items() if isinstance(result, Mapping) and result}
    stats: dict[str, Any] = {
        "failed": failed,
        "message": (failure(known)[1] or None) if failed else None,
        "changed": _changed(known),
        "check_mode": check_mode,
    }
    stats.update({name: value(known) for name, value in STATS[playbook].items()})
    return {name: _bounded(value) for name, value in stats.items()}


def _changed(results: Results) -> bool | None:
    """Whether a module changed something; null if none returned it."""
    changes = [result["changed"] for result in results.values() if "changed" in result]
    return any(changes) if changes else None


def failure(results: Results) -> tuple[str, str]:
    """The name of the result with the reason of a failure, and the reason; empty texts if neither is known."""
    for name, result in results.items():
        if isinstance(result, Mapping) and result.get("failed") is True and result.get("msg"):
            return name, str(result["msg"])
    for name, key in (("verify", "failures"), ("drill", "failures"), ("info", "problems")):
        messages = _each(f"{name}.{key}", "message")(results)
        if messages:
            return name, "\n".join(messages)
    blocking = _blocking(results)
    return ("drill", "\n".join(blocking)) if blocking else ("", "")


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, list):
        return [_bounded(element) for element in value[:LONGEST_LIST]]
    return value
