# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The databases that the tests back up: ordinary ones, and names that a shell, JSON or SQL could trip over."""

from __future__ import annotations

import json

from .server import Server

# A database that is left out of every dump, and must be reported; its name needs care in JSON and in comments.
CLOSED = 'closed "shop" \\ it\'s'
NAME = "Mixed-Name's"
# PostgreSQL allows every character but NUL, and names of up to 63 bytes; pg_dumpall refuses line breaks.
_EVERY_CHARACTER = "".join(chr(code) for code in range(1, 128) if chr(code) not in "\n\r")
ODD_NAMES = (
    "-leading-dash", "a=b", 'say "hi"', "back\\slash", "ünïcode", "$HOME `id`", "%s%d", "tab\there", " ", "*", '"', "'",
    ".", "..", "../etc", "user", "template", ":name", "\\connect x", "'; DROP TABLE here; --", "/* comment",
    "dbname=postgres", "postgresql://nowhere/x", "trailing ", "ü" * 31 + "x", "\U0001f4be",
    _EVERY_CHARACTER[:63], _EVERY_CHARACTER[63:],
)  # fmt: skip
ROLE_PASSWORD = "role's $ecret"

_APP = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO users VALUES (1, 'Ada'), (2, E'tab\there'), (3, 'ünï');
CREATE TABLE transactions (id serial PRIMARY KEY, user_id int REFERENCES users, amount numeric(10, 2));
INSERT INTO transactions (user_id, amount) VALUES (1, 10), (1, -2.50), (2, 7), (3, 0), (3, 99.99);
CREATE TABLE decoys (line text);
INSERT INTO decoys VALUES ('-- PostgreSQL database cluster dump complete'), ('--'), ('');
INSERT INTO decoys VALUES (E'\\\\.'), (E'\\\\connect x');
CREATE TABLE filler AS SELECT i, md5(i::text) AS text FROM generate_series(1, 2000) AS i;
SELECT lo_from_bytea(0, 'a large object');
GRANT SELECT ON users TO app_reader;
ALTER TABLE transactions OWNER TO app_owner;
"""


# Names and contents within a database: whatever PostgreSQL allows in them, line breaks and SQL-looking lines included.
_ODD_CONTENT = r"""
CREATE SCHEMA {name};
CREATE TABLE {name}.{name} ({name} text, bytes bytea);
COMMENT ON COLUMN {name}.{name}.{name} IS {text};
ALTER TABLE {name}.{name} ALTER COLUMN {name} SET DEFAULT {text};
INSERT INTO {name}.{name} VALUES (DEFAULT, decode(repeat('00ff5c2e0a0d', 9), 'hex')), ('', ''), (NULL, NULL);
INSERT INTO {name}.{name} VALUES (E'\\N'), (E'\\.'), (E'\\.\n--\n-- PostgreSQL database cluster dump complete\n--\n\n');
INSERT INTO {name}.{name} SELECT repeat(chr(code), 3) FROM generate_series(1, 55295) AS code;
INSERT INTO {name}.{name} SELECT chr(code) FROM generate_series(57344, 1114111, 997) AS code;
"""
_LINES = "a\nb\r\n\\connect x\n\\.\n-- \"$$\" 'it''s'\t"


def fill_with_odd_content(server: Server) -> None:
    """One database with names and rows that a reader of lines could trip over."""
    server.sql("CREATE DATABASE odd_content STRATEGY file_copy;")
    text = literal("SELECT 1; -- " + _LINES + _EVERY_CHARACTER)
    server.sql(_ODD_CONTENT.format(name=quoted(_LINES), text=text), "odd_content")


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def create_database(server: Server, name: str, rows: int = 3) -> None:
    """A database with one small table."""
    server.sql(f"CREATE DATABASE {quoted(name)} STRATEGY file_copy;")
    server.sql(f"CREATE TABLE here AS SELECT {literal(name)} AS name, generate_series(1, {rows});", name)


def close_database(server: Server, name: str) -> None:
    """A database that allows no connections."""
    server.sql(f"CREATE DATABASE {quoted(name)} STRATEGY file_copy;")
    server.sql(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false;")


def fill(server: Server) -> None:
    """Create roles and databases."""
    server.sql(f"CREATE ROLE app_owner LOGIN PASSWORD {literal(ROLE_PASSWORD)}; CREATE ROLE app_reader;")
    server.sql("CREATE ROLE \"Odd 'role'\" LOGIN; GRANT app_reader TO app_owner;")
    server.sql("CREATE DATABASE app OWNER app_owner STRATEGY file_copy;")
    server.sql(_APP, "app")
    create_database(server, NAME)
    close_database(server, CLOSED)


def contents(server: Server) -> dict[str, str]:
    """The contents of a PostgreSQL server, to compare two servers: each table's rows, each role's privileges."""
    roles = (
        "SELECT rolname, rolpassword, rolsuper, rolcanlogin, ARRAY(SELECT roleid::regrole::text FROM pg_auth_members"
        " WHERE member = a.oid) FROM pg_authid a WHERE rolname !~ '^pg_' ORDER BY rolname;"
    )
    tables = (
        "SELECT n.nspname, c.relname, c.relowner::regrole, c.relacl, (xpath('/row/x/text()', query_to_xml(format("
        "'SELECT count(*) || '':'' || coalesce(sum(hashtext(t::text)), 0) AS x FROM %I.%I t', n.nspname, c.relname),"
        " false, true, '')))[1]::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r'"
        " AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2;"
        " SELECT count(*), sum(hashtext(convert_from(lo_get(oid), 'UTF8'))) FROM pg_largeobject_metadata;"
    )
    names = server.sql("SELECT to_json(datname) FROM pg_database WHERE datallowconn ORDER BY 1::text;").splitlines()
    found = {"roles": server.sql(roles)}
    for encoded in names:
        name = json.loads(encoded)
        found[name] = server.sql(tables, name)
    return found
