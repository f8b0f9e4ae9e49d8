# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Faults of the server, the dump or the compressor: a failed run with its reason, and nothing else changed."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import sample
from ..support.combinations import program
from ..support.encryption import make_key
from ..support.failed_runs import assert_failed, assert_incomplete, fill_volume
from ..support.programs import Programs, root_filesystem, wrap
from ..support.sandbox import Sandbox
from ..support.server import PASSWORD, Server
from ..support.volume import RECORDS, snapshot, without
from ..support.workspace import Workspace, processes_of

ROLE = Path(__file__).resolve().parents[3] / "roles" / "postgres_backup"


# Before the dump.

# What connects is wrong: environment, words of the reason, of the advice, and whether another try may help.
CONNECTIONS: dict[str, tuple[dict[str, str], str, str, bool]] = {
    "no server": ({"POSTGRES_BACKUP_PORT": "1"}, "127.0.0.1", "its service has a ready pod", True),
    "no such host": (
        {"POSTGRES_BACKUP_HOST": "no-such-host.invalid"}, "no-such-host.invalid", "cannot resolve that name", True,
    ),
    "a wrong password": (
        {"PGPASSWORD": "not it"}, "password authentication failed", "postgres_backup_secret_key", False,
    ),
    "no such user": ({"POSTGRES_BACKUP_USER": "nobody-here"}, "nobody-here", "", False),
    "no such database": ({"POSTGRES_BACKUP_DATABASE": "nowhere"}, "nowhere", "postgres_backup_database", False),
    "no TLS": ({"POSTGRES_BACKUP_SSLMODE": "require"}, "does not support SSL", "postgres_backup_sslmode", False),
}  # fmt: skip


@pytest.mark.parametrize("wrong", CONNECTIONS)
def test_a_connection_that_fails(sandbox: Sandbox, wrong: str) -> None:
    environment, words, advice, may_heal = CONNECTIONS[wrong]
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env=environment)
    assert_failed(sandbox, outcome, before, words)
    assert (outcome.code, advice in outcome.log) == (1 if may_heal else 2, True), outcome.log


# Rights, settings and states of the server that a dump as `weak` meets: SQL, extra arguments, then as above.
WEAK = f"CREATE ROLE weak LOGIN PASSWORD {sample.literal(PASSWORD)};"
READER = f"{WEAK} GRANT pg_read_all_data TO weak;"
FAULTS: dict[str, tuple[str, str, str, str, bool]] = {
    "a table": (
        f"{WEAK} GRANT SELECT ON pg_authid TO weak; CREATE TABLE certificate AS SELECT 1;", "",
        "no SELECT on the tables public.certificate", "GRANT pg_read_all_data", False,
    ),
    "row security": (
        f'{READER} CREATE TABLE "must be superuser" (); ALTER TABLE "must be superuser" ENABLE ROW LEVEL SECURITY;',
        "--no-role-passwords", "row security hides rows", "BYPASSRLS", False,
    ),
    "a large object": (
        f"{READER} SELECT lo_from_bytea(0, 'x');", "--no-role-passwords",
        "no SELECT on the large objects", "pg_read_all_data does not cover large objects", False,
    ),
    "a database that lets nobody in": (
        f"{READER} REVOKE CONNECT ON DATABASE template1 FROM public;", "--no-role-passwords",
        "permission denied for database", "postgres_backup_exclude_databases", False,
    ),
    "a login that is not one": (
        f"{WEAK} ALTER ROLE weak NOLOGIN;", "", "is not permitted to log in", "ALTER ROLE … LOGIN", False,
    ),
    "connections used up": (
        f"{READER} ALTER ROLE weak CONNECTION LIMIT 0;", "", "too many connections", "CONNECTION LIMIT", True,
    ),
    "a role to become that is not there": (
        READER, "--role=nobody", 'role "nobody" does not exist', "Correct the --role", False,
    ),
    "a role that one may not become": (READER, "--role=postgres", "permission denied to set role", "--role", False),
    "a statement timeout": (
        f"{READER} ALTER ROLE weak SET statement_timeout = 1;", "", "statement timeout", "statement_timeout = 0", True,
    ),
}  # fmt: skip


# Faults of one database: the others are backed up.
OF_ONE_DATABASE = {
    "a table": "postgres",
    "row security": "postgres",
    "a large object": "postgres",
    "a database that lets nobody in": "template1",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_user_may_not(sandbox: Sandbox, fresh_server: Server, fault: str) -> None:
    prepare, arguments, words, advice, may_heal = FAULTS[fault]
    sandbox.server = fresh_server
    for statement in prepare.split("; "):
        fresh_server.sql(statement)
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_USER": "weak", "POSTGRES_BACKUP_EXTRA_ARGS": arguments})
    if fault in OF_ONE_DATABASE:
        assert_incomplete(sandbox, outcome, before, [OF_ONE_DATABASE[fault]], words)
    else:
        assert_failed(sandbox, outcome, before, words)
    assert (outcome.code, advice in outcome.log) == (1 if may_heal else 2, True), outcome.log


def test_passwords_of_roles_are_left_out_without_a_superuser(sandbox: Sandbox, fresh_server: Server) -> None:
    """Only who may read pg_authid has them, and no provider allows it."""
    sandbox.server = fresh_server
    for statement in WEAK.split("; "):
        fresh_server.sql(statement)
    result = sandbox.run("run", env={"POSTGRES_BACKUP_USER": "weak"}).check().result
    assert any("no passwords of roles" in warning for warning in result["warnings"])
    (path,) = sandbox.backup_files()
    manifest = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert (manifest["server"]["role_passwords"], manifest["server"]["is_superuser"]) == (False, False)
    assert b"SCRAM-SHA-256" not in gzip.decompress(path.read_bytes())


@pytest.mark.parametrize(
    "argument",
    [
        "--exclude-table-data=public.log",
        "-Z9",
        "--exclude-database",
        "--no-p",
        "--clean=yes",
        "app",
        "--if-exists",
        "-rg",
    ],
)
def test_arguments_that_pg_dumpall_refuses(sandbox: Sandbox, argument: str) -> None:
    """Arguments that only another version has reach pg_dumpall; site.yml rejects the others."""
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_EXTRA_ARGS": argument})
    assert_failed(
        sandbox, outcome, before, "postgres_backup_extra_args" if argument == "--exclude-database" else "pg_dumpall"
    )
    assert (outcome.code, "Correct postgres_backup_extra_args" in outcome.log) == (2, True), outcome.log


def test_server_refuses_sessions(sandbox: Sandbox, fresh_server: Server) -> None:
    """It accepts the connection and the password, and then refuses."""
    sandbox.server = fresh_server
    fresh_server.sql("ALTER DATABASE postgres WITH CONNECTION LIMIT 0;")
    fresh_server.sql(f"CREATE ROLE visitor LOGIN PASSWORD {sample.literal(PASSWORD)};")
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_USER": "visitor"})
    assert_failed(sandbox, outcome, before, "too many connections")


def test_client_older_than_the_server(sandbox: Sandbox) -> None:
    """pg_dumpall reports that it is older, although it would work."""
    before = fill_volume(sandbox)
    sandbox.shim(
        "pg_dumpall", 'case $1 in --version|-V) echo "pg_dumpall (PostgreSQL) 17.9";; *) exec $real "$@";; esac'
    )
    assert_failed(sandbox, sandbox.run("run"), before, "17", "18")


@pytest.fixture(scope="session", params=["15", "17"])
def older(request: pytest.FixtureRequest, workspace: Workspace) -> Programs:
    version = str(request.param)
    return wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"postgresql-{version}"))


def test_pg_dumpall_of_an_older_major_version(sandbox: Sandbox, server: Server, older: Programs) -> None:
    before = fill_volume(sandbox)
    path = sandbox.environment()["PATH"].replace(str(server.programs.bin), str(older.bin))
    outcome = sandbox.run("run", env={"PATH": path})
    assert_failed(sandbox, outcome, before, "older than the server", f"pg_dumpall {older.major}.", "server 18.")
    assert "postgres_backup_image" in outcome.log


def test_a_server_that_accepts_and_then_says_nothing(sandbox: Sandbox, fresh_server: Server) -> None:
    """In the first question, before there is a dump that could be ended: the time limit holds there too."""
    sandbox.server = fresh_server
    before = fill_volume(sandbox)
    with fresh_server.frozen():
        outcome = sandbox.run("run", env={"POSTGRES_BACKUP_TIME_LIMIT": "2s"})
    assert_failed(sandbox, outcome, before, "2s", "prepare")


@pytest.mark.parametrize("missing", ["pg_dumpall", "psql"])
def test_a_client_program_is_missing(sandbox: Sandbox, missing: str) -> None:
    before = fill_volume(sandbox)
    sandbox.shim(missing, "exit 127")
    assert_failed(sandbox, sandbox.run("run"), before, missing)


@pytest.mark.parametrize("compressor", ["igzip", "pigz"])
def test_the_compressor_asked_for_is_missing(sandbox: Sandbox, compressor: str) -> None:
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_COMPRESSOR": compressor})
    assert outcome.code in (1, 2)
    assert compressor in outcome.log
    assert without(snapshot(sandbox.volume), *RECORDS) == before
    assert sandbox.last_run is not None
    assert sandbox.last_run["state"] == "failed"


# During the dump.


@pytest.fixture(scope="session")
def big_template(workspace: Workspace, template: Server) -> Server:
    """A stopped server with one table of 40 MB, whose dump takes long enough to be interrupted."""
    server = template.clone(workspace.directory("big", mode=0o777)).start()
    server.sql(
        "CREATE TABLE big AS SELECT i, md5(i::text) || md5((i * 7)::text) AS t FROM generate_series(1, 500000) AS i;"
    )
    server.sql("CHECKPOINT")
    server.stop()
    return server


@pytest.fixture
def big_server(workspace: Workspace, big_template: Server) -> Iterator[Server]:
    """A server of the test's own with that table."""
    directory = workspace.directory("big-server", mode=0o777)
    with big_template.clone(directory) as running:
        yield running


def _partial_bytes(sandbox: Sandbox) -> int:
    return sum(path.stat().st_size for path in sandbox.partials())


@pytest.mark.parametrize("how", ["kill", "immediate", "fast"])
def test_server_dies_in_the_middle(sandbox: Sandbox, big_server: Server, how: str) -> None:
    sandbox.server = big_server
    before = fill_volume(sandbox)
    process = sandbox.start("run")
    sandbox.wait_until(lambda: _partial_bytes(sandbox) > 200_000, "the dump is under way", process)
    if how == "kill":
        big_server.kill()
    else:
        big_server.stop({"immediate": signal.SIGQUIT, "fast": signal.SIGINT}[how])
    assert_incomplete(sandbox, sandbox.finish(process), before, ["postgres"], "pg_dump", code=1)


def test_a_session_is_ended_in_the_middle(sandbox: Sandbox, big_server: Server) -> None:
    """As an administrator or a failover does it: the database is dumped again, and nothing of the first try is left."""
    sandbox.server = big_server
    process = sandbox.start("run")
    sandbox.wait_until(lambda: _partial_bytes(sandbox) > 200_000, "the dump is under way", process)
    big_server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump';")
    outcome = sandbox.finish(process).check()
    assert '"postgres" could not be dumped and is tried again' in outcome.log
    assert outcome.result["backup_state"] == "complete"
    (path,) = sandbox.backup_files()
    assert gzip.decompress(path.read_bytes()).count(b"COPY public.big ") == 1


def test_pg_dump_is_killed(sandbox: Sandbox, server: Server) -> None:
    """As the kernel does when memory is short: it leaves no message, so the log contains the likely reason."""
    before = fill_volume(sandbox)
    with server.locked("users", "app"):
        process = sandbox.start("run")
        # The dump of `app` begins ahead, while the one before it is under way.
        sandbox.wait_until(
            lambda: server.waits_for_a_lock and not any(sample.NAME in command for command in _commands(sandbox)),
            "the dump of app waits for the lock, and the one before it has ended",
            process,
        )
        for pid in _dumping(sandbox):
            os.kill(pid, signal.SIGKILL)
        outcome = sandbox.finish(process)
    assert_incomplete(sandbox, outcome, before, ["app"], "SIGKILL")
    assert "postgres_backup_resources" in outcome.log, outcome.log


def test_pg_dumpall_is_killed_when_it_is_asked_for_its_version(sandbox: Sandbox) -> None:
    """Nothing is known of its version then, and another try may succeed."""
    before = fill_volume(sandbox)
    sandbox.shim("pg_dumpall", "kill -KILL $$")
    outcome = sandbox.run("run")
    assert_failed(sandbox, outcome, before, "pg_dumpall --version ended by SIGKILL")
    assert outcome.code == 1
    assert "postgres_backup_resources" in outcome.log


def _commands(sandbox: Sandbox) -> list[str]:
    """Of the processes; pg_dump's has the name of its database with a backslash before the apostrophe."""
    return [command.replace("\\", "") for command in processes_of(sandbox.uid).values()]


def _dumping(sandbox: Sandbox) -> list[int]:
    return [pid for pid, command in processes_of(sandbox.uid).items() if "pg_dump " in command]


def test_the_patience_for_a_lock(sandbox: Sandbox, server: Server) -> None:
    before = fill_volume(sandbox)
    with server.locked("users", "app"):
        outcome = sandbox.run("run", env={"POSTGRES_BACKUP_LOCK_TIMEOUT": "1s"})
    assert_incomplete(sandbox, outcome, before, ["app"], "LOCK TABLE")
    assert "postgres_backup_lock_timeout" in outcome.log


def test_a_lock_that_is_never_released(sandbox: Sandbox, server: Server) -> None:
    before = fill_volume(sandbox)
    with server.locked("users", "app"):
        begun = time.monotonic()
        outcome = sandbox.run("run", env={"POSTGRES_BACKUP_TIME_LIMIT": "3s"})
        assert 2.5 < time.monotonic() - begun < 30
    assert_failed(sandbox, outcome, before, "3s")


def test_a_name_that_pg_dump_refuses(sandbox: Sandbox, fresh_server: Server) -> None:
    sandbox.server = fresh_server
    sample.create_database(fresh_server, "two\nlines")
    before = fill_volume(sandbox)
    assert_incomplete(sandbox, sandbox.run("run"), before, ["two\nlines"], "newline or carriage return")


# Messages of servers and surroundings that are not made here: the advice that belongs to them, and whether another try
# may help. A colon stands for pg_dump's text before the server's message.
IN = 'pg_dump: error: connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  '
NO_TLS = f'{IN[16:]}pg_hba.conf rejects connection for host "::1", user "b", database "postgres", no encryption'
SAYINGS: dict[str, tuple[str, bool]] = {
    f'{IN}pg_hba.conf rejects connection for host "::1", user "b", database "rdsadmin", SSL encryption': (
        "pg_hba.conf does not allow", False,
    ),
    f'{IN}no pg_hba.conf entry for host "::1", user "b", database "postgres", no encryption': (
        "pg_hba.conf does not allow", False,
    ),
    # libpq's second try, without TLS, is not the cause (before 14 in other words).
    f'{IN}password authentication failed for user "b"\n{NO_TLS}': ("password in the secret", False),
    f"{IN}remaining connection slots are reserved for roles with the SUPERUSER attribute\n{NO_TLS}": (
        "max_connections", True,
    ),
    'pg_dump: error: FATAL:  too many connections for role "b"\n'
    'FATAL:  no pg_hba.conf entry for host "::1", user "b", database "postgres", SSL off': ("CONNECTION LIMIT", True),
    f'{IN}no pg_hba.conf entry for host "::1", user "b", database "postgres", SSL encryption\n{NO_TLS}': (
        "pg_hba.conf does not allow", False,
    ),
    'psql: error: could not translate host name "db" to address: Temporary failure in name resolution': (
        "DNS does not answer", True,
    ),
    'psql: error: could not translate host name "db" to address: Try again': ("DNS does not answer", True),  # musl's
    'psql: error: could not translate host name "db" to address: Name or service not known': (
        "cannot resolve that name", True,
    ),
    "pg_dump: error: could not parse conkey array": ("it is from PostgreSQL", True),
    f"{IN}unsupported startup parameter: extra_float_digits": ("connection pooler", False),
    f'{IN}no such database: "postgres"': ("connection pooler", False),
    "pg_dump: error: query failed: FATAL:  transaction blocks not allowed in statement pooling mode\n"
    "server closed the connection unexpectedly": ("connection pooler", False),
    f"{IN}server login has been failing, try again later (server_login_retry)": ("cannot reach its server", True),
    f'{IN}Peer authentication failed for user "postgres"': ("scram-sha-256", False),
    f"{IN}connection requires a valid client certificate": ("client certificate", False),
    f"{IN}the database system is starting up": ("its service has a ready pod", True),
    f"{IN}the database system is in recovery mode": ("its service has a ready pod", True),
    f"{IN}sorry, too many clients already": ("max_connections", True),
    f"{IN}remaining connection slots are reserved for roles with the SUPERUSER attribute": ("max_connections", True),
    f'{IN}database "SSL certificate" does not exist': ("dropped or closed to connections", True),
    f'{IN}cannot connect to invalid database "broken"': ("interrupted DROP DATABASE", False),
    "psql: error: SSL error: certificate verify failed": ("postgres_backup_ssl_ca", False),
    ":invalid page in block 0 of relation base/5/16384": ("damaged on the server's disk", False),
    ':could not read block 7 in file "base/5/16384": Input/output error': ("damaged on the server's disk", True),
    ":missing chunk number 0 for toast value 16400 in pg_toast_16384": ("damaged on the server's disk", False),
    ':could not access file "$libdir/postgis-3": No such file or directory': ("library of an extension", False),
    ':could not open file "base/5/16384": No such file or directory': ("damaged on the server's disk", False),
    ':could not open file "base/5/16384": Permission denied': ("one of its files", True),
    ':could not open file "base/5/16384": Too many open files in system': ("max_files_per_process", True),
    ":could not access status of transaction 4": ("damaged on the server's disk", False),
    ":found xmin 5 from before relfrozenxid 730": ("damaged on the server's disk", False),
    ":MultiXactId 7 has not been created yet -- apparent wraparound": ("damaged on the server's disk", False),
    ':index "pg_toast_1_index" contains corrupted page at block 1': ("REINDEX", False),
    f'{IN}could not open critical system index 2662': ("REINDEX SYSTEM", False),
    ':temporary file size exceeds "temp_file_limit" (1kB)': ("temp_file_limit", False),
    ":stack depth limit exceeded": ("max_stack_depth", False),
    ":deadlock detected": ("different times", True),
    ":canceling statement due to user request": ("pg_cancel_backend", True),
    "pg_dump: error: FATAL:  terminating connection due to idle-session timeout": ("SET the timeout", True),
    "pg_dump: error: FATAL:  terminating connection due to administrator command": ("pg_terminate_backend", True),
    "pg_dump: error: WARNING:  terminating connection because of crash of another server process": (
        "restarted itself", True,
    ),
    f"{IN}the database system is not accepting connections\nDETAIL:  Hot standby mode is disabled.": (
        "hot_standby = on", False,
    ),
    ':invalid byte sequence for encoding "UTF8": 0xff': ("--encoding", False),
    "pg_dump: error: no matching tables were found": ("Correct the names of tables", False),
    "pg_dump: error: improper qualified name (too many dotted names): a.b.c.d": ("Correct the names of tables", False),
    'pg_dump: error: failed to get data for sequence "s"; user may lack SELECT privilege on the sequence or the '
    "sequence may have been concurrently dropped": ("GRANT SELECT ON ALL SEQUENCES", False),
    ':could not connect to server "elsewhere"\nDETAIL:  connection to server at "x" failed: Connection refused': (
        "--include-foreign-data", True,
    ),
    ':could not write to file "base/pgsql_tmp/a": No space left on device': ("The server's own disk is full", True),
    ":canceling statement due to conflict with recovery": ("hot_standby_feedback", True),
    ":invalid memory alloc request size 1073741824": ("too large to be written", False),
    ":out of memory\nDETAIL:  Failed on request of size 8": ("its memory limit", True),
    ':out of shared memory\nHINT:  You might need to increase "max_locks_per_transaction".': (
        "raise max_locks_per_transaction", False,
    ),
    "pg_dump: error: schema with OID 2200 does not exist": ("dropped during the dump", True),
    ':character with byte sequence 0xe2 in "UTF8" has no equivalent in encoding "LATIN1"': ("--encoding", False),
    ":cache lookup failed for function 16385": ("dropped during the dump", True),
    ':unrecognized configuration parameter "row_security"': ("another product", True),
    ":permission denied for foreign server SSL": ("GRANT USAGE", False),
    ":permission denied for schema server version": ("GRANT pg_read_all_data", False),
    ":canceling statement due to statement timeout\npg_dump: detail: Query was: LOCK TABLE a IN ACCESS SHARE MODE": (
        "postgres_backup_lock_timeout", True,
    ),
    ":the moon is full": ("it is from the server", True),
    "pg_dump: error: out of memory": ("postgres_backup_resources", True),
    "pg_dumpall: unrecognized option: filter=x": ("Correct postgres_backup_extra_args", False),  # musl's words
    "pg_dumpall: error: out of cheese": ("it is from PostgreSQL", True),
}  # fmt: skip


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_advice_for_a_message(shell: str, tmp_path: Path) -> None:
    """The script's own function, for one message after the other."""
    files = " ".join(str(ROLE / "files" / f"{name}.sh") for name in ("output", "process", "postgres"))
    script = tmp_path / "advice.sh"
    script.write_text(
        f'set -u; for file in {files}; do . "$file"; done\n'
        'for message; do postgres_fault "$message"; printf "%s %s\\n" "$fault_status" "$fault_advice"; done\n'
    )
    messages = [
        re.sub("^:", 'pg_dump: error: Dumping the contents of table "log" failed.\npg_dump: error: ERROR:  ', saying)
        + '\npg_dumpall: error: pg_dump failed on database "must be superuser", exiting'
        for saying in SAYINGS
    ]
    answers = subprocess.run(
        [*shell.split(), script, *messages], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for (saying, (advice, may_heal)), answer in zip(SAYINGS.items(), answers, strict=True):
        assert answer.startswith("1 " if may_heal else "2 "), (saying, answer)
        assert advice in answer, (saying, answer)


def test_the_error_behind_many_warnings_is_the_reason(sandbox: Sandbox) -> None:
    before = fill_volume(sandbox)
    lines = [*["pg_dump: warning: there are circular foreign-key constraints", "pg_dump: detail: t"] * 6]
    lines += [
        "pg_dump: error: query failed: ERROR:  cache lookup failed",
        "pg_dump: detail: Query was: SELECT 1",
        "FROM t",
    ]
    sandbox.shim("pg_dumpall", _VERSION + f"printf '%s\\n' {' '.join(map(shlex.quote, lines))} >&2; exit 1")
    outcome = sandbox.run("run")
    assert_failed(sandbox, outcome, before, "cache lookup failed", "Query was")
    assert "circular" not in outcome.log and "FROM t" not in outcome.log
    assert "dropped during the dump" in outcome.log


# Programs that lie. A shim leaves `--version` alone.

_VERSION = 'case " $* " in *" --version "*|*" -V "*) exec $real "$@";; esac; PATH=/usr/bin:/bin; '
_LIARS = {
    "cut halfway, exit 0": '$real "$@" | head -c 20000; exit 0',
    "cut before the last line, exit 0": '$real "$@" | head -n -5; exit 0',
    "cut by four bytes, exit 0": '$real "$@" | head -c -4; exit 0',
    "more after the end, exit 0": '$real "$@"; echo "SELECT 1;"; exit 0',
    "nothing, exit 0": "exit 0",
    "complete, but exit 1": '$real "$@"; exit 1',
    "complete, but killed": '$real "$@"; kill -9 $$',
    "a message and exit 3": 'echo "pg_dumpall: error: out of cheese" >&2; exit 3',
}


@pytest.mark.parametrize("program", ["pg_dumpall", "pg_dump"])
@pytest.mark.parametrize("lie", _LIARS)
def test_a_dump_that_is_not_whole(sandbox: Sandbox, lie: str, program: str) -> None:
    before = fill_volume(sandbox)
    # The globals are short.
    lying = _LIARS[lie].replace("20000", "300")
    sandbox.shim(program, _VERSION + lying)
    causes = {"a message and exit 3": ["out of cheese"], "complete, but killed": ["SIGKILL"]}
    outcome = sandbox.run("run")
    assert_failed(sandbox, outcome, before, "dump", *causes.get(lie, []))
    if lie == "complete, but killed":
        assert "postgres_backup_resources" in outcome.log


def test_the_shell_that_waits_for_pg_dump_is_killed(sandbox: Sandbox) -> None:
    """The status of an earlier part is not that of this one."""
    before = fill_volume(sandbox)
    sandbox.shim("pg_dump", _VERSION + "kill -9 $PPID; exit 1")
    outcome = sandbox.run("run")
    assert_failed(sandbox, outcome, before, "it was killed")
    assert "ended with status 0" not in outcome.log


def test_the_shell_that_waits_for_a_dump_that_began_ahead_is_killed(sandbox: Sandbox) -> None:
    """That of the second database begins while the first one's is under way."""
    before = fill_volume(sandbox)
    sandbox.shim("pg_dump", """case "$*" in *"dbname='app'"*) kill -9 $PPID; exit 1 ;; esac; exec $real "$@\"""")
    outcome = sandbox.run("run")
    assert_incomplete(sandbox, outcome, before, ["app"], "it was killed")
    assert "postgres_backup_resources" in outcome.log


# Only compression is hindered: what decompresses or tests goes to the real program.
_COMPRESSING = 'for word; do case $word in -*d*|-*t*|--decompress|--test|--version) exec $real "$@";; esac; done; '
_SHELLS = {
    "of the compressor": "kill -9 $PPID; exit 1",
    "of all parts": "read -r _ _ _ parent _ </proc/$PPID/stat; kill -9 $parent; exit 1",
    "of all parts, after one": '$real "$@"; read -r _ _ _ parent _ </proc/$PPID/stat; kill -9 $parent; exit 0',
}


@pytest.mark.parametrize("shell", _SHELLS)
@pytest.mark.parametrize("encrypts", [False, True], ids=["plain", "encrypted"])
def test_a_shell_of_the_dump_is_killed(sandbox: Sandbox, shell: str, encrypts: bool) -> None:
    """Those that wait for something from it do not wait for ever."""
    before = fill_volume(sandbox)
    # The globals have been dumped by then.
    began = sandbox.workspace.directory("began", mode=0o777) / "globals"
    body = f'if [ -e {began} ]; then {_SHELLS[shell]}; fi; : >{began}; exec $real "$@"'
    sandbox.shim("gzip", _COMPRESSING + body)
    recipients = [make_key().recipient for _ in range(2)] if encrypts else []
    env = {"POSTGRES_BACKUP_RECIPIENTS": "\n".join(recipients), "POSTGRES_BACKUP_AGE": str(program("age"))}
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_COMPRESSOR": "gzip", **env})
    # Of the shell of all parts, its pipeline shows nothing but that it ended too early.
    assert_failed(sandbox, outcome, before, *(["killed"] if shell == "of the compressor" else []))


def test_a_dump_cut_short_with_exit_0(sandbox: Sandbox) -> None:
    """The one that a plain pipe never notices, under every combination."""
    before = fill_volume(sandbox)
    sandbox.shim("pg_dump", _VERSION + _LIARS["cut before the last line, exit 0"])
    assert_failed(sandbox, sandbox.run("run"), before, "dump")


_BAD_COMPRESSORS = {
    "fails at once": "exit 1",
    "fails at the end": '$real "$@"; exit 1',
    "is killed": "PATH=/usr/bin:/bin head -c 5000 | $real -c; kill -9 $$",
    "writes rubbish": "PATH=/usr/bin:/bin cat",
    "writes nothing": "PATH=/usr/bin:/bin cat > /dev/null",
    "loses the end": 'PATH=/usr/bin:/bin head -n -1 | $real "$@"',
    "cuts its output": '$real "$@" | PATH=/usr/bin:/bin head -c -3',
}


@pytest.mark.parametrize("fault", _BAD_COMPRESSORS)
def test_a_compressor_that_fails_or_lies(sandbox: Sandbox, fault: str) -> None:
    before = fill_volume(sandbox)
    sandbox.shim("gzip", _COMPRESSING + _BAD_COMPRESSORS[fault])
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_COMPRESSOR": "gzip"})
    assert_failed(sandbox, outcome, before)


def test_the_file_changes_between_write_and_read_back(sandbox: Sandbox) -> None:
    """Whatever flushes it to the volume turns one byte over afterwards."""
    before = fill_volume(sandbox)
    flip = (
        'for f in "$dir"/.*.partial; do [ -s "$f" ] || continue; '
        '[ -e "$dir.flipped" ] && continue; : > "$dir.flipped"; '
        'printf X | /usr/bin/dd of="$f" bs=1 seek=3000 conv=notrunc 2>/dev/null; done'
    )
    for name in ("sync", "dd", "fsync"):
        sandbox.shim(
            name,
            f'dir=\'{sandbox.volume}\'\n$real "$@"; status=$?; case "$*" in *if=*) ;; *) {flip};; esac; exit $status',
        )
    marker = sandbox.volume.parent / f"{sandbox.volume.name}.flipped"
    sandbox.volume.parent.chmod(0o777)
    outcome = sandbox.run("run")
    assert marker.exists(), "the file was never flushed by a program that can be watched"
    marker.unlink()
    assert_failed(sandbox, outcome, before)
