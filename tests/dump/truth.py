# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The databases as PostgreSQL reports them."""

from __future__ import annotations

import json
import subprocess

from tests.script.support.server import Server

Tables = dict[tuple[str, str], int]

_TABLES = """
SELECT json_build_array(n.nspname, c.relname, (xpath('/row/x/text()', query_to_xml(format(
    'SELECT count(*) AS x FROM ONLY %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e');
"""
# Of what a dump of this database names. Extensions are dumped without their owner, and their members not at all.
_USED_ROLES = """
SELECT s.refobjid FROM pg_shdepend s, pg_database d
WHERE d.datname = current_database() AND s.refclassid = 'pg_authid'::regclass
    AND (s.dbid = d.oid AND s.classid <> 'pg_extension'::regclass
        OR s.classid = 'pg_database'::regclass AND s.objid = d.oid)
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = s.classid AND e.objid = s.objid AND e.deptype = 'e')
UNION SELECT setrole FROM pg_db_role_setting, pg_database d
    WHERE d.oid = setdatabase AND d.datname = current_database() AND setrole <> 0
UNION SELECT unnest(ARRAY[a.grantor, a.grantee]) FROM pg_database d, aclexplode(d.datacl) a
    WHERE d.datname = current_database();
"""
# The catalogs that these lie in are shared by databases of every encoding.
_PROPERTIES = """
SELECT json_build_array(d.datname, d.datdba::regrole, d.datconnlimit, d.datistemplate, d.datallowconn,
    (SELECT json_agg(a::text ORDER BY a::text) FROM unnest(d.datacl) a),
    pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, t.spcname, to_json(d)->>'datlocprovider',
    to_json(d)->>'daticulocale', to_json(d)->>'datlocale', to_json(d)->>'daticurules',
    md5(shobj_description(d.oid, 'pg_database')),
    (SELECT json_agg(json_build_array(s.setrole::regrole, md5(s.setconfig::text)) ORDER BY s.setrole::regrole::text)
        FROM pg_db_role_setting s WHERE s.setdatabase = d.oid))::text
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace;
"""

# Options of pg_dump and pg_dumpall that change the text.
FORMS = {
    "plain": (),
    "inserts": ("--inserts",),
    "column-inserts": ("--column-inserts",),
    "rows-per-insert": ("--rows-per-insert=7",),
    "on-conflict": ("--inserts", "--on-conflict-do-nothing"),
    "clean": ("--clean", "--if-exists"),
    "no-comments": ("--no-comments",),
    "verbose": ("--verbose",),
    "quoted": ("--quote-all-identifiers",),
    "no-dollars": ("--disable-dollar-quoting",),
}


def databases(server: Server) -> list[str]:
    """Every database that a dump of the cluster holds."""
    names = server.sql("SELECT to_json(datname::text) FROM pg_database WHERE datallowconn ORDER BY datname;")
    return [str(json.loads(line)) for line in names.splitlines()]


def roles(server: Server) -> set[str]:
    lines = server.sql("SELECT to_json(rolname::text) FROM pg_roles WHERE rolname !~ '^pg_';").splitlines()
    return {str(json.loads(line)) for line in lines}


def used_roles(server: Server, database: str) -> set[str]:
    """Whom a database and what is in it belong to, and who has rights or settings there.

    Not the bootstrap superuser, of whom PostgreSQL keeps no record (it is pinned, IsPinnedObject() in catalog.c), and
    not the predefined roles, which every server has.
    """
    numbers = ",".join(server.sql(_USED_ROLES, database).split())
    names = server.sql(
        f"SELECT to_json(rolname::text) FROM pg_roles WHERE oid = ANY ('{{{numbers}}}'::oid[])"
        " AND oid <> 10 AND rolname !~ '^pg_';"
    )
    return {str(json.loads(line)) for line in names.splitlines()}


def properties(server: Server) -> dict[str, list[object]]:
    """Owner, rights, limits, locale, comment and settings of each database, template0 too."""
    found: dict[str, list[object]] = {}
    for line in server.sql(_PROPERTIES).splitlines():
        name, *known = json.loads(line)
        found[name] = known
    return found


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
