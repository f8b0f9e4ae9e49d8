# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""database.awk against the modules' reader and against PostgreSQL: what a restore must know of one database's text."""

from __future__ import annotations

import os
import subprocess
from itertools import zip_longest
from pathlib import Path

import pytest

from plugins.module_utils._dump.contents import Database
from plugins.module_utils._dump.dump_reader import DumpReader
from tests.script.support.restores import shape

from . import truth
from .conftest import Pair
from .sections import AWKS, FILES, awk_command
from .truth import FORMS

Facts = dict[str, list[list[bytes]]]


def facts(text: bytes, awk: str, folder: Path | None = None, **variables: str) -> Facts:
    """The fields of each fact, by its name."""
    if folder is not None:
        variables["folder"] = str(folder)
    options = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
    command = [*awk_command(awk), *options, "-f", f"{FILES}/sql_lexer.awk", "-f", f"{FILES}/database.awk"]
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TEMPORARY": "temporary"}
    done = subprocess.run(command, input=text, capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    found: Facts = {}
    for line in done.stdout.split(b"\n")[:-1]:
        name, *fields = line.split(b"\t")
        found.setdefault(name.decode(), []).append(fields)
    return found


def numbers(found: Facts, name: str) -> list[tuple[int, ...]]:
    return [tuple(int(field) for field in fields[:2]) for fields in found.get(name, [])]


def _sections(text: bytes) -> list[tuple[Database, bytes]]:
    reader = DumpReader()
    reader.feed(text)
    databases = reader.finish().databases
    return [(each, text[each.offset_bytes : each.offset_bytes + each.length_bytes]) for each in databases]


def _compare(text: bytes, awk: str) -> None:
    for database, section in _sections(text):
        found = facts(section, awk)
        start, name = database.offset_bytes, database.name
        assert found["name"][0][0].decode() == name
        assert found["complete"] == [[b"yes"]], name
        assert numbers(found, "bytes") == [(len(section),)], name
        assert numbers(found, "body") == [(database.body_offset_bytes - start,)], name
        body = database.body_offset_bytes
        about = [(each.offset_bytes - start, each.length_bytes) for each in database.properties]
        about = [each for each in about if each[0] >= body - start]
        # The modules' lengths end with the semicolon.
        assert [(offset, length - 1) for offset, length in numbers(found, "about")] == about, name
        codec = {"SQL_ASCII": "latin-1"}.get(found["encoding"][0][0].decode(), "utf-8")
        if codec == "utf-8" and found["encoding"][0][0] == b"UTF8":
            assert {fields[0].decode() for fields in found.get("role", [])} == set(database.roles), name
        rows = sum(int(fields[0]) for fields in found.get("copy", []))
        inserts = int(found["inserts"][0][0])
        if not inserts:
            assert rows == database.rows, name
        else:
            assert rows + inserts <= database.rows, name
        for count, _, offset, length, *_ in found.get("copy", []):
            # The rows, with the line that ends them, and the statement before them.
            data = section[int(offset) : int(offset) + int(length)]
            assert data.endswith(b"\\.\n") and data.count(b"\n") == int(count) + 1, name
            assert section[: int(offset)].endswith(b" FROM stdin;\n"), name
        for begin, size in numbers(found, "search_path"):
            statement = section[begin : begin + size]
            assert statement == b"SELECT pg_catalog.set_config('search_path', '', false);"
        assert len(found["search_path"]) == 1, name


@pytest.mark.parametrize("form", FORMS)
def test_the_same_as_the_modules_read(pair: Pair, form: str) -> None:
    _compare(truth.dump(pair.full, "pg_dumpall", *FORMS[form]), AWKS[list(FORMS).index(form) % len(AWKS)])


def test_the_beginning_is_enough_for_the_head(pair: Pair) -> None:
    for number, (_, section) in enumerate(_sections(truth.dump(pair.full, "pg_dumpall"))):
        awk = AWKS[number % len(AWKS)]
        complete, head = facts(section, awk), facts(section[: 1 << 20], awk)
        for name in ("name", "encoding", "standard", "body", "search_path"):
            assert head[name] == complete[name]


def test_created_under_another_name(pair: Pair, tmp_path: Path) -> None:
    """The SQL makes a database that differs from the first one in nothing but its name."""
    server = pair.full
    for number, (database, section) in enumerate(_sections(truth.dump(server, "pg_dumpall"))):
        if database.name in (None, "postgres", "template1"):
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        found = facts(section, AWKS[number % len(AWKS)], folder)
        encoding = found["encoding"][0][0].decode()
        run = {name: (folder / f"{name}.sql").read_bytes() for name in ("create", "settings", "properties", "limits")}
        try:
            truth.feed(server, run["create"] + b";\n", "postgres")
            for text in (run["settings"], run["properties"]):
                truth.feed(server, b"SET client_encoding = '%s';\n" % encoding.encode() + text, "temporary")
            truth.feed(server, run["limits"], "postgres")
            pairs = zip(shape(server, "temporary"), shape(server, database.name), strict=True)
            assert [(one, other) for one, other in pairs if one != other] == [], database.name
        finally:
            server.sql("ALTER DATABASE temporary IS_TEMPLATE false;")
            server.sql("DROP DATABASE IF EXISTS temporary;")


HEAD = "CREATE DATABASE app WITH TEMPLATE = template0;\n\\connect app\n\nSET client_encoding = 'UTF8';\n"
CRON = [
    "CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;\n",
    "COMMENT ON EXTENSION pg_cron IS 'Job scheduler';\n",
    "COPY cron.job (jobid, schedule) FROM stdin;\n1\t* * * * *\n2\tCOPY cron.x FROM stdin;\n\\.\n",
    "SELECT pg_catalog.setval('cron.jobid_seq', 2, true);\n",
    "GRANT USAGE ON SCHEMA cron TO app;\n",
    "GRANT SELECT ON TABLE cron.job TO app;\n",
    "CREATE VIEW public.failed AS\n SELECT 'a'::text AS a\n   FROM (cron.job j\n     JOIN public.a USING (b));\n",
    "ALTER VIEW public.failed OWNER TO app;\n",
    "CREATE MATERIALIZED VIEW public.counted AS\n SELECT count(*) AS n\n   FROM public.failed\n  WITH NO DATA;\n",
    "COMMENT ON MATERIALIZED VIEW public.counted IS 'of public.a';\n",
    "GRANT SELECT ON TABLE public.failed TO app;\n",
    "REFRESH MATERIALIZED VIEW public.counted;\n",
]
OTHERS = [
    "CREATE TABLE public.a (\n    b text DEFAULT 'cron.job'\n);\n",
    "COPY public.a (b) FROM stdin;\nGRANT USAGE ON SCHEMA cron TO app;\n\\.\n",
    "COMMENT ON TABLE public.a IS 'see ON SCHEMA cron ';\n",
    'CREATE TABLE public."cron.job" (a integer);\n',
    # Its body, a string, is not checked by a restore.
    "CREATE FUNCTION public.plan() RETURNS void AS $$BEGIN PERFORM cron.schedule('x'); END$$;\n",
    "ALTER FUNCTION public.plan() OWNER TO app;\n",
    "CREATE TABLE public.failed_too (a integer);\n",
    'CREATE TABLE public."public.failed" (a integer);\n',
    "COMMENT ON TABLE public.a IS 'like public.failed';\n",
    "CREATE TABLE other_cron.t (a integer);\n",
]


@pytest.mark.parametrize("awk", AWKS)
def test_the_parts_of_a_late_extension(awk: str) -> None:
    texts = [text for pair in zip_longest(CRON, OTHERS, fillvalue="\n") for text in pair]
    section = (HEAD + "".join(texts)).encode()
    parts = facts(section, awk, late="pg_cron cron")["extension_part"]
    found = [section[int(offset) : int(offset) + int(length)].decode() for offset, length, _ in parts]
    assert found == CRON
    assert {name for _, _, name in parts} == {b"pg_cron"}
    assert "extension_part" not in facts(section, awk)


@pytest.mark.parametrize("awk", AWKS)
def test_extensions(awk: str) -> None:
    """Where the line after the statement begins, and the schema as it is quoted."""
    text = (
        'CREATE SCHEMA "a b";\n\n\nCREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA "a b";\n\n-- Name\n'
        'CREATE EXTENSION "uuid-ossp";\n'
    )
    section = (HEAD + text).encode()
    found = facts(section, awk)
    assert [fields[1:] for fields in found["extension"]] == [[b"timescaledb", b'"a b"'], [b"uuid-ossp", b""]]
    assert [section[int(fields[0]) :][:17] for fields in found["create_extension"]] == [b"CREATE EXTENSION "] * 2
    assert [section[: int(fields[0])].splitlines()[-1][:16] for fields in found["extension"]] == [
        b"CREATE EXTENSION"
    ] * 2


GLOBALS = """CREATE ROLE owner;
CREATE DATABASE other WITH TEMPLATE = template0 OWNER = wrong;
CREATE DATABASE app WITH TEMPLATE = template0 OWNER = owner ENCODING = 'UTF8' CONNECTION LIMIT = 5;
GRANT CONNECT ON DATABASE other TO wrong;
REVOKE ALL ON DATABASE app FROM PUBLIC;
GRANT CONNECT ON DATABASE app TO reader;
ALTER DATABASE app SET work_mem TO '8MB';
"""


@pytest.mark.parametrize("awk", AWKS)
def test_statements_among_the_globals(awk: str, tmp_path: Path) -> None:
    """As before version 11."""
    section = "\\connect app\n\nSET client_encoding = 'UTF8';\nCREATE TABLE a ();\n"
    variables = {"globals_bytes": str(len(GLOBALS)), "database": "app"}
    found = facts((GLOBALS + section).encode(), awk, tmp_path, **variables)
    assert numbers(found, "body") == [(13,)]
    assert [fields[0] for fields in found["role"]] == [b"owner", b"reader"]
    assert "about" not in found
    assert (tmp_path / "create.sql").read_text() == ("CREATE DATABASE \"temporary\" TEMPLATE template0 ENCODING 'UTF8'")
    assert (tmp_path / "limits.sql").read_text() == 'ALTER DATABASE "temporary" CONNECTION LIMIT 5;\n'
    assert 'GRANT CONNECT ON DATABASE "temporary" TO reader;' in (tmp_path / "properties.sql").read_text()
    settings = (tmp_path / "settings.sql").read_text()
    assert settings.startswith('ALTER DATABASE "temporary" OWNER TO owner;\n')
    assert "BEGIN ALTER DATABASE \"temporary\" SET work_mem TO '8MB'; EXCEPTION" in settings


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_edit_text(shell: str, tmp_path: Path) -> None:
    text = bytes(range(256)) * 8192
    insert = tmp_path / "insert"
    insert.write_bytes(b"inserted")
    edits = [(100, 50, insert), (150, 0, insert), (1_048_000, 1_000_000, None), (2_048_000, 7, insert)]
    lines = "".join(f"{offset} {size} {file or '-'}\n" for offset, size, file in edits)
    (tmp_path / "edits").write_text(lines)
    expected, position = b"", 0
    for offset, size, file in edits:
        expected += text[position:offset] + (b"inserted" if file else b"")
        position = offset + size
    expected += text[position:]
    script = f'. {FILES}/backup_text.sh; . {FILES}/database_text.sh; edit_text "$@"'
    command = [shell, *(["sh"] if shell == "busybox" else []), "-c", f"TAB=; NEWLINE=; {script}", "sh"]
    for begin, skipped in ((0, b""), (120, text[:100] + b"inserted")):
        done = subprocess.run(
            [*command, str(tmp_path / "edits"), str(begin)],
            input=text[begin:],
            capture_output=True,
            check=True,
            env=os.environ,
        )
        if not begin:
            assert done.stdout == expected
        else:
            # The first change began before that position.
            assert done.stdout == text[120:150] + expected[len(skipped) :]
