# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`run`, database by database: what is chosen, what fails alone, and what changes while the run is under way."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
from collections.abc import Iterator

import pytest

from ..support.failed_runs import assert_failed, assert_incomplete, fill_volume
from ..support.sandbox import Json, Sandbox
from ..support.server import Server
from ..support.volume import RECORDS, snapshot, without
from ..support.workspace import Workspace, kill_all

NAMES = ("alpha", "beta", "gamma", "shop_1", "shop_2", "shopxtra")
# In pg_dumpall's order.
ALL = ("template1", *NAMES[:3], "postgres", *NAMES[3:])


@pytest.fixture(scope="session")
def shops(workspace: Workspace, template: Server) -> Iterator[Server]:
    """A server with six databases, each with the tables `kept` and `log`."""
    with template.clone(workspace.directory("shops", mode=0o777)) as server:
        for name in NAMES:
            server.sql(f'CREATE DATABASE "{name}" STRATEGY file_copy;')
            server.sql(
                "CREATE TABLE kept AS SELECT 'kept in ' || current_database() AS a;"
                "CREATE TABLE log AS SELECT 'log of ' || current_database() AS a FROM generate_series(1, 5);",
                name,
            )
        yield server


@pytest.fixture
def shop_sandbox(sandbox: Sandbox, shops: Server) -> Sandbox:
    sandbox.server = shops
    return sandbox


def _backup(sandbox: Sandbox) -> tuple[bytes, Json]:
    (path,) = sandbox.backup_files()
    return gzip.decompress(path.read_bytes()), json.loads(path.with_name(f"{path.name}.json").read_text())


# What is to be dumped: the environment, the databases in the backup, and texts that are not in it.
CHOICES: dict[str, tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]] = {
    "all": ({}, ALL, ()),
    "one": ({"POSTGRES_BACKUP_DATABASES": "beta"}, ("beta",), ("kept in alpha",)),
    "patterns": ({"POSTGRES_BACKUP_DATABASES": "shop_?\nalpha"}, ("alpha", "shop_1", "shop_2"), ("kept in shopxtra",)),
    "excluded": (
        {"POSTGRES_BACKUP_EXCLUDE_DATABASES": "shop*\ntemplate1"},
        ("alpha", "beta", "gamma", "postgres"),
        ("kept in shop",),
    ),
    "exclusion wins": (
        {"POSTGRES_BACKUP_DATABASES": "shop*", "POSTGRES_BACKUP_EXCLUDE_DATABASES": "*1"},
        ("shop_2", "shopxtra"),
        ("kept in shop_1",),
    ),
    "of pg_dumpall": (
        {"POSTGRES_BACKUP_EXTRA_ARGS": "--exclude-database\nSHOP_*\n--exclude-database=\"beta\""},
        ("template1", "alpha", "gamma", "postgres", "shopxtra"),
        ("kept in shop_1", "kept in beta"),
    ),
    "rows of a table": (
        {"POSTGRES_BACKUP_EXCLUDE_TABLE_DATA": "shop*\tpublic.log\nbeta\tl?g"},
        ALL,
        ("log of shop_1", "log of beta"),
    ),
    "a table": ({"POSTGRES_BACKUP_EXCLUDE_TABLES": "*\tpublic.log"}, ALL, ("log of", "CREATE TABLE public.log")),
    "arguments": (
        {"POSTGRES_BACKUP_DUMP_ARGS": "gamma\t--exclude-schema=pub*\n*\t--no-owner"},
        ALL,
        ("kept in gamma", "OWNER TO"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_dumped(shop_sandbox: Sandbox, choice: str) -> None:
    environment, databases, absent = CHOICES[choice]
    result = shop_sandbox.run("run", env=environment).check().result
    text, manifest = _backup(shop_sandbox)
    assert tuple(manifest["dumped"]) == databases
    assert result["databases"] == len(databases)
    assert sorted(result["excluded_databases"]) == sorted(set(ALL) - set(databases))
    body = text.partition(b"\n--\n\n")[2].decode()
    for words in absent:
        assert words not in body
    kept = [name for name in NAMES if f"kept in {name}" in body]
    gone = ("gamma",) if choice == "arguments" else ()
    assert kept == [name for name in NAMES if name in databases and name not in gone]
    assert manifest["left_out"] is (choice != "all")


def test_what_is_left_out_is_recorded(shop_sandbox: Sandbox) -> None:
    """In the header, which travels with the backup, and in the manifest."""
    environment = {
        "POSTGRES_BACKUP_EXCLUDE_DATABASES": "alpha",
        "POSTGRES_BACKUP_EXCLUDE_TABLES": "beta\tpublic.kept",
        "POSTGRES_BACKUP_EXCLUDE_TABLE_DATA": "beta\tpublic.log",
        "POSTGRES_BACKUP_DUMP_ARGS": "beta\t--no-comments",
    }
    shop_sandbox.run("run", env=environment).check()
    text, manifest = _backup(shop_sandbox)
    left_out = {"tables": ["public.kept"], "table_data": ["public.log"], "arguments": ["--no-comments"]}
    header = text.partition(b"\n--\n\n")[0].decode().splitlines()
    assert '-- databases excluded: ["alpha"]' in header
    (line,) = (line for line in header if line.startswith("-- left out on request: "))
    assert json.loads(line.partition(": ")[2]) == {"beta": left_out}
    parts = {part["name"]: part for part in manifest["parts"]}
    assert parts["beta"]["left_out"] == left_out
    assert parts["alpha"]["result"] == "excluded"


def test_a_name_that_no_database_has_is_warned_about(shop_sandbox: Sandbox) -> None:
    environment = {
        "POSTGRES_BACKUP_EXCLUDE_DATABASES": "gama",
        "POSTGRES_BACKUP_EXCLUDE_TABLE_DATA": "shop\tpublic.log",
    }
    warnings = shop_sandbox.run("run", env=environment).check().result["warnings"]
    assert [warning.split(" ")[0] for warning in warnings] == [
        "postgres_backup_exclude_databases", "postgres_backup_exclude_table_data",
    ]  # fmt: skip


def test_nothing_to_dump(shop_sandbox: Sandbox) -> None:
    before = fill_volume(shop_sandbox)
    outcome = shop_sandbox.run("run", env={"POSTGRES_BACKUP_DATABASES": "nowhere"})
    assert_failed(shop_sandbox, outcome, before, "no database to dump")
    assert (outcome.code, "postgres_backup_databases" in outcome.log) == (2, True)


# A pg_dump that fails within the text for some databases, as it does when it meets a damaged page.
_SICK = """case "$*" in *dbname=\\'{pattern}\\'*)
    $real "$@" | head -c 700
    echo 'pg_dump: error: Dumping the contents of table "log" failed: PQgetResult() failed.' >&2
    echo 'pg_dump: detail: Error message from server: ERROR:  invalid page in block 7 of relation "base/5/16384"' >&2
    exit 1 ;;
esac
exec $real "$@\""""

SICK = {
    "the first": ("template1", ["template1"]),
    "one between others": ("beta", ["beta"]),
    "the last": ("shopxtra", ["shopxtra"]),
    "several": ("[abg]*", ["alpha", "beta", "gamma"]),
    "all but one": ("[!p]*", [name for name in ALL if name != "postgres"]),
}


@pytest.mark.parametrize("case", SICK)
def test_a_database_that_fails(shop_sandbox: Sandbox, case: str) -> None:
    """The others are in the backup, of which nothing is missing; what the database had written is cut off."""
    pattern, missing = SICK[case]
    before = fill_volume(shop_sandbox)
    shop_sandbox.shim("pg_dump", _SICK.format(pattern=pattern))
    outcome = shop_sandbox.run("run")
    path = assert_incomplete(shop_sandbox, outcome, before, missing, "invalid page in block 7")
    assert "postgres_backup_exclude_table_data" in outcome.log
    text = gzip.decompress(path.read_bytes()).decode()
    for name in NAMES:
        assert (f"kept in {name}" in text) is (name not in missing), name
    (line,) = (line for line in shop_sandbox.run("list").check().backups if line["name"] == path.name)
    assert (line["state"], line["missing"], line["verdict"]) == ("incomplete", missing, "keep")


def test_every_database_fails(shop_sandbox: Sandbox) -> None:
    before = fill_volume(shop_sandbox)
    shop_sandbox.shim("pg_dump", _SICK.format(pattern="*"))
    assert_failed(shop_sandbox, shop_sandbox.run("run"), before, "no database could be dumped", "invalid page")


def test_the_next_complete_backup_replaces_an_incomplete_one(shop_sandbox: Sandbox) -> None:
    """The incomplete one is kept until then, whatever the policy."""
    policy = {"POSTGRES_BACKUP_KEEP_LAST": "1", "POSTGRES_BACKUP_KEEP_DAILY": "0"}
    shop_sandbox.shim("pg_dump", _SICK.format(pattern="beta"))
    incomplete = shop_sandbox.run("run", env=policy).check(2).result["backup"]
    shop_sandbox.shim("pg_dump", 'exec $real "$@"')
    result = shop_sandbox.run("run", env={**policy, "POSTGRES_BACKUP_JOB": "the-next-job"}).check().result
    assert (result["backup_state"], result["deleted"]) == ("complete", 1)
    assert not list(shop_sandbox.volume.glob(f"{incomplete}*"))


def test_a_warning_of_pg_dump_names_the_database(shop_sandbox: Sandbox) -> None:
    shop_sandbox.shim("pg_dump", 'echo "pg_dump: warning: could not find x" >&2; exec $real "$@"')
    warnings = shop_sandbox.run("run", env={"POSTGRES_BACKUP_DATABASES": "beta"}).check().result["warnings"]
    assert warnings == ['a dump program printed for "beta": pg_dump: warning: could not find x']


# Changes during the run. A lock holds the dump of `alpha`; meanwhile the statement is executed.


@pytest.fixture
def changing(sandbox: Sandbox, workspace: Workspace, template: Server) -> Iterator[Sandbox]:
    directory = workspace.directory("changing", mode=0o777)
    with template.clone(directory) as server:
        for name in NAMES[:3]:
            server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
            server.sql("CREATE TABLE kept AS SELECT 'kept in ' || current_database() AS a;", name)
        sandbox.server = server
        yield sandbox


def _run_while(sandbox: Sandbox, statement: str) -> tuple[Json, bytes, Json]:
    server = sandbox.server
    assert server is not None
    with server.locked("kept", "alpha"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: server.waits_for_a_lock, "pg_dump waits for the lock", process)
        inspected = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'gamma')"
        sandbox.wait_until(lambda: server.sql(f"SELECT {inspected}") == "f", "the inspection is over", process)
        server.sql(statement)
    outcome = sandbox.finish(process).check()
    return outcome.result, *_backup(sandbox)


def test_a_database_that_is_dropped_during_the_run(changing: Sandbox) -> None:
    """The dump of `beta` has begun ahead."""
    result, text, manifest = _run_while(changing, "DROP DATABASE gamma WITH (FORCE);")
    assert manifest["dumped"] == ["template1", "alpha", "beta", "postgres"]
    assert (manifest["state"], manifest["missing"]) == ("complete", [])
    assert any('"gamma" was dropped during the run' in warning for warning in result["warnings"])
    assert b"kept in beta" in text


def test_a_database_that_is_renamed_during_the_run(changing: Sandbox) -> None:
    result, text, manifest = _run_while(changing, 'ALTER DATABASE gamma RENAME TO "new Name";')
    assert manifest["dumped"] == ["template1", "alpha", "beta", "new Name", "postgres"]
    assert result["backup_state"] == "complete"
    assert b'\n-- Database "new Name" dump\n' in text
    assert b"kept in new Name" not in text
    assert b"kept in gamma" in text


def test_a_database_that_is_created_during_the_run(changing: Sandbox) -> None:
    result, _, manifest = _run_while(changing, "CREATE DATABASE late STRATEGY file_copy;")
    assert "late" not in manifest["dumped"]
    assert any('"late" was created during the run' in warning for warning in result["warnings"])


def test_a_database_that_went_since_the_last_backup(changing: Sandbox) -> None:
    changing.run("run").check()
    assert changing.server is not None
    changing.server.sql("DROP DATABASE gamma;")
    result = changing.run("run", env={"POSTGRES_BACKUP_JOB": "the-next-job"}).check().result
    assert any('does not have any more: "gamma"' in warning for warning in result["warnings"])


def test_a_database_that_allows_one_connection(changing: Sandbox) -> None:
    """The inspection has left it when its dump begins. (A superuser is not counted.)"""
    server = changing.server
    assert server is not None
    server.sql("ALTER DATABASE beta CONNECTION LIMIT 1;")
    password = changing.environment()["PGPASSWORD"].replace("'", "''").replace("\\", "\\\\")
    server.sql(f"CREATE ROLE bk LOGIN PASSWORD E'{password}'; GRANT pg_read_all_data TO bk;")
    outcome = changing.run("run", env={"POSTGRES_BACKUP_USER": "bk"}).check()
    assert outcome.result["backup_state"] == "complete"


# Ends within each part.

_HOLD = """case "$*" in *{words}*)
    : >{gate}/reached
    while [ ! -e {gate}/go ]; do /bin/sleep 0.02; done ;;
esac
exec $real "$@\""""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
@pytest.mark.parametrize(
    ("program", "words"),
    [("pg_dumpall", "--globals-only"), ("pg_dump", "template1"), ("pg_dump", "beta"), ("pg_dump", "shopxtra")],
)
def test_ended_in_the_middle_of_a_part(shop_sandbox: Sandbox, program: str, words: str, sent: signal.Signals) -> None:
    """Nothing of it is listed, and the next attempt of the Job makes the backup."""
    before = fill_volume(shop_sandbox, 3)
    gate = shop_sandbox.workspace.directory("gate", shop_sandbox.uid)
    shop_sandbox.shim(program, _HOLD.format(words=words, gate=gate))
    process = shop_sandbox.start("run")
    shop_sandbox.wait_until((gate / "reached").exists, f"{program} of {words}", process)
    if sent == signal.SIGKILL:
        process.kill()
        kill_all(shop_sandbox.uid)
        shop_sandbox.finish(process)
        for path in shop_sandbox.tmp.iterdir():
            shutil.rmtree(path)
    else:
        shop_sandbox.terminate(process)
        shop_sandbox.assert_nothing_left()
    partials = [path.name for path in shop_sandbox.partials()]
    assert without(snapshot(shop_sandbox.volume), *RECORDS, *partials) == before
    (gate / "go").touch()
    result = shop_sandbox.run("run").check().result
    assert (result["attempts"], result["backup_state"]) == (2, "complete")
    assert shop_sandbox.partials() == []


def test_the_partial_file_grows_beyond_a_part_that_fails(shop_sandbox: Sandbox) -> None:
    """The follower of the file has to stop at the part that is cut off, and continue with the next one."""
    shop_sandbox.shim(
        "pg_dump",
        """case "$*" in *beta*)
    $real "$@"; head -c 9000000 /dev/urandom | od; echo 'pg_dump: error: x' >&2; exit 1 ;;
esac
exec $real "$@\"""",
    )
    outcome = shop_sandbox.run("run")
    assert_incomplete(shop_sandbox, outcome, {}, ["beta"])


def test_what_changes_the_partial_file_is_found_when_a_part_fails(shop_sandbox: Sandbox) -> None:
    """Before the part is cut off, the file is read again: what was written before it must still be there."""
    before = fill_volume(shop_sandbox)
    shop_sandbox.shim(
        "pg_dump",
        f"""case "$*" in *gamma*)
    for file in {shop_sandbox.volume}/.*.partial; do
        printf 'x' | dd of="$file" bs=1 seek=40 conv=notrunc 2>/dev/null
    done
    exit 1 ;;
esac
exec $real "$@\"""",
    )
    assert_failed(shop_sandbox, shop_sandbox.run("run"), before, "does not hold what was written")


def test_a_dump_that_began_ahead_of_one_that_fails_reaches_no_other_part(shop_sandbox: Sandbox) -> None:
    """The dump of beta begins while alpha's is under way. Alpha's fails; beta's first one only ends during gamma's."""
    shop_sandbox.shim(
        "pg_dump",
        """case "$*" in
            *dbname=\\'alpha\\'*)
                sleep 1
                echo 'pg_dump: error: Error message from server: ERROR:  invalid page in block 7' >&2
                exit 1 ;;
            *dbname=\\'beta\\'*)
                if mkdir "$TMPDIR/first" 2>/dev/null; then
                    sleep 5
                    rmdir "$TMPDIR/first"
                fi ;;
            *dbname=\\'gamma\\'*) sleep 6 ;;
        esac
        exec $real "$@\"""",
    )
    outcome = shop_sandbox.run("run").check(2)
    text, manifest = _backup(shop_sandbox)
    assert (manifest["dumped"], manifest["missing"]) == ([name for name in ALL if name != "alpha"], ["alpha"])
    for part in manifest["parts"]:
        if part["result"] == "dumped" and part["kind"] == "database":
            body = text[part["text_offset_bytes"] :][: part["text_length_bytes"]].decode()
            titles = [line for line in body.splitlines() if line.startswith('-- Database "') and line.endswith(" dump")]
            assert titles == [f'-- Database "{part["name"]}" dump'], outcome.log
