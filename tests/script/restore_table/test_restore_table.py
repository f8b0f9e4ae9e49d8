# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""Tables restored into a schema next to the live ones, compared and merged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.backup_parts import NAME

from ..support.combinations import under_all, under_one
from ..support.restores import Live, as_of_run, back_up, names, prepare
from ..support.sandbox import Outcome, Sandbox
from ..support.server import Server
from ..support.tables import HOSTILE, SCHEMA, files_of, fill, quote, restore_tables, rows_of
from ..support.workspace import Workspace


@pytest.fixture(scope="module")
def filled(workspace: Workspace, template: Server) -> Iterator[Live]:
    with template.clone(workspace.directory("tables", mode=0o777)) as server:
        fill(server)
        yield Live(server, as_of_run(back_up(server)))


@pytest.fixture
def live(filled: Live) -> Iterator[Live]:
    """The server, which has neither a schema nor a database more afterwards."""
    before = names(filled.server)
    yield filled
    filled.server.sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;", "app")
    assert names(filled.server) == before


@under_all
def test_table_beside_the_live_one(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    before = files_of(live.server)
    outcome = restore_tables(offline, "public.orders", "customers")
    result = outcome.check().result
    assert result["schema"] == SCHEMA
    assert [
        (t["schema"], t["name"], t["rows"], t["key"], t["only_in_backup"], t["only_in_live"], t["changed"], t["same"])
        for t in result["tables"]
    ] == [
        ("public", "customers", 500, ["id"], 0, 0, 0, 500),
        ("public", "orders", 2000, ["id"], 0, 0, 0, 2000),
    ]
    assert files_of(live.server) == before
    # What only live tables have is not restored, and the rest is.
    sql = live.server.sql
    assert (
        sql(f"SELECT count(*) FROM {SCHEMA}.orders b JOIN public.orders l ON b.* IS NOT DISTINCT FROM l.*;", "app")
        == "2000"
    )
    assert sql(f"SELECT count(*) FROM pg_trigger WHERE tgrelid = '{SCHEMA}.orders'::regclass;", "app") == "0"
    assert sql(f"SELECT count(*) FROM pg_rewrite WHERE ev_class = '{SCHEMA}.orders'::regclass;", "app") == "0"
    keys = (
        "SELECT string_agg(contype, '' ORDER BY contype) FROM pg_constraint"
        f" WHERE contype IN ('p', 'u', 'f') AND conrelid = '{SCHEMA}.orders'::regclass;"
    )
    assert sql(keys, "app") == "pu"
    assert sql(f"INSERT INTO {SCHEMA}.orders (customer, amount) VALUES (7, 1) RETURNING id;", "app") == "2001"
    assert {need["identity"] for need in result["needs"]} == {
        "public.citext",
        "public.mood",
        "public.positive",
        "public.next_code()",
    }
    assert result["missing"] == []


@under_all
def test_tables_of_every_kind(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    kinds = ["events", "animals", "keyless", "coded", '"My Schema"."My Table"', "My Schema.empty", *HOSTILE]
    result = restore_tables(offline, *kinds).check().result
    found = {(t["schema"], t["name"]): t for t in result["tables"]}
    assert {name: t["rows"] for (_, name), t in found.items()} == {
        "events": 400,
        "animals": 2,
        "keyless": 4,
        "coded": 3,
        "My Table": 50,
        "empty": 0,
        **dict.fromkeys(HOSTILE, 2),
    }
    for one in found.values():
        assert (one["same"], one["only_in_backup"], one["only_in_live"], one["changed"]) == (one["rows"], 0, 0, 0), one
    assert found["public", "events"]["key"] == ["at", "id", "what"]
    assert found["public", "keyless"]["key"] is None
    assert found["public", "coded"]["key"] == ["code"]
    assert live.server.sql(f"SELECT count(*) FROM {SCHEMA}.events_2026_a;", "app") == live.server.sql(
        'SELECT count(*) FROM "My Schema".events_2026_a;', "app"
    )
    warnings = "\n".join(result["warnings"])
    assert "public.animals has children" in warnings and "public.dogs" in warnings
    assert "keyless has no primary key" in warnings
    for name in HOSTILE:
        assert live.server.sql(f"SELECT count(*) FROM {SCHEMA}.{quote(name)};", "app") == "2"


def test_partition_alone(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    result = restore_tables(offline, "events_2025", "dogs").check().result
    assert [(t["name"], t["rows"] == t["same"] > 0) for t in result["tables"]] == [
        ("dogs", True),
        ("events_2025", True),
    ]


CHANGE = (
    "DELETE FROM orders WHERE id <= 10; UPDATE orders SET note = 'changed' WHERE id BETWEEN 21 AND 25;"
    "INSERT INTO orders (customer, amount) VALUES (1, 1), (2, 2), (3, 3);"
)


@pytest.fixture
def changed(live: Live) -> Iterator[Live]:
    """A copy of the live database, named other, whose orders have changed since the backup."""
    live.server.sql("CREATE DATABASE other TEMPLATE app STRATEGY file_copy;")
    live.server.sql(CHANGE + "TRUNCATE audited;", "other")
    yield live
    live.server.sql("DROP DATABASE other WITH (FORCE);")


def of_orders(result: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in result["tables"] if one["name"] == "orders")


def counts(one: dict[str, Any]) -> tuple[int, ...]:
    return tuple(one[name] for name in ("only_in_backup", "only_in_live", "changed", "same", "inserted", "updated"))


@under_one
def test_difference_and_keys(offline: Sandbox, changed: Live) -> None:
    prepare(offline, changed.server, changed.backup)
    rows, files = rows_of(changed.server, "orders", "other"), files_of(changed.server, "other")
    for check in (True, False):
        outcome = restore_tables(offline, "public.orders", target="other", keys=4, check=check).check()
        one = of_orders(outcome.result)
        assert counts(one) == (10, 3, 5, 1985, 0, 0)
        assert one["keys"] == {
            "only_in_backup": [{"id": n} for n in (1, 2, 3, 4)],
            "only_in_live": [{"id": n} for n in (2001, 2002, 2003)],
            "changed": [{"id": n} for n in (21, 22, 23, 24)],
        }
        assert outcome.result["schema"] == (None if check else SCHEMA)
        assert "changed" not in outcome.log.replace("unchanged", "").replace("nothing was changed", "")
        # Without merge, the live table keeps each row where it is.
        assert rows_of(changed.server, "orders", "other") == rows
        assert files_of(changed.server, "other") == files
        schemas = changed.server.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ 'restored';", "other")
        assert schemas == ("" if check else SCHEMA)


@under_all
@pytest.mark.parametrize("merge", ["missing", "changed"])
def test_merge(offline: Sandbox, changed: Live, merge: str) -> None:
    prepare(offline, changed.server, changed.backup)
    server = changed.server
    server.sql("ALTER TABLE orders DISABLE TRIGGER late; SELECT setval('orders_id_seq', 1500);", "other")
    states = (
        "SELECT string_agg(concat(tgname, tgenabled), ' ' ORDER BY tgname) FROM pg_trigger"
        " WHERE tgrelid = 'orders'::regclass AND NOT tgisinternal;"
    )
    rows, triggers = rows_of(server, "orders", "other"), server.sql(states, "other")
    updated = 5 if merge == "changed" else 0
    checked = restore_tables(offline, "customers", "public.orders", target="other", merge=merge, check=True).check()
    assert counts(of_orders(checked.result)) == (10, 3, 5, 1985, 10, updated)
    assert rows_of(server, "orders", "other") == rows
    assert server.sql("SELECT last_value FROM orders_id_seq;", "other") == "1500"

    done = restore_tables(offline, "customers", "public.orders", target="other", merge=merge).check()
    assert counts(of_orders(done.result)) == (10, 3, 5, 1985, 10, updated)
    assert done.result["merged"]
    assert server.sql("SELECT last_value FROM orders_id_seq;", "other") == "2003"
    assert server.sql(
        f"SELECT count(*) FROM {SCHEMA}.orders b JOIN orders l ON b.* IS NOT DISTINCT FROM l.*;", "other"
    ) == str(1995 + updated)
    assert server.sql("SELECT count(*) FROM orders;", "other") == "2003"
    assert (server.sql(states, "other"), server.sql("SELECT count(*) FROM audited;", "other")) == (triggers, "0")


@under_one
def test_merge_of_tables_that_name_each_other(offline: Sandbox, changed: Live) -> None:
    prepare(offline, changed.server, changed.backup)
    changed.server.sql("TRUNCATE customers CASCADE; DELETE FROM events WHERE what = 'a'; DELETE FROM coded;", "other")
    result = (
        restore_tables(offline, "public.orders", "customers", "events", "coded", target="other", merge="missing")
        .check()
        .result
    )
    assert {t["name"]: t["inserted"] for t in result["tables"]} == {
        "customers": 500,
        "orders": 2000,
        "events": 200,
        "coded": 3,
    }
    assert changed.server.sql("SELECT n FROM coded ORDER BY code;", "other").split() == ["1", "-0", "NaN"]
    assert changed.server.sql("INSERT INTO customers (name) VALUES ('new') RETURNING id;", "other") == "501"


def assert_refused(outcome: Outcome, *words: str) -> None:
    outcome.check(1)
    for word in words:
        assert word in outcome.result["reason"], outcome.result["reason"]


@under_one
def test_merge_that_is_refused(offline: Sandbox, changed: Live) -> None:
    prepare(offline, changed.server, changed.backup)
    sql = changed.server.sql
    sql(
        "DELETE FROM orders; DELETE FROM customers WHERE id = 8; ALTER TABLE coded ADD added int;"
        "UPDATE coded SET added = 1;"
        'ALTER TABLE coded ALTER added SET NOT NULL; DELETE FROM keyless; DROP TABLE "My Schema"."My Table";'
        "CREATE RULE nothing AS ON INSERT TO animals DO INSTEAD NOTHING; DELETE FROM animals;",
        "other",
    )
    before = files_of(changed.server, "other")
    for check in (True, False):
        refused = restore_tables(offline, "public.orders", target="other", merge="missing", check=check)
        assert_refused(refused, "23503", "constraint orders_customer_fkey")
        assert refused.result["schema"] == (None if check else SCHEMA)
        assert sql("SELECT count(*) FROM orders;", "other") == "0"
        sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;", "other")
        for table, word in (
            ("coded", "the column added, which is NOT NULL without a default"),
            ("keyless", "keyless has no primary key"),
            ('"My Schema"."My Table"', "is not in the live database"),
            ("animals", "is not as expected after it"),
        ):
            assert_refused(restore_tables(offline, table, target="other", merge="changed", check=check), word)
            sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;", "other")
    assert files_of(changed.server, "other") == before


@under_one
def test_columns_that_differ(offline: Sandbox, changed: Live) -> None:
    prepare(offline, changed.server, changed.backup)
    changed.server.sql(
        "ALTER TABLE orders DROP note, DROP total, ADD extra int;"
        "ALTER TABLE orders ALTER amount TYPE bigint USING amount;",
        "other",
    )
    result = restore_tables(offline, "public.orders", target="other", merge="changed").check().result
    assert counts(of_orders(result)) == (10, 3, 0, 1990, 10, 0)
    assert [word for word in result["warnings"] if "not compared" in word] == [
        "public.orders has columns only in the backup, which are not compared: note, total",
        "public.orders has columns only in the live table, which are not compared: extra",
    ]


@under_all
def test_needs_that_are_missing(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    live.server.sql("CREATE DATABASE bare STRATEGY file_copy;")
    live.server.sql("CREATE TYPE mood AS ENUM ('sad', 'ok');", "bare")
    try:
        refused = restore_tables(offline, "public.orders", "customers", target="bare")
        left = live.server.sql("SELECT count(*) FROM pg_namespace WHERE nspname ~ 'restored';", "bare")
    finally:
        live.server.sql("DROP DATABASE bare;")
    assert_refused(refused, "lacks objects that the tables need")
    assert refused.result["missing"] == [
        "function public.next_code()",
        "the value 'happy' of type public.mood",
        "type public.citext of the extension citext",
        "type public.positive",
    ]
    assert left == "0"


@under_one
def test_tables_that_are_refused(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    for table, word in (
        ("none", "has no table none"),
        ("many", "is a view, not a table"),
        ("orders", "is the name of more than one"),
        ("x'; DROP TABLE orders; --", "has no table"),
    ):
        assert_refused(restore_tables(offline, table), word)
    assert_refused(
        restore_tables(offline, "public.orders", '"My Schema".orders'), "more than one table, key or sequence"
    )
    assert_refused(restore_tables(offline, "coded", target="nowhere"), "the database is not on the server")
    prepare(offline, live.server, back_up(live.server, "--inserts"))
    assert_refused(restore_tables(offline, "coded", backup=NAME), "INSERT statements")
    prepare(offline, live.server, back_up(live.server, "--schema-only"))
    assert_refused(restore_tables(offline, "coded", backup=NAME), "the backup has no rows of")


@under_one
def test_backup_of_another_program(offline: Sandbox, live: Live) -> None:
    """Without a manifest; the partitions' rows are written as those of their root."""
    prepare(offline, live.server, back_up(live.server, "--load-via-partition-root"))
    result = restore_tables(offline, "events", "public.orders", backup=NAME).check().result
    assert [(t["name"], t["rows"], t["same"]) for t in result["tables"]] == [
        ("events", 400, 400),
        ("orders", 2000, 2000),
    ]
    assert_refused(restore_tables(offline, "events_2025", backup=NAME), "with the rows of its parent")


@under_all
def test_backup_that_does_not_match_its_checksum_file(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    checksum_file = offline.volume / f"{NAME}.sha256"
    checksum_file.write_text(f"{'0' * 64}  {NAME}\n")
    (offline.volume / f"{NAME}.json").write_text(live.backup.manifest.replace(live.backup.sha256, "0" * 64))
    before = files_of(live.server)
    for check in (False, True):
        refused = restore_tables(offline, "public.orders", check=check)
        assert_refused(refused, "does not match its checksum file")
        assert refused.result["schema"] is None
    refused = restore_tables(offline, "public.orders", backup=NAME, sha256="1" * 64)
    assert_refused(refused, "is not the one that was verified")
    assert "restoring into the temporary database" not in refused.log
    assert live.server.sql("SELECT count(*) FROM pg_namespace WHERE nspname ~ 'restored';", "app") == "0"
    assert files_of(live.server) == before


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (f"rm {NAME}", "the backup can no longer be read"),
        (f"cp {NAME} other; mv -f other {NAME}", "the backup changed while it was read"),
    ],
)
def test_backup_that_changes_meanwhile(offline: Sandbox, live: Live, command: str, reason: str) -> None:
    """Between its definitions and its rows: an error of PostgreSQL about the rows would hide the cause."""
    prepare(offline, live.server, live.backup)
    before = files_of(live.server)
    offline.shim("pg_dump", f'(cd {offline.volume} && {command})\nexec $real "$@"')
    assert_refused(restore_tables(offline, "public.orders"), reason)
    assert files_of(live.server) == before
