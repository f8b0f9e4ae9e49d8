# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The contents read from a real dump, compared with the databases in PostgreSQL."""

from __future__ import annotations

import os
import re

import pytest

from plugins.module_utils._dump.contents import Contents, Database
from plugins.module_utils._dump.dump_reader import DumpReader
from tests.script.support.sample import literal, quoted
from tests.script.support.server import SUPERUSER, Server
from tests.script.support.workspace import SERVER_UID

from . import hostile, truth
from .conftest import Pair
from .truth import FORMS


def read(text: bytes, size: int = 1 << 16) -> Contents:
    reader = DumpReader()
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
    return reader.finish()


def rows(database: Database) -> truth.Tables:
    return {(table.schema, table.name): table.rows for table in database.tables}


def compare(contents: Contents, pair: Pair) -> None:
    expected = truth.everything(pair.full)
    assert {str(database.name): rows(database) for database in contents.databases} == expected
    assert set(contents.roles) == truth.roles(pair.full)
    assert contents.tablespaces == ("table space",)
    assert contents.server_version is not None
    assert contents.server_version.startswith(f"{pair.version}.")
    assert contents.rows == sum(sum(tables.values()) for tables in expected.values())


@pytest.mark.parametrize("form", FORMS)
def test_every_count_is_the_servers(pair: Pair, form: str) -> None:
    text = truth.dump(pair.full, "pg_dumpall", *FORMS[form])
    compare(read(text), pair)
    assert read(text, 1000) == read(text)


@pytest.mark.parametrize("form", ["plain", "inserts", "rows-per-insert"])
def test_without_standard_conforming_strings(pair: Pair, form: str) -> None:
    text = truth.dump(pair.full, "pg_dumpall", *FORMS[form], PGOPTIONS="-c standard_conforming_strings=off")
    assert b"SET standard_conforming_strings = off;" in text
    compare(read(text), pair)


def test_globals_alone(pair: Pair) -> None:
    contents = read(truth.dump(pair.full, "pg_dumpall", "--globals-only"))
    assert (contents.kind, contents.complete, contents.databases) == ("globals", True, ())
    assert set(contents.roles) == truth.roles(pair.full)


@pytest.mark.parametrize(
    "encoding", ["UTF8", "SJIS", "EUC_JP", "SHIFT_JIS_2004", "GBK", "GB18030", "BIG5", "UHC", "JOHAB"]
)
@pytest.mark.parametrize("form", ["plain", "inserts"])
def test_client_encodings(pair: Pair, encoding: str, form: str) -> None:
    if encoding in ("BIG5", "UHC", "JOHAB"):
        # They lack the words of the database kanji.
        word = {"BIG5": "功能", "UHC": "똽똽", "JOHAB": "가나"}[encoding]
        name = f"words_{encoding.lower()}_{form}"
        # pg_dump 15 cannot look up a table whose name has characters of JOHAB.
        table = "words" if encoding == "JOHAB" else word
        pair.full.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        pair.full.sql(
            f"CREATE TABLE {table} (a text DEFAULT '{word}');"
            f"INSERT INTO {table} VALUES ('{word}'';'), (E'\\\\{word}');",
            name,
        )
    else:
        name = "kanji"
    # pg_dump asks for the name of every role, and most of these encodings lack an o with dots.
    pair.full.sql('ALTER ROLE "rölle" RENAME TO plain;')
    try:
        text = truth.dump(pair.full, "pg_dump", "--create", f"--encoding={encoding}", *FORMS[form], name)
    finally:
        pair.full.sql('ALTER ROLE plain RENAME TO "rölle";')
    for size in (7, 100_000):
        (database,) = read(text, size).databases
        assert database.name == name
        assert rows(database) == truth.tables(pair.full, name)
    if name != "kanji":
        pair.full.sql(f"DROP DATABASE {name};")


@pytest.mark.parametrize("create", [True, False])
def test_one_database(pair: Pair, create: bool) -> None:
    contents = read(truth.dump(pair.full, "pg_dump", *(["--create"] if create else []), "app"))
    assert (contents.kind, contents.complete) == ("database", True)
    (database,) = contents.databases
    assert database.name == ("app" if create else None)
    assert rows(database) == truth.tables(pair.full, "app")


def test_the_statements_own_options(pair: Pair) -> None:
    contents = read(truth.dump(pair.full, "pg_dumpall"))
    databases = {database.name: database for database in contents.databases}
    assert databases["postgres"].owner is None
    assert databases["app"].owner == "-r"
    assert (databases["app"].encoding, databases["latin1"].encoding) == ("UTF8", "LATIN1")
    assert databases["sql_ascii"].encoding == "SQL_ASCII"
    assert (databases["app"].locale_provider, databases["app"].locale) == ("libc", "C")
    assert databases["app"].settings["work_mem"] == "'8MB'"
    assert set(databases["app"].settings) == {"work_mem", "x.y", "search_path"}
    assert {"role": 'role "q"', "name": "work_mem", "value": "'9MB'"} in databases["app"].role_settings
    assert {(each["role"], each["name"]) for each in databases["app"].role_settings} == {
        ('role "q"', "work_mem"),
        ("with settings", "x.y"),
    }


def moved(text: bytes, pair: Pair) -> bytes:
    """The dump with its tablespace in another place, as the other server is on the same machine."""
    directory = pair.workspace.directory("space", mode=0o777)
    os.chown(directory, SERVER_UID, SERVER_UID)
    text, number = re.subn(rb"( LOCATION )'[^']*'", rb"\1'" + bytes(directory) + b"'", text)
    assert number == 1
    return text


@pytest.mark.parametrize("form", ["plain", "inserts"])
def test_sections_recreate_their_databases(pair: Pair, form: str) -> None:
    text = moved(truth.dump(pair.full, "pg_dumpall", *FORMS[form]), pair)
    contents = read(text)
    expected = truth.everything(pair.full)
    with pair.empty() as server:
        assert contents.globals_span is not None
        start, length = contents.globals_span
        # The bootstrap superuser exists.
        truth.feed(server, text[start : start + length], "postgres", stop=False)
        for database in contents.databases:
            section = text[database.offset_bytes : database.offset_bytes + database.length_bytes]
            truth.feed(server, section, "postgres")
            assert truth.tables(server, str(database.name)) == expected[str(database.name)]
        assert truth.everything(server) == expected


@pytest.mark.parametrize("form", FORMS)
def test_roles_are_those_that_postgresql_says_are_used(pair: Pair, form: str) -> None:
    contents = read(truth.dump(pair.full, "pg_dumpall", *FORMS[form]))
    for database in contents.databases:
        assert set(database.roles) - {SUPERUSER} == truth.used_roles(pair.full, str(database.name)), database.name
        assert len(set(database.roles)) == len(database.roles)
    (app,) = (database for database in contents.databases if database.name == "app")
    assert SUPERUSER in app.roles
    assert set(hostile.ODD_ROLES) - set(app.roles) == {"of nothing", "role\nCREATE ROLE forged;", "r" * 63}


def test_roles_of_one_databases_dump(pair: Pair) -> None:
    (database,) = read(truth.dump(pair.full, "pg_dump", "--create", "app")).databases
    assert set(database.roles) - {SUPERUSER} == truth.used_roles(pair.full, "app")
    (database,) = read(truth.dump(pair.full, "pg_dump", "--use-set-session-authorization", "kanji")).databases
    assert database.roles == (SUPERUSER,)


@pytest.mark.parametrize("form", ["plain", "clean", "quoted", "standard_conforming_strings=off"])
def test_a_database_comes_back_under_another_name_and_the_first_stays(pair: Pair, form: str) -> None:
    environment = {} if form in FORMS else {"PGOPTIONS": f"-c {form}"}
    text = moved(truth.dump(pair.full, "pg_dumpall", *FORMS.get(form, ()), **environment), pair)
    contents = read(text)
    with pair.empty() as server:
        # The roles and databases that every server has exist.
        truth.feed(server, text, "postgres", stop=False)
        rows = truth.everything(server)
        states = truth.properties(server)
        assert rows == truth.everything(pair.full)
        assert states == truth.properties(pair.full)
        for number, database in enumerate(contents.databases):
            # A session on a database of another encoding could not name it with other letters.
            name, other = str(database.name), f'other "{number}"'
            restore(server, text, database, other)
            rows[other] = rows[name]
            if database.create_options:
                states[other] = states[name]
            else:
                assert database.properties == ()
                states[other] = truth.properties(server)[other]
        assert truth.everything(server) == rows
        assert truth.properties(server) == states


_NAMES = ("template", "locale_provider", "tablespace")
_NOT_OF_CREATE = ("connection_limit", "is_template")


def restore(server: Server, text: bytes, database: Database, name: str) -> None:
    """Bring a database back under another name with nothing but what its contents say."""
    options = " ".join(
        f"{option} = {quoted(value) if option in _NAMES else literal(value)}"
        for option, value in {"template": "template0", **database.create_options}.items()
        if option not in _NOT_OF_CREATE
    )
    server.sql(f"CREATE DATABASE {quoted(name)} {options};")
    body, start = b"", database.body_offset_bytes
    statements = {True: "", False: ""}
    for each in database.properties:
        end = each.offset_bytes + each.length_bytes
        assert text[end - 1 : end] == b";"
        assert each.after is not None
        is_in_body = each.offset_bytes >= database.body_offset_bytes
        statements[is_in_body] += f"{each.before}{quoted(name)}{each.after}\n"
        if is_in_body:
            body += text[start : each.offset_bytes]
            start = end
    body += text[start : database.offset_bytes + database.length_bytes]
    server.sql(statements[False], name)
    truth.feed(server, body, name)
    server.sql(statements[True], name)
