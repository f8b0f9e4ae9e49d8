# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The plan for the restore of everything in a backup: the variables of the pod, which does the rest (cluster.sh)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..errors import ExpectationError
from .restore_plan import check_sha256, word


@dataclass(frozen=True)
class ClusterRequest:
    """The options of a restore of all databases; `token` is unique to it, ASCII, and at most 16 characters long.

    Without `backup`, the pod takes the newest complete one; without `sha256`, that of the checksum file.
    """

    token: str
    now: datetime
    backup: str | None = None
    sha256: str | None = None
    replace: bool = False
    alter_roles: bool = False
    terminate_connections: bool = False
    analyze: bool = True
    wait_seconds: int = 30
    check: bool = False


def plan_cluster(request: ClusterRequest) -> Mapping[str, str]:
    """The pod's RESTORE_* variables.

    Raises ExpectationError, which names the option, if that cannot be restored.
    """
    if request.backup is None and request.sha256 is not None:
        raise ExpectationError("backup: expected the name of the backup that sha256 belongs to, found none")
    check_sha256(request.sha256)
    if request.backup is not None and ("\0" in request.backup or len(request.backup.encode("utf-8", "replace")) > 255):
        raise ExpectationError("backup: expected the name of a file, of at most 255 bytes")
    return {
        "RESTORE_BACKUP": request.backup or "",
        "RESTORE_SHA256": (request.sha256 or "").lower(),
        "RESTORE_TOKEN": request.token,
        "RESTORE_TIME": f"{request.now.astimezone(timezone.utc):%Y%m%d%H%M%S}",
        "RESTORE_WAIT_SECONDS": str(request.wait_seconds),
        "RESTORE_REPLACE": word(request.replace),
        "RESTORE_ALTER_ROLES": word(request.alter_roles),
        "RESTORE_TERMINATE": word(request.terminate_connections),
        "RESTORE_ANALYZE": word(request.analyze),
        "RESTORE_CHECK": word(request.check),
    }


def server_lists(result: Mapping[str, Any]) -> tuple[str, str]:
    """The server's databases and the backup's roles on it before and after, one a line, for a diff.

    `result` is that of the script (cluster_result in cluster.sh) if the restore succeeded, or could succeed.
    """
    before = {("database", name) for name in result["other_databases"]}
    before |= {("role", name) for name in result["kept_roles"]}
    after = {("role", f"{name} (altered)") for name in result["altered_roles"]}
    after |= {("role", name) for name in result["created_roles"]}
    for database in result["databases"]:
        exists = database["state"] == "present" or database["replaced"] is not None or database["dropped"]
        # It is restored in place.
        if exists or database["name"] == "template1":
            before.add(("database", database["name"]))
        after.update(("database", name) for name in (database["name"], database["replaced"]) if name is not None)
    altered = {("role", name) for name in result["altered_roles"]}
    return _lines(before | altered), _lines((before - altered) | after)


def _lines(objects: set[tuple[str, str]]) -> str:
    return "".join(f"{kind} {name}\n" for kind, name in sorted(objects))
