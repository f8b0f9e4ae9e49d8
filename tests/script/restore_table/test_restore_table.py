# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""Tables that come back into a schema beside the live ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.combinations import under_all
from ..support.restores import Live, as_of_run, back_up, names, prepare
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.tables import HOSTILE, SCHEMA, files_of, fill, quote, restore_tables
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
    assert [(t["schema"], t["name"], t["rows"], t["key"], t["only_in_backup"], t["only_in_live"], t["changed"], t["same"]) for t in result["tables"]] == [
        ("public", "customers", 500, ["id"], 0, 0, 0, 500),
        ("public", "orders", 2000, ["id"], 0, 0, 0, 2000),
    ]
    assert files_of(live.server) == before
    # What only live tables have is not restored, and the rest is.
    sql = live.server.sql
    assert sql(f"SELECT count(*) FROM {SCHEMA}.orders b JOIN public.orders l ON b.* IS NOT DISTINCT FROM l.*;", "app") == "2000"
    assert sql(f"SELECT count(*) FROM pg_trigger WHERE tgrelid = '{SCHEMA}.orders'::regclass;", "app") == "0"
    assert sql(f"SELECT count(*) FROM pg_rewrite WHERE ev_class = '{SCHEMA}.orders'::regclass;", "app") == "0"
    keys = f"SELECT string_agg(contype, '' ORDER BY contype) FROM pg_constraint WHERE contype IN ('p', 'u', 'f') AND conrelid = '{SCHEMA}.orders'::regclass;"
    assert sql(keys, "app") == "pu"
    assert sql(f"INSERT INTO {SCHEMA}.orders (customer, amount) VALUES (7, 1) RETURNING id;", "app") == "2001"
    assert {need["identity"] for need in result["needs"]} == {"public.citext", "public.mood", "public.positive", "public.next_code()"}
    assert result["missing"] == []


@under_all
def test_tables_of_every_kind(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    kinds = ["events", "animals", "keyless", "coded", '"My Schema"."My Table"', "My Schema.empty", *HOSTILE]
    result = restore_tables(offline, *kinds).check().result
    found = {(t["schema"], t["name"]): t for t in result["tables"]}
    assert {name: t["rows"] for (_, name), t in found.items()} == {
        "events": 400, "animals": 2, "keyless": 4, "coded": 3, "My Table": 50, "empty": 0, **dict.fromkeys(HOSTILE, 2)
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
    assert [(t["name"], t["rows"] == t["same"] > 0) for t in result["tables"]] == [("dogs", True), ("events_2025", True)]
