# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

# ruff: noqa: S106, S608 - tokens are not passwords, and the tests compose SQL on purpose
"""`backup.sh _restore`: one database out of a backup into the live server, and what it leaves when it fails."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore
from tests.backup_parts import NAME
from tests.dump import hostile, truth
from tests.in_turn import weekly

from ..support.combinations import under_all, under_one
from ..support.programs import root_filesystem, wrap
from ..support.restores import (
    TOKEN,
    Backup,
    Live,
    as_of_run,
    assert_failed,
    back_up,
    backup_of,
    drop,
    names,
    prepare,
    request,
    request_of,
    restore,
    shape,
    state_of,
    text_of,
)
from ..support.sample import literal
from ..support.sandbox import Sandbox
from ..support.script_files import copy_script
from ..support.server import Server
from ..support.workspace import Workspace, kill_all, processes_of

ROLE_PASSWORD = "a pass'word \\ of a role"
SECRET_ROW = "row-that-nobody-may-see"
COUNTED = """
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p')
    AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast');
"""


@pytest.fixture(scope="session")
def script(workspace: Workspace) -> Path:
    """The script with what a restore needs."""
    return copy_script(workspace.directory("restore-script"), "_restore")


@pytest.fixture(scope="session")
def live(workspace: Workspace, template: Server) -> Iterator[Live]:
    """No test changes its databases; what tests add they drop."""
    with template.clone(workspace.directory("live", mode=0o777)) as server:
        hostile.fill(server, workspace.directory("live-space", mode=0o777))
        server.sql(
            'GRANT CREATE ON DATABASE app TO "role;"; REVOKE ALL ON DATABASE app FROM PUBLIC;'
            "ALTER DATABASE app CONNECTION LIMIT 7; ALTER DATABASE empty IS_TEMPLATE true;"
            'CREATE DATABASE spaced TABLESPACE "table space" STRATEGY file_copy;'
        )
        yield Live(server, back_up(server))


@pytest.mark.parametrize("made_by", ["another program", "a run"])
def test_every_database_under_a_new_name(offline: Sandbox, live: Live, made_by: str) -> None:
    backup = as_of_run(live.backup) if made_by == "a run" else live.backup
    prepare(offline, live.server, backup)
    before = state_of(live.server)
    for number, database in enumerate(backup.contents["databases"]):
        name = database["name"]
        new = f"other {number} \"q\" 'a' \\ $HOME `id` ü"
        plan = plan_restore(request(name, backup=backup.name, new_name=new))
        outcome = restore(offline, plan).check()
        assert outcome.result["rows"] == database["rows"]
        assert (outcome.result["backup"], outcome.result["sha256"]) == (backup.name, backup.sha256)
        assert outcome.result["tables"] == len(live.server.sql(COUNTED, name).splitlines()), name
        assert (outcome.result["target"], outcome.result["replaced"]) == (new, None)
        assert not outcome.result["warnings"]
        assert truth.tables(live.server, new) == truth.tables(live.server, name)
        assert text_of(live.server, new) == text_of(live.server, name), name
        if name not in ("postgres", "template1"):
            assert shape(live.server, new) == shape(live.server, name)
        drop(live.server, new)
    assert state_of(live.server) == before


@pytest.mark.parametrize("form", ["crlf", "version-11"])
def test_a_dump_of_another_make(offline: Sandbox, fresh_server: Server, form: str) -> None:
    """Line ends of Windows; no comment before a database, as pg_dumpall wrote before version 12."""
    fresh_server.sql("CREATE DATABASE app STRATEGY file_copy;")
    fresh_server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n;", "app")
    text = truth.dump(fresh_server, "pg_dumpall")
    if form == "crlf":
        text = text.replace(b"\n", b"\r\n")
    else:
        text = re.sub(rb'--\n-- Database "[^\n]*" dump\n--\n\n', b"", text)
    backup = backup_of(text)
    prepare(offline, fresh_server, backup)
    assert restore(offline, plan_restore(request_of(backup, "app", new_name="new"))).check().result["rows"] == 1000
    assert truth.tables(fresh_server, "new") == truth.tables(fresh_server, "app")


def test_every_database_as_itself(offline: Sandbox, workspace: Workspace, live: Live, template: Server) -> None:
    """In a separate server, which has the roles and older databases of the same names."""
    directory = workspace.directory("replaced", mode=0o777)
    with template.clone(directory) as server:
        hostile.fill(server, workspace.directory("space", mode=0o777))
        prepare(offline, server, as_of_run(live.backup))
        for database in live.backup.contents["databases"]:
            name = database["name"]
            if name == "template1":
                continue
            if name == "spaced":
                outcome = restore(offline, plan_restore(request(name))).check()
                assert outcome.result["replaced"] is None
                continue
            plan = plan_restore(request(name, replace=True))
            held = server.sql(f"SELECT oid FROM pg_database WHERE datname = {literal(name)};")
            outcome = restore(offline, plan).check()
            assert outcome.result["replaced"] == plan.old
            assert len(plan.old.encode()) <= 63
            assert server.sql(f"SELECT oid FROM pg_database WHERE datname = {literal(plan.old)};") == held
            assert text_of(server, name) == text_of(live.server, name), name
            if name != "postgres":
                assert shape(server, name)[:9] == shape(live.server, name)[:9]
                assert shape(server, name)[10:] == shape(live.server, name)[10:]


@under_all
def test_one_database_in_every_combination(offline: Sandbox, live: Live) -> None:
    for backup in (live.backup, as_of_run(live.backup)):
        prepare(offline, live.server, backup)
        plan = plan_restore(request_of(backup, "app", new_name="again"))
        outcome = restore(offline, plan).check()
        try:
            assert text_of(live.server, "again") == text_of(live.server, "app")
            assert shape(live.server, "again") == shape(live.server, "app")
            assert offline.termination == outcome.result
        finally:
            drop(live.server, "again")


def test_check_mode_only_looks(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    plan = plan_restore(request_of(live.backup, "app", replace=True, check=True))
    outcome = restore(offline, plan).check()
    assert outcome.result["replaced"] == "app_before_restore_20261122030405"
    assert set(outcome.result["databases"]) == names(live.server)
    database = next(each for each in live.backup.contents["databases"] if each["name"] == "app")
    assert (outcome.result["rows"], outcome.result["tables"]) == (database["rows"], None)
    assert state_of(live.server) == before


def test_an_existing_name(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    outcome = restore(offline, plan_restore(request_of(live.backup, "app")))
    assert_failed(outcome, live.server, before, "the database already exists", "'app'", "new_name")


@pytest.mark.parametrize("damage", ["cut", "damaged", "tampered", "missing"])
def test_a_backup_that_is_not_the_verified_one(offline: Sandbox, live: Live, damage: str) -> None:
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    path, data = offline.volume / NAME, live.backup.data
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "damaged":
        path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "tampered":
        path.write_bytes(gzip.compress(gzip.decompress(data).replace(b"'Ada'", b"'Eve'") + b"\n", 1))
    else:
        path.unlink()
    outcome = restore(offline, plan_restore(request_of(live.backup, "app", new_name="x")))
    expected = "the backup is not on the volume" if damage == "missing" else "is not the one that was verified"
    assert_failed(outcome, live.server, before, expected)


def test_other_rows_than_the_contents_say(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    plan = plan_restore(request_of(live.backup, "app", new_name="x"))
    other = int(plan.variables["RESTORE_ROWS"]) + 1
    outcome = restore(offline, plan, RESTORE_ROWS=str(other))
    words = ("the number of rows does not match the contents", f"expected {other}", "are those of another backup")
    assert_failed(outcome, live.server, before, *words)


@pytest.mark.parametrize("made_by", ["another program", "a run"])
@pytest.mark.parametrize("step", ["restore_facts", "restore_section"])
def test_a_text_that_ends_early(offline: Sandbox, live: Live, step: str, made_by: str) -> None:
    """As when the decompressor dies: psql would take the end of its input for an end."""
    backup = as_of_run(live.backup) if made_by == "a run" else live.backup
    prepare(offline, live.server, backup)
    before = state_of(live.server)
    database = next(each for each in live.backup.contents["databases"] if each["name"] == "app")
    end = database["length_bytes"] + (database["offset_bytes"] if made_by == "another program" else 0)
    offline.shim("gzip", f'{only_in(step)} || exec "$real" "$@"; "$real" "$@" | head -c {end - 1}; exit 1')
    outcome = restore(offline, plan_restore(request("app", backup=backup.name, new_name="x")))
    assert_failed(outcome, live.server, before, "be read to the end of the database")


def only_in(step: str) -> str:
    """The condition of a shim that it decompresses in that step of the script."""
    return f"[ \"$1\" = -d ] && tr '\\000' '\\n' </proc/$PPID/cmdline | grep -qx {step}"


@under_one
def test_a_server_older_than_the_backup(offline: Sandbox, live: Live) -> None:
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    text = re.sub(rb"(-- Dumped from database version )\d+", rb"\g<1>99", gzip.decompress(live.backup.data))
    for backup in (backup_of(text), as_of_run(backup_of(text))):
        manifest = backup.manifest.replace('"server":{', '"server":{"version_num":990001,')
        prepare(offline, live.server, replace(backup, manifest=manifest))
        outcome = restore(offline, plan_restore(request("app", backup=backup.name, new_name="x")))
        assert_failed(outcome, live.server, before, "the server is older than the backup", "99")


@pytest.fixture
def empty(workspace: Workspace, template: Server) -> Iterator[Server]:
    """A server without the backup's roles and databases."""
    directory = workspace.directory("empty", mode=0o777)
    with template.clone(directory) as server:
        yield server


def with_roles(server: Server) -> Backup:
    """A backup of a database that a role with a password owns, which is a member of another one."""
    server.sql(
        f'CREATE ROLE readers; CREATE ROLE "the owner\'s" LOGIN PASSWORD {literal(ROLE_PASSWORD)} CONNECTION LIMIT 3;'
        "GRANT readers TO \"the owner's\"; CREATE ROLE other PASSWORD 'other';"
        'CREATE ROLE "a group"; GRANT "a group" TO "the owner\'s";'
    )
    server.sql('CREATE DATABASE shop OWNER "the owner\'s" STRATEGY file_copy;')
    server.sql(
        "CREATE TABLE goods (a int PRIMARY KEY, b text); GRANT SELECT ON goods TO readers;"
        'ALTER TABLE goods OWNER TO "the owner\'s";'
        f"INSERT INTO goods SELECT i, '{SECRET_ROW} ' || i FROM generate_series(1, 500) AS i;",
        "shop",
    )
    return back_up(server)


def test_missing_roles(offline: Sandbox, fresh_server: Server, empty: Server) -> None:
    backup = with_roles(fresh_server)
    prepare(offline, empty, backup)
    before = state_of(empty)
    outcome = restore(offline, plan_restore(request_of(backup, "shop")))
    assert_failed(outcome, empty, before, "roles are missing on the server", "readers", "the owner's", "create_roles")

    empty.sql("CREATE ROLE readers PASSWORD 'its own'; CREATE ROLE bystander PASSWORD 'own';")
    kept = empty.sql(
        "SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN ('readers', 'bystander', 'postgres');"
    )
    outcome = restore(offline, plan_restore(request_of(backup, "shop", create_roles=True))).check()
    assert outcome.result["created_roles"] == ["the owner's"]
    assert (
        empty.sql("SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN ('readers', 'bystander', 'postgres');")
        == kept
    )
    question = "SELECT rolpassword, rolconnlimit, rolcanlogin FROM pg_authid WHERE rolname LIKE '%owner%';"
    assert empty.sql(question) == fresh_server.sql(question)
    assert (
        empty.sql("SELECT roleid::regrole FROM pg_auth_members WHERE member = '\"the owner''s\"'::regrole;")
        == "readers"
    )
    assert "SCRAM" not in outcome.out + outcome.log
    assert any("memberships in them were not granted: a group" in warning for warning in outcome.result["warnings"])
    assert text_of(empty, "shop") == text_of(fresh_server, "shop")
    assert empty.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'other';") == "0"


@under_one
def test_a_missing_tablespace(offline: Sandbox, live: Live, empty: Server) -> None:
    prepare(offline, empty, live.backup)
    before = state_of(empty)
    outcome = restore(offline, plan_restore(request_of(live.backup, "spaced")))
    assert_failed(outcome, empty, before, "the tablespace is missing on the server", "table space")


def test_an_error_in_the_middle_shows_no_row(offline: Sandbox, fresh_server: Server, empty: Server) -> None:
    backup = with_roles(fresh_server)
    # A wrong number of columns is found before anything is restored.
    text = gzip.decompress(backup.data).replace(f"42\t{SECRET_ROW} 42\n".encode(), f"x42\t{SECRET_ROW} 42\n".encode())
    broken = as_of_run(backup_of(text))
    prepare(offline, empty, broken)
    empty.sql('CREATE ROLE readers; CREATE ROLE "the owner\'s";')
    before = state_of(empty)
    outcome = restore(offline, plan_restore(request_of(broken, "shop")))
    assert_failed(outcome, empty, before, "the restore stopped at an error", "22P02", "COPY goods, line 42")
    assert SECRET_ROW not in outcome.out + outcome.log


@under_one
def test_roles_are_named_when_a_later_step_fails(offline: Sandbox, fresh_server: Server, empty: Server) -> None:
    backup = with_roles(fresh_server)
    prepare(offline, empty, backup)
    plan = plan_restore(request_of(backup, "shop", create_roles=True))
    outcome = restore(offline, plan, RESTORE_ROWS="1")
    assert outcome.code == 1
    assert outcome.result["created_roles"] == ["readers", "the owner's"]
    assert any("the owner's" in warning for warning in outcome.result["warnings"])
    assert "shop" not in names(empty)


@contextlib.contextmanager
def connected(server: Server, database: str) -> Iterator[subprocess.Popen[str]]:
    """A session that remains connected."""
    process = subprocess.Popen(
        [str(server.programs.path("psql")), "-X", "-q", "-A", "-t", "-d", database],
        env={**server.environment(), "PGAPPNAME": "the pool"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("SELECT 'here';\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "here"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def shop(fresh_server: Server) -> Live:
    """A small server that a test may change, with a backup of it."""
    return Live(fresh_server, with_roles(fresh_server))


def test_a_connection_that_does_not_go(offline: Sandbox, shop: Live) -> None:
    prepare(offline, shop.server, shop.backup)
    before = state_of(shop.server)
    plan = plan_restore(request_of(shop.backup, "shop", replace=True, wait_seconds=2))
    with connected(shop.server, "shop") as session:
        outcome = restore(offline, plan)
        assert session.poll() is None
    words = (
        "the database to be replaced is still in use",
        "pid ",
        "user postgres",
        'application "the pool"',
        "since 20",
        "terminate_connections",
    )
    for word in words:
        assert word in outcome.log + outcome.result["reason"] or json.dumps(word) in outcome.log
    assert_failed(outcome, shop.server, before, "the database to be replaced is still in use")


@under_one
def test_a_connection_that_goes_in_time(offline: Sandbox, shop: Live) -> None:
    prepare(offline, shop.server, shop.backup)
    plan = plan_restore(request_of(shop.backup, "shop", replace=True, wait_seconds=60))
    with connected(shop.server, "shop") as session:
        process = offline.start("_restore", env=dict(plan.variables))
        time.sleep(3)
        session.kill()
        offline.finish(process).check()
    assert plan.old in names(shop.server)


def test_a_signal_while_it_waits(offline: Sandbox, shop: Live) -> None:
    """It counts, although the connection goes at the same moment."""
    prepare(offline, shop.server, shop.backup)
    before = state_of(shop.server)
    plan = plan_restore(request_of(shop.backup, "shop", replace=True, wait_seconds=60))
    with connected(shop.server, "shop") as session:
        process = offline.start("_restore", env=dict(plan.variables))
        filled = f"SELECT count(*) FROM pg_database WHERE datname = '{plan.temporary}';"
        offline.wait_until(lambda: shop.server.sql(filled) == "1", "the temporary database", process)
        time.sleep(2.5)
        process.send_signal(signal.SIGTERM)
        session.kill()
        outcome = offline.finish(process)
    assert_failed(outcome, shop.server, before, "terminated by SIG", "swap")


@under_one
def test_a_prepared_transaction(offline: Sandbox, workspace: Workspace, template: Server) -> None:
    directory = workspace.directory("prepared", mode=0o777)
    server = template.clone(directory)
    with open(server.data / "postgresql.conf", "a") as configuration:
        configuration.write("max_prepared_transactions = 2\n")
    with server:
        backup = with_roles(server)
        prepare(offline, server, backup)
        server.sql("BEGIN; DELETE FROM goods; PREPARE TRANSACTION 'it''s mine';", "shop")
        before = state_of(server)
        plan = plan_restore(request_of(backup, "shop", replace=True, wait_seconds=1, terminate_connections=True))
        assert_failed(restore(offline, plan), server, before, "prepared transaction 'it''s mine'", "ROLLBACK PREPARED")


def test_a_pool_that_comes_back_is_ended(offline: Sandbox, shop: Live) -> None:
    prepare(offline, shop.server, shop.backup)
    over = threading.Event()
    errors: list[str] = []

    def pool() -> None:
        """Three sessions that reconnect at once, and sleep in the database."""
        command = [str(shop.server.programs.path("psql")), "-X", "-q", "-d", "shop", "-c", "SELECT pg_sleep(60)"]
        running: list[subprocess.Popen[bytes]] = []
        while not over.is_set():
            running = [each for each in running if each.poll() is None]
            while len(running) < 3:
                quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                running.append(subprocess.Popen(command, env=shop.server.environment(), **quiet))  # type: ignore[call-overload]
            time.sleep(0.01)
        for each in running:
            each.kill()
            each.wait()

    thread = threading.Thread(target=pool)
    thread.start()
    try:
        time.sleep(0.5)
        plan = plan_restore(request_of(shop.backup, "shop", replace=True, terminate_connections=True, wait_seconds=30))
        outcome = restore(offline, plan)
    finally:
        over.set()
        thread.join()
    outcome.check()
    assert not errors
    assert {"shop", plan.old} <= names(shop.server)


def feeding(server: Server) -> bool:
    """Whether the body is being fed: its table is there."""
    return server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname LIKE '%_restoring_{TOKEN}';") != "0"


def slow(sandbox: Sandbox) -> None:
    """A decompressor that stops within the body."""
    condition = only_in("restore_section")
    sandbox.shim("gzip", f'{condition} || exec "$real" "$@"; "$real" "$@" | {{ head -c 20000; sleep 600; }}')


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda sent: sent.name)
def test_a_signal_in_the_middle(offline: Sandbox, live: Live, sent: signal.Signals) -> None:
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    slow(offline)
    process = offline.start("_restore", env=dict(plan_restore(request_of(live.backup, "app", replace=True)).variables))
    offline.wait_until(lambda: feeding(live.server), "the feed", process)
    outcome = offline.terminate(process, sent)
    assert_failed(outcome, live.server, before, "terminated by", sent.name)
    offline.assert_nothing_left()


def test_a_signal_while_the_database_is_made(offline: Sandbox, live: Live) -> None:
    """CREATE DATABASE continues in the server after its client has gone."""
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    plan = plan_restore(request_of(live.backup, "app", replace=True))
    # template0 cannot be copied while somebody holds its lock.
    holder = "BEGIN; COMMENT ON DATABASE template0 IS 'locked'; SELECT 'locked';\n"
    with connected(live.server, "postgres") as session:
        assert session.stdin is not None and session.stdout is not None
        session.stdin.write(holder)
        session.stdin.flush()
        assert session.stdout.readline().strip() == "locked"
        process = offline.start("_restore", env=dict(plan.variables))
        waiting = "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock';"
        offline.wait_until(lambda: "CREATE DATABASE" in live.server.sql(waiting), "CREATE DATABASE", process)
        outcome = offline.terminate(process)
    time.sleep(0.5)
    assert_failed(outcome, live.server, before, "terminated by SIG", "create")


def test_killed_in_the_middle_and_tried_again(offline: Sandbox, live: Live) -> None:
    """SIGKILL leaves the temporary database; the next restore drops it."""
    prepare(offline, live.server, live.backup)
    before = state_of(live.server)
    slow(offline)
    process = offline.start("_restore", env=dict(plan_restore(request_of(live.backup, "app", replace=True)).variables))
    offline.wait_until(lambda: feeding(live.server), "the feed", process)
    kill_all(offline.uid)
    process.communicate()
    assert names(live.server) - set(before[0]) == {f"app_restoring_{TOKEN}"}
    (offline.shims / "gzip").unlink()
    for path in offline.tmp.iterdir():
        shutil.rmtree(path)
    offline.wait_until(lambda: not feeding(live.server), "the end of the session")
    # One to another target is none of its business.
    other = plan_restore(request_of(live.backup, "empty", new_name="beside", token="x1"))
    restore(offline, other).check()
    drop(live.server, "beside")
    assert f"app_restoring_{TOKEN}" in names(live.server)
    again = plan_restore(request_of(live.backup, "app", replace=True, token="x2"))
    outcome = restore(offline, again, RESTORE_ROWS="1")
    assert_failed(outcome, live.server, before, "the number of rows does not match the contents")
    assert any(f"app_restoring_{TOKEN}" in warning for warning in outcome.result["warnings"])


def test_the_server_stops_in_the_middle(offline: Sandbox, shop: Live) -> None:
    prepare(offline, shop.server, shop.backup)
    before = state_of(shop.server)
    slow(offline)
    process = offline.start("_restore", env=dict(plan_restore(request_of(shop.backup, "shop", replace=True)).variables))
    offline.wait_until(lambda: feeding(shop.server), "the feed", process)
    shop.server.stop(signal.SIGINT)
    # gzip waits forever: psql reports at its next statement that the connection is closed.
    for pid, command in processes_of(offline.uid).items():
        if command.startswith("sleep 600"):
            os.kill(pid, signal.SIGKILL)
    time.sleep(1)
    shop.server.start()
    outcome = offline.finish(process)
    assert_failed(outcome, shop.server, before, "the restore stopped at an error")


@under_one
def test_the_server_stays_away(offline: Sandbox, shop: Live) -> None:
    """Then the temporary database remains, and the next restore drops it."""
    prepare(offline, shop.server, shop.backup)
    before = state_of(shop.server)
    slow(offline)
    process = offline.start("_restore", env=dict(plan_restore(request_of(shop.backup, "shop", replace=True)).variables))
    offline.wait_until(lambda: feeding(shop.server), "the feed", process)
    shop.server.stop(signal.SIGINT)
    outcome = offline.terminate(process)
    assert outcome.code == 1
    assert any("could not be dropped" in warning for warning in outcome.result["warnings"])
    shop.server.start()
    (offline.shims / "gzip").unlink()
    again = plan_restore(request_of(shop.backup, "shop", replace=True, token="x2"))
    assert_failed(
        restore(offline, again, RESTORE_ROWS="1"), shop.server, before, "the number of rows does not match the contents"
    )


def test_no_secret_and_no_row_is_shown(offline: Sandbox, fresh_server: Server, empty: Server) -> None:
    backup = with_roles(fresh_server)
    prepare(offline, empty, backup)
    seen: list[str] = []
    plan = plan_restore(request_of(backup, "shop", create_roles=True))
    process = offline.start("_restore", env=dict(plan.variables))
    while process.poll() is None:
        seen += processes_of(offline.uid).values()
    outcome = offline.finish(process).check()
    password = fresh_server.sql("SELECT rolpassword FROM pg_authid WHERE rolname LIKE '%owner%';")
    shown = "\n".join([*seen, outcome.out, outcome.log, json.dumps(dict(plan.variables))])
    assert password not in shown
    assert SECRET_ROW not in shown
    assert "SCRAM" not in shown


@under_one
def test_inserts_instead_of_copy(offline: Sandbox, live: Live) -> None:
    backup = back_up(live.server, "--inserts", "--rows-per-insert=7")
    prepare(offline, live.server, backup)
    plan = plan_restore(request_of(backup, "app", new_name="inserted"))
    outcome = restore(offline, plan).check()
    try:
        assert str(outcome.result["rows"]) == plan.variables["RESTORE_ROWS"]
        assert text_of(live.server, "inserted") == text_of(live.server, "app")
    finally:
        drop(live.server, "inserted")


@pytest.mark.parametrize("version", ["15", weekly("17")])
@under_one
def test_an_older_server(offline: Sandbox, workspace: Workspace, version: str) -> None:
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory("older"))
    template = Server(programs, workspace.directory("older-template", mode=0o777)).create()
    with template.clone(workspace.directory("older-live", mode=0o777)) as server:
        hostile.fill(server, workspace.directory("older-space", mode=0o777))
        backup = back_up(server)
        prepare(offline, server, backup)
        for name in ("app", 'sp ace "q" \\ b', "latin1"):
            restore(offline, plan_restore(request_of(backup, name, new_name="again"))).check()
            assert text_of(server, "again") == text_of(server, name)
            assert shape(server, "again") == shape(server, name)
            drop(server, "again")
