# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Faults of the server, the dump or the compressor: a failed run with its reason, and nothing else changed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from . import sample
from .programs import Programs, root_filesystem, wrap
from .sandbox import Outcome, Sandbox
from .server import PASSWORD, Server
from .volume import Entry, backup_name, give, put_backup, snapshot, without
from .workspace import Workspace, processes_of


def fill_volume(sandbox: Sandbox, number: int = 10) -> dict[bytes, Entry]:
    """More backups than retention keeps, so that a deletion would show; the newest is a day old."""
    now = datetime.now(UTC).replace(microsecond=0)
    for day in range(1, number + 1):
        put_backup(sandbox.volume, backup_name(sandbox.name, now - timedelta(days=day)), age=day * 86400)
    give(sandbox.volume, sandbox.uid)
    return snapshot(sandbox.volume)


def assert_failed(sandbox: Sandbox, outcome: Outcome, before: dict[bytes, Entry], *words: str) -> None:
    """The reason is in the log, on the volume and in the termination message; every older backup is as before."""
    outcome.check(1)
    sandbox.assert_nothing_left()
    assert without(snapshot(sandbox.volume), "last-run.json") == before
    last_run = sandbox.last_run
    assert last_run is not None
    assert last_run["state"] == "failed"
    assert last_run["finished"]
    assert sandbox.termination == last_run == outcome.result
    assert last_run["reason"]
    for word in words:
        assert word.lower() in last_run["reason"].lower(), last_run["reason"]
        assert word.lower() in outcome.log.lower(), outcome.log
    assert_explains(outcome.log, newest(before))
    assert PASSWORD not in outcome.log + outcome.out


def assert_explains(log: str, newest: str) -> None:
    """What a tired person reads: what failed, what was found, what to do, and that the older backups are there."""
    lines = [line.partition(" ")[2] for line in log.splitlines()]
    (failed,) = (number for number, line in enumerate(lines) if line.startswith("FAILED: "))
    *found, advice, older = lines[failed + 1 :]
    assert found and all(line.startswith("  found: ") for line in found), log
    assert advice.startswith("  what to do: "), log
    assert older.startswith(f"  Older backups are untouched; the newest complete one is {newest} ("), log


def newest(before: dict[bytes, Entry]) -> str:
    return max(name.decode() for name in before if name.endswith(b".sql.gz"))


# Before the dump.


def test_server_unreachable(sandbox: Sandbox) -> None:
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_PORT": "1"})
    assert_failed(sandbox, outcome, before, "127.0.0.1")


def test_host_unknown(sandbox: Sandbox) -> None:
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_HOST": "no-such-host.invalid"})
    assert_failed(sandbox, outcome, before, "no-such-host.invalid")


def test_wrong_password(sandbox: Sandbox) -> None:
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"PGPASSWORD": "not it"})
    assert_failed(sandbox, outcome, before, "password authentication failed")


def test_unknown_user(sandbox: Sandbox) -> None:
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_USER": "nobody-here"})
    assert_failed(sandbox, outcome, before, "nobody-here")


def test_database_does_not_exist(sandbox: Sandbox) -> None:
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_DATABASE": "nowhere"})
    assert_failed(sandbox, outcome, before, "nowhere")


def test_server_refuses_sessions(sandbox: Sandbox, fresh_server: Server) -> None:
    """It accepts the connection and the password, and then says no."""
    sandbox.server = fresh_server
    fresh_server.sql("ALTER DATABASE postgres WITH CONNECTION LIMIT 0;")
    fresh_server.sql(f"CREATE ROLE visitor LOGIN PASSWORD {sample.literal(PASSWORD)};")
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_USER": "visitor"})
    assert_failed(sandbox, outcome, before, "too many connections")


def test_client_older_than_the_server(sandbox: Sandbox) -> None:
    """pg_dumpall says that it is older, and would work all the same."""
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
    assert without(snapshot(sandbox.volume), "last-run.json") == before
    assert sandbox.last_run is not None
    assert sandbox.last_run["state"] == "failed"


# In the middle of the dump.


@pytest.fixture(scope="session")
def big_template(workspace: Workspace, template: Server) -> Server:
    """A stopped server with one table of 40 MB, whose dump takes long enough to be met in the middle."""
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
    workspace.remove(directory)


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
    assert_failed(sandbox, sandbox.finish(process), before, "pg_dump")


def test_a_session_is_ended_in_the_middle(sandbox: Sandbox, big_server: Server) -> None:
    """As an administrator or a failover does it."""
    sandbox.server = big_server
    before = fill_volume(sandbox)
    process = sandbox.start("run")
    sandbox.wait_until(lambda: _partial_bytes(sandbox) > 200_000, "the dump is under way", process)
    big_server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump';")
    assert_failed(sandbox, sandbox.finish(process), before, "pg_dump")


def test_pg_dump_is_killed(sandbox: Sandbox, server: Server) -> None:
    """As the kernel does it when memory is short: it leaves no word, so the log says what is likely."""
    before = fill_volume(sandbox)
    with server.locked("users", "app"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: server.waits_for_a_lock, "pg_dump waits for the lock", process)
        for pid in _dumping(sandbox):
            os.kill(pid, signal.SIGKILL)
        outcome = sandbox.finish(process)
    assert_failed(sandbox, outcome, before, "pg_dump")
    assert "postgres_backup_resources" in outcome.log, outcome.log


def _dumping(sandbox: Sandbox) -> list[int]:
    return [pid for pid, command in processes_of(sandbox.uid).items() if "pg_dump " in command]


def test_the_patience_for_a_lock(sandbox: Sandbox, server: Server) -> None:
    before = fill_volume(sandbox)
    with server.locked("users", "app"):
        outcome = sandbox.run("run", env={"POSTGRES_BACKUP_LOCK_TIMEOUT": "1s"})
    assert_failed(sandbox, outcome, before, "LOCK TABLE")
    assert "postgres_backup_lock_timeout" in outcome.log


def test_a_lock_that_is_never_released(sandbox: Sandbox, server: Server) -> None:
    before = fill_volume(sandbox)
    with server.locked("users", "app"):
        begun = time.monotonic()
        outcome = sandbox.run("run", env={"POSTGRES_BACKUP_TIME_LIMIT": "3s"})
        assert 2.5 < time.monotonic() - begun < 30
    assert_failed(sandbox, outcome, before, "3s")


def test_a_database_that_pg_dumpall_refuses(sandbox: Sandbox, fresh_server: Server) -> None:
    sandbox.server = fresh_server
    sample.create_database(fresh_server, "two\nlines")
    before = fill_volume(sandbox)
    assert_failed(sandbox, sandbox.run("run"), before, "pg_dumpall")


def test_a_permission_that_is_missing(sandbox: Sandbox, fresh_server: Server) -> None:
    sandbox.server = fresh_server
    fresh_server.sql("CREATE TABLE private AS SELECT 1;")
    fresh_server.sql(f"CREATE ROLE weak LOGIN PASSWORD {sample.literal(PASSWORD)}; GRANT SELECT ON pg_authid TO weak;")
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_USER": "weak"})
    assert_failed(sandbox, outcome, before, "permission denied")


def test_a_user_that_may_not_read_passwords(sandbox: Sandbox, fresh_server: Server) -> None:
    sandbox.server = fresh_server
    fresh_server.sql(f"CREATE ROLE weak LOGIN PASSWORD {sample.literal(PASSWORD)};")
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_USER": "weak"})
    assert_failed(sandbox, outcome, before, "permission denied")


# Programs that lie. A shim leaves `--version` alone.

_VERSION = 'case " $* " in *" --version "*|*" -V "*) exec $real "$@";; esac; PATH=/usr/bin:/bin; '
_LIARS = {
    "cut in the middle, exit 0": '$real "$@" | head -c 20000; exit 0',
    "cut before the last line, exit 0": '$real "$@" | head -n -3; exit 0',
    "cut by four bytes, exit 0": '$real "$@" | head -c -4; exit 0',
    "more after the end, exit 0": '$real "$@"; echo "SELECT 1;"; exit 0',
    "nothing, exit 0": "exit 0",
    "whole, but exit 1": '$real "$@"; exit 1',
    "whole, but killed": '$real "$@"; kill -9 $$',
    "a message and exit 3": 'echo "pg_dumpall: error: out of cheese" >&2; exit 3',
}


@pytest.mark.parametrize("lie", _LIARS)
def test_a_dump_that_is_not_whole(sandbox: Sandbox, lie: str) -> None:
    before = fill_volume(sandbox)
    sandbox.shim("pg_dumpall", _VERSION + _LIARS[lie])
    words = {"a message and exit 3": ["out of cheese"], "whole, but killed": ["SIGKILL", "out of memory"]}.get(lie, [])
    assert_failed(sandbox, sandbox.run("run"), before, "dump", *words)


def test_a_dump_cut_short_with_exit_0(sandbox: Sandbox) -> None:
    """The one that a plain pipe never notices, under every combination."""
    before = fill_volume(sandbox)
    sandbox.shim("pg_dumpall", _VERSION + _LIARS["cut before the last line, exit 0"])
    assert_failed(sandbox, sandbox.run("run"), before, "dump")


# Only compression is hindered: what decompresses or tests goes to the real program.
_COMPRESSING = 'for word; do case $word in -*d*|-*t*|--decompress|--test|--version) exec $real "$@";; esac; done; '
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
