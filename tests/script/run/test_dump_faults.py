# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""Faults of a server, made for real: what pg_dump prints about each, and the advice for it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..support import sample
from ..support.damage import damage_page
from ..support.inspection import FILES, SHELLS
from ..support.server import PASSWORD, Server
from ..support.workspace import SERVER_UID, Workspace

BK = f"CREATE ROLE bk LOGIN PASSWORD {sample.literal(PASSWORD)};"
BIG = "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 8) AS text FROM generate_series(1, 2000) AS i;"
# More than the kernel holds between the server and pg_dump.
LARGE = BIG.replace("2000)", "100000)")


def start_dump(server: Server, *arguments: str, user: str = "postgres", database: str = "app") -> subprocess.Popen[str]:
    """pg_dump, which waits when its output fills the pipe."""
    command = [str(server.programs.path("pg_dump")), "--create", "--dbname", database, *arguments]
    environment = {**server.environment(), "PGUSER": user}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )


def messages_of(dump: subprocess.Popen[str]) -> str:
    _, messages = dump.communicate(timeout=60)
    assert dump.returncode != 0, messages
    return messages


def dump_of(server: Server, *arguments: str, user: str = "postgres") -> str:
    return messages_of(start_dump(server, *arguments, user=user))


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _file(server: Server, relation: str) -> Path:
    """The file of a relation of a server that is stopped then."""
    server.sql("CHECKPOINT;", "app")
    path = server.data / server.sql(f"SELECT pg_relation_filepath('{relation}');", "app")
    server.stop()
    return path


def _toasted(server: Server) -> str:
    """A table with a large value; returns the name of its TOAST table."""
    server.sql("CREATE TABLE picture (b text);", "app")
    server.sql("ALTER TABLE picture ALTER b SET STORAGE external;", "app")
    server.sql("INSERT INTO picture SELECT repeat(md5(i::text), 2000) FROM generate_series(1, 20) AS i;", "app")
    return server.sql("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'picture';", "app")


# The faults.


def few_locks(server: Server) -> str:
    tables = "\n".join(f"CREATE TABLE t{number} ();" for number in range(3000))
    server.sql(tables, "app")
    server.stop(signal.SIGINT)
    server.configure("max_locks_per_transaction = 10", "max_connections = 20")
    server.start()
    return dump_of(server)


def library_missing(server: Server) -> str:
    server.sql("CREATE EXTENSION hstore; CREATE TABLE t AS SELECT hstore('a', 'b');", "app")
    server.sql("UPDATE pg_proc SET probin = '$libdir/gone' WHERE proname = 'hstore_out';", "app")
    return dump_of(server)


def invalid_page(server: Server) -> str:
    server.sql(BIG, "app")
    damage_page(_file(server, "big"), 3)
    server.start()
    return dump_of(server)


def file_missing(server: Server) -> str:
    server.sql(BIG, "app")
    _file(server, "big").unlink()
    server.start()
    return dump_of(server)


def file_not_readable(server: Server) -> str:
    server.sql(BIG, "app")
    _file(server, "big").chmod(0)
    server.start()
    return dump_of(server)


def missing_chunk(server: Server) -> str:
    toast = _toasted(server)
    server.sql("CREATE EXTENSION pg_surgery;", "app")
    server.sql(f"SELECT heap_force_kill('{toast}'::regclass, ARRAY['(0,1)']::tid[]);", "app")
    return dump_of(server)


def damaged_index(server: Server) -> str:
    """Of a TOAST table, and without checksums, which would find it first."""
    toast = _toasted(server)
    index = server.sql(f"SELECT indexrelid::regclass FROM pg_index WHERE indrelid = '{toast}'::regclass;", "app")
    path = _file(server, index)
    disable = [str(server.programs.path("pg_checksums")), "--disable", "-D", str(server.data)]
    server.start()
    server.stop(signal.SIGINT)
    subprocess.run(disable, check=True, capture_output=True, user=SERVER_UID, group=SERVER_UID, extra_groups=[])
    with open(path, "r+b") as file:
        file.seek(8192)
        file.write(bytes(8192))
    server.start()
    return dump_of(server)


def row_security(server: Server) -> str:
    server.sql(f"{BK} GRANT pg_read_all_data TO bk;")
    server.sql("CREATE TABLE t (); ALTER TABLE t ENABLE ROW LEVEL SECURITY;", "app")
    return dump_of(server, user="bk")


def pg_hba(server: Server) -> str:
    server.sql(BK)
    path = server.data / "pg_hba.conf"
    path.write_text("host app bk all reject\nhost all all all scram-sha-256\n")
    server.sql("SELECT pg_reload_conf(), pg_sleep(0.3);")
    return dump_of(server, user="bk")


def no_connect(server: Server) -> str:
    server.sql(f"{BK} REVOKE CONNECT ON DATABASE app FROM public;")
    return dump_of(server, user="bk")


def role_without_connections(server: Server) -> str:
    server.sql(f"{BK} ALTER ROLE bk CONNECTION LIMIT 0;")
    return dump_of(server, user="bk")


def database_with_one_connection(server: Server) -> str:
    server.sql(f"{BK} ALTER DATABASE app CONNECTION LIMIT 1;")
    session = [str(server.programs.path("psql")), "-X", "-d", "app", "-c", "SELECT pg_sleep(60);"]
    occupier = subprocess.Popen(session, env={**server.environment(), "PGUSER": "bk"}, stdout=subprocess.DEVNULL)
    try:
        _wait_for(lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'app';") == "1")
        return dump_of(server, user="bk")
    finally:
        occupier.kill()
        occupier.wait()


def every_connection_taken(server: Server) -> str:
    """Superusers have some left, and use two of them."""
    server.sql(BK)
    server.stop(signal.SIGINT)
    server.configure("max_connections = 4", "superuser_reserved_connections = 3", "max_wal_senders = 0")
    server.start()
    session = [str(server.programs.path("psql")), "-X", "-d", "postgres", "-c", "SELECT pg_sleep(60);"]
    occupiers = [subprocess.Popen(session, env=server.environment(), stdout=subprocess.DEVNULL) for _ in range(2)]
    try:
        _wait_for(lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep';") == "2")
        return dump_of(server, user="bk")
    finally:
        for occupier in occupiers:
            occupier.kill()
            occupier.wait()


def lock_timeout(server: Server) -> str:
    server.sql("CREATE TABLE t ();", "app")
    with server.locked("t", "app"):
        return dump_of(server, "--lock-wait-timeout=200")


def deadlock(server: Server) -> str:
    """Another session, which waits longer before it checks for deadlocks."""
    server.sql("CREATE TABLE a (); CREATE TABLE b ();", "app")
    command = [str(server.programs.path("psql")), "-X", "-q", "-d", "app"]
    other = subprocess.Popen(command, env=server.environment(), stdin=subprocess.PIPE, text=True)
    assert other.stdin is not None
    other.stdin.write("SET deadlock_timeout = '60s'; BEGIN; LOCK TABLE b;\n")
    other.stdin.flush()
    _wait_for(lambda: server.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock';") == "1")
    dump = start_dump(server)
    _wait_for(lambda: server.waits_for_a_lock)
    other.stdin.write("LOCK TABLE a;\n")
    other.stdin.flush()
    try:
        return messages_of(dump)
    finally:
        other.kill()
        other.communicate()


def _copying(server: Server) -> subprocess.Popen[str]:
    """pg_dump, which waits for its reader while it copies a table."""
    dump = start_dump(server)
    _wait_for(
        lambda: (
            "COPY public.big" in server.sql("SELECT query FROM pg_stat_activity WHERE application_name = 'pg_dump';")
        )
    )
    time.sleep(0.3)
    return dump


def _ended_by(server: Server, function: str) -> str:
    server.sql(LARGE, "app")
    dump = _copying(server)
    server.sql(f"SELECT {function}(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump';")
    return messages_of(dump)


def canceled(server: Server) -> str:
    return _ended_by(server, "pg_cancel_backend")


def terminated_while_it_copies(server: Server) -> str:
    """The server cannot send its message: the connection's buffers are full."""
    return _ended_by(server, "pg_terminate_backend")


def terminated(server: Server) -> str:
    server.sql("CREATE TABLE t ();", "app")
    with server.locked("t", "app"):
        dump = start_dump(server)
        _wait_for(lambda: server.waits_for_a_lock)
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump';")
        return messages_of(dump)


def crashed(server: Server) -> str:
    """The kernel kills another session's process, as it does when memory is short."""
    server.sql("CREATE TABLE t ();", "app")
    with server.locked("t", "app"):
        dump = start_dump(server)
        _wait_for(lambda: server.waits_for_a_lock)
        pid = server.sql("SELECT pid FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted;")
        os.kill(int(pid), signal.SIGKILL)
        return messages_of(dump)


def temp_file_limit(server: Server) -> str:
    server.sql(
        f"{BK} GRANT pg_read_all_data TO bk; ALTER ROLE bk SET temp_file_limit = 0; ALTER ROLE bk SET work_mem = 64;"
    )
    server.sql("\n".join(f"CREATE TABLE t{number} ();" for number in range(500)), "app")
    return dump_of(server, user="bk")


def disk_full(server: Server) -> str:
    """Of the server: a query of the dump sorts more than its memory holds."""
    server.sql("ALTER ROLE postgres SET work_mem = 64;")
    server.sql("\n".join(f"CREATE TABLE t{number} ();" for number in range(500)), "app")
    folder = server.data / "base" / "pgsql_tmp"
    folder.mkdir(exist_ok=True)
    os.chown(folder, SERVER_UID, SERVER_UID)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=8k,uid={SERVER_UID}", "tmpfs", str(folder)], check=True)
    try:
        return dump_of(server)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def no_equivalent(server: Server) -> str:
    server.sql("CREATE TABLE t AS SELECT '€'::text;", "app")
    return dump_of(server, "--encoding=LATIN1")


def invalid_bytes(server: Server) -> str:
    server.sql("DROP DATABASE app;")
    server.sql("CREATE DATABASE app ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0;")
    server.sql(r"CREATE TABLE t AS SELECT E'\xff'::text;", "app")
    return dump_of(server, "--encoding=UTF8")


def foreign_server_down(server: Server) -> str:
    server.sql(
        "CREATE EXTENSION postgres_fdw;"
        "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1');"
        "CREATE USER MAPPING FOR postgres SERVER s; CREATE FOREIGN TABLE f (i int) SERVER s;",
        "app",
    )
    return dump_of(server, "--include-foreign-data=s")


def no_such_table(server: Server) -> str:
    return dump_of(server, "--table=nowhere")


def too_many_dots(server: Server) -> str:
    return dump_of(server, "--exclude-table-data=a.b.c.d")


def another_database(server: Server) -> str:
    return dump_of(server, "--exclude-table-data=other.public.t")


def an_unknown_option(server: Server) -> str:
    return dump_of(server, "--no-such-option")


def no_such_role(server: Server) -> str:
    return dump_of(server, "--role=nobody")


def foreign_data_without_rights(server: Server) -> str:
    server.sql(f"{BK} GRANT pg_read_all_data TO bk;")
    server.sql("CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;", "app")
    server.sql("CREATE FOREIGN TABLE f (i int) SERVER s;", "app")
    return dump_of(server, "--include-foreign-data=s", user="bk")


def a_dropped_database(server: Server) -> str:
    server.sql("DROP DATABASE app;")
    return dump_of(server)


def a_closed_database(server: Server) -> str:
    server.sql("ALTER DATABASE app ALLOW_CONNECTIONS false;")
    return dump_of(server)


def deep_views(server: Server) -> str:
    expression = "+".join(["1"] * 4000)
    server.sql(f"SET max_stack_depth = '7MB'; CREATE VIEW v AS SELECT {expression} AS n;", "app")
    server.sql("ALTER ROLE postgres SET max_stack_depth = '100kB';")
    return dump_of(server)


@dataclass(frozen=True)
class Fault:
    """How it is made; words of pg_dump's message and of the advice; the status; whether it may pass in a moment."""

    make: Callable[[Server], str]
    message: str
    advice: str
    status: int
    passes: bool = False


FAULTS = [
    Fault(few_locks, "out of shared memory", "raise max_locks_per_transaction", 2),
    Fault(library_missing, "could not access file", "install the extension's package", 2),
    Fault(invalid_page, "invalid page in block 3", "postgres_backup_exclude_table_data", 2),
    Fault(file_missing, "could not open file", "postgres_backup_exclude_table_data", 2),
    Fault(file_not_readable, "Permission denied", "cannot read one of its files", 1),
    Fault(missing_chunk, "chunk number", "postgres_backup_exclude_table_data", 2),
    Fault(damaged_index, "unexpected zero page", "REINDEX", 2),
    Fault(row_security, "row-level security", "BYPASSRLS", 2),
    Fault(pg_hba, "pg_hba.conf rejects", "pg_hba.conf does not allow", 2),
    Fault(no_connect, "permission denied for database", "GRANT CONNECT", 2),
    Fault(role_without_connections, "too many connections for role", "CONNECTION LIMIT", 1, True),
    Fault(database_with_one_connection, "too many connections for database", "CONNECTION LIMIT", 1, True),
    Fault(every_connection_taken, "remaining connection slots", "max_connections", 1, True),
    Fault(lock_timeout, "LOCK TABLE", "postgres_backup_lock_timeout", 1),
    Fault(deadlock, "deadlock detected", "different times", 1, True),
    Fault(canceled, "canceling statement due to user request", "pg_cancel_backend", 1, True),
    Fault(terminated, "administrator command", "pg_terminate_backend", 1, True),
    Fault(terminated_while_it_copies, "server closed the connection", "connection to PostgreSQL was lost", 1, True),
    Fault(crashed, "server closed the connection", "connection to PostgreSQL was lost", 1, True),
    Fault(temp_file_limit, "temp_file_limit", "temp_file_limit", 2),
    Fault(disk_full, "No space left on device", "The server's own disk is full", 1),
    Fault(no_equivalent, "has no equivalent", "--encoding", 2),
    Fault(invalid_bytes, "invalid byte sequence", "--encoding", 2),
    Fault(foreign_server_down, "could not connect to server", "--include-foreign-data", 1),
    Fault(foreign_data_without_rights, "user mapping not found", "CREATE USER MAPPING", 2),
    Fault(no_such_table, "no matching tables", "Correct the names of tables", 2),
    Fault(too_many_dots, "improper", "Correct the names of tables", 2),
    Fault(another_database, "cross-database", "Correct the names of tables", 2),
    Fault(an_unknown_option, "unrecognized option", "Correct postgres_backup_extra_args", 2),
    Fault(no_such_role, 'role "nobody" does not exist', "Correct the --role", 2),
    Fault(a_dropped_database, "does not exist", "was dropped", 1),
    Fault(a_closed_database, "not currently accepting connections", "closed to connections", 1),
    Fault(deep_views, "stack depth limit", "max_stack_depth", 2),
]  # fmt: skip


def advice_for(messages: str, folder: Path, shell: str) -> tuple[str, str, int, bool]:
    """The errors that the script keeps of pg_dump's messages, its advice, the status, and whether it may pass."""
    (folder / "dump.err").write_text(messages)
    sources = " ".join(str(FILES / f"{name}.sh") for name in ("output", "process", "postgres"))
    script = (
        f'set -u; LC_ALL=C; export LC_ALL; for file in {sources}; do . "$file"; done\n'
        'message=$(pg_dump_errors "$1"); postgres_fault "$message"; passes=$fault_passes\n'
        'printf "%s\\n%s\\n%s\\n%s" "$fault_advice" "$fault_status" "$passes" "$message"\n'
    )
    command = [*shell.split(), "-c", script, "sh", str(folder / "dump.err")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    advice, status, passes, message = output.split("\n", 3)
    return message, advice, int(status), passes == "yes"


@pytest.fixture
def faulty(fresh_server: Server) -> Server:
    fresh_server.sql("CREATE DATABASE app;")
    return fresh_server


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.make.__name__)
def test_a_fault_of_the_server(faulty: Server, fault: Fault, tmp_path: Path) -> None:
    messages = fault.make(faulty)
    shell = SHELLS[FAULTS.index(fault) % len(SHELLS)]
    message, advice, status, passes = advice_for(messages, tmp_path, shell)
    assert fault.message in message, messages
    assert message.count("\n") < 6
    assert fault.advice in advice, (message, advice)
    assert (status, passes) == (fault.status, fault.passes), (message, advice)


def test_a_standby_cancels_the_dump(faulty: Server, workspace: Workspace, tmp_path: Path) -> None:
    """Its replay waits for nobody."""
    faulty.sql(LARGE, "app")
    standby = faulty.standby(workspace.directory("standby", mode=0o777))
    standby.configure("max_standby_streaming_delay = 0", "hot_standby_feedback = off")
    with standby:
        dump = _copying(standby)
        faulty.sql("ALTER TABLE big ADD COLUMN more int;", "app")
        # Cancelled already, or the replay waits for a process whose connection pg_dump does not read.
        conflict = (
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump' AND state <> 'active')"
            " OR EXISTS (SELECT FROM pg_locks WHERE NOT granted);"
        )
        _wait_for(lambda: standby.sql(conflict) == "t")
        message, advice, status, passes = advice_for(messages_of(dump), tmp_path, "dash")
    assert "conflict with recovery" in message, message
    assert "hot_standby_feedback" in advice
    assert (status, passes) == (1, True)


def test_values_of_rows_are_not_kept(tmp_path: Path) -> None:
    """Only DETAIL and HINT without them."""
    messages = (
        "pg_dump: warning: there are circular foreign-key constraints on this table:\npg_dump: detail: t\n"
        'pg_dump: error: Dumping the contents of table "t" failed: PQgetResult() failed.\n'
        "pg_dump: detail: Error message from server: ERROR:  out of shared memory\n"
        "DETAIL:  Key (name)=(secret) is duplicated.\n"
        "DETAIL:  Failing row contains (secret).\n"
        'HINT:  You might need to increase "max_locks_per_transaction".\n'
        "CONTEXT:  SQL function with secret\nsecret second line\n"
        "pg_dump: detail: Command was: COPY public.t\nsecret FROM here\n"
    )
    message, advice, _, _ = advice_for(messages, tmp_path, "dash")
    assert "secret" not in message and "circular" not in message, message
    assert 'HINT:  You might need to increase "max_locks_per_transaction"' in message
    assert "max_locks_per_transaction" in advice
