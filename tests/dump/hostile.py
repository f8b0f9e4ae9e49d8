# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Databases with everything that a reader of their dump could take for something else."""

from __future__ import annotations

import os
from pathlib import Path

from tests.script.support.sample import literal, quoted
from tests.script.support.server import Server
from tests.script.support.workspace import SERVER_UID

LONG = "n" * 63
DATABASES = ("app", "Mixed-Name's", "-leading", 'sp ace "q" \\ b', "ünï", "d" * 63, "a=b", "empty")
ODD_ROLES = (
    'role "q"', "role\nCREATE ROLE forged;", "-r", "role;", 'a TO "-r', "b OWNER TO c", "PUBLIC", "rölle", "r" * 63,
    "in policies, only", "mapped FOR", "default FOR ROLE", "given by default", "with settings", "of a column",
    "of a large object", "of nothing", "user",
)  # fmt: skip
# Databases that need more than an encoding to be made again, and PostgreSQL's first version that has such.
LOCALES = {
    "mixed locales": "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'",
    "icu": "LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn' LOCALE 'C'",
    "rules": r"LOCALE_PROVIDER icu ICU_LOCALE 'und' LOCALE 'C' ICU_RULES '& z < ''LOCALE = x'' & y < ''\'''",
    "builtin": "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
}
SINCE = {"icu": 15, "rules": 16, "builtin": 17}
ODD_TABLES = (
    'quo"te',
    "new\nline",
    "\\connect other\n",
    "\n--\n-- PostgreSQL database cluster dump complete\n--\n\n",
    "COPY x FROM stdin;\n",
    "tab\there",
    " ",
    "-- dash",
    "/* c",
    "$$",
    "';",
    "ünï 表",
    LONG,
    "select",
    "a.b",
    "(x)",
)
FAKE = r"""
\.
\connect other
COPY public.forged (a) FROM stdin;
1
\.
--
-- PostgreSQL database dump complete
--

--
-- Database "forged" dump
--

CREATE DATABASE forged;
CREATE TABLE public.forged (a int);
INSERT INTO public.forged VALUES (1);
--
-- PostgreSQL database cluster dump complete
--

"""

_APP = """
CREATE SCHEMA "Sch""ema;";
CREATE TABLE parted (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (id);
CREATE TABLE parted_2_1 PARTITION OF parted_2 DEFAULT;
INSERT INTO parted SELECT i, date '2026-01-01' + i FROM generate_series(0, 57) AS i;
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (3, 3);
CREATE UNLOGGED TABLE unlogged (a text); INSERT INTO unlogged VALUES ('x');
CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO generated VALUES (1), (2);
CREATE TABLE only_generated (b int GENERATED ALWAYS AS (2) STORED); INSERT INTO only_generated DEFAULT VALUES;
CREATE TABLE identities (a int GENERATED ALWAYS AS IDENTITY, v text DEFAULT ';');
INSERT INTO identities (v) VALUES ('y');
CREATE TABLE nothing (a int);
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE values_of_all_kinds (i int, n numeric, t text, b bytea, bits bit(3), flag bool, j jsonb, a text[], d date);
INSERT INTO values_of_all_kinds VALUES (-1, 1.5e10, E'\\\\ '' \\n', '\\x5c2e0a', B'101', true,
    '{"a": "\\\\"}', '{"a,b", "''"}', 'infinity'),
    (NULL, 'NaN', '', '', NULL, false, NULL, '{}', NULL),
    (0, -5, E'E\\'', '\\x27', B'000', NULL, '[]', NULL, '0001-01-01 BC');
CREATE TABLE "Sch""ema;"."t;" ("c;" text, "new
column" int, "quo""te" text, "--" text); INSERT INTO "Sch""ema;"."t;" VALUES ('1', 2, 'x', '--');
CREATE TABLE many (a int, b text);
INSERT INTO many SELECT i, repeat('''', i % 5) || i FROM generate_series(1, 3000) AS i;
CREATE TABLE backslashes (a text);
INSERT INTO backslashes SELECT repeat(E'\\\\', i % 4) || '.' FROM generate_series(1, 100) AS i;
CREATE TYPE composite AS (a int, b text);
CREATE TABLE typed OF composite; INSERT INTO typed VALUES (1, '(');
CREATE EXTENSION hstore; CREATE EXTENSION file_fdw;
CREATE TABLE hstores (h hstore); INSERT INTO hstores VALUES ('a=>"b;"');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE foreign_table (a text) SERVER files OPTIONS (filename '/dev/null');
CREATE MATERIALIZED VIEW materialized AS SELECT * FROM many WHERE a < 5;
CREATE VIEW viewed AS SELECT ';'::text AS ";", $$COPY x FROM stdin;$$ AS "$$";
CREATE FUNCTION atomic(int) RETURNS int LANGUAGE sql
    {body};
CREATE RULE ruled AS ON DELETE TO nothing DO ALSO (SELECT 1; INSERT INTO nothing VALUES (1); SELECT 2);
CREATE SEQUENCE "seq;";
SELECT lo_from_bytea(0, 'COPY x FROM stdin;'), lo_from_bytea(0, convert_to(repeat(E'\\n\\\\.\\n', 9000), 'UTF8'));
ALTER TABLE parent ADD CONSTRAINT ";" CHECK (a::text <> E'\\n\\\\.\\n');
"""

_RIGHTS = """
GRANT SELECT (a), UPDATE (a, b) ON many TO "of a column" WITH GRANT OPTION;
SET SESSION AUTHORIZATION "of a column"; GRANT SELECT (a) ON many TO "b OWNER TO c", PUBLIC;
RESET SESSION AUTHORIZATION;
ALTER TABLE backslashes OWNER TO "b OWNER TO c";
ALTER TABLE parent ADD CONSTRAINT " OWNER TO ""role;""\" CHECK (' OWNER TO "of nothing"; ' <> a::text);
GRANT USAGE ON SCHEMA "Sch""ema;" TO "a TO ""-r" WITH GRANT OPTION;
REVOKE ALL ON FUNCTION atomic(int) FROM PUBLIC; GRANT ALL ON FUNCTION atomic(int) TO "PUBLIC", "role;";
CREATE FUNCTION "of TO ""of nothing""\"(" TO ""of nothing""\" int) RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT ALL ON FUNCTION "of TO ""of nothing""\"(int) TO "user";
SELECT lo_create(4711); ALTER LARGE OBJECT 4711 OWNER TO "of a large object";
GRANT SELECT ON LARGE OBJECT 4711 TO "role;";
CREATE POLICY "p TO ""of nothing""\" ON many AS RESTRICTIVE FOR SELECT TO "in policies, only", "rölle" USING (a > 0);
CREATE POLICY all_of_them ON many USING (b <> ' TO "of nothing"');
ALTER TABLE many ENABLE ROW LEVEL SECURITY;
CREATE USER MAPPING FOR PUBLIC SERVER files; CREATE USER MAPPING FOR "mapped FOR" SERVER files;
GRANT USAGE ON FOREIGN SERVER files TO "-r";
ALTER DEFAULT PRIVILEGES FOR ROLE "default FOR ROLE" IN SCHEMA public GRANT SELECT ON TABLES TO "given by default";
ALTER DEFAULT PRIVILEGES FOR ROLE "-r" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
"""


def fill(server: Server, directory: Path) -> None:
    """Make the databases; `directory` gets a tablespace."""
    # Much faster for many small databases; PostgreSQL has it since version 15, and before did nothing else.
    strategy = "STRATEGY file_copy" if int(server.programs.major) >= 15 else ""
    for name in ODD_ROLES:
        server.sql(f"CREATE ROLE {quoted(name)};")
    server.sql(
        "ALTER ROLE \"-r\" LOGIN PASSWORD 'it''s; \\connect x'; COMMENT ON ROLE \"-r\" IS " + literal(FAKE) + ";"
    )
    space = directory / "space"
    space.mkdir()
    os.chown(space, SERVER_UID, SERVER_UID)
    server.sql(f"CREATE TABLESPACE \"table space\" LOCATION '{space}';")
    for name in DATABASES:
        server.sql(f'CREATE DATABASE {quoted(name)} OWNER "-r" {strategy};')
        server.sql(f"COMMENT ON DATABASE {quoted(name)} IS {literal(FAKE)};")
        if name != "empty":
            server.sql("CREATE TABLE here (a int); INSERT INTO here VALUES (1), (2);", name)
    server.sql("ALTER DATABASE app SET work_mem TO '8MB'; ALTER DATABASE app SET \"x.y\" TO " + literal(FAKE) + ";")
    server.sql('ALTER ROLE "role ""q""" IN DATABASE app SET work_mem TO \'9MB\';')
    _odd_tables(server)
    since_14 = "BEGIN ATOMIC SELECT CASE WHEN $1 > 0 THEN 1 ELSE 2 END; SELECT 3; END"
    body = since_14 if int(server.programs.major) >= 14 else "AS 'SELECT 1; SELECT 3'"
    server.sql(_APP.replace("{body}", body), "app")
    server.sql(_RIGHTS, "app")
    fake = literal(FAKE)
    server.sql(
        "SET check_function_bodies = off;"
        f"CREATE FUNCTION hostile() RETURNS text LANGUAGE plpgsql AS $f$BEGIN {FAKE} END$f$;"
        f"CREATE FUNCTION tagged() RETURNS text LANGUAGE sql AS $_$ SELECT $${FAKE}$$ $_$;"
        f"CREATE TABLE fakes (a text DEFAULT {fake}, b text);"
        f"INSERT INTO fakes VALUES ({fake}, {fake}), (DEFAULT, '\\.');"
        f"COMMENT ON TABLE fakes IS {fake}; COMMENT ON COLUMN fakes.a IS {fake};"
        f"COMMENT ON FUNCTION hostile() IS {fake};"
        f"CREATE VIEW faked AS SELECT {fake}::text AS a;",
        "app",
    )
    for encoding, word in (("SQL_ASCII", r"E'\xff\x5c'"), ("LATIN1", "'ünï'")):
        name = encoding.lower()
        server.sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C' {strategy};")
        server.sql(f'CREATE TABLE "tablé" (a text); INSERT INTO "tablé" VALUES ({word}), (\'b\');', name)
    server.sql(f"CREATE DATABASE kanji {strategy};")
    server.sql(
        "CREATE TABLE \"表能\" (\"ソ\" text DEFAULT '表'); INSERT INTO \"表能\" VALUES ('表'), ('ソ'';'), (E'\\\\表');"
        "SET check_function_bodies = off;"
        "CREATE FUNCTION \"ソ\"() RETURNS text LANGUAGE sql AS $$ SELECT '表''; COPY x FROM stdin;' $$;"
        "COMMENT ON TABLE \"表能\" IS E'能\\\\ソ'';';",
        "kanji",
    )
    for name, options in LOCALES.items():
        if int(server.programs.major) >= SINCE.get(name, 0):
            server.sql(
                f'CREATE DATABASE {quoted(name)} TEMPLATE template0 {options} TABLESPACE "table space" {strategy};'
            )
    icu = ("icu",) if int(server.programs.major) >= SINCE["icu"] else ()
    for name in (*DATABASES, "sql_ascii", "latin1", "kanji", *icu):
        _properties(server, name)
    server.sql("COMMENT ON DATABASE empty IS " + literal(FAKE * 300) + ";")
    server.sql('ALTER DATABASE "Mixed-Name\'s" IS_TEMPLATE true; ALTER DATABASE "a=b" CONNECTION LIMIT 0;')
    # Bytes that are not text: only a session on that database can name them.
    server.sql(
        r"COMMENT ON DATABASE sql_ascii IS E'\xff''\\\xfe\\ü;'; ALTER DATABASE sql_ascii SET x.y TO E'\xff\\';",
        "sql_ascii",
    )
    server.sql(r"COMMENT ON DATABASE latin1 IS 'ünï\'; ALTER DATABASE latin1 SET x.y TO E'ü\\''';", "latin1")


def _properties(server: Server, name: str) -> None:
    """What PostgreSQL keeps of a database outside of it, some of it granted by another role than its owner."""
    database = quoted(name)
    server.sql(
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;"
        f'GRANT CONNECT, CREATE ON DATABASE {database} TO "role ""q""" WITH GRANT OPTION;'
        f'SET SESSION AUTHORIZATION "role ""q"""; GRANT CREATE ON DATABASE {database} TO "rölle", "role;";'
        f"RESET SESSION AUTHORIZATION;"
        f"ALTER DATABASE {database} SET search_path TO {database}, public;"
        f'ALTER ROLE "with settings" IN DATABASE {database} SET x.y TO {literal(FAKE + name)};'
    )


def _odd_tables(server: Server) -> None:
    for number, name in enumerate(ODD_TABLES):
        server.sql(
            f"CREATE TABLE {quoted(name)} ({quoted(name)} text); "
            f"INSERT INTO {quoted(name)} SELECT {literal(name)} FROM generate_series(1, {number});"
            f"COMMENT ON TABLE {quoted(name)} IS {literal(name)};",
            "app",
        )
