# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a restore does, worked out from contents."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from plugins.module_utils._jobs.restore_plan import (
    RestorePlan,
    RestoreRequest,
    create_statement,
    cut_name,
    database_lists,
    pieces,
    plan_restore,
    quote_name,
    quote_text,
)
from plugins.module_utils.errors import ExpectationError, MissingDatabaseError

from .restore_contents import a_property, contents

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)


def request(**more: Any) -> RestoreRequest:
    given: dict[str, Any] = {"contents": contents(), "database": "shop", "token": "t0", "now": NOW, **more}
    return RestoreRequest("b.sql.gz", "AB" * 32, **given)


def variable(plan: RestorePlan, name: str) -> str:
    return plan.variables[f"RESTORE_{name}"]


def settings(plan: RestorePlan, name: str) -> list[list[str]]:
    """The statements that set something, each with the setting's name."""
    pairs = re.findall(r"^\['((?:[^']|'')*)', '((?:[^']|'')*)'\],?$", variable(plan, name), re.MULTILINE)
    return [[part.replace("''", "'") for part in pair] for pair in pairs]


def test_plan_of_one_database() -> None:
    plan = plan_restore(request(new_name="other"))
    assert (plan.target, plan.temporary) == ("other", "other_restoring_t0")
    assert plan.old == "other_before_restore_20261122030405"
    assert variable(plan, "SHA256") == "ab" * 32
    assert variable(plan, "PIECES").splitlines() == ["300 100", "450 600", "1090 10"]
    assert variable(plan, "SECTION") == "100 200"
    assert (variable(plan, "GLOBALS_BYTES"), variable(plan, "MAJOR"), variable(plan, "ROWS")) == ("100", "18", "7")
    assert json.loads(variable(plan, "ROLES")) == ['the "owner"', "a"]
    assert settings(plan, "BEFORE_SQL") == [
        ["ALTER DATABASE \"other_restoring_t0\" SET work_mem TO '8MB';", "work_mem"],
        ["ALTER ROLE a IN DATABASE \"other_restoring_t0\" SET x.y TO 'z';", "x.y"],
    ]
    assert variable(plan, "AFTER_SQL").strip().splitlines() == [
        'COMMENT ON DATABASE "other_restoring_t0" IS NULL;',
        "COMMENT ON DATABASE \"other_restoring_t0\" IS 'SET work';",
        'GRANT CREATE ON DATABASE "other_restoring_t0" TO a;',
    ]
    # The limit and the mark hold until the name is given.
    assert variable(plan, "SWAP_SQL").splitlines() == [
        'ALTER DATABASE "other_restoring_t0" RESET postgres_backup.unfinished_restore;',
        'ALTER DATABASE "other_restoring_t0" CONNECTION LIMIT -1;',
        'ALTER DATABASE "other_restoring_t0" CONNECTION LIMIT = 5;',
    ]
    assert variable(plan, "RENAME_SQL") == 'ALTER DATABASE "other_restoring_t0" RENAME TO "other";'
    assert variable(plan, "AWAY_SQL") == 'ALTER DATABASE "other" RENAME TO "other_before_restore_20261122030405";'


def test_settings_that_would_stand_in_the_way_are_made_after_the_body() -> None:
    found = contents()
    (database,) = found["databases"]
    texts = [
        " SET default_transaction_read_only TO 'on';", " SET \"role\" TO 'app';", " SET search_path TO 'a', 'b';",
        " RESET array_nulls;", " SET \"TimeZone\" TO '$settings$ \\';", " SET TABLESPACE elsewhere;",
    ]  # fmt: skip
    database["properties"] = [
        {"before": "ALTER DATABASE ", "after": text, "offset_bytes": 110 + number, "length_bytes": 1}
        for number, text in enumerate(texts)
    ]
    plan = plan_restore(request(contents=found))
    early, late = variable(plan, "BEFORE_SQL"), variable(plan, "AFTER_SQL")
    assert [name for name in ("search_path", "timezone") if f"'{name}']" in early] == ["search_path", "timezone"]
    # In the source's order, which PostgreSQL keeps: those made before are made anew.
    after = re.findall(r", '([\w.]+)'\],?$", late, re.MULTILINE)
    assert after[:2] == ["search_path", "timezone"]
    assert after[2:] == ["default_transaction_read_only", "role", "search_path", "array_nulls", "timezone"]
    # A statement that cannot be in a transaction is not a setting; and no text ends the quotation.
    assert 'ALTER DATABASE "shop_restoring_t0" SET TABLESPACE elsewhere;' in late.splitlines()
    assert early.startswith("DO $settings_$\n") and early.count("$settings_$") == 2


def test_no_statement_names_the_live_database_but_its_renaming() -> None:
    plan = plan_restore(request())
    for name in ("CREATE_SQL", "BEFORE_SQL", "AFTER_SQL", "SWAP_SQL"):
        assert '"shop"' not in variable(plan, name)


def test_create_database_statement() -> None:
    (database,) = contents()["databases"]
    assert create_statement(database, "x") == (
        'CREATE DATABASE "x" TEMPLATE template0 OWNER "the ""owner""" ENCODING \'UTF8\' LOCALE \'C\' '
        'LOCALE_PROVIDER "libc"'
    )
    assert create_statement({"owner": None, "create_options": {}}, "x") == 'CREATE DATABASE "x" TEMPLATE template0'
    options = {"lc_collate": "a'b\\", "tablespace": 'sp"ace', "is_template": "true", "connection_limit": "3"}
    assert create_statement({"create_options": options}, "x").endswith(
        "LC_COLLATE E'a''b\\\\' TABLESPACE \"sp\"\"ace\""
    )


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


def test_the_temporary_name_is_ascii() -> None:
    plan = plan_restore(request(new_name="ünï" * 9))
    assert plan.temporary.isascii()
    assert plan.temporary.endswith("_restoring_t0")


def test_names_are_quoted() -> None:
    assert quote_name('a"b\\') == '"a""b\\"'
    assert (quote_text("it's"), quote_text("a\\'")) == ("'it''s'", "E'a\\\\'''")


def test_pieces_around_what_is_left_out() -> None:
    (database,) = contents(properties=[])["databases"]
    assert pieces(database) == [(300, 800)]
    (database,) = contents(properties=[a_property("x", "y", 300, 5), a_property("x", "y", 1095, 5)])["databases"]
    assert pieces(database) == [(305, 790)]


def test_statements_in_the_body_are_run_after_it() -> None:
    setting = a_property("ALTER DATABASE ", " SET search_path TO x;", 500)
    plan = plan_restore(request(contents=contents(properties=[setting])))
    assert variable(plan, "BEFORE_SQL") == ""
    assert settings(plan, "AFTER_SQL") == [['ALTER DATABASE "shop_restoring_t0" SET search_path TO x;', "search_path"]]


def test_a_statement_that_is_too_long_is_left_out_and_told() -> None:
    plan = plan_restore(request(contents=contents(properties=[a_property("COMMENT ON DATABASE ", None, 400)])))
    assert "byte 400" in plan.warnings[0]
    assert variable(plan, "PIECES").splitlines() == ["300 100", "410 690"]


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
        ({"contents": contents(create_options={"locale": "\udcff"})}, ("CREATE_SQL", "UTF-8")),
        (
            {"contents": contents(properties=[a_property("COMMENT ON DATABASE ", "x" * 131_000, 400)])},
            ("AFTER_SQL", "too long"),
        ),
    ],
)
def test_invalid_requests_are_refused(more: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ExpectationError) as caught:
        plan_restore(request(**more))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_contents_of_an_older_version() -> None:
    old = contents()
    del old["databases"][0]["properties"]
    with pytest.raises(ExpectationError, match="verify: true again"):
        plan_restore(request(contents=old))


def test_invalid_hash_is_refused() -> None:
    with pytest.raises(ExpectationError, match="sha256: expected 64"):
        plan_restore(RestoreRequest("b", "x", contents(), "shop", "t", NOW))


def test_diff_lists_the_changes() -> None:
    plan = plan_restore(request())
    assert database_lists(["shop", "postgres"], plan, plan.old) == (
        "postgres\nshop\n",
        f"postgres\nshop\n{plan.old}\n",
    )
    assert database_lists(["postgres"], plan, None)[1] == "postgres\nshop\n"


def test_database_that_the_run_could_not_dump() -> None:
    incomplete = {**contents(), "missing": ["sick"]}
    assert plan_restore(request(contents=incomplete)).rows == 7
    with pytest.raises(
        MissingDatabaseError, match=r"found 'sick', which the run could not dump: b\.sql\.gz is incomplete"
    ):
        plan_restore(request(contents=incomplete, database="sick"))
    with pytest.raises(ExpectationError, match="expected one of those in the backup") as caught:
        plan_restore(request(contents=incomplete, database="none"))
    assert not isinstance(caught.value, MissingDatabaseError)
