# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of a restore of everything, and what is refused before a Job is created."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from plugins.module_utils._jobs.cluster_plan import ClusterRequest, plan_cluster, server_lists
from plugins.module_utils.errors import ExpectationError

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)


def plan(**options: Any) -> dict[str, str]:
    return dict(plan_cluster(ClusterRequest(**{"token": "abcd0123", "now": NOW, **options})))


def test_variables() -> None:
    assert plan(backup="b.sql.gz", sha256="AB" * 32, replace=True, alter_roles=True, wait_seconds=5, check=True) == {
        "RESTORE_BACKUP": "b.sql.gz",
        "RESTORE_SHA256": "ab" * 32,
        "RESTORE_TOKEN": "abcd0123",
        "RESTORE_TIME": "20261122030405",
        "RESTORE_WAIT_SECONDS": "5",
        "RESTORE_REPLACE": "yes",
        "RESTORE_ALTER_ROLES": "yes",
        "RESTORE_TERMINATE": "no",
        "RESTORE_ANALYZE": "yes",
        "RESTORE_CHECK": "yes",
    }


def test_without_options_nothing_is_replaced_or_altered() -> None:
    variables = plan()
    assert (variables["RESTORE_BACKUP"], variables["RESTORE_SHA256"]) == ("", "")
    assert {variables[f"RESTORE_{name}"] for name in ("REPLACE", "ALTER_ROLES", "TERMINATE", "CHECK")} == {"no"}


def test_the_time_in_the_names_is_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert plan(now=local)["RESTORE_TIME"] == "20261122030405"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sha256": "0" * 64}, "backup: expected the name of the backup that sha256 belongs to"),
        ({"backup": "b", "sha256": "1"}, "sha256: expected 64 hexadecimal digits"),
        ({"backup": "b" * 256}, "backup: expected the name of a file"),
        ({"backup": "b\0"}, "backup: expected the name of a file"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        plan(**options)
    assert str(caught.value).startswith(message)


def test_diff_shows_databases_and_roles() -> None:
    def database(
        name: str, state: str = "restored", replaced: str | None = None, dropped: bool = False
    ) -> dict[str, Any]:
        return {"name": name, "state": state, "replaced": replaced, "dropped": dropped}

    result = {
        "databases": [
            database("shop", replaced="shop_before_restore_20261122030405"),
            database("empty", dropped=True),
            database("new"),
            database("postgres", "present"),
            database("template1"),
        ],
        "created_roles": ["b"],
        "kept_roles": ["a", "postgres"],
        "altered_roles": ["c"],
        "other_databases": ["other"],
    }
    before, after = (text.splitlines() for text in server_lists(result))
    assert before == [
        *(f"database {name}" for name in ("empty", "other", "postgres", "shop", "template1")),
        *(f"role {name}" for name in ("a", "c", "postgres")),
    ]
    assert sorted({*after} - {*before}) == [
        "database new",
        "database shop_before_restore_20261122030405",
        "role b",
        "role c (altered)",
    ]
    assert {*before} - {*after} == {"role c"}
