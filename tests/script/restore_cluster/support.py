# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Restores of everything: the variables of the pod, and its result."""

from __future__ import annotations

from collections.abc import Mapping

from ..support.restores import Backup
from ..support.sandbox import Outcome, Sandbox

TIME = "20261128030405"
MARKS = r"SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text LIKE '%postgres\_backup.%';"
OPTIONS = {
    "SHA256": "",
    "TOKEN": "abcd0123",
    "TIME": TIME,
    "WAIT_SECONDS": "5",
    "REPLACE": "no",
    "ALTER_ROLES": "no",
    "TERMINATE": "no",
    "CHECK": "no",
    "ANALYZE": "yes",
}


def variables(backup: Backup, options: Mapping[str, str]) -> dict[str, str]:
    return {f"RESTORE_{name}": text for name, text in {"BACKUP": backup.name, **OPTIONS, **options}.items()}


def restore(sandbox: Sandbox, backup: Backup, **options: str) -> Outcome:
    return sandbox.run("_restore_cluster", env=variables(backup, options))


def states(outcome: Outcome) -> dict[str, str]:
    return {database["name"]: database["state"] for database in outcome.result["databases"]}
