# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The environment with which the script writes metrics, and the result of a drill for `_drill_record`."""

from __future__ import annotations

import json
import os

from .sandbox import Json, Sandbox
from .volume import put

FILE = "postgres-backup.prom"
METRICS = {
    "POSTGRES_BACKUP_METRICS": "1",
    "POSTGRES_BACKUP_NAMESPACE": "data",
    "POSTGRES_BACKUP_SCHEDULE_SECONDS": "86400",
}


def drill_record(sandbox: Sandbox, state: str) -> dict[str, str]:
    """The environment of `_drill_record` after a drill of 33 seconds that counted 5,000,000,000 rows."""
    result: Json = {
        "state": state, "operation": "drill", "job": "postgres-backup-drill-29000000", "pod": "p",
        "started": "2026-11-22T04:00:00Z", "finished": "2026-11-22T04:05:00Z",
        "reason": None if state == "succeeded" else "it did not restore", "signal": None, "backup": None,
        "bytes": 12345, "sha256": None, "seconds": {"prepare": 1, "initdb": 2, "restore": 30}, "server_version": "18.1",
        "databases": 1, "tables": 40, "rows": 5000000000, "copied_rows": 7, "can_heal": True, "warnings": [],
    }  # fmt: skip
    file = sandbox.tmp.parent / f"{sandbox.tmp.name}.result"
    put(file, json.dumps(result, separators=(",", ":")) + "\n")
    os.chown(file, sandbox.uid, sandbox.uid)
    return {**METRICS, "POSTGRES_BACKUP_DRILL_RESULT": str(file)}
