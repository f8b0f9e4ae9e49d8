# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is read of a real dump, against what PostgreSQL says of the databases it was made of."""

from __future__ import annotations

import pytest

from plugins.module_utils.contents import Contents, Database
from plugins.module_utils.dump_reader import DumpReader
from tests.script.sample import quoted

from . import truth
from .conftest import Pair

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
    text = truth.dump(pair.full, "pg_dump", "--create", f"--encoding={encoding}", *FORMS[form], name)
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
    assert set(databases["app"].settings) == {"work_mem", "x.y"}
    assert databases["app"].role_settings == ({"role": 'role "q"', "name": "work_mem", "value": "'9MB'"},)


@pytest.mark.parametrize("form", ["plain", "inserts"])
def test_sections_recreate_their_databases(pair: Pair, form: str) -> None:
    text = truth.dump(pair.full, "pg_dumpall", *FORMS[form])
    contents = read(text)
    expected = truth.everything(pair.full)
    with pair.empty() as server:
        assert contents.globals_span is not None
        start, length = contents.globals_span
        # The bootstrap superuser exists; the tablespace's place is taken by the other server.
        truth.feed(server, text[start : start + length], "postgres", stop=False)
        for database in contents.databases:
            section = text[database.offset_bytes : database.offset_bytes + database.length_bytes]
            truth.feed(server, section, "postgres")
            assert truth.tables(server, str(database.name)) == expected[str(database.name)]
        assert truth.everything(server) == expected


def test_a_body_fills_another_database_and_nothing_else(pair: Pair) -> None:
    text = truth.dump(pair.full, "pg_dumpall")
    contents = read(text)
    expected = truth.everything(pair.full)
    with pair.empty() as server:
        assert contents.globals_span is not None
        truth.feed(server, text[: sum(contents.globals_span)], "postgres", stop=False)
        awaited = truth.everything(server)
        for number, database in enumerate(contents.databases):
            other = f"other {number}"
            encoding = f"ENCODING '{database.encoding}' LOCALE '{database.locale}'" if database.encoding else ""
            server.sql(f"CREATE DATABASE {quoted(other)} TEMPLATE template0 {encoding} STRATEGY file_copy;")
            end = database.offset_bytes + database.length_bytes
            truth.feed(server, text[database.body_offset_bytes : end], other)
            awaited[other] = expected[str(database.name)]
        assert truth.everything(server) == awaited
