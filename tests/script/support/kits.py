# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""A server with names and rows that a restore of everything could trip over, its backup, and the truth about both."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .server import Server
from .workspace import Workspace

# Lines of rows and functions that a reader of the text could take for something else.
HOSTILE = r"""ALTER DATABASE app SET work_mem = '1MB';
GRANT ALL ON DATABASE app TO app;
-- Database "app" dump
-- PostgreSQL database dump
-- PostgreSQL database cluster dump complete
\connect template1
\.
SET client_encoding = 'LATIN2';
CREATE DATABASE app;
psql:<stdin>:5: ERROR:  0A000: conversion between LATIN1 and LATIN2 is not supported"""
ENCODINGS = {
    "latin1": ("LATIN1", "é"),
    "latin2": ("LATIN2", "ž"),
    "win1251": ("WIN1251", "Ж"),
    "euc_jp": ("EUC_JP", "日本"),
    "latin9": ("LATIN9", "€"),
    "utf8": ("UTF8", "日€Ж"),
}
FILL = (
    f"""
CREATE ROLE app LOGIN PASSWORD 'old' CREATEDB;
CREATE ROLE team;
CREATE ROLE "o'brien ""of"" ALTER ROLE team;" LOGIN PASSWORD 'hers' CONNECTION LIMIT 3;
COMMENT ON ROLE team IS E'\\\\connect x\\n\\\\connect x\\n-- Database "x" dump\\nit''s; "so";\\nCREATE ROLE app;\\n';
ALTER ROLE team SET application_name = E'a\\\\''b\\n-- Database "x" dump\\n"';
GRANT team TO app, "o'brien ""of"" ALTER ROLE team;";
CREATE DATABASE app OWNER app;
CREATE DATABASE "A b""c'd\\e" OWNER team;
ALTER DATABASE app SET work_mem = '8MB';
ALTER DATABASE app CONNECTION LIMIT 17;
COMMENT ON DATABASE app IS 'the app''s';
GRANT CREATE ON DATABASE app TO team;
ALTER ROLE app IN DATABASE app SET application_name = 'it';
CREATE DATABASE reads;
\\connect reads
CREATE TABLE t AS SELECT 1 AS n;
ALTER DATABASE reads SET default_transaction_read_only = on;
\\connect app
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE t (n serial PRIMARY KEY, v text);
INSERT INTO t (v) SELECT regexp_split_to_table($hostile${HOSTILE}$hostile$, E'\\n');
INSERT INTO t (v) VALUES ($hostile${HOSTILE}$hostile$), (E'tab\\tback\\\\slash'), (NULL), ('');
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $body$ SELECT $hostile$
{HOSTILE}
$hostile$::text $body$;
"""
    + "".join(
        f"""CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C';
\\connect {name}
CREATE TABLE t AS SELECT '{text}'::text AS v
    UNION ALL SELECT regexp_split_to_table($hostile${HOSTILE}$hostile$, E'\\n');
"""
        for name, (encoding, text) in ENCODINGS.items()
    )
    + """
CREATE ROLE "müller";
ALTER DATABASE win1251 OWNER TO "müller";
"""
)
DATABASES = ["app", "A b\"c'd\\e", "reads", *ENCODINGS]
HASH = "SELECT rolpassword FROM pg_authid WHERE rolname = "


def dump(server: Server, program: str, *arguments: str) -> bytes:
    """Each database in its own encoding, as a run does."""
    environment = {name: value for name, value in server.environment().items() if name != "PGCLIENTENCODING"}
    command = [str(server.programs.path(program)), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


def dumped(server: Server, program: str, *arguments: str) -> str:
    """The same without the key that differs in each dump."""
    return re.sub(r"^\\(un)?restrict .*\n", "", dump(server, program, *arguments).decode("latin-1"), flags=re.M)


def database(server: Server, name: str) -> str:
    """One database as pg_dump shows it, with its own settings and rights, and its text as bytes."""
    return dumped(server, "pg_dump", "--create", "-d", "dbname='{}'".format(re.sub(r"([\\'])", r"\\\1", name)))


@dataclass
class Source:
    """A server: its backup, and what is in it."""

    server: Server
    backup: Path
    databases: dict[str, str]
    everything: str


@contextmanager
def make_source(workspace: Workspace, template: Server) -> Iterator[Source]:
    """In a folder that the script's user may read, not write to; the superuser had another password then."""
    directory = workspace.directory("kit-source", mode=0o777)
    with template.clone(directory) as server:
        server.sql(FILL)
        backup = workspace.directory("a folder", mode=0o755) / "a backup's.sql.gz"
        text = dump(server, "pg_dumpall")
        old = re.sub(rb"(ALTER ROLE postgres .*) PASSWORD '[^']*'", rb"\1 PASSWORD 'of another time'", text)
        assert old != text
        backup.write_bytes(gzip.compress(old))
        backup.chmod(0o644)
        databases = {name: database(server, name) for name in DATABASES}
        yield Source(server, backup, databases, dumped(server, "pg_dumpall"))
