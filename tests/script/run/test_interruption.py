# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Runs that are ended from outside, and what their retries say."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ..support.combinations import under_all
from ..support.failed_runs import assert_explains, assert_failed, fill_volume, newest
from ..support.sandbox import Json, Sandbox
from ..support.volume import LAST_RUN, RECORDS, give, put, snapshot, without
from ..support.workspace import as_user, kill_all, processes_of

UNREACHABLE = {"POSTGRES_BACKUP_PORT": "1"}
WRONG_PASSWORD = {"PGPASSWORD": "not it"}
NOBODY_ELSE = 999_999


def _record(sandbox: Sandbox) -> Json:
    assert sandbox.last_run is not None
    return sandbox.last_run


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda sent: sent.name)
def test_a_signal_in_the_middle(sandbox: Sandbox, sent: signal.Signals) -> None:
    """The end of a pod: no process and no partial file remain, and the reason is recorded."""
    assert sandbox.server is not None
    before = fill_volume(sandbox)
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: any("pg_dump " in c for c in processes_of(sandbox.uid).values()), "pg_dump", process)
        outcome = sandbox.terminate(process, sent)
    assert outcome.code in (1, 128 + sent)
    sandbox.assert_nothing_left()
    assert without(snapshot(sandbox.volume), *RECORDS) == before
    assert _record(sandbox)["state"] == "failed"
    assert sandbox.termination == _record(sandbox)
    assert sent.name.removeprefix("SIG") in outcome.log or "terminat" in outcome.log or "interrupt" in outcome.log


def test_a_signal_to_every_process_at_once(sandbox: Sandbox) -> None:
    """As a terminal's Ctrl-C or some runtimes do it."""
    assert sandbox.server is not None
    before = fill_volume(sandbox)
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: any("pg_dump " in c for c in processes_of(sandbox.uid).values()), "pg_dump", process)
        for pid in processes_of(sandbox.uid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        outcome = sandbox.finish(process)
    assert outcome.code != 0
    sandbox.assert_nothing_left()
    assert without(snapshot(sandbox.volume), *RECORDS) == before
    assert _record(sandbox)["state"] == "failed"


def test_a_compressor_that_is_killed(sandbox: Sandbox) -> None:
    """As the kernel does it when memory is short."""
    assert sandbox.server is not None
    before = fill_volume(sandbox)
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run", env={"POSTGRES_BACKUP_COMPRESSOR": "gzip"})
        sandbox.wait_until(lambda: bool(_compressors(sandbox)), "the compressor", process)
        for pid in _compressors(sandbox):
            os.kill(pid, signal.SIGKILL)
    assert_failed(sandbox, sandbox.finish(process), before)


def _compressors(sandbox: Sandbox) -> list[int]:
    commands = processes_of(sandbox.uid).items()
    return [
        pid
        for pid, command in commands
        if command.startswith("gzip ") and " -d" not in command and " -c" in command + " -c"
    ]


def test_killed_in_the_middle_and_started_again(sandbox: Sandbox) -> None:
    """SIGKILL leaves a partial file and a record `running`; the restarted pod removes the one and counts the other."""
    assert sandbox.server is not None
    before = fill_volume(sandbox, 3)
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: bool(sandbox.partials()), "a partial file", process)
        process.kill()
        kill_all(sandbox.uid)
        sandbox.finish(process)
    for path in sandbox.tmp.iterdir():
        shutil.rmtree(path)
    assert _record(sandbox)["state"] == "running"
    assert _record(sandbox)["attempts"] == 1
    assert without(snapshot(sandbox.volume), *RECORDS, *(p.name for p in sandbox.partials())) == before
    listed = sandbox.run("list")
    assert listed.check().result["last_run"]["state"] == "running"
    result = sandbox.run("run").check().result
    assert result["attempts"] == 2
    assert sandbox.partials() == []
    after = snapshot(sandbox.volume)
    assert before.items() <= after.items()


# A call of each step that the step cannot do without, and a pattern of its arguments.
_STEPS = {
    "prepare": ("psql", "*"),
    "dump": ("pg_dump", "*--no-password*"),
    "read_back": ("dd", "if=*/.* of=/dev/null *"),
    "publish": ("ln", "*"),
}
_HOLD = """case "$*" in {arguments})
    : >{gate}/reached
    while [ ! -e {gate}/go ]; do /bin/sleep 0.02; done ;;
esac
exec $real "$@\""""


def _held_at(sandbox: Sandbox, step: str) -> tuple[subprocess.Popen[str], Path]:
    """A run that waits in this step until there is a file `go` in the folder that is returned with it."""
    gate = sandbox.workspace.directory("gate", sandbox.uid)
    program, arguments = _STEPS[step]
    sandbox.shim(program, _HOLD.format(arguments=arguments.replace(" ", "\\ "), gate=gate))
    process = sandbox.start("run")
    sandbox.wait_until((gate / "reached").exists, step, process)
    return process, gate / "go"


@pytest.mark.parametrize("step", _STEPS)
def test_ended_at_each_step_then_the_retry(sandbox: Sandbox, step: str) -> None:
    """SIGTERM: the reason names the step. A backup that is being published at that time is published and reported."""
    before = fill_volume(sandbox, 3)
    process, go = _held_at(sandbox, step)
    process.send_signal(signal.SIGTERM)
    if step == "publish":
        time.sleep(0.1)
        go.touch()
    outcome = sandbox.finish(process).check(1)
    sandbox.assert_nothing_left()
    record = _record(sandbox)
    assert record == sandbox.termination == outcome.result
    assert "SIGTERM" in record["reason"] and f"in the step: {step}" in record["reason"]
    published = {f"{record['backup']}{suffix}" for suffix in ("", ".sha256", ".json") if step == "publish"}
    assert without(snapshot(sandbox.volume), *RECORDS, *published) == before
    assert {path.name for path in sandbox.backup_files()} - {os.fsdecode(name) for name in before} == {
        name for name in published if name.endswith(".gz")
    }
    assert_explains(outcome.log, record["backup"] or newest(before))
    go.touch()
    result = sandbox.run("run").check().result
    assert result["attempts"] == 2
    assert "SIGTERM" in result["recovered_from"]
    assert before.items() <= snapshot(sandbox.volume).items()


@pytest.mark.parametrize("step", _STEPS)
def test_killed_at_each_step_then_the_retry(sandbox: Sandbox, step: str) -> None:
    """SIGKILL of everything: only the next attempt can report it and clean up."""
    before = fill_volume(sandbox, 3)
    process, go = _held_at(sandbox, step)
    process.kill()
    kill_all(sandbox.uid)
    sandbox.finish(process)
    for path in sandbox.tmp.iterdir():
        shutil.rmtree(path)
    assert _record(sandbox)["state"] == "running"
    assert before.items() <= snapshot(sandbox.volume).items()
    assert (
        sandbox.backup_files()
        == sorted(sandbox.volume / os.fsdecode(name) for name in before if name.endswith(b"gz"))[::-1]
    )
    go.touch()
    result = sandbox.run("run").check().result
    assert result["attempts"] == 2
    assert "attempt 1 was interrupted" in result["recovered_from"]
    assert sandbox.partials() == []
    assert before.items() <= snapshot(sandbox.volume).items()


def test_the_next_pod_of_a_job_removes_the_partial_of_the_one_before(sandbox: Sandbox) -> None:
    """After an eviction by SIGKILL. The pod of another Job may be running: its partial file is not touched."""
    base, job = f".{sandbox.name}-2026-01-01-020000.sql.gz", sandbox.environment()["POSTGRES_BACKUP_JOB"]
    for pod in (f"{job}-vwxyz", f"{job}0-vwxyz", f"{job}-by-hand-vwxyz", "vwxyz"):
        put(sandbox.volume / f"{base}.{pod}.partial", b"half")
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    assert f"{base}.{job}-vwxyz.partial" not in {path.name for path in sandbox.partials()}
    assert len(sandbox.partials()) == 3


def test_the_name_of_a_pod_has_the_beginning_of_its_jobs_name(sandbox: Sandbox) -> None:
    """Of a long one 58 characters with the dash (k8s.io/apiserver/pkg/storage/names, SimpleNameGenerator)."""
    base, job = f".{sandbox.name}-2026-01-01-020000.sql.gz", f"{'a' * 36}-manual-20260101020000-abcd"
    put(sandbox.volume / f"{base}.{job[:58]}vwxyz.partial", b"half")
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run", env={"POSTGRES_BACKUP_JOB": job}).check()
    assert sandbox.partials() == []


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_a_shell_that_can_start_no_process_does_not_give_up_the_job(script: Path, shell: str) -> None:
    """By default dash and busybox end with status 2, which means that no further attempt can succeed."""
    outcome = subprocess.run(
        [*as_user(NOBODY_ELSE), "prlimit", "--nproc=1", *shell.split(), script, "run"],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "fork" in outcome.stderr
    assert outcome.returncode not in (0, 2), outcome.stderr


@pytest.mark.parametrize("error", ["No space left on device", "Read-only file system"])
def test_a_temporary_folder_that_takes_nothing(sandbox: Sandbox, error: str) -> None:
    """A full disk of the node may have free space, or may be another one, in the next attempt."""
    sandbox.shim("mktemp", f"echo 'mktemp: failed to create directory: {error}' >&2; exit 1")
    outcome = sandbox.run("run")
    assert outcome.code == (1 if error.startswith("No space") else 2), outcome.log
    assert error in outcome.log


@under_all
def test_the_first_reason_survives_the_retries(sandbox: Sandbox) -> None:
    """Same Job, same pod: the server refused first; that it was unreachable later does not hide it."""
    before = fill_volume(sandbox)
    first = sandbox.run("run", env=WRONG_PASSWORD)
    assert_failed(sandbox, first, before, "password authentication failed")
    assert _record(sandbox)["attempts"] == 1
    second = sandbox.run("run", env=UNREACHABLE).check(1)
    assert _record(sandbox)["attempts"] == 2
    assert "password authentication failed" in _record(sandbox)["reason"]
    assert "refused" in second.log
    assert "password authentication failed" in second.log.splitlines()[-1]
    third = sandbox.run("run").check().result
    assert third["state"] == "succeeded"
    assert third["attempts"] == 3


def test_an_attempt_that_is_ended_does_not_overwrite_the_first_reason(sandbox: Sandbox) -> None:
    """A Job that gives up may start one more attempt and end it at once."""
    assert sandbox.server is not None
    before = fill_volume(sandbox)
    sandbox.run("run", env=WRONG_PASSWORD).check(2)
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: bool(sandbox.partials()), "a partial file", process)
        assert "password authentication failed" in str(_record(sandbox))
        sandbox.terminate(process)
    sandbox.assert_nothing_left()
    assert "password authentication failed" in _record(sandbox)["reason"]
    assert _record(sandbox)["state"] == "failed"
    assert without(snapshot(sandbox.volume), *RECORDS) == before


@under_all
def test_an_attempt_that_is_ended_at_its_begin_does_not_either(sandbox: Sandbox) -> None:
    """Before it has checked the volume: the signal is not the cause, and the log ends with the cause."""
    sandbox.run("run", env=WRONG_PASSWORD).check(2)
    gate = sandbox.workspace.directory("gate", sandbox.uid)
    sandbox.shim("mktemp", f'echo >{gate}/reached; until [ -e {gate}/go ]; do sleep 0.1; done; exec "$real" "$@"')
    process = sandbox.start("run")
    sandbox.wait_until((gate / "reached").exists, "it makes its temporary folder", process)
    process.send_signal(signal.SIGTERM)
    (gate / "go").touch()
    ended = sandbox.finish(process)
    assert ended.code == 1
    record = _record(sandbox)
    assert (record["state"], record["attempts"], record["last_reason"]) == ("failed", 2, None)
    assert "password authentication failed" in record["reason"]
    assert "FAILED: this attempt was terminated as it started (SIGTERM)" in ended.log
    *_, last = ended.log.splitlines()
    assert "The first attempt of this Job failed: " in last and "password authentication failed" in last


@under_all
def test_a_signal_while_a_function_writes_to_a_file(sandbox: Sandbox) -> None:
    """The shell runs the trap with the function's redirections: the output at the run's end must not be redirected."""
    gate = sandbox.workspace.directory("gate", sandbox.uid)
    sandbox.shim("sort", f'echo >{gate}/reached; until [ -e {gate}/go ]; do sleep 0.1; done; exec "$real" "$@"')
    process = sandbox.start("run")
    sandbox.wait_until((gate / "reached").exists, "it lists the volume", process)
    process.send_signal(signal.SIGTERM)
    (gate / "go").touch()
    ended = sandbox.finish(process)
    assert (ended.code, ended.result["state"]) == (1, "failed")
    assert ended.result == sandbox.termination
    assert "FAILED: the run was terminated by SIGTERM" in ended.log
    sandbox.assert_nothing_left()


def test_another_pod_of_the_same_job_counts_on(sandbox: Sandbox) -> None:
    """After an eviction the Job makes a new pod."""
    sandbox.run("run", env=WRONG_PASSWORD).check(2)
    sandbox.run("run", env={**UNREACHABLE, "POSTGRES_BACKUP_POD": "another"}).check(1)
    assert _record(sandbox)["attempts"] == 2
    assert "password authentication failed" in _record(sandbox)["reason"]


def test_another_job_begins_anew(sandbox: Sandbox) -> None:
    sandbox.run("run", env=WRONG_PASSWORD).check(2)
    other = {"POSTGRES_BACKUP_POD": "other-1", "POSTGRES_BACKUP_JOB": "other"}
    sandbox.run("run", env={**UNREACHABLE, **other}).check(1)
    record = _record(sandbox)
    assert record["attempts"] == 1
    assert record["job"] == "other"
    assert "password authentication failed" not in record["reason"]


def test_without_a_job_every_run_is_the_first(sandbox: Sandbox) -> None:
    """Run by hand outside Kubernetes there is no Job to count for."""
    by_hand = {"POSTGRES_BACKUP_POD": "", "POSTGRES_BACKUP_JOB": ""}
    sandbox.run("run", env={**WRONG_PASSWORD, **by_hand}).check(2)
    sandbox.run("run", env={**UNREACHABLE, **by_hand}).check(1)
    assert _record(sandbox)["attempts"] == 1
    sandbox.run("run", env=by_hand).check()


def test_the_time_limit_ends_every_process(sandbox: Sandbox) -> None:
    assert sandbox.server is not None
    before = fill_volume(sandbox)
    sandbox.shim(
        "pg_dumpall",
        'case " $* " in *" --version "*|*" -V "*) exec $real "$@";; esac; trap "" TERM INT HUP; exec /bin/sleep 60',
    )
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_TIME_LIMIT": "2s"}, timeout=60)
    assert_failed(sandbox, outcome, before, "2s")


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 40, b'{"state":"failed"}\n', b"[]\n"], ids=repr)
def test_a_record_that_is_rubbish_is_no_obstacle(sandbox: Sandbox, content: bytes) -> None:
    (sandbox.volume / LAST_RUN).write_bytes(content)
    os.chown(sandbox.volume / LAST_RUN, sandbox.uid, sandbox.uid)
    assert sandbox.run("run").check().result["attempts"] == 1
