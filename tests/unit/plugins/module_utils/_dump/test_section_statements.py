# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Properties and roles of sections, in dumps made by hand; tests/dump has those of real servers."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils._dump.contents import Contents, Database
from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils._dump.section_statements import sql_text
from plugins.module_utils._dump.sql_lexer import HEAD_BYTES

ROLES = ("app", "b", 'a TO "b', "x OWNER TO y", "PUBLIC", "rölle", "to", "user")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def connection(name: str) -> str:
    """The argument of \\connect, as pg_dump writes it for a name with unusual characters."""
    value = name.replace("\\", "\\\\").replace("'", "\\'").replace('"', '""')
    return f"-reuse-previous=on \"dbname='{value}'\""


def dump(sql: str | bytes, name: str = "app", encoding: str = "UTF8", body: str | bytes = b"") -> bytes:
    """A cluster's dump with that SQL in the first section of the database, and in its body."""
    parts = [
        "--\n-- PostgreSQL database cluster dump\n--\n\nSET client_encoding = 'UTF8';\n",
        *(f"CREATE ROLE {quoted(role)};\n" for role in ROLES),
        f'--\n-- Database "{name}" dump\n--\n\n--\n-- PostgreSQL database dump\n--\n\n',
        f"SET client_encoding = '{encoding}';\nCREATE DATABASE {quoted(name)} WITH TEMPLATE = template0;\n",
        sql,
        f"\n\\connect {connection(name)}\n\nSET client_encoding = '{encoding}';\n",
        body,
        "\n--\n-- PostgreSQL database dump complete\n--\n\n",
        "--\n-- PostgreSQL database cluster dump complete\n--\n\n",
    ]
    return b"".join(part.encode() if isinstance(part, str) else part for part in parts)


def read(text: bytes, size: int = 1 << 16) -> Contents:
    reader = DumpReader()
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
    return reader.finish()


def section(text: bytes) -> Database:
    (database,) = read(text).databases
    for size in (1, 13, 4096) if len(text) < 10_000 else (4096,):
        assert read(text, size).databases == (database,)
    return database


@pytest.mark.parametrize("name", ["app", 'q"u;o\'t"e', "n" * 63, "ünï 表", "two words", "a\tb"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("COMMENT ON DATABASE ", " IS 'it''s; \\ \"x\"\n\\connect x\n';"),
        ("COMMENT ON DATABASE ", f" IS E'{'x;' * 50_000}\\\\';"),
        ("SECURITY LABEL FOR dummy ON DATABASE ", " IS 'a';"),
        ("SECURITY LABEL FOR 'a;b' ON DATABASE ", " IS 'a';"),
        ("SECURITY LABEL ON DATABASE ", " IS 'a';"),
        ("GRANT ALL ON DATABASE ", " TO b WITH GRANT OPTION;"),
        ("GRANT CREATE,CONNECT ON DATABASE ", ' TO "a TO ""b";'),
        ("REVOKE GRANT OPTION FOR TEMPORARY, CONNECT ON DATABASE ", " FROM PUBLIC;"),
        ("ALTER DATABASE ", " OWNER TO b;"),
        ("ALTER DATABASE ", " CONNECTION LIMIT = 5;"),
        ("ALTER DATABASE ", " IS_TEMPLATE = true;"),
        ("ALTER DATABASE ", " ALLOW_CONNECTIONS false;"),
        ("ALTER DATABASE ", " SET search_path TO 'a', 'b;';"),
        ("ALTER DATABASE ", " RESET ALL;"),
        ('ALTER ROLE "a TO ""b" IN DATABASE ', " SET work_mem TO '8MB';"),
        ('ALTER ROLE "x IN DATABASE y" IN DATABASE ', " SET \"x.y\" TO E'\\n;';"),
    ],
)
def test_statements_about_the_database(before: str, after: str, name: str) -> None:
    statement = before + quoted(name) + after
    text = dump(f"{statement}\n", name, body=f"{statement}\n")
    found = section(text)
    assert [(each.before, each.after) for each in found.properties] == [(before, after)] * 2
    outside, inside = found.properties
    assert outside.offset_bytes < found.body_offset_bytes <= inside.offset_bytes
    for each in found.properties:
        assert text[each.offset_bytes : each.offset_bytes + each.length_bytes] == statement.encode()
    assert json.loads(json.dumps(found.to_dict()))["properties"][1] == inside.__dict__


@pytest.mark.parametrize(
    "statement",
    [
        "COMMENT ON DATABASE other IS 'x';",
        "GRANT ALL ON DATABASE other TO b;",
        "ALTER DATABASE other OWNER TO b;",
        "COMMENT ON TABLE app IS 'COMMENT ON DATABASE app IS ''x'';';",
        'GRANT ALL ON TABLE " ON DATABASE app " TO b;',
        "DROP DATABASE app;",
        "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = 'app';",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$\nGRANT ALL ON DATABASE app TO b;\n$$;",
        "COPY t (a) FROM stdin;\nGRANT ALL ON DATABASE app TO b;\n\\.",
    ],
)
def test_statements_that_are_not_about_the_database(statement: str) -> None:
    assert section(dump("", body=statement + "\n")).properties == ()


def test_a_grant_by_another_than_the_owner_stays_one() -> None:
    found = section(
        dump(
            "SET SESSION AUTHORIZATION app;\n",
            body="GRANT TEMPORARY ON DATABASE app TO b;\n"
            'SET SESSION AUTHORIZATION b;\nGRANT ALL ON DATABASE app TO "user";\nRESET SESSION AUTHORIZATION;\n'
            "GRANT ALL ON DATABASE app TO b;\n"
            "SET SESSION AUTHORIZATION app;\nSET SESSION AUTHORIZATION 'rölle';\nREVOKE ALL ON DATABASE app FROM b;\n",
        )
    )
    assert [(each.before, each.after) for each in found.properties] == [
        ("GRANT TEMPORARY ON DATABASE ", " TO b;"),
        (
            "SET SESSION AUTHORIZATION b;\nGRANT ALL ON DATABASE ",
            ' TO "user";\nRESET SESSION AUTHORIZATION;',
        ),
        ("GRANT ALL ON DATABASE ", " TO b;"),
        ("REVOKE ALL ON DATABASE ", " FROM b;"),
    ]
    assert found.roles == ("app", "b", "user", "rölle")


def test_a_statement_that_is_too_long_is_located() -> None:
    statement = b"COMMENT ON DATABASE app IS '" + b"x" * HEAD_BYTES + b"';"
    text = dump(statement)
    (found,) = section(text).properties
    assert (found.before, found.after) == ("COMMENT ON DATABASE ", None)
    assert text[found.offset_bytes : found.offset_bytes + found.length_bytes] == statement


@pytest.mark.parametrize(
    ("statement", "roles"),
    [
        ("ALTER TABLE public.t OWNER TO b;", ("b",)),
        ('ALTER TABLE public.t OWNER TO "x OWNER TO y";', ("x OWNER TO y",)),
        ('ALTER OPERATOR public.= (int, text) OWNER TO "a TO ""b";', ('a TO "b',)),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a <> ' OWNER TO b;');", ()),
        ('ALTER TABLE t ATTACH PARTITION " OWNER TO b";', ()),
        ('GRANT SELECT(a),UPDATE("b TO ""user""") ON TABLE t TO app WITH GRANT OPTION;', ("app",)),
        ('GRANT ALL ON FUNCTION f("to" int) TO "to" GRANTED BY "user";', ("to", "user")),
        ('REVOKE ALL ON SCHEMA public FROM app, "user",PUBLIC, "PUBLIC" CASCADE;', ("app", "user", "PUBLIC")),
        ("GRANT ALL ON SCHEMA public TO PUBLIC;", ()),
        ("GRANT ALL ON SCHEMA public TO pg_database_owner;", ()),
        ("GRANT ALL ON SCHEMA public TO stranger;", ()),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE b IN SCHEMA s GRANT ALL ON TABLES  TO app;", ("b", "app")),
        ('ALTER DEFAULT PRIVILEGES FOR ROLE "a TO ""b" REVOKE ALL ON TYPES  FROM PUBLIC;', ('a TO "b',)),
        ('CREATE POLICY "p TO user" ON "s TO"."t" FOR SELECT TO b, app USING ((a = \' TO "to"\'));', ("b", "app")),
        ("CREATE POLICY p ON s.t AS RESTRICTIVE TO app WITH CHECK (true);", ("app",)),
        ("CREATE POLICY p ON s.t USING ((a = ' TO b'));", ()),
        ("CREATE USER MAPPING FOR \"user\" SERVER s OPTIONS (password ' TO b');", ("user",)),
        ("CREATE USER MAPPING FOR public SERVER s;", ()),
        ("CREATE SCHEMA s AUTHORIZATION b;", ("b",)),
        ("CREATE SCHEMA AUTHORIZATION b;", ("b",)),
        ("SET SESSION AUTHORIZATION 'user';", ("user",)),
        ("SET SESSION AUTHORIZATION DEFAULT;", ()),
        ("ALTER ROLE b IN DATABASE app SET work_mem TO '1MB';", ("b",)),
        ("ALTER TABLE t OWNER TO b;\nGRANT ALL ON t TO app;\nALTER TABLE u OWNER TO b;", ("b", "app")),
        ('ALTER TABLE t OWNER TO b;\nALTER TABLE t OWNER TO app;\nALTER TABLE t OWNER TO "to";', ("b", "app", "to")),
        ('GRANT ALL ON t TO b;\nGRANT ALL ON t TO app;\nREVOKE ALL ON t FROM "to";', ("b", "app", "to")),
        ("CREATE VIEW v AS SELECT ' OWNER TO b;';\nCOMMENT ON VIEW v IS ' TO b;';", ()),
    ],
)
def test_roles_of_a_section(statement: str, roles: tuple[str, ...]) -> None:
    found = section(dump("", body=statement + "\n"))
    assert found.roles == roles
    assert found.to_dict()["roles"] == list(roles)


def test_roles_of_a_dump_without_globals() -> None:
    text = dump("ALTER DATABASE app OWNER TO stranger;\n", body="GRANT ALL ON t TO PUBLIC;\nGRANT ALL ON t TO pg_x;\n")
    alone = text[
        text.index(b"--\n-- PostgreSQL database dump\n") : text.index(b"--\n-- PostgreSQL database cluster dump c")
    ]
    contents = read(alone)
    assert contents.kind == "database"
    assert contents.databases[0].roles == ("stranger",)


@pytest.mark.parametrize(
    ("encoding", "role"),
    [("LATIN1", "rölle".encode()), ("SQL_ASCII", "rölle".encode()), ("LATIN1", "rölle".encode("latin-1"))],
    ids=["as it lies in the catalog", "without an encoding", "converted by --encoding"],
)
def test_roles_are_compared_as_bytes(encoding: str, role: bytes) -> None:
    found = section(dump(b'ALTER DATABASE app OWNER TO "' + role + b'";\n', encoding=encoding))
    assert found.roles == ("rölle",)
    # Sent in any client_encoding to a database of that encoding, these are the same bytes.
    codec = "latin-1" if encoding == "LATIN1" else "utf-8"
    assert found.properties[0].after == f' OWNER TO "{role.decode(codec)}";'


def test_names_in_an_encoding_with_ascii_bytes() -> None:
    statement = "COMMENT ON DATABASE \"表能\" IS 'ソ'' 表';".encode("cp932")
    text = dump("", "表能", "SJIS").replace("表能".encode(), "表能".encode("cp932"))
    text = text.replace(b"\n\\connect", statement + b"\n\\connect")
    (found,) = section(text).properties
    assert (found.before, found.after) == ("COMMENT ON DATABASE ", " IS 'ソ'' 表';")


@pytest.mark.parametrize(
    ("text", "standard", "expected"),
    [
        (b" IS 'a\\''b';", True, " IS 'a\\''b';"),
        (b" IS 'a\\\\b';", False, " IS E'a\\\\b';"),
        (b" IS 'a\xff\\';", True, " IS E'a\\xff\\\\';"),
        (b" IS E'\\\\\xff\\\xfe';", True, " IS E'\\\\\\xff\\xfe';"),
        (b" TO \"'\xff\", 'a', '\xff';", True, " TO \"'\\xff\", 'a', E'\\xff';"),
    ],
)
def test_strings_mean_the_same_everywhere(text: bytes, standard: bool, expected: str) -> None:
    assert sql_text(text, "utf-8", standard) == expected


@pytest.mark.parametrize("standard", [True, False])
def test_options_of_create_database(standard: bool) -> None:
    rules = r"'& z < ''LOCALE = x'' & y < \'" if standard else r"'& z < ''LOCALE = x'' & y < \\'"
    text = dump("").replace(
        b'CREATE DATABASE "app" WITH TEMPLATE = template0;',
        f"SET standard_conforming_strings = {'on' if standard else 'off'};\n"
        "CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LC_COLLATE = 'C' "
        f"LC_CTYPE = 'C.UTF-8' ICU_LOCALE = 'und' ICU_RULES = {rules} TABLESPACE = \"table \"\"space\";".encode(),
    )
    assert section(text).create_options == {
        "template": "template0",
        "encoding": "UTF8",
        "locale_provider": "icu",
        "lc_collate": "C",
        "lc_ctype": "C.UTF-8",
        "icu_locale": "und",
        "icu_rules": "& z < 'LOCALE = x' & y < \\",
        "tablespace": 'table "space',
    }
