# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What PostgreSQL itself says of its databases."""

from __future__ import annotations

import json
import subprocess

from tests.script.server import Server

Tables = dict[tuple[str, str], int]

_TABLES = """
SELECT json_build_array(n.nspname, c.relname, (xpath('/row/x/text()', query_to_xml(format(
    'SELECT count(*) AS x FROM ONLY %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e');
"""


def databases(server: Server) -> list[str]:
    """Every database that a dump of the cluster holds."""
    names = server.sql("SELECT to_json(datname::text) FROM pg_database WHERE datallowconn ORDER BY datname;")
    return [str(json.loads(line)) for line in names.splitlines()]


def roles(server: Server) -> set[str]:
    lines = server.sql("SELECT to_json(rolname::text) FROM pg_roles WHERE rolname !~ '^pg_';").splitlines()
    return {str(json.loads(line)) for line in lines}


def tables(server: Server, database: str) -> Tables:
    """Rows of each table, its partitions and children not included."""
    found: Tables = {}
    for line in server.sql(_TABLES, database).splitlines():
        schema, name, rows = json.loads(line)
        found[schema, name] = rows
    return found


def everything(server: Server) -> dict[str, Tables]:
    return {name: tables(server, name) for name in databases(server)}


def _environment(server: Server) -> dict[str, str]:
    """As somebody has it who sets no client encoding: each database is dumped in its own."""
    return {name: value for name, value in server.environment().items() if name != "PGCLIENTENCODING"}


def dump(server: Server, program: str, *arguments: str, **environment: str) -> bytes:
    """The output of pg_dumpall or pg_dump."""
    command = [str(server.programs.path(program)), *arguments]
    done = subprocess.run(command, env={**_environment(server), **environment}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def feed(server: Server, text: bytes, database: str, stop: bool = True) -> None:
    """Feed a piece of a dump to psql."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    command = [str(server.programs.path("psql")), "-X", "-q", "-o", "/dev/null", "-d", f"dbname='{escaped}'"]
    command += ["-v", f"ON_ERROR_STOP={int(stop)}"]
    done = subprocess.run(command, env=_environment(server), input=text, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:2000]
