# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill`: what restores, what does not, and that nothing is left of either."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader
from tests.dump import foreign, hostile, truth
from tests.dump.sections import facts
from tests.in_turn import weekly, weekly_but

from ..support import server as server_module
from ..support.programs import Programs
from ..support.rehearsal import NAME, Rehearsal, counted, database
from ..support.sample import literal, quoted
from ..support.sandbox import Outcome, Sandbox
from ..support.server import Server
from ..support.volume import LAST_DRILL, snapshot
from ..support.workspace import SERVER_UID, Workspace, processes_of


def dump_of(server: Server, *arguments: str, program: str = "pg_dumpall") -> bytes:
    command = [str(server.programs.path(program)), *arguments]
    done = subprocess.run(command, env=server.environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


@pytest.fixture(scope="module")
def dump(server: Server) -> bytes:
    """The sample server's."""
    return dump_of(server)


@pytest.fixture(scope="module")
def small(template: Server, workspace: Workspace) -> bytes:
    """A dump with one table of one database, for what ends early."""
    with template.clone(workspace.directory("small", mode=0o777)) as server:
        server.sql("CREATE DATABASE app STRATEGY file_copy;")
        server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n;", "app")
        return dump_of(server)


def assert_failed(rehearsal: Rehearsal, outcome: Outcome, *words: str, heals: bool | None = None) -> None:
    """It reports the reason and leaves volume and machine unchanged; `heals`: whether another attempt may succeed."""
    outcome.check(1 if outcome.result["can_heal"] else 2)
    assert heals in {None, outcome.result["can_heal"]}
    assert outcome.result["state"] == "failed"
    assert rehearsal.termination == outcome.result
    for word in words:
        assert word.lower() in outcome.result["reason"].lower(), outcome.result["reason"]
        assert word.lower() in outcome.log.lower(), outcome.log
    assert re.search(r"what to do: \S", outcome.log)


def run(rehearsal: Rehearsal, **env: str) -> Outcome:
    before = snapshot(rehearsal.volume)
    outcome = rehearsal.run("drill", env={f"POSTGRES_BACKUP_{name.upper()}": value for name, value in env.items()})
    assert snapshot(rehearsal.volume) == before
    return outcome


def test_every_row_of_the_sample_server_is_counted(rehearsal: Rehearsal, server: Server, dump: bytes) -> None:
    rehearsal.put(dump)
    outcome = run(rehearsal).check()
    names = server.sql("SELECT to_json(datname::text) FROM pg_database WHERE datallowconn;").splitlines()
    found = counted(outcome)
    assert found.keys() == {json.loads(name) for name in names}
    assert found["app"]["public", "users"] == 3
    assert found["app"]["public", "transactions"] == 5
    assert found["app"]["public", "filler"] == 2000
    result = outcome.result
    assert result["rows"] == sum(sum(tables.values()) for tables in found.values()) == result["copied_rows"]
    assert (result["databases"], result["tables"]) == (len(found), sum(map(len, found.values())))
    assert (result["backup"], result["state"], result["reason"]) == (NAME, "succeeded", None)
    assert result["seconds"].keys() == {"prepare", "initdb", "globals", "restore", "count"}


# Between the restore and the count: the output of pg_dump for the restored database.
_DUMP_TOO = r"""
if [ -n "${database-}" ]; then
    escaped=$(printf %s "$database" | sed -e "s/[\\\\']/\\\\&/g")
    name=$(printf %s "$database" | od -An -v -tx1 | tr -d ' \n')
    env -u PGCLIENTENCODING -u PGOPTIONS pg_dump --restrict-key=key --dbname="dbname='$escaped'" >"$DUMPS/$name" || exit
fi
exec $real "$@"
"""


def in_one_order(text: bytes) -> list[bytes | list[bytes]]:
    """A policy names its roles in the order in which the server made them, which is another one in a new server."""
    return [
        sorted(re.findall(rb'"[^"]*"|[^ ,"]+', line)) if b" TO " in line and line.startswith(b"CREATE POLICY") else line
        for line in text.splitlines()
    ]


# Names in encodings that are not UTF-8.
UNREADABLE = {"sql_ascii", "latin1"}


@dataclass(frozen=True)
class Original:
    """A hostile server, compared by the output of pg_dumpall, of pg_dump for each database, and by the rows."""

    text: bytes
    databases: dict[str, bytes]
    tables: dict[str, truth.Tables]


@pytest.fixture(scope="module")
def original(template: Server, workspace: Workspace) -> Original:
    with template.clone(workspace.directory("hostile", mode=0o777)) as server:
        hostile.fill(server, workspace.directory("spaces", mode=0o777))
        found = {}
        for name in truth.databases(server):
            escaped = name.replace("\\", "\\\\").replace("'", "\\'")
            found[name] = truth.dump(server, "pg_dump", "--restrict-key=key", f"--dbname=dbname='{escaped}'")
        rows = {name: truth.tables(server, name) for name in found.keys() - UNREADABLE}
        return Original(truth.dump(server, "pg_dumpall"), found, rows)


@pytest.mark.parametrize("way", ["text", "contents", "manifest"])
def test_hostile_databases_are_restored_to_the_letter(rehearsal: Rehearsal, original: Original, way: str) -> None:
    (rehearsal.put_with_manifest if way == "manifest" else rehearsal.put)(original.text)
    rehearsal.shim("nproc", "echo 2")
    rehearsal.shim("psql", _DUMP_TOO)
    dumps = rehearsal.workspace.directory("dumps", rehearsal.uid)
    env = {"DUMPS": str(dumps), "POSTGRES_BACKUP_DRILL_SECTIONS": sections(original.text) if way == "contents" else ""}
    outcome = rehearsal.run("drill", env=env).check()
    restored = {bytes.fromhex(path.name).decode(): path.read_bytes() for path in dumps.iterdir()}
    assert restored.keys() == original.databases.keys()
    assert (outcome.result["errors"], outcome.result["needs"], outcome.result["left_out"]) == (0, [], [])
    for name, found in restored.items():
        assert in_one_order(found) == in_one_order(original.databases[name]), name
        if name not in UNREADABLE:
            assert counted(outcome)[name] == original.tables[name]


def sections(dump: bytes) -> str:
    """As the module gives them, from the backup's contents; every body in one transaction, however small."""
    reader = DumpReader()
    reader.feed(dump)
    databases = reader.finish().databases
    return "\n".join(f"{each.offset_bytes} {each.length_bytes} {each.body_offset_bytes}" for each in databases)


@pytest.mark.parametrize("processors", [weekly(1), 2, weekly(3)])
def test_parts_side_by_side_restore_the_same(rehearsal: Rehearsal, dump: bytes, processors: int) -> None:
    rehearsal.put(dump)
    rehearsal.shim("nproc", f"echo {processors}")
    # What went through psql, and through how many.
    matched = """*--set=ON_ERROR_STOP=1*"dbname='postgres'"*"""
    rehearsal.shim("psql", f'case $* in {matched}) echo >>$TMPDIR/psql ;; esac\nexec $real "$@"')
    process = rehearsal.start("drill", env={"POSTGRES_BACKUP_DRILL_SECTIONS": sections(dump)})
    outcome = rehearsal.finish(process).check()
    started = len((rehearsal.tmp / "psql").read_text().splitlines())
    (rehearsal.tmp / "psql").unlink()
    rehearsal.assert_nothing_left()
    # One that counts the database postgres, the rest restored. (The globals do not stop at an error.)
    assert started - 1 == processors
    assert counted(outcome)["app"]["public", "filler"] == 2000
    assert outcome.result["copied_rows"] == outcome.result["rows"]


def test_a_part_that_ends_long_before_the_file(rehearsal: Rehearsal, fresh_server: Server) -> None:
    """Its decompressor is stopped early, which is not a failure."""
    for name in ("first", "second"):
        fresh_server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        fresh_server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 200000) AS n;", name)
    dump = dump_of(fresh_server)
    rehearsal.put(dump)
    rehearsal.shim("nproc", "echo 2")
    outcome = run(rehearsal, drill_sections=sections(dump)).check()
    assert outcome.result["rows"] == 400_000
    assert "Terminated" not in outcome.log


def test_sections_of_another_backup(rehearsal: Rehearsal, dump: bytes) -> None:
    rehearsal.put(dump)
    rehearsal.shim("nproc", "echo 2")
    wrong = "\n".join(f"{int(line.split()[0]) + 10} 5000 0" for line in sections(dump).splitlines())
    outcome = run(rehearsal, drill_sections=wrong)
    assert outcome.code == 2 and outcome.result["state"] == "failed"


def test_what_no_transaction_can_hold_is_restored_without(rehearsal: Rehearsal, fresh_server: Server) -> None:
    """More locks than fit into memory; and a statement that cannot run in a transaction."""
    fresh_server.sql("CREATE DATABASE many STRATEGY file_copy;")
    fresh_server.sql("SELECT lo_create(n) FROM generate_series(1, 3000) AS n;", "many")
    dump, end = dump_of(fresh_server), b"--\n-- PostgreSQL database dump complete"
    for text, settings, code in (
        (dump, "max_locks_per_transaction = 10\nmax_connections = 5", "53200"),
        (dump.replace(end, b"ALTER SYSTEM SET work_mem = '8MB';\n" + end), "", "25001"),
    ):
        rehearsal.put(text)
        outcome = run(rehearsal, drill_sections=sections(text), drill_settings=settings).check()
        assert f": {code}: " in outcome.log and "trying again" in outcome.log
        assert "many" in counted(outcome)


def of_version_11(text: bytes) -> bytes:
    """As pg_dumpall 11 writes it: no comment before a database."""
    return re.sub(rb'--\n-- Database "[^\n]*" dump\n--\n\n', b"", text)


def crlf(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "crlf": crlf,
    "mark": lambda text: b"\xef\xbb\xbf" + text,
    "mark-crlf": lambda text: b"\xef\xbb\xbf" + crlf(text),
    "version-11": of_version_11,
    "version-11-crlf": lambda text: crlf(of_version_11(text)),
}


@pytest.mark.parametrize("by_parts", [False, True])
@pytest.mark.parametrize("form", weekly_but(FORMS, "mark-crlf", "version-11-crlf"))
def test_what_psql_reads_is_restored(rehearsal: Rehearsal, small: bytes, form: str, by_parts: bool) -> None:
    text = FORMS[form](small)
    rehearsal.put(text)
    rehearsal.shim("nproc", "echo 2")
    outcome = run(rehearsal, drill_sections=sections_by_awk(text) if by_parts else "").check()
    assert counted(outcome)["app"] == {("public", "numbers"): 1000}


@pytest.mark.parametrize("form", weekly_but(FORMS, "mark-crlf", "version-11-crlf"))
def test_the_second_try_reads_what_psql_reads(rehearsal: Rehearsal, small: bytes, form: str) -> None:
    """Database by database, since the text as it is fails: COPY's rows are not read as SQL."""
    wrong = small.replace(
        b"CREATE TABLE public.numbers (\n    n integer", b"CREATE TABLE public.numbers (\n    n no_type"
    )
    rehearsal.put(FORMS[form](wrong))
    outcome = run(rehearsal).check(2)
    errors = [(error["object"], error["follows"]) for error in outcome.of_type("error")]
    assert errors[0] == ("table public.numbers", None)
    assert set(errors[1:]) == {("table public.numbers", 1), ("rows of table public.numbers", 1)}


# pg_dumpall before 11: all databases are made among the globals.
OLD = foreign.OLD_CLUSTER.replace(b"SET search_path = other", b"CREATE SCHEMA other;\n\nSET search_path = other")


@pytest.mark.parametrize("by_parts", [False, True])
@pytest.mark.parametrize("text", [weekly(OLD, id="lf"), pytest.param(crlf(OLD), id="crlf")])
def test_a_dump_of_version_9_6(rehearsal: Rehearsal, text: bytes, by_parts: bool) -> None:
    rehearsal.put(text, checksum_file=by_parts)
    rehearsal.shim("nproc", "echo 3")
    outcome = run(rehearsal, drill_backup=NAME, drill_sections=sections_by_awk(text) if by_parts else "").check()
    assert counted(outcome)["app"] == {("public", "t"): 1, ("other", "t"): 2}
    assert 'Odd "name' in counted(outcome)


def sections_by_awk(text: bytes) -> str:
    """As the module gives them."""
    return "\n".join(f"{offset} {length} {body}" for offset, length, body, _ in facts(text, "mawk").sections)


ENCODINGS = {"first": "LATIN1", "second": "LATIN2", "third": "WIN1251", "fourth": "EUC_JP", "ünï": "LATIN1"}


@pytest.fixture(scope="module")
def encodings(template: Server, workspace: Workspace) -> dict[str, bytes]:
    """Databases in encodings without a conversion from one to the next, on a server of UTF8 and on one of LATIN1."""
    with template.clone(workspace.directory("encodings", mode=0o777)) as server:
        for name, encoding in ENCODINGS.items():
            database = quoted(name)
            server.sql(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C';")
            server.sql(f"COMMENT ON DATABASE {database} IS 'of {encoding}';")
            server.sql("CREATE TABLE t AS SELECT generate_series(1, 5) AS n;", name)
        of_utf8 = truth.dump(server, "pg_dumpall")
        server.sql('DROP DATABASE postgres; DROP DATABASE "ünï";', "template1")
        server.sql("CREATE DATABASE postgres TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';", "template1")
        return {"UTF8": of_utf8, "LATIN1": truth.dump(server, "pg_dumpall")}


@pytest.mark.parametrize("processors", [0, weekly(1), 3])
@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "manifest"])
def test_neighbours_whose_encodings_have_no_conversion(
    rehearsal: Rehearsal, encodings: dict[str, bytes], encoding: str, processors: int
) -> None:
    """With and without contents, and with a manifest, which say where each one lies."""
    text = encodings["LATIN1" if encoding == "manifest" else encoding]
    (rehearsal.put_with_manifest if encoding == "manifest" else rehearsal.put)(text)
    rehearsal.shim("nproc", f"echo {processors or 2}")
    outcome = run(rehearsal, drill_sections=sections(text) if processors else "").check()
    names = ENCODINGS.keys() - ({"ünï"} if encoding != "UTF8" else set())
    found = counted(outcome)
    assert found.keys() == names | {"postgres", "template1"}
    assert all(found[name] == {("public", "t"): 5} for name in names)
    assert outcome.log.count("trying again") == (0 if encoding == "manifest" else 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text + text, "more than one dump"),
        (lambda text: text + foreign.DATABASE, "more than one dump"),
        (
            lambda text: text.replace(b"ALTER TABLE", b"pg_dump: warning: x\nALTER TABLE", 1),
            "is neither a statement that dumps have",
        ),
        (
            lambda text: text.replace(b"ALTER ROLE", b"psql: warning: x\nALTER ROLE", 1),
            "is neither a statement that dumps have",
        ),
        (lambda text: text.replace(b"\n7\n", b"\n7\t8\n", 1), "is not a row"),
        (lambda text: text + b"ls: cannot access\n", "something follows the end"),
    ],
    ids=["two-clusters", "a-database-too", "message", "message-in-globals", "row", "after"],
)
def test_a_text_that_is_not_one_dump(
    rehearsal: Rehearsal, small: bytes, change: Callable[[bytes], bytes], reason: str
) -> None:
    """Its checksum file agrees, and nobody verified it: PostgreSQL's error alone would send one to another place."""
    rehearsal.put(change(small))
    outcome = run(rehearsal)
    assert_failed(rehearsal, outcome, reason)
    assert "superuser" not in outcome.log.split("what to do")[1]


@pytest.mark.parametrize("name", ["database", "mysql", "utf-16-le", "custom", "empty"])
def test_what_is_no_dump_of_a_server(rehearsal: Rehearsal, name: str) -> None:
    words = {
        "database": "one database (pg_dump)",
        "mysql": "another product (MySQL)",
        "utf-16-le": "UTF-16",
        "custom": "custom format",
        "empty": "empty",
    }
    rehearsal.put(foreign.TEXTS[name].text)
    assert_failed(rehearsal, run(rehearsal), "not a dump of all databases", words[name])


def test_inserts_are_counted_too(rehearsal: Rehearsal, server: Server) -> None:
    rehearsal.put(dump_of(server, "--rows-per-insert=7"))
    found = database(run(rehearsal).check(), "app")
    assert found["copied_rows"] == found["rows"] == 3 + 5 + 5 + 2000


def test_clean_dumps_restore(rehearsal: Rehearsal, server: Server) -> None:
    rehearsal.put(dump_of(server, "--clean", "--if-exists"))
    run(rehearsal).check()


@pytest.mark.parametrize("has_header", [True, False])
def test_a_superuser_of_another_name(
    rehearsal: Rehearsal, postgresql: Programs, has_header: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "The Böss, x"
    monkeypatch.setattr(server_module, "SUPERUSER", name)
    directory = rehearsal.workspace.directory("boss", mode=0o777)
    with Server(postgresql, directory).create() as server:
        server.sql("CREATE ROLE a; CREATE ROLE b; GRANT a TO b;")
        server.sql("CREATE TABLE t AS SELECT 1 AS a;")
        text = dump_of(server)
    shown = json.dumps(name, ensure_ascii=False)
    header = f"-- Backup made by homelab.postgres_backup 1\n-- bootstrap superuser: {shown}\n--\n\n"
    rehearsal.put((header.encode() if has_header else b"") + text)
    assert database(run(rehearsal).check(), "postgres")["rows"] == 1


def test_tablespaces_and_settings(rehearsal: Rehearsal, fresh_server: Server) -> None:
    space = rehearsal.workspace.directory("space", SERVER_UID)
    fresh_server.sql(f"CREATE TABLESPACE {quoted('a space')} LOCATION {literal(str(space))};")
    fresh_server.sql(f"CREATE TABLE t TABLESPACE {quoted('a space')} AS SELECT generate_series(1, 9) AS a;")
    fresh_server.sql("ALTER ROLE postgres SET row_security = off;")
    fresh_server.sql("ALTER DATABASE postgres SET default_transaction_read_only = on;")
    rehearsal.put(dump_of(fresh_server))
    # The settings are a file of settings: apostrophes and backslashes too.
    settings = "max_connections = 7\ncluster_name = it's \\ here"
    assert database(run(rehearsal, drill_settings=settings).check(), "postgres")["rows"] == 9


def test_an_extension_and_its_own_rows(rehearsal: Rehearsal, fresh_server: Server) -> None:
    fresh_server.sql("CREATE EXTENSION hstore; CREATE TABLE h AS SELECT 'a=>1'::hstore AS h;")
    rehearsal.put(dump_of(fresh_server))
    assert database(run(rehearsal).check(), "postgres")["rows"] == 1


def test_the_newest_complete_backup_is_taken(rehearsal: Rehearsal, small: bytes) -> None:
    rehearsal.put(b"rubbish", NAME.replace("-22-", "-23-"), checksum_file=False)
    rehearsal.put(small)
    rehearsal.put(b"rubbish", NAME.replace("-22-", "-20-"))
    assert run(rehearsal).check().result["backup"] == NAME


def test_one_without_checksum_file_is_read_to_its_end(rehearsal: Rehearsal, small: bytes) -> None:
    rehearsal.put(small, checksum_file=False)
    assert run(rehearsal, drill_backup=NAME).check().result["sha256"]
    rehearsal.put(small[: small.index(b"-- PostgreSQL database cluster dump complete")], checksum_file=False)
    assert_failed(rehearsal, run(rehearsal, drill_backup=NAME), "not complete", heals=False)


# What must not be called good.


def damaged(data: bytes, how: str) -> bytes:
    middle = len(data) // 2
    return {
        "flipped": data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
        "cut": data[:middle],
        "cut early": data[:100],
        "appended": data + b"x",
    }[how]


@pytest.mark.parametrize("how", ["flipped", "cut", "cut early", "appended"])
def test_a_file_that_is_not_what_its_checksum_file_says(rehearsal: Rehearsal, small: bytes, how: str) -> None:
    path = rehearsal.put(small)
    path.write_bytes(damaged(path.read_bytes(), how))
    assert_failed(rehearsal, run(rehearsal), "does not match its checksum file")


@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_a_damaged_file_whose_checksum_file_agrees(rehearsal: Rehearsal, small: bytes, how: str) -> None:
    path = rehearsal.put(small)
    rehearsal.put_compressed(damaged(path.read_bytes(), how))
    outcome = run(rehearsal)
    assert outcome.code == 2 and outcome.result["state"] == "failed", outcome.log


def test_one_marked_as_damaged(rehearsal: Rehearsal, small: bytes) -> None:
    path = rehearsal.put(small, checksum_file=False)
    path.with_name(f"{NAME}.damaged").write_text("gzip cannot read it\n")
    assert_failed(rehearsal, run(rehearsal, drill_backup=NAME), "is damaged", "gzip cannot read it", heals=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not a dump of all databases"),
        (b"SELECT 1;\n", "not a dump of all databases"),
        (b"--\n-- PostgreSQL database dump\n--\n\nSET a = 1;\n", "not a dump of all databases"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE a;\n", "cut off"),
    ],
)
def test_foreign_files(rehearsal: Rehearsal, text: bytes, words: str) -> None:
    rehearsal.put(text)
    assert_failed(rehearsal, run(rehearsal), words)


def test_a_backup_that_is_not_there(rehearsal: Rehearsal) -> None:
    assert_failed(rehearsal, run(rehearsal), "no complete backup", heals=True)
    assert_failed(rehearsal, run(rehearsal, drill_backup=NAME), "not on the volume")


@pytest.mark.parametrize("has_header", [True, False])
def test_a_server_older_than_the_dump(rehearsal: Rehearsal, small: bytes, has_header: bool) -> None:
    if has_header:
        text = b'-- Backup made by homelab.postgres_backup 1\n-- server version: "99.1"\n--\n\n' + small
    else:
        text = re.sub(rb"(Dumped from database version )\S+", rb"\g<1>99.1", small)
    rehearsal.put(text)
    assert_failed(rehearsal, run(rehearsal), "older than the dump", "99.1", heals=False)


def edited(small: bytes, before: bytes, statement: bytes) -> bytes:
    assert small.count(before) == 1
    return small.replace(before, statement + before)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (b"CREATE EXTENSION nothing_like_it;\n", ("nothing_like_it", "not available")),
        (b"CREATE TABLE public.numbers (n integer);\n", ("already exists",)),
        weekly(b"CREATE COLLATION public.c (provider = libc, locale = 'xx_XX.utf8');\n", ("locale",)),
        weekly(b"SELECT no_such_function();\n", ("no_such_function",)),
        (b"\\nonsense\n", ("nonsense",)),
        (b"\\connect nowhere\n", ("nowhere",)),
    ],
)
def test_what_postgresql_refuses(rehearsal: Rehearsal, small: bytes, statement: bytes, words: tuple[str, ...]) -> None:
    text = re.sub(rb"\n\\(un)?restrict [^\n]*", b"", small)
    rehearsal.put(edited(text, b"CREATE TABLE public.numbers", statement))
    outcome = run(rehearsal)
    assert_failed(rehearsal, outcome, "cannot be restored" if b"TABLE" not in statement else "already", *words)


def test_no_row_and_no_password_is_shown(rehearsal: Rehearsal, small: bytes) -> None:
    row = edited(small, b"1\n2\n3\n", b"the secret row\n")
    password = edited(small, b"ALTER ROLE postgres", b"ALTER ROLE postgres PASSWORD 'the secret' nonsense;\n")
    for text, words in ((row, "line 1"), (password, "42601")):
        rehearsal.put(text)
        outcome = run(rehearsal)
        assert_failed(rehearsal, outcome, words, heals=False)
        assert "secret" not in outcome.out + outcome.log


def test_rows_that_are_lost_on_the_way(rehearsal: Rehearsal, small: bytes) -> None:
    lost = b"DELETE FROM public.numbers WHERE n = 7;\n\n--\n-- PostgreSQL database dump complete"
    head, found, tail = small.partition(b"\\connect app")
    text = re.sub(rb"\n\\(un)?restrict [^\n]*", b"", found + tail)
    rehearsal.put(head + text.replace(b"--\n-- PostgreSQL database dump complete", lost, 1))
    assert_failed(rehearsal, run(rehearsal), "rows do not match the dump", "1000", "999", heals=False)


def test_more_data_than_there_may_be(rehearsal: Rehearsal, small: bytes) -> None:
    rehearsal.put(small.replace(b"1\n2\n3\n", b"".join(b"%d\n" % n for n in range(3_000_000)), 1))
    outcome = run(rehearsal, drill_size_limit=str(60 << 20))
    assert_failed(rehearsal, outcome, "size limit of the drill", "60.0 MiB")
    assert "size_limit" in outcome.log


def test_the_time_limit(rehearsal: Rehearsal, small: bytes) -> None:
    text = re.sub(rb"\n\\(un)?restrict [^\n]*", b"", small)
    rehearsal.put(edited(text, b"CREATE TABLE public.numbers", b"SELECT pg_sleep(60);\n"))
    assert_failed(rehearsal, run(rehearsal, time_limit="2s"), "time limit of 2s", heals=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("shared_preload_libraries = no_such_library", "no_such_library"),
        ("no_such_setting = 1", "no_such_setting"),
    ],
)
def test_settings_that_no_server_takes(rehearsal: Rehearsal, small: bytes, settings: str, words: str) -> None:
    rehearsal.put(small)
    assert_failed(rehearsal, run(rehearsal, drill_settings=settings), "does not start", words)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DRILL_SETTINGS", "include /etc/passwd"),
        ("DRILL_BACKUP", "../x"),
        ("DRILL_SIZE_LIMIT", "10Gi"),
        ("TIME_LIMIT", "soon"),
    ],
)
def test_wrong_configuration(rehearsal: Rehearsal, small: bytes, variable: str, value: str) -> None:
    rehearsal.put(small)
    outcome = rehearsal.run("drill", env={f"POSTGRES_BACKUP_{variable}": value}).check(2)
    assert f"POSTGRES_BACKUP_{variable}: expected" in outcome.result["reason"]


def test_no_passwd_entry(rehearsal: Rehearsal, small: bytes) -> None:
    rehearsal.put(small)
    rehearsal.passwd.write_text("root:x:0:0::/:/bin/sh\n")
    assert_failed(rehearsal, run(rehearsal), "initdb failed")
    rehearsal.run("_drill_prepare_", env={}).check(2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo \"initdb: unrecognized option '--x'\" >&2; echo 'Try \"initdb --help\".' >&2; exit 1", "option '--x'"),
        ("exit 3", "printed no message, and ended with status 3"),
    ],
)
def test_initdb_fails_in_any_words(rehearsal: Rehearsal, small: bytes, body: str, words: str) -> None:
    rehearsal.put(small)
    rehearsal.shim("initdb", body)
    assert_failed(rehearsal, run(rehearsal), "initdb failed", words)


# Terminated during the restore.


def sleeping(rehearsal: Rehearsal, small: bytes) -> subprocess.Popen[str]:
    """A drill that is restoring."""
    text = re.sub(rb"\n\\(un)?restrict [^\n]*", b"", small)
    rehearsal.put(edited(text, b"CREATE TABLE public.numbers", b"SELECT pg_sleep(60);\n"))
    process = rehearsal.start("drill")
    rehearsal.wait_until(lambda: is_asleep(rehearsal), "the statement that sleeps", process)
    return process


def is_asleep(rehearsal: Rehearsal) -> bool:
    return any("app [local] SELECT" in command for command in processes_of(rehearsal.uid).values())


def test_ended_in_the_middle(rehearsal: Rehearsal, small: bytes) -> None:
    process = sleeping(rehearsal, small)
    outcome = rehearsal.terminate(process)
    assert_failed(rehearsal, outcome, "SIGTERM", "restore", heals=True)
    rehearsal.assert_nothing_left()


def test_the_throwaway_server_is_killed(rehearsal: Rehearsal, small: bytes) -> None:
    process = sleeping(rehearsal, small)
    for pid, command in processes_of(rehearsal.uid).items():
        if "/pgdata" in command and "postgres" in command.split()[0]:
            os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    outcome = rehearsal.finish(process)
    assert_failed(rehearsal, outcome, "stopped during the restore", heals=True)
    assert time.monotonic() - began < 30


# The schedule: a result for another container, and its record on the volume.


def test_the_record_on_the_volume(rehearsal: Rehearsal, small: bytes) -> None:
    env = as_scheduled(rehearsal)
    result = Path(env["POSTGRES_BACKUP_DRILL_RESULT"])
    rehearsal.put(small)
    rehearsal.run("_drill_prepare", env=env).check()
    assert f":x:{rehearsal.uid}:" in (result.parent / "passwd").read_text()
    assert last_drill(rehearsal)["state"] == "running"
    rehearsal.run("drill", env=env).check()
    assert last_drill(rehearsal)["state"] == "running"
    rehearsal.run("_drill_record", env=env).check()
    assert last_drill(rehearsal) == json.loads(result.read_text())
    assert (last_drill(rehearsal)["state"], last_drill(rehearsal)["rows"]) == ("succeeded", 1000)
    (rehearsal.volume / NAME).write_bytes(b"x")
    rehearsal.run("drill", env=env).check(0)
    rehearsal.run("_drill_record", env=env).check(1)
    assert (last_drill(rehearsal)["state"], last_drill(rehearsal)["backup"]) == ("failed", NAME)
    result.write_text('{"state":"failed","operation":"drill","reason":"\\"can_heal\\":false","can_heal":true}\n')
    rehearsal.run("_drill_record", env=env).check(1)
    result.write_text('{"state":"failed","operation":"drill","can_heal":false}\n')
    rehearsal.run("_drill_record", env=env).check(2)
    result.write_text("anything\n")
    assert "wrote no result" in rehearsal.run("_drill_record", env=env).check(1).log


def test_a_drill_that_left_no_word_was_interrupted(rehearsal: Rehearsal) -> None:
    rehearsal.run("_drill_prepare", env=as_scheduled(rehearsal)).check()
    assert last_drill(rehearsal)["state"] == "running"
    long_ago = time.time() - 21 * 60
    os.utime(rehearsal.volume / LAST_DRILL, (long_ago, long_ago))
    assert last_drill(rehearsal)["state"] == "interrupted"


def as_scheduled(rehearsal: Rehearsal) -> dict[str, str]:
    scratch = rehearsal.workspace.directory("scratch", rehearsal.uid)
    return {"POSTGRES_BACKUP_DRILL_RESULT": str(scratch / "result.json"), "TMPDIR": str(scratch)}


def last_drill(rehearsal: Rehearsal) -> dict[str, object]:
    """As `list` shows it."""
    found: dict[str, object] = rehearsal.run("list").check().of_type("volume")[0]["last_drill"]
    return found
