# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The verdict on an upgrade, from results of drills as the module returns them."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._jobs.upgrade_facts import UpgradeFacts, parse_upgrade_facts
from plugins.module_utils._jobs.upgrade_remedies import REMOVED_FUNCTIONS, remedy_of
from plugins.module_utils._jobs.upgrade_verdict import upgrade_verdict
from plugins.module_utils.errors import DrillError

BACKUP = "postgres-backup-2026-11-22-020000.sql.gz"
SERVER_LINE = (
    '{"type":"live_server","version":"13.20","version_num":130020,"reserved_roles":["pg_old"],"configured_settings":[]}'
)
LIVE = (
    '{"type":"part","kind":"globals","name":null,"result":"dumped","seconds":1}',
    '{"type":"part","kind":"database","name":"app","result":"dumped","seconds":2.25,"extensions":[],"size_bytes":1,'
    '"collations":[{"name" : "default", "provider" : "libc", "version" : "2.31"}, {"name" : "public.de", "provider" : '
    '"icu", "version" : "153.1"}],"public_create":true}',
    '{"type":"part","kind":"database","name":"old","result":"dumped","seconds":null}',
    '{"type":"part","kind":"end","name":null,"result":"dumped","seconds":null}',
)
IMAGE = (
    '{"type":"image_server","dump_version":"13.20","unknown_settings":["stats_temp_directory"],'
    '"missing_libraries":["x"]}',
    '{"type":"image_database","database":"app","collations":[{"name" : "default", "provider" : "libc",'
    ' "version" : "2.41"}, {"name" : "public.de", "provider" : "icu", "version" : "153.1"}],"public_create":false,'
    '"functions":[{"name" : "public.f()", "calls" : ["pg_start_backup", "pg_mine"]}]}',
    '{"type":"image_database","database":"old","collations":[],"public_create":false,"functions":[]}',
)


def result(**values: Any) -> dict[str, Any]:
    """What restore_drill returns for a drill that succeeded."""
    facts = {**UpgradeFacts().to_dict(), "live_version": "13.20", "dump_seconds": 3.2}
    seconds = {"prepare": 1, "initdb": 2, "globals": 1, "restore": 9, "count": 4}
    return {"backup": BACKUP, "server_version": "18.1", "seconds": seconds, "upgrade": facts, "errors": [], **values}


def error(number: int = 1, **values: Any) -> dict[str, Any]:
    empty = {"database": None, "object": None, "sqlstate": None, "message": "", "advice": "advice", "follows": None}
    return {"number": number, **empty, **values}


def items(**values: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = upgrade_verdict(result(**values))["items"]
    return found


def test_a_drill_that_succeeded_is_ready() -> None:
    verdict = upgrade_verdict(result())
    assert (verdict["ready"], verdict["items"]) == (True, [])
    assert (verdict["from_version"], verdict["to_version"]) == ("13.20", "18.1")
    assert verdict["outage_seconds"] == {"dump": 3.2, "restore": 10.0, "total": 13.2}
    assert verdict["lines"] == [
        "result   ready for PostgreSQL 18.1",
        "server   PostgreSQL 13.20",
        f"backup   {BACKUP}",
        "outage   13 s (dump 3 s, restore 10 s)",
    ]


def test_a_backup_without_a_manifest_has_no_outage() -> None:
    verdict = upgrade_verdict(result(upgrade=parse_upgrade_facts([IMAGE[0]]).to_dict()))
    assert verdict["outage_seconds"] == {"dump": None, "restore": 10.0, "total": None}
    assert verdict["from_version"] == "13.20"
    assert "outage   unknown (dump unknown, restore 10 s)" in verdict["lines"]


@pytest.mark.parametrize("name", ["upgrade", "seconds", "errors"])
def test_a_drill_that_failed_early_is_not_ready(name: str) -> None:
    """Whatever the module did not return: its message is the item."""
    values = result(failed=True, msg="initdb failed: no space\nthe log", server_version=None)
    del values[name]
    verdict = upgrade_verdict(values)
    assert not verdict["ready"]
    assert [(item["kind"], item["message"]) for item in verdict["items"]] == [("drill", "initdb failed: no space")]


def test_differences_prevent_the_upgrade() -> None:
    differences = [{"check": "rows", "message": "the table a.b: expected 3 rows, found 2"}]
    (item,) = items(failed=True, msg="the restored data does not match the dump", failures=differences)
    assert (item["kind"], item["blocks"], item["message"]) == ("drill", True, differences[0]["message"])


def test_an_error_has_its_place_its_remedy_and_its_consequences() -> None:
    message = "function pg_is_in_backup() does not exist"
    cause = error(1, database="app", object="view public.wal", sqlstate="42883", message=message)
    others = [error(number, database="app", follows=1) for number in (2, 3)]
    unknown = error(4, object="role x", sqlstate="XX000", message="cache lookup failed", advice="Ask.")
    verdict = upgrade_verdict(result(errors=[cause, *others, unknown], failed=True, msg="4 errors"))
    first, second = verdict["items"]
    assert not verdict["ready"]
    assert (first["database"], first["object"], first["sqlstate"]) == ("app", "view public.wal", "42883")
    assert (first["message"], first["follow_ups"]) == (message, 2)
    assert first["remedy"].startswith("PostgreSQL 15 removed exclusive backups")
    assert (second["database"], second["object"], second["remedy"]) == (None, "role x", "Ask.")
    assert f"- database app: view public.wal: {message} (42883; other errors because of it: 2)" in verdict["lines"]


def test_the_error_of_a_setting_is_one_item_although_each_session_repeats_it() -> None:
    message = 'unrecognized configuration parameter "force_parallel_mode"'
    found = items(errors=[error(n, database="app", sqlstate="42704", message=message) for n in (1, 2)])
    assert [item["message"] for item in found] == [message]
    assert 'RESET "force_parallel_mode"' in found[0]["remedy"]


def test_a_known_incompatibility_is_not_a_consequence_of_a_missing_extension() -> None:
    """A drill takes what is missing after a CREATE EXTENSION that failed for its consequence."""
    lacking = error(1, database="app", object="extension x", sqlstate="0A000", message='extension "x" is not available')
    operator = "operator does not exist: polygon @ polygon"
    other = error(2, database="app", object="index i", sqlstate="42883", message=operator, follows=1)
    unknown = error(
        3, database="app", object="view v", sqlstate="42883", message="function f() does not exist", follows=1
    )
    first, second = items(errors=[lacking, other, unknown])
    assert (first["object"], first["follow_ups"]) == ("extension x", 1)
    assert (second["object"], second["message"]) == ("index i", operator)


def test_statements_about_one_object_are_one_item() -> None:
    table = {"database": "app", "sqlstate": "42601", "message": 'syntax error at or near "system_user"'}
    owner = error(2, database="app", object="table t", sqlstate="42P01", message='relation "t" does not exist')
    errors = [error(1, object="table t", **table), owner, error(3, object="rows of table t", **table)]
    (item,) = items(errors=errors)
    assert (item["object"], item["follow_ups"]) == ("table t", 1)


def test_what_a_database_sets_is_set_by_each_session_of_the_dump() -> None:
    message = "non-standard string literals are not supported"
    session = error(1, database="app", sqlstate="0A000", message=message)
    setting = error(2, database="app", object="database app", sqlstate="0A000", message=message)
    other = error(3, database="other", sqlstate="0A000", message=message)
    found = items(errors=[session, setting, other], server_version="19.0")
    assert [(item["database"], item["object"]) for item in found] == [("app", "database app"), ("other", None)]


def test_extensions_that_the_image_lacks_or_has_in_an_older_version() -> None:
    extensions = [
        {"database": "app", "name": "adminpack", "version": "2.1", "image_version": None},
        {"database": "app", "name": "vector", "version": "0.10.1", "image_version": "0.9.2"},
        {"database": "gis", "name": "postgis", "version": "3.1", "image_version": "3.10"},
        {"database": "gis", "name": "odd", "version": "unpackaged", "image_version": "1"},
        {"database": "gis", "name": "unknown", "version": None, "image_version": "1"},
    ]
    errors = [
        error(1, database="app", sqlstate="0A000", message='extension "adminpack" is not available'),
        error(2, database="app", sqlstate="42704", message='extension "adminpack" does not exist', follows=1),
        error(
            3,
            database="gis",
            sqlstate="58P01",
            message='could not open extension control file "/a/b/ghost.control": No',
        ),
    ]
    found = items(extensions=extensions, errors=errors)
    named = [(item["database"], item["object"], item["kind"], item["follow_ups"], item["blocks"]) for item in found]
    assert named == [
        ("app", "extension adminpack", "extension", 1, True),
        ("app", "extension vector", "extension", 0, True),
        ("gis", None, "error", 0, True),
    ]
    assert "PostgreSQL 17 removed adminpack" in found[0]["remedy"]
    assert "0.10.1 or newer" in found[1]["remedy"]
    assert "Use an image that has the extension" in found[2]["remedy"]


def test_what_a_drill_does_not_fail_for() -> None:
    facts = parse_upgrade_facts([SERVER_LINE, *LIVE, *IMAGE, "a line of the log", '{"type":"table","rows":1}'])
    assert facts.live_version == "13.20"
    assert facts.dump_seconds == 3.2
    verdict = upgrade_verdict(result(upgrade=facts.to_dict()))
    kinds = {(item["kind"], item["blocks"], item["database"], item["object"]) for item in verdict["items"]}
    assert kinds == {
        ("role", True, None, "role pg_old"),
        ("library", False, None, "library x"),
        ("setting", False, None, "setting stats_temp_directory"),
        ("function", False, "app", "function public.f()"),
        ("collation", False, "app", "collation default"),
        ("permission", False, None, "schema public"),
    }
    assert verdict["items"][0]["kind"] == "role"
    assert not verdict["ready"]
    (collation,) = (item for item in verdict["items"] if item["kind"] == "collation")
    assert "2.31 of the C library, the image 2.41" in collation["message"]
    (permission,) = (item for item in verdict["items"] if item["kind"] == "permission")
    assert "in the databases app" in permission["message"]


def test_one_collation_of_many_databases_is_one_item() -> None:
    changed = {"name": "default", "provider": "icu", "version": "153.1", "image_version": None}
    facts = {"collations": [{**changed, "database": name} for name in ("a", "b")]}
    (item,) = items(upgrade=facts)
    assert "a, b" in item["message"] and "ICU" in item["message"] and "an unknown one" in item["message"]
    assert item["database"] is None


@pytest.mark.parametrize(("live", "image"), [("15.1", "18.1"), ("13.1", "14.5"), (None, None)])
def test_a_function_is_named_only_between_the_versions_that_have_it_and_do_not(
    live: str | None, image: str | None
) -> None:
    facts = {"live_version": live, "functions": [{"database": "app", "name": "f()", "calls": ["pg_start_backup"]}]}
    assert bool(items(upgrade=facts, server_version=image)) == (live is None)


def test_what_to_know_about_a_drill_that_helped_itself() -> None:
    needs = [{"database": "netbox", "search_path": "public", "object": "trigger t", "cure": "SET search_path"}]
    left_out = [{"database": "app", "object": "materialized view m", "reason": "no network"}]
    first, second = items(needs=needs, left_out=left_out)
    assert (first["kind"], first["database"], first["blocks"]) == ("search_path", "netbox", False)
    assert "search_path=public" in first["message"] and "SET search_path" in first["remedy"]
    assert (second["kind"], second["object"]) == ("not_tested", "materialized view m")


@pytest.mark.parametrize(
    "line", ['{"type":"part"}', '{"type":"image_database","database":"a"}', '{"type":"part","kind":']
)
def test_facts_of_another_version(line: str) -> None:
    with pytest.raises(DrillError, match="another version, or incomplete"):
        parse_upgrade_facts([line])


def test_other_lines_have_no_facts() -> None:
    assert parse_upgrade_facts(["text", '{"type":"database"}']) == UpgradeFacts()


# As psql_error prints them, and as PostgreSQL does.
@pytest.mark.parametrize(
    ("sqlstate", "message", "words"),
    [
        ("42601", "syntax error at or near ...", "reserved word"),
        ("42601", 'syntax error at or near "system_user"', "since PostgreSQL 16"),
        ("42601", 'syntax error at or near ")"', "factorial(n)"),
        ("42P13", "operator right argument type must be specified", "DROP OPERATOR"),
        ("22023", 'invalid value for parameter "password_encryption": "on"', "scram-sha-256"),
        ("22023", 'invalid value for parameter "x": "y"', "does not accept the value"),
        ("42939", 'role name "pg_a" is reserved', 'ALTER ROLE "pg_a" RENAME'),
        ("42501", 'permission denied to grant privileges as role "g"', "ADMIN option"),
        ("42883", "operator does not exist: polygon @ polygon", "<@ and @>"),
        ("42883", "function array_append(anyarray, anyelement) does not exist", "anycompatiblearray"),
        ("42883", "ERROR: 42883: function pg_is_in_backup() does not exist (SQL function f)", "exclusive backups"),
        ("42703", "column pg_database.datlastsysoid does not exist", "datlastsysoid in pg_database"),
        ("0A000", "partitioned tables cannot be unlogged", "attach the partitions"),
        ("42704", 'type "abstime" does not exist', None),  # the server of the dump did not have it either
        ("42704", 'type "mine" does not exist', None),
        ("42883", "function shop.total(integer) does not exist", None),
        (None, "connection to server was lost", None),
    ],
)
def test_remedies(sqlstate: str | None, message: str, words: str | None) -> None:
    remedy = remedy_of(sqlstate, message, 13, 18)
    assert (words in remedy) if words and remedy else remedy is words


def test_a_remedy_of_a_version_that_both_servers_have_is_none() -> None:
    assert remedy_of("0A000", "partitioned tables cannot be unlogged", 18, 19) is None
    assert remedy_of("0A000", "partitioned tables cannot be unlogged", None, None) is not None
    assert all(function.instead for function in REMOVED_FUNCTIONS.values())
