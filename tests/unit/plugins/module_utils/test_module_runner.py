# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What Ansible prints of a failure."""

from __future__ import annotations

import json
from typing import Any

from plugins.module_utils.module_runner import shortened
from plugins.module_utils.script_output import FAILED_LOG_LINES


def test_failure_result_is_short() -> None:
    lines = [f"2026-11-22T02:00:00Z line {number}" for number in range(200)]
    tables = [{"schema": "public", "name": f"t{number}", "rows": 1} for number in range(1000)]
    result: dict[str, Any] = {
        "failed": True,
        "msg": "the backup failed",
        "job": None,
        "result": {"state": "failed", "reason": "why", "backup": None, "seconds": {}, "deleted": 0, "warnings": []},
        "log": [*lines, '{"state":"failed"}'],
        "contents": {"complete": False, "databases": [{"name": "shop", "tables": tables, "rows": 1000}]},
    }
    before = json.dumps(result)
    assert shortened(result) == {
        "failed": True,
        "msg": "the backup failed",
        "job": None,
        "result": {"state": "failed", "reason": "why", "deleted": 0},
        "log": lines[-FAILED_LOG_LINES:],
        "contents": {"complete": False, "databases": [{"name": "shop", "rows": 1000}]},
    }
    assert json.dumps(result) == before


def test_failure_without_a_result() -> None:
    results: list[dict[str, Any]] = [
        {"msg": "x"},
        {"log": [], "result": None, "contents": None},
        {"contents": {"complete": False}},
    ]
    for result in results:
        assert shortened(result) == result
