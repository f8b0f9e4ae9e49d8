# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Real dumps of servers 15, 17 and 18 in `dumps/`, and what must not change what is read of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils._dump.contents import Contents, Header
from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils.errors import (
    DumpError,
    ForeignTextError,
    IncompleteDumpError,
    MoreThanOneDumpError,
    NotADumpError,
    TextAfterDumpError,
)
from tests.dump import foreign
from tests.dump.foreign import MESSAGES, TEXTS, Foreign

DUMPS = Path(__file__).parents[1] / "dumps"
CLUSTER = (DUMPS / "18-all.sql").read_bytes()
ONE_DATABASE = (DUMPS / "18-onec.sql").read_bytes()
TABLES = {("public", "t"): 2, ("public", "z"): 1, ("public", "b"): 1}
HEADER = b"""-- Backup made by homelab.postgres_backup 0.1.0
-- started: 2026-11-22T02:00:00Z
-- server: "postgres:5432"
-- server version: "18.6 (Debian 18.6-3)"
-- pg_dumpall version: "18.6"
-- bootstrap superuser: "postgres"
-- databases skipped: ["closed \\"shop\\""]
--

"""


def read(text: bytes, size: int = 0) -> Contents:
    reader = DumpReader()
    for start in range(0, len(text), size or len(text) or 1):
        reader.feed(text[start : start + (size or len(text))])
    return reader.finish()


def failure(text: bytes, size: int = 0) -> DumpError:
    with pytest.raises(DumpError) as caught:
        read(text, size)
    assert not partial(caught.value).complete
    return caught.value


def partial(error: DumpError) -> Contents:
    assert isinstance(error.partial, Contents)
    return error.partial


@pytest.mark.parametrize("name", ["15-all", "15-clean", "17-verbose", "18-all", "18-ins", "18-rpi"])
def test_real_dumps_of_clusters(name: str) -> None:
    text = (DUMPS / f"{name}.sql").read_bytes()
    contents = read(text)
    assert (contents.complete, contents.kind, contents.uncompressed_bytes) == (True, "cluster", len(text))
    assert contents.server_version is not None
    assert contents.server_version.startswith(f"{name[:2]}.")
    assert contents.pg_dump_version == contents.server_version
    assert contents.roles == ("postgres", "r")
    assert [database.name for database in contents.databases] == ["template1", "Mixed-Name's", "app", "postgres"]
    app = contents.databases[2]
    assert {(table.schema, table.name): table.rows for table in app.tables} == TABLES
    assert (app.rows, contents.rows) == (4, 4)
    assert (app.owner, app.encoding, app.locale_provider, app.locale) == ("postgres", "UTF8", "libc", "C")
    assert app.settings == {"work_mem": "'8MB'", "search_path": "'public', 'B c'"}
    assert app.role_settings == ({"role": "r", "name": "work_mem", "value": "'9MB'"},)
    assert app.create_options["connection_limit"] == "5"


@pytest.mark.parametrize("name", ["15-all", "15-clean", "17-verbose", "18-all", "18-ins", "18-rpi"])
def test_sections_are_contiguous(name: str) -> None:
    text = (DUMPS / f"{name}.sql").read_bytes()
    contents = read(text)
    assert contents.globals_span is not None
    at = sum(contents.globals_span)
    for database in contents.databases:
        assert database.offset_bytes == at
        assert text[at:].startswith(b'--\n-- Database "')
        section = text[at : at + database.length_bytes]
        body = text[database.body_offset_bytes : at + database.length_bytes]
        assert section.count(b"\n\\connect ") >= 1
        assert b"\n\\connect " not in b"\n" + body
        assert text[: database.body_offset_bytes].splitlines()[-1].startswith(b"\\connect ")
        at += database.length_bytes
    assert text[at:] == b"--\n-- PostgreSQL database cluster dump complete\n--\n\n" or name == "17-verbose"
    assert text[at:].endswith(b"--\n-- PostgreSQL database cluster dump complete\n--\n\n")


@pytest.mark.parametrize(("name", "database"), [("18-onec", "app"), ("18-one", None)])
def test_dump_of_one_database(name: str, database: str | None) -> None:
    contents = read((DUMPS / f"{name}.sql").read_bytes())
    assert (contents.kind, contents.complete) == ("database", True)
    assert [each.name for each in contents.databases] == [database]
    assert {(table.schema, table.name): table.rows for table in contents.databases[0].tables} == TABLES


def test_dump_of_globals_only() -> None:
    text = (DUMPS / "18-glob.sql").read_bytes()
    contents = read(text)
    assert (contents.kind, contents.roles, contents.databases) == ("globals", ("postgres", "r"), ())
    assert contents.globals_span is not None
    assert text[sum(contents.globals_span) :].startswith(b"--\n-- PostgreSQL database cluster dump complete")


def test_header_of_the_script_is_read() -> None:
    contents = read(HEADER + CLUSTER)
    assert contents.header == Header(
        collection_version="0.1.0",
        started="2026-11-22T02:00:00Z",
        server="postgres:5432",
        server_version="18.6 (Debian 18.6-3)",
        pg_dumpall_version="18.6",
        bootstrap_superuser="postgres",
        databases_skipped=('closed "shop"',),
    )
    assert json.loads(json.dumps(contents.to_dict()))["header"]["databases_skipped"] == ['closed "shop"']
    assert read(CLUSTER + b"").header is None
    assert partial(failure(b"\n" + HEADER + CLUSTER[:100])).header is None


LEFT_OUT = b"""-- databases excluded: ["old", "a\\nb"]
-- left out on request: {"tables": [{"database": "*", "table": "public.log"}], "later": 1}
--
"""


def test_header_names_what_was_left_out_on_request() -> None:
    header = read(HEADER.replace(b"--\n\n", LEFT_OUT + b"\n") + CLUSTER).header
    assert header is not None
    assert header.databases_skipped == ('closed "shop"',)
    assert header.databases_excluded == ("old", "a\nb")
    assert header.left_out == {"tables": [{"database": "*", "table": "public.log"}], "later": 1}
    assert json.loads(json.dumps(header.to_dict()))["databases_excluded"] == ["old", "a\nb"]
    odd = read(
        HEADER.replace(b"--\n\n", b"-- databases excluded: 1\n-- left out on request: []\n--\n\n") + CLUSTER
    ).header
    assert odd is not None and (odd.databases_excluded, odd.left_out) == ((), None)


@pytest.mark.parametrize("text", [HEADER + CLUSTER, ONE_DATABASE], ids=["cluster", "database"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 999])
def test_chunks_change_nothing(text: bytes, size: int) -> None:
    assert read(text, size) == read(text)


@pytest.mark.parametrize("text", [CLUSTER, ONE_DATABASE], ids=["cluster", "database"])
def test_two_chunks_at_every_byte(text: bytes) -> None:
    expected = read(text)
    for cut in range(1, len(text)):
        reader = DumpReader()
        reader.feed(text[:cut])
        reader.feed(text[cut:])
        assert reader.finish() == expected, cut


@pytest.mark.parametrize("text", [CLUSTER, ONE_DATABASE], ids=["cluster", "database"])
def test_every_shorter_text_is_damaged(text: bytes) -> None:
    begins = text.index(b" dump\n")
    for end in range(len(text)):
        error = failure(text[:end])
        assert type(error) is (IncompleteDumpError if end > begins + 5 else NotADumpError), end
        assert "expected" in str(error) or "empty" in str(error)


FOOTER = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"


def with_sql(sql: bytes) -> bytes:
    """The cluster's dump with more SQL before the rows of app's table t."""
    at = CLUSTER.index(b"COPY public.t (id, v)")
    return CLUSTER[:at] + sql + CLUSTER[at:]


@pytest.mark.parametrize(
    "sql",
    [
        b"CREATE FUNCTION public.h() RETURNS text LANGUAGE sql AS $_$\n%s$_$;\n",
        b"COMMENT ON TABLE public.t IS '\n%s';\n",
        b"SELECT E'\\'\n%s';\n",
        b'CREATE VIEW public.v AS SELECT 1 AS "\n%s";\n',
        b"/* \n%s */\n",
        b"CREATE TABLE public.b (x text DEFAULT '\n%s');\n",
        b"COPY public.b (x) FROM stdin;\n%s\\.\n",
        b"CREATE RULE r AS ON DELETE TO t DO (SELECT 1; SELECT '\n%s');\n",
    ],
    ids=["function", "comment", "escapes", "view", "c-comment", "default", "rows", "rule"],
)
@pytest.mark.parametrize(
    "forged",
    [
        FOOTER,
        CLUSTER.replace(b"$", b"").replace(b"'", b"").replace(b'"', b"").replace(b"\\.", b""),
        b"--\n-- PostgreSQL database dump complete\n--\n\n",
        b'\\connect other\n--\n-- Database "other" dump\n--\n\n--\n-- PostgreSQL database dump\n--\n\n',
        b"COPY public.other (a) FROM stdin;\n1\n2\n",
        b"CREATE TABLE public.other (a text);\nINSERT INTO public.other VALUES (1);\n",
        b"CREATE DATABASE other;\nALTER DATABASE app SET work_mem TO 1;\nSET client_encoding = SJIS;\n",
        b"CREATE ROLE other;\n\\unrestrict x\n",
    ],
    ids=["footer", "dump", "end", "connect", "copy", "table", "database", "role"],
)
def test_lines_inside_rows_and_strings_do_not_count(sql: bytes, forged: bytes) -> None:
    plain = read(CLUSTER)
    if b"COPY public.b" in sql:
        forged = forged.replace(b"\t", b"\\t")
    found = read(with_sql(sql % forged))
    assert found.roles == plain.roles
    for one, other in zip(found.databases, plain.databases, strict=True):
        assert (one.name, one.owner, one.settings) == (other.name, other.owner, other.settings)
        rows = {(table.schema, table.name): table.rows for table in one.tables}
        if b"COPY public.b" in sql and one.name == "app":
            rows["public", "b"] -= forged.count(b"\n")
        assert rows == {(table.schema, table.name): table.rows for table in other.tables}
    assert len(found.databases) == len(plain.databases)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (b"", NotADumpError, "the text is empty"),
        (b"PGDMP\x01", NotADumpError, "custom format"),
        (b"x" * 257 + b"ustar\x0000", NotADumpError, "a tar archive"),
        (b"\x1f\x8b\x08", NotADumpError, "gzip data within gzip data"),
        (b"SELECT 1;\n", NotADumpError, "expected a comment"),
        (CLUSTER + CLUSTER, MoreThanOneDumpError, f"begins at byte {len(CLUSTER)}"),
        (CLUSTER + ONE_DATABASE, MoreThanOneDumpError, f"begins at byte {len(CLUSTER)}"),
        (ONE_DATABASE + ONE_DATABASE, MoreThanOneDumpError, f"begins at byte {len(ONE_DATABASE)}"),
        (ONE_DATABASE + CLUSTER, MoreThanOneDumpError, f"begins at byte {len(ONE_DATABASE)}"),
        (CLUSTER[: CLUSTER.index(b"\n\\connect app") + 1] + CLUSTER, MoreThanOneDumpError, "begins at byte"),
        (CLUSTER + b"SELECT 1;\n", TextAfterDumpError, f"at byte {len(CLUSTER)}"),
        (CLUSTER + b"\\connect x\n", TextAfterDumpError, f"at byte {len(CLUSTER)}"),
        (CLUSTER + b"\n", TextAfterDumpError, "appended or changed"),
        (ONE_DATABASE + b"\n", TextAfterDumpError, "appended or changed"),
        (CLUSTER[:-1], IncompleteDumpError, "the dump's last newline is missing"),
        (CLUSTER[:-4], IncompleteDumpError, "in its last lines"),
        (CLUSTER[: -len(FOOTER)], IncompleteDumpError, "in the database 'postgres'"),
        (CLUSTER[: CLUSTER.index(b"2\t\\\\.")], IncompleteDumpError, r"in the rows of public.t \(after 1 of them\)"),
        (CLUSTER[:600], IncompleteDumpError, "among the roles and other globals"),
    ],
)
def test_text_that_is_not_one_complete_dump(text: bytes, kind: type[DumpError], message: str) -> None:
    error = failure(text)
    assert isinstance(error, kind)
    with pytest.raises(kind, match=message):
        raise error


def test_the_partial_contents_are_what_was_read() -> None:
    found = partial(failure(CLUSTER[: CLUSTER.index(b"COPY public.z")]))
    assert [database.name for database in found.databases] == ["template1", "Mixed-Name's", "app"]
    assert {table.name: table.rows for table in found.databases[2].tables} == {"t": 2, "z": 0, "b": 1}


def test_a_marker_in_an_open_section_is_not_the_end() -> None:
    """pg_dump before 17.6 wrote names with newlines as they are into its comments (CVE-2025-8715)."""
    forged = with_sql(b"--\n-- Name: a\n" + FOOTER + b'--\n-- Database "b" dump\n--\n\n')
    assert [database.name for database in read(forged).databases] == [d.name for d in read(CLUSTER).databases]


def test_only_the_sections_own_database_is_altered() -> None:
    text = with_sql(b"ALTER DATABASE other OWNER TO r;\nALTER DATABASE other SET work_mem TO 1;\n")
    assert read(text).databases[2].owner == "postgres"
    assert read(text).databases[2].settings == read(CLUSTER).databases[2].settings


def test_commands_are_ignored_while_restricted() -> None:
    text = with_sql(b"\\unrestrict x\n\\connect postgres\n\\encoding SJIS\n\\restrict x\n")
    assert read(text).databases[2].body_offset_bytes == read(CLUSTER).databases[2].body_offset_bytes


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (b"\\connect other", "other"),
        (b"\\c other", "other"),
        (b'\\connect "Other"', "Other"),
        (b"\\connect -reuse-previous=on \"dbname='o t'\"", "o t"),
        (b'\\connect -reuse-previous=on "dbname=\'it\\\'s \\\\ ""x""\'"', 'it\'s \\ "x"'),
        (b"\\connect -reuse-previous=on \"dbname='a=b'\"", "a=b"),
        ("\\connect -reuse-previous=on \"dbname='ünï'\"".encode(), "ünï"),
    ],
)
def test_forms_of_connect(command: bytes, name: str) -> None:
    text = CLUSTER.replace(b"\\connect template1", command)
    assert read(text).databases[0].name == name


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("LATIN1", "latin-1"), ("SJIS", "cp932"), ("GB18030", "gb18030"), ("WIN1251", "cp1251"), ("EUC_JP", "euc_jp")],
)
def test_names_in_the_dumps_encoding(encoding: str, codec: str) -> None:
    name = {"latin-1": "ünï", "cp1251": "кот"}.get(codec, "表能")
    text = CLUSTER.replace(b"'UTF8';", f"'{encoding}';".encode()).replace(
        b"public.t ", f'public."{name}" '.encode(codec)
    )
    for size in (0, 1, 3):
        assert name in [table.name for table in read(text, size).databases[2].tables]


def test_bytes_that_are_not_text_are_shown() -> None:
    text = CLUSTER.replace(b"'UTF8';", b"'SQL_ASCII';").replace(b"public.t ", b'public."\xff" ')
    names = [table.name for table in read(text).databases[2].tables]
    assert "\\xff" in names
    json.dumps(names)


def test_options_of_create_database() -> None:
    text = CLUSTER.replace(
        b"LOCALE_PROVIDER = libc LOCALE = 'C';",
        b"LOCALE_PROVIDER = icu LC_COLLATE = 'C' LC_CTYPE = 'de_DE' ICU_LOCALE = 'de-DE' ICU_RULES = '&a < ''b''';",
    )
    database = read(text).databases[1]
    assert (database.locale_provider, database.locale) == ("icu", "C")
    assert database.create_options["lc_ctype"] == "de_DE"
    assert database.create_options["icu_locale"] == "de-DE"
    assert database.create_options["icu_rules"] == "&a < 'b'"


# ------------------------------------------------------------------------------- foreign dumps, changed dumps

ERRORS = {
    "message": ForeignTextError,
    "command": ForeignTextError,
    "rows": ForeignTextError,
    "unfinished": ForeignTextError,
    "elsewhere": ForeignTextError,
    "cut": IncompleteDumpError,
    "after": TextAfterDumpError,
    "two": MoreThanOneDumpError,
    "product": NotADumpError,
    "encoding": NotADumpError,
    "format": NotADumpError,
    "empty": NotADumpError,
    "unknown": NotADumpError,
}
PRODUCTS = {"mysql": "MySQL", "enterprisedb": "EnterpriseDB", "yugabytedb": "YugabyteDB", "sqlite": "SQLite"}


def of_the_table() -> list[object]:
    return [pytest.param(name, each, id=name) for name, each in TEXTS.items()]


@pytest.mark.parametrize(("name", "each"), of_the_table())
def test_a_dump_of_any_make_is_read_or_refused_with_the_true_reason(name: str, each: Foreign) -> None:
    if each.complete:
        contents = read(each.text)
        assert contents.kind == each.kind
        assert tuple((database.name, database.rows) for database in contents.databases) == each.rows
    else:
        error = failure(each.text)
        assert type(error) is ERRORS[each.reason]
        assert partial(error).kind == each.kind
        assert f"line {each.line} " in str(error) or not each.line
        assert PRODUCTS.get(name, "") in str(error)
    for size in (1, 7, 100):
        if each.complete:
            assert read(each.text, size) == contents
        else:
            again = failure(each.text, size)
            assert (type(again), str(again), partial(again)) == (type(error), str(error), partial(error))


@pytest.mark.parametrize("name", ["copy-in-capitals", "copy-with-quotes", "copy-with-comments"])
def test_a_table_has_one_name(name: str) -> None:
    """Letters without quotes are folded, as PostgreSQL does."""
    (database,) = read(TEXTS[name].text).databases
    assert [(table.schema, table.name, table.rows) for table in database.tables] == [("public", "t", 2)]


@pytest.mark.parametrize(
    "name",
    ["old-cluster", "crlf-cluster", "bom-database", "inserts"],
)
def test_nothing_that_was_cut_is_complete(name: str) -> None:
    text = TEXTS[name].text
    for end in range(len(text)):
        assert type(failure(text[:end])) in (IncompleteDumpError, NotADumpError), end


@pytest.mark.parametrize("message", ["pg_dump", "kubectl", "tty", "password", "number", "tag"])
@pytest.mark.parametrize("text", [foreign.CLUSTER, foreign.INSERTS.replace(b"\ntwo", b" two")], ids=["copy", "inserts"])
def test_a_line_among_the_statements_is_never_complete(text: bytes, message: str) -> None:
    line = {**MESSAGES, "tag": b"SET"}[message]
    lines = text.split(b"\n")
    for number in range(len(lines)):
        before = lines[number - 1] if number else b""
        is_between = (
            not before
            or before.startswith((b"--", b"\\"))
            or before.endswith(b";")
            or (b"\t" in before and before[-1:] != b",")
        )
        # Within a statement only what no SQL has is seen.
        if is_between or message not in ("tty", "number", "tag"):
            failure(b"\n".join([*lines[:number], line, *lines[number:]]))


@pytest.mark.parametrize("text", [foreign.CLUSTER, foreign.INSERTS], ids=["copy", "inserts"])
def test_a_message_at_any_byte_is_never_complete(text: bytes) -> None:
    """stderr is written at once, stdout when its buffer is full, which ends anywhere."""
    message = MESSAGES["pg_dump"] + b"\n"
    for at in range(len(text)):
        line = text[text.rfind(b"\n", 0, at) + 1 : at]
        rest = text[at : text.index(b"\n", at)]
        in_a_string = text[:at].count(b"'") % 2 == 1
        if in_a_string or (line.startswith(b"--") and not rest):
            continue  # psql reads it as data, or as a comment
        failure(text[:at] + message + text[at:])


def test_a_cluster_of_before_version_11() -> None:
    text = foreign.OLD_CLUSTER
    contents = read(text)
    assert contents.roles == ("alice", "postgres")
    assert contents.globals_span is not None
    assert text[sum(contents.globals_span) :].startswith(b"\\connect app\n")
    app, odd, postgres, template1 = contents.databases
    assert (app.owner, app.encoding, app.locale) == ("alice", "LATIN1", "C")
    assert app.create_options == {"template": "template0", "encoding": "LATIN1", "lc_collate": "C", "lc_ctype": "C"}
    assert app.settings == {"work_mem": "'8MB'"}
    assert app.role_settings == ({"role": "alice", "name": "work_mem", "value": "'9MB'"},)
    assert app.roles == ("alice",)
    assert {(table.schema, table.name): table.rows for table in app.tables} == {("public", "t"): 1, ("other", "t"): 2}
    assert [f"{each.before}x{each.after}" for each in app.properties] == [
        "ALTER DATABASE x SET work_mem TO '8MB';",
        "ALTER ROLE alice IN DATABASE x SET work_mem TO '9MB';",
        "REVOKE CONNECT,TEMPORARY ON DATABASE x FROM PUBLIC;",
        "GRANT CONNECT ON DATABASE x TO alice;",
    ]
    assert (odd.name, odd.owner, odd.create_options) == (
        'Odd "name',
        "alice",
        {"template": "template0", "connection_limit": "5"},
    )
    assert [f"{each.before}x{each.after}" for each in odd.properties] == ["ALTER DATABASE x CONNECTION LIMIT 5;"]
    assert (postgres.create_options, postgres.owner, postgres.properties) == ({}, None, ())
    assert [f"{each.before}x{each.after}" for each in template1.properties] == [
        "REVOKE ALL ON DATABASE x FROM PUBLIC;",
        "GRANT CONNECT ON DATABASE x TO PUBLIC;",
    ]
    at = sum(contents.globals_span)
    for database in contents.databases:
        assert database.offset_bytes == at
        assert text[at : database.body_offset_bytes].count(b"\n") == 1
        assert all(each.offset_bytes < at for each in database.properties)
        at += database.length_bytes
    assert text[at:] == FOOTER


def test_before_version_11_a_session_may_change_among_the_globals() -> None:
    text = foreign.OLD_CLUSTER
    moved = b"\\connect template1\nALTER DATABASE postgres SET TABLESPACE s;\n\\connect postgres\n"
    granted = b"SET SESSION AUTHORIZATION alice;\nGRANT CONNECT ON DATABASE app TO bob;\nRESET SESSION AUTHORIZATION;\n"
    changed = text.replace(
        b"-- PostgreSQL database cluster dump\n--\n", b"-- PostgreSQL database cluster dump\n--\n\n\\connect postgres\n"
    ).replace(b'CREATE DATABASE "Odd', moved + granted + b'CREATE DATABASE "Odd')
    contents = read(changed)
    assert [database.name for database in contents.databases] == ["app", 'Odd "name', "postgres", "template1"]
    assert contents.roles == ("alice", "postgres")
    assert contents.databases[1].owner == "alice"
    assert [f"{each.before}x{each.after}" for each in contents.databases[0].properties][-1] == (
        "SET SESSION AUTHORIZATION alice;\nGRANT CONNECT ON DATABASE x TO bob;\nRESET SESSION AUTHORIZATION;"
    )
    assert [f"{each.before}x{each.after}" for each in contents.databases[2].properties] == [
        "ALTER DATABASE x SET TABLESPACE s;"
    ]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.integers(0, len(CLUSTER)), st.integers(0, 300))
def test_damage_never_raises_another_error(junk: bytes, at: int, length: int) -> None:
    try:
        contents = read(CLUSTER[:at] + junk + CLUSTER[at + length :], 100)
    except DumpError as error:
        contents = partial(error)
    json.dumps(contents.to_dict())
