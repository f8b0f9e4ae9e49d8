# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.module_utils._dump import sql_lexer
from plugins.module_utils._dump.sql_lexer import SqlLexer

from .reference import Event, Recorder, ReferenceLexer, merged

DUMPS = Path(__file__).parents[1] / "dumps"
MARKERS = re.compile(rb"^(?:--\n)?-- (?:marker[^\n]*|PostgreSQL [^\n]*)$", re.MULTILINE)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "400"))
# Everything that means something to psql, in pieces that make it likely to go wrong.
PIECES = [
    *(b"'", b"''", b'"', b"\\", b"\\\\", b"\\'", b"$", b"$$", b"$a$", b"$a", b"$1", b"a$a$", b"1$a$"),
    *(b"E'", b"e'", b"xE'", b"U&'", b"u&'", b"xU&'", b'U&"', b"B'1'", b"x'ff'", b"N'", b"&", b"U"),
    *(b"--", b"-", b"- ", b"/*", b"*/", b"/", b"*", b"/**/", b"@/*", b"--\n", b"-- c\n", b"\r", b"\f"),
    *(b";", b";\n", b"(", b")", b",", b"\n", b" ", b"a", b"1", b".", b"\xc3\xa9", b"_", b"\0"),
    *(b" BEGIN", b" BEGIN ATOMIC ", b" CASE ", b" END ", b" end", b" beginx", b"CREATE FUNCTION f() "),
    *(b"CREATE OR REPLACE\nPROCEDURE p", b"create table t (", b"ALTER TABLE t OWNER TO x;\n"),
    *(b"COPY t (a) FROM stdin;\n", b"COPY t (a) FROM stdin;", b"\\.\n", b"\n\\.\n", b"\\.\r\n", b"\\.", b"\\.x\n"),
    *(b"SELECT " + b" " * 64, b"INSERT INTO t VALUES" + b" " * 64 + b"("),
    *(b"\\connect a\n", b"\\;", b"\\:", b"row\t\\N\n", b"row\n" * 10, b"\n\n"),
    *(b"INSERT INTO t VALUES (", b"INSERT INTO t (a) VALUES\n\t(", b"VALUES ", b"1, 'a'", b"'b;'", b");\n", b"),\n\t("),
    *(b"INSERT INTO t DEFAULT VALUES;\n", b"INSERT INTO t VALUES (1, 'x');\n", b" ON CONFLICT DO NOTHING"),
    *(b"SET standard_conforming_strings = off;\n", b"SET standard_conforming_strings = on;\n"),
    *(b"-- marker one\n", b"--\n-- marker two\n--\n\n", b"-- PostgreSQL database dump complete\n"),
]


def by_reference(text: bytes) -> list[Event]:
    recorder = Recorder()
    ReferenceLexer(recorder, MARKERS).read(text)
    return list(merged(recorder.events))


def by_lexer(chunks: list[bytes]) -> list[Event]:
    recorder = Recorder()
    lexer = SqlLexer(recorder, MARKERS)
    recorder.lexer = lexer
    for chunk in chunks:
        if not lexer.feed_rows(chunk):
            lexer.feed(chunk)
    lexer.finish()
    return list(merged(recorder.events))


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def statements(text: bytes) -> list[bytes]:
    return [event[1] for event in by_lexer([text]) if event[0] == "statement"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"SELECT 1; SELECT 2;", [b"SELECT 1;", b"SELECT 2;"]),
        (b"SELECT ';'; x;", [b"SELECT ';';", b"x;"]),
        (b"SELECT ''';'; x;", [b"SELECT ''';';", b"x;"]),
        (b"SELECT E'\\';'; x;", [b"SELECT E'\\';';", b"x;"]),
        (b"SELECT E'a''\\';'; x;", [b"SELECT E'a''\\';';", b"x;"]),
        (b"SELECT '\\'; x';';", [b"SELECT '\\';", b"x';';"]),
        (b"SELECT nameE'\\'; y;", [b"SELECT nameE'\\';", b"y;"]),
        (b'SELECT "a;""b"; x;', [b'SELECT "a;""b";', b"x;"]),
        (b"SELECT $$;$$; x;", [b"SELECT $$;$$;", b"x;"]),
        (b"SELECT $a$;$b$;$a$; x;", [b"SELECT $a$;$b$;$a$;", b"x;"]),
        (b"SELECT $a$ $$ $a$; x;", [b"SELECT $a$ $$ $a$;", b"x;"]),
        (b"SELECT a$b$; x;", [b"SELECT a$b$;", b"x;"]),
        (b"SELECT $a$x$a$E'\\';'; x;", [b"SELECT $a$x$a$E'\\';';", b"x;"]),
        (b"SELECT $a$x$a$1$a$;$a$; x;", [b"SELECT $a$x$a$1$a$;$a$;", b"x;"]),
        (b"SELECT $1; x;", [b"SELECT $1;", b"x;"]),
        (b"SELECT /* ; /* ; */ ; */ 1; x;", [b"SELECT /* ; /* ; */ ; */ 1;", b"x;"]),
        (b"SELECT 1 -- ;\n; x;", [b"SELECT 1 -- ;\n;", b"x;"]),
        (b"CREATE RULE r DO (a; b); x;", [b"CREATE RULE r DO (a; b);", b"x;"]),
        (b"CREATE FUNCTION f() BEGIN ATOMIC a; b; END; x;", [b"CREATE FUNCTION f() BEGIN ATOMIC a; b; END;", b"x;"]),
        (
            b"CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC SELECT CASE a END; b; END; x;",
            [b"CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC SELECT CASE a END; b; END;", b"x;"],
        ),
        (b"CREATE TABLE begin (a); x;", [b"CREATE TABLE begin (a);", b"x;"]),
        (b'CREATE FUNCTION "begin"(); x;', [b'CREATE FUNCTION "begin"();', b"x;"]),
    ],
)
@pytest.mark.parametrize("blanks", [b" ", b" " * 70], ids=["short", "long"])
def test_statements_end_where_psql_ends_them(text: bytes, expected: list[bytes], blanks: bytes) -> None:
    # The beginning of a statement is not cut: only a longer one is, everywhere.
    text, expected = text.replace(b" ", blanks, 1), [expected[0].replace(b" ", blanks, 1), *expected[1:]]
    assert statements(text) == expected
    for size in range(1, len(text)):
        assert [event[1] for event in by_lexer(cut(text, size)) if event[0] == "statement"] == expected, size


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"\\.\n", 0),
        (b"1\n\\.\n", 1),
        (b"\n\n\\.\n", 2),
        (b"1\n\\N\n\\\\.\n\\.\n", 3),
        (b"1\n\\.x\n\\.\n", 2),
        (b"1\n\\.\r\n", 1),
        (b"COPY t (a) FROM stdin;\n\\connect x\n-- marker\n\\.\n", 3),
    ],
)
def test_copy_data_ends_at_its_marker(text: bytes, rows: int) -> None:
    whole = b"COPY t (a) FROM stdin;\n" + text + b"SELECT 1;\n"
    for size in range(1, len(whole) + 1):
        events = by_lexer(cut(whole, size))
        assert [event[0] for event in events] == ["statement", "rows", "statement"], size
        assert events[1] == ("rows", rows), size


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"INSERT INTO t VALUES (1);\n", 1),
        (b"INSERT INTO t (a, b) VALUES (1, f(2)), ('),(', (3));\n", 2),
        (b"INSERT INTO t OVERRIDING SYSTEM VALUE VALUES\n\t(1),\n\t(2),\n\t(3) ON CONFLICT DO NOTHING;\n", 3),
        (b"INSERT INTO t DEFAULT VALUES;\n", 1),
        (b'INSERT INTO "VALUES (" VALUES (1);\n', 1),
        (b"INSERT INTO t VALUES" + b" " * 200 + b"(1);\n", 1),
        (b"INSERT INTO t DEFAULT" + b" " * 200 + b"VALUES" + b"\n" * 200 + b";\n", 1),
        (b"INSERT INTO t VALUES (B'101', E'\\\\', U&'x');\n", 1),
        (b"INSERT INTO t VALUES (1, 'a\nINSERT INTO t VALUES (9);\n');\n" * 200, 200),
        (b"INSERT INTO t VALUES (1, 'x');\n" * 100 + b"INSERT INTO t VALUES (E'\\'', 2);\n" * 100, 200),
    ],
)
def test_rows_of_inserts_are_counted(text: bytes, rows: int) -> None:
    assert sum(event[2] for event in by_lexer([text]) if event[0] == "inserted") == rows
    assert by_lexer([text]) == by_reference(text)


def test_a_comment_before_a_statement_is_none_of_its_text() -> None:
    assert statements(b"/* before */ SELECT 1; /* a *//* b */\nx;") == [b"SELECT 1;", b"x;"]


def test_psql_commands_are_one_line_each() -> None:
    text = b"\\connect \"a;b\"\nSELECT '\\connect x\n';\n\\restrict k\n"
    commands = [event for event in by_lexer([text]) if event[0] == "command"]
    assert commands == [("command", b'\\connect "a;b"', 0, 15), ("command", b"\\restrict k", 37, 49)]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("SJIS", "表"), ("BIG5", "功"), ("GBK", "昞"), ("UHC", "똽"), ("GB18030", "𠀀昞"), ("JOHAB", "가")],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_characters_may_hold_ascii_bytes(encoding: str, name: str, size: int) -> None:
    codec = {"SJIS": "cp932", "BIG5": "cp950", "GBK": "cp936", "UHC": "cp949"}.get(encoding, encoding.lower())
    quoted = f"SELECT E'{name}', \"{name}\", {name};\n".encode(codec)
    text = quoted + b"COPY t FROM stdin;\n" + name.encode(codec) + b"\n\\.\n" + quoted + b"SELECT 2;\n"
    recorder = Recorder()
    lexer = SqlLexer(recorder, MARKERS)
    lexer.set_encoding(encoding)
    for chunk in cut(text, size):
        lexer.feed(chunk)
    lexer.finish()
    found = [event[1] for event in recorder.events if event[0] == "statement"]
    assert found == [quoted.strip(), b"COPY t FROM stdin;", quoted.strip(), b"SELECT 2;"]
    assert ("rows", 1) in recorder.events


@pytest.mark.parametrize("dump", sorted(DUMPS.glob("*.sql")), ids=lambda path: path.stem)
def test_real_dumps_as_the_reference_reads_them(dump: Path) -> None:
    text = dump.read_bytes()
    expected = by_reference(text)
    for size in (1, 2, 3, 5, 64, 1000, len(text)):
        assert by_lexer(cut(text, size)) == expected, size


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join), st.integers(1, 40))
def test_any_text_as_the_reference_reads_it(text: bytes, size: int) -> None:
    expected = by_reference(text)
    assert by_lexer([text]) == expected
    assert by_lexer(cut(text, size)) == expected
    assert by_lexer(cut(text, 1)) == expected


_ROW_VALUES = st.sampled_from(
    [
        *(b"1", b"-2.5e+10", b"NULL", b"DEFAULT", b"true", b"'a'", b"''", b"'it''s'", b"'a''''b'", b"B'101'", b"x'ff'"),
        *(
            b"E'it\\'s'",
            b"E'\\\\'",
            b"e'\\\\\\''",
            b"E'a''b\\''",
            b"'C:\\'",
            b"'\\x00'",
            b"'a\\''b'",
            b"E''",
            b"xE'\\'",
        ),
        *(b"'),\n\t('", b"');\n'", b"'(('", b"');\nINSERT INTO t VALUES\n\t(1, '", b"U&'\\0041'", b"N'a'", b"'a: b'"),
        *(
            b"'1'::text",
            b"(1, 2)",
            b"ROW('a', (2))",
            b'"c"',
            b"$$x'$$",
            b"1 - -1",
            b"1--1\n",
            b"/* ) */ 1",
            b"'x' -- '\n",
        ),
        *(b"'\n'", b"'\r\n\t'", b"a.b", b"'\xc3\xa9'", b"U&'\\'", b"b'\\'", b"';'", b"1 : 2", b"a: b"),
    ]
)
_ROWS = st.lists(
    st.lists(_ROW_VALUES, max_size=3).map(lambda values: b"(" + b", ".join(values) + b")"), min_size=1, max_size=6
)
_INSERTS = st.tuples(
    st.sampled_from(
        [
            *(
                b"INSERT INTO t VALUES ",
                b"INSERT INTO t VALUES\n\t",
                b"INSERT INTO t VALUES\r\n\t",
                b"insert into t values",
            ),
            *(b'INSERT INTO "T; (x" ("a b", c) VALUES\n\t', b"INSERT INTO s.t (a) OVERRIDING SYSTEM VALUE VALUES\n\t"),
            *(b'INSERT INTO "it\'s" VALUES\n\t', b"INSERT INTO \xc3\xa9 VALUES\n\t", b"INSERT INTO values VALUES ("),
        ]
    ),
    st.sampled_from([b",\n\t", b",\n\t", b", ", b",", b",\r\n\t", b"\n", b",\n--\n"]),
    _ROWS,
    st.sampled_from([b";\n", b";\n", b";\r\n", b" ON CONFLICT DO NOTHING;\n", b";", b"\n", b";\n\n"]),
).map(lambda parts: parts[0] + parts[1].join(parts[2]) + parts[3])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_INSERTS, min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from([b"", b"SET standard_conforming_strings = off;\n"]),
    st.integers(1, 90),
)
def test_rows_of_inserts_as_the_reference_counts_them(
    inserts: list[bytes], times: int, before: bytes, size: int
) -> None:
    text = before + b"".join(insert * times for insert in inserts)
    expected = by_reference(text)
    assert by_lexer([text]) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_lexer, "LEAST_WINDOW_BYTES", 16)
        patch.setattr(sql_lexer, "MOST_WINDOW_BYTES", 256)
        patch.setattr(sql_lexer, "REST_ROWS", 1)
        patch.setattr(sql_lexer, "_RUN_AFTER", 1)
        assert by_lexer([text]) == expected
        assert by_lexer(cut(text, size)) == expected


@pytest.mark.parametrize(
    ("begin", "middle", "end"),
    [
        (b"SELECT '", b"x" * 1000, b"';\n"),
        (b"INSERT INTO t VALUES ('", b"x''" * 300, b"');\n"),
        (b"SELECT $a$", b"$$" * 500, b"$a$;\n"),
        (b"/*", b"*" * 1000, b"*/ SELECT 1;\n"),
        (b"--", b"-" * 1000, b"\nSELECT 1;\n"),
        (b"\\connect ", b"x" * 1000, b"\nSELECT 1;\n"),
        (b"COPY t FROM stdin;\n", b"x" * 1000, b"\n\\.\n"),
        (b"SELECT ", b"1," * 500, b"1;\n"),
        (b"", b" \n" * 500, b"SELECT 1;\n"),
    ],
)
def test_long_texts_are_not_kept(monkeypatch: pytest.MonkeyPatch, begin: bytes, middle: bytes, end: bytes) -> None:
    monkeypatch.setattr(sql_lexer, "HEAD_BYTES", 4096)
    monkeypatch.setattr(sql_lexer, "LINE_BYTES", 2048)
    monkeypatch.setattr(sql_lexer, "COMMENT_BYTES", 2048)
    recorder = Recorder()
    lexer = SqlLexer(recorder, MARKERS)
    recorder.lexer = lexer
    lexer.feed(begin)
    most = 0
    for _ in range(100):
        lexer.feed(middle)
        most = max(most, len(lexer._buffer) + len(lexer._head))
    lexer.feed(end)
    lexer.finish()
    assert most < 12_000
    assert sum(event[0] in ("statement", "command") for event in recorder.events) == 1
