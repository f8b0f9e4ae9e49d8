# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608, E501 - the tests make SQL: that is their work

"""Restores of tables: a database with tables of every kind, requests, and what the live database must still have."""

from __future__ import annotations

import json
from typing import Any

from plugins.module_utils._jobs.table_plan import TablePlan, TableRequest, plan_tables

from .restores import NOW, TOKEN
from .sandbox import Outcome, Sandbox
from .server import Server

SCHEMA = "restored_20261122030405"
HOSTILE = [
    "with space",
    'quo"te',
    "apo'strophe",
    "back\\slash",
    "dollar$$x$do$",
    "percent%1$I",
    "a.b",
    "ünï cödé",
    "UPPER",
    "select",
    "tab\there",
    "semi;--colon",
    "brace}{[)",
]

DATABASE = """
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE SCHEMA "My Schema";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE codes;
CREATE FUNCTION next_code() RETURNS text LANGUAGE sql AS $$ SELECT 'c' || nextval('public.codes') $$;
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name citext, feeling mood, code text DEFAULT next_code());
INSERT INTO customers (name, feeling) SELECT 'customer ' || n, (ARRAY['sad', 'ok', 'happy']::mood[])[n % 3 + 1] FROM generate_series(1, 500) AS n;
CREATE TABLE orders (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, amount positive, total numeric GENERATED ALWAYS AS (amount * 1.19) STORED, note text, body jsonb, unique (customer, id));
INSERT INTO orders (customer, amount, note, body) SELECT n % 500 + 1, n, CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'tab\\t back\\\\ \\n\\\\.\\n' ELSE 'x' || n END, json_build_object('n', n)::jsonb FROM generate_series(1, 2000) AS n;
CREATE INDEX ON orders (note);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audited VALUES (TG_OP); RETURN NEW; END $$;
CREATE TABLE audited (what text);
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER late AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION audit();
ALTER TABLE orders DISABLE TRIGGER late;
CREATE RULE nothing AS ON DELETE TO orders WHERE OLD.id = 0 DO ALSO NOTHING;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders USING (id > 0);
CREATE VIEW many AS SELECT customer, count(*) FROM orders GROUP BY customer;
CREATE MATERIALIZED VIEW cached AS SELECT * FROM many;
CREATE TABLE events (at date, id int, what text, PRIMARY KEY (at, id, what)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (what);
CREATE TABLE "My Schema".events_2026_a PARTITION OF events_2026 FOR VALUES IN ('a');
CREATE TABLE events_2026_rest PARTITION OF events_2026 DEFAULT;
INSERT INTO events SELECT date '2025-06-01' + n, n, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 400) AS n;
CREATE INDEX ON events (what);
CREATE TABLE animals (name text PRIMARY KEY, legs int CHECK (legs >= 0));
CREATE TABLE dogs (bark text) INHERITS (animals);
INSERT INTO animals VALUES ('ant', 6), ('bird', 2);
INSERT INTO dogs VALUES ('rex', 4, 'loud');
CREATE TABLE keyless (a int, b text, c json);
INSERT INTO keyless VALUES (1, 'x', '{}'), (1, 'x', '{}'), (2, NULL, NULL), (2, '', NULL);
CREATE TABLE coded (code text NOT NULL, n float8);
CREATE UNIQUE INDEX ON coded (code);
INSERT INTO coded VALUES ('a', 1), ('b', '-0'), ('c', 'NaN');
CREATE TABLE "My Schema"."My Table" ("My Key" uuid PRIMARY KEY, "va""lue" text);
INSERT INTO "My Schema"."My Table" SELECT md5(n::text)::uuid, n::text FROM generate_series(1, 50) AS n;
CREATE TABLE "My Schema".orders (id int PRIMARY KEY);
CREATE TABLE "My Schema".empty (id int PRIMARY KEY);
"""


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def fill(server: Server, database: str = "app") -> None:
    """The database, and a table of each hostile name with a hostile column."""
    server.sql(f"CREATE DATABASE {quote(database)};")
    hostile = "".join(
        f"CREATE TABLE {quote(name)} ({quote(name)} int PRIMARY KEY, v text); INSERT INTO {quote(name)} VALUES (1, 'one'), (2, 'two');"
        for name in HOSTILE
    )
    server.sql(DATABASE + hostile, database)


def plan(*tables: str, **more: Any) -> TablePlan:
    return plan_tables(TableRequest("app", tables, **{"token": TOKEN, "now": NOW, **more}))


def restore_tables(sandbox: Sandbox, *tables: str, **more: Any) -> Outcome:
    return sandbox.run("_restore_table", env=plan(*tables, **more).variables)


def rows_of(server: Server, table: str, database: str = "app") -> list[str]:
    """Each row as text, with its place and the transaction that wrote it."""
    return sorted(server.sql(f"SELECT ctid, xmin, t::text FROM {table} t;", database).splitlines())


def files_of(server: Server, database: str = "app") -> Any:
    """What changes with any change of a relation outside of restored schemas: its definition, file and counters."""
    return json.loads(
        server.sql(
            "SELECT json_agg(json_build_array(n.nspname, c.relname, c.oid, c.relfilenode, c.relchecks, c.relhastriggers,"
            " (SELECT json_agg(tgenabled ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid), c.xmin::text)"
            " ORDER BY n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname NOT LIKE 'restored%' AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema';",
            database,
        )
    )
