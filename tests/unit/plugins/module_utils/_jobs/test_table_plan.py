# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of a restore of tables, and what is refused before a Job is created."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from plugins.module_utils._jobs.restore_plan import RestoreRequest, plan_restore
from plugins.module_utils._jobs.table_plan import TablePlan, TableRequest, plan_tables
from plugins.module_utils.errors import ExpectationError

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)


def plan(*tables: str, **more: Any) -> TablePlan:
    return plan_tables(TableRequest(**{"database": "shop", "tables": tables, "token": "t", "now": NOW, **more}))


def test_variables() -> None:
    planned = plan("public.orders", '"My Table"', "ünï", merge="changed", keys=7, target="other")
    assert (planned.target, planned.schema) == ("other", "restored_20261122030405")
    variables = planned.variables
    assert json.loads(variables["RESTORE_TABLES"]) == ["public.orders", '"My Table"', "ünï"]
    names = ("DATABASE", "TARGET", "SCHEMA", "MERGE", "KEYS", "CHECK")
    assert {name: variables[f"RESTORE_{name}"] for name in names} == {
        "DATABASE": "shop",
        "TARGET": "other",
        "SCHEMA": "restored_20261122030405",
        "MERGE": "changed",
        "KEYS": "7",
        "CHECK": "no",
    }
    assert plan("a").variables["RESTORE_MERGE"] == "no"


def test_a_restore_of_the_database_drops_the_same_leftovers() -> None:
    other = plan_restore(RestoreRequest("shop", "x", NOW)).variables
    assert plan("a").variables["RESTORE_MARK"] == other["RESTORE_MARK"]


def test_the_time_in_the_name_is_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert plan("a", now=local).schema == "restored_20261122030405"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tables": ()}, "tables: expected at least one name"),
        ({"tables": ("a", " ")}, "tables: expected at least one name of a table, and no empty one"),
        ({"merge": "all"}, "merge: expected one of missing, changed, found 'all'"),
        ({"keys": -1}, "keys: expected a number from 0 to 1000, found -1"),
        ({"keys": 1001}, "keys: expected a number from 0 to 1000, found 1001"),
        ({"sha256": "0" * 64}, "backup: expected the name"),
        ({"backup": "b", "sha256": "1"}, "sha256: expected 64 hexadecimal digits"),
        ({"database": ""}, "database: expected a name"),
        ({"tables": ("a" * 140_000,)}, "tables: expected at most"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        plan(**{"tables": ("a",), **options})
    assert str(caught.value).startswith(message)
