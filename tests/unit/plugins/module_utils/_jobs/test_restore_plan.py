# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a restore passes to its pod: names and options."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from plugins.module_utils._jobs.restore_plan import RestorePlan, RestoreRequest, database_lists, plan_restore
from plugins.module_utils._jobs.sql_text import cut_name, quote_name, quote_text
from plugins.module_utils.errors import ExpectationError

from .restore_contents import contents

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)


def request(**more: Any) -> RestoreRequest:
    options: dict[str, Any] = {"database": "shop", "token": "t0", "now": NOW, **more}
    return RestoreRequest(**options)


def proven(**more: Any) -> RestoreRequest:
    """With what a fetched and verified backup adds."""
    return request(**{"backup": "b.sql.gz", "sha256": "AB" * 32, "contents": contents(), **more})


def variable(plan: RestorePlan, name: str) -> str:
    return plan.variables[f"RESTORE_{name}"]


def test_the_name_alone_is_enough() -> None:
    plan = plan_restore(request())
    assert (plan.target, plan.temporary) == ("shop", "shop_restoring_t0")
    assert plan.old == "shop_before_restore_20261122030405"
    for name in ("BACKUP", "SHA256", "ROWS", "SEARCH_PATH", "BEFORE_SQL", "AFTER_SQL"):
        assert variable(plan, name) == "", name
    assert variable(plan, "MARK") == f"postgres_backup.unfinished_restore={hashlib.sha256(b'shop').hexdigest()}"


def test_options_become_variables() -> None:
    plan = plan_restore(
        proven(
            new_name="other", replace=True, create_roles=True, terminate_connections=True, wait_seconds=7, check=True,
            search_path="public, 'x'", before_sql="SELECT 1", after_sql="SELECT 2",
        )
    )  # fmt: skip
    expected = {
        "BACKUP": "b.sql.gz", "SHA256": "ab" * 32, "ROWS": "7", "DATABASE": "shop", "TARGET": "other",
        "REPLACE": "yes", "CREATE_ROLES": "yes", "TERMINATE": "yes", "WAIT_SECONDS": "7", "CHECK": "yes",
        "SEARCH_PATH": "public, 'x'", "BEFORE_SQL": "SELECT 1", "AFTER_SQL": "SELECT 2",
    }  # fmt: skip
    assert {name: variable(plan, name) for name in expected} == expected


def test_nothing_of_the_backup_is_sent() -> None:
    """However many tables and statements the contents have."""
    large = contents(tables=[{"schema": "s", "name": "t" * 60, "rows": 1}] * 10_000, owner="x" * 1000)
    assert sum(map(len, plan_restore(proven(contents=large)).variables.values())) < 1000


@pytest.mark.parametrize("name", ["ünï", 'a "b" \\ c', "a,b"])
def test_the_name_is_also_as_the_manifest_has_it(name: str) -> None:
    found = variable(plan_restore(request(database=name)), "DATABASE_JSON")
    assert found.isascii() and json.loads(found) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop", "shop_end"),
        ("d" * 63, "d" * 59 + "_end"),
        ("ü" * 31, "ü" * 29 + "_end"),
        ("x" + "\U0001f4be" * 15, "x" + "\U0001f4be" * 14 + "_end"),
    ],
)
def test_names_are_cut_between_characters(name: str, expected: str) -> None:
    assert cut_name(name, "_end") == expected
    assert len(expected.encode()) <= 63


@pytest.mark.parametrize("name", ["ünï" * 9, "a \"b\" 'c' \\ $d", "d" * 63])
def test_the_temporary_name_needs_no_care_in_sql(name: str) -> None:
    plan = plan_restore(request(new_name=name))
    assert plan.temporary.replace("_", "").isalnum() and plan.temporary.isascii()
    assert plan.temporary.endswith("_restoring_t0") and len(plan.temporary) <= 63


def test_names_are_quoted() -> None:
    assert quote_name('a"b\\') == '"a""b\\"'
    assert (quote_text("it's"), quote_text("a\\'")) == ("'it''s'", "E'a\\\\'''")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"contents": {**contents(), "complete": False}}, ("contents", "incomplete")),
        ({"contents": {**contents(), "kind": "database"}}, ("contents", "another kind")),
        ({"database": "other"}, ("database", "(shop)", "'other'")),
        ({"new_name": ""}, ("new_name", "1 to 63 bytes", "found 0")),
        ({"new_name": "ü" * 32}, ("new_name", "found 64")),
        ({"new_name": "a\nb"}, ("new_name", "line breaks")),
        ({"new_name": "template1"}, ("new_name", "template1")),
        ({"contents": contents(name="template1"), "database": "template1"}, ("database", "template1")),
        ({"sha256": "x"}, ("sha256", "64 hexadecimal")),
        ({"backup": None}, ("backup", "belong to")),
        ({"backup": None, "contents": None}, ("backup", "belong to")),
        ({"backup": "\udcff"}, ("backup", "UTF-8")),
        ({"before_sql": "x" * 131_001}, ("before_sql", "131000")),
        ({"search_path": "a\0b"}, ("search_path", "NUL")),
    ],
)
def test_invalid_requests_are_refused(more: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ExpectationError) as caught:
        plan_restore(proven(**more))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_diff_lists_the_changes() -> None:
    plan = plan_restore(request())
    assert database_lists(["shop", "postgres"], plan, plan.old) == (
        "postgres\nshop\n",
        f"postgres\nshop\n{plan.old}\n",
    )
    assert database_lists(["postgres"], plan, None)[1] == "postgres\nshop\n"


def test_database_that_the_run_could_not_dump() -> None:
    incomplete = {**contents(), "missing": ["sick"]}
    assert variable(plan_restore(proven(contents=incomplete)), "ROWS") == "7"
    with pytest.raises(ExpectationError, match=r"found 'sick', which the run could not dump: b\.sql\.gz is incomplete"):
        plan_restore(proven(contents=incomplete, database="sick"))
    with pytest.raises(ExpectationError, match="expected one of those in the backup"):
        plan_restore(proven(contents=incomplete, database="none"))
