# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The environment with which the script writes metrics, and the result of a drill for `_drill_record`."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

from .sandbox import Json, Sandbox
from .volume import put

FILE = "postgres-backup.prom"
METRICS = {
    "POSTGRES_BACKUP_METRICS": "1",
    "POSTGRES_BACKUP_NAMESPACE": "data",
    "POSTGRES_BACKUP_SCHEDULE_SECONDS": "86400",
}


def drill_record(
    sandbox: Sandbox, state: str, finished: datetime = datetime(2026, 11, 22, 4, 5, tzinfo=UTC)
) -> dict[str, str]:
    """The environment of `_drill_record` after a drill of 33 seconds that counted 5,000,000,000 rows."""
    started = finished - timedelta(minutes=5)
    result: Json = {
        "state": state, "operation": "drill", "job": "postgres-backup-drill-29000000", "pod": "p",
        "started": f"{started:%Y-%m-%dT%H:%M:%SZ}", "finished": f"{finished:%Y-%m-%dT%H:%M:%SZ}",
        "reason": None if state == "succeeded" else "it did not restore", "signal": None, "backup": None,
        "bytes": 12345, "sha256": None, "seconds": {"prepare": 1, "initdb": 2, "restore": 30}, "server_version": "18.1",
        "databases": 1, "tables": 40, "rows": 5000000000, "copied_rows": 7, "can_heal": True, "warnings": [],
    }  # fmt: skip
    file = sandbox.tmp.parent / f"{sandbox.tmp.name}.result"
    put(file, json.dumps(result, separators=(",", ":")) + "\n")
    os.chown(file, sandbox.uid, sandbox.uid)
    return {**METRICS, "POSTGRES_BACKUP_DRILL_RESULT": str(file)}
