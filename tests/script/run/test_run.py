# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`run` against a real server: successful runs."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ..support import sample
from ..support.combinations import Combination, program, under_all
from ..support.sandbox import Json, Outcome, Sandbox
from ..support.script_files import copy_script
from ..support.server import HOST, SUPERUSER, Server
from ..support.volume import END, RECORDS, backup_name, created, give, put, put_backup, snapshot, without
from ..support.workspace import SERVER_UID, Workspace

# More deletions than one backup explains: the brake of retention allows them.
MANY_DELETIONS = {"POSTGRES_BACKUP_MAX_DELETIONS": "100"}

# What no awk has a part in.


def _dump(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def _check_checksum_file(path: Path) -> None:
    """As a person on the NAS does it."""
    command = [str(program("sha256sum")), "-c", f"{path.name}.sha256"]
    checked = subprocess.run(command, cwd=path.parent, check=True, capture_output=True, text=True)
    assert checked.stdout == f"{path.name}: OK\n"


def _only_backup(sandbox: Sandbox) -> Path:
    (path,) = sandbox.backup_files()
    return path


@dataclass(frozen=True)
class GoodRun:
    """A successful run, for all tests that only read its results."""

    sandbox: Sandbox
    outcome: Outcome
    begun: datetime
    path: Path
    termination: Json


@pytest.fixture(scope="session")
def good_runs() -> dict[Combination, GoodRun]:
    return {}


@pytest.fixture
def good(good_runs: dict[Combination, GoodRun], combination: Combination, sandbox: Sandbox) -> GoodRun:
    """One such run for each combination."""
    if combination not in good_runs:
        begun = datetime.now(UTC).replace(microsecond=0)
        outcome = sandbox.run("run").check()
        good_runs[combination] = GoodRun(sandbox, outcome, begun, _only_backup(sandbox), sandbox.termination)
    return good_runs[combination]


@pytest.fixture(scope="session")
def odd_server(workspace: Workspace, template: Server) -> Iterator[Server]:
    """Databases with every odd name, and one with every odd content, that PostgreSQL allows in a dump."""
    with template.clone(workspace.directory("odd-server", mode=0o777)) as running:
        for number, name in enumerate(sample.ODD_NAMES):
            sample.create_database(running, name, rows=number)
        sample.fill_with_odd_content(running)
        yield running


@under_all
def test_what_lies_on_the_volume(good: GoodRun) -> None:
    volume, path = good.sandbox.volume, good.path
    assert {entry.name for entry in volume.iterdir()} == {
        path.name,
        f"{path.name}.sha256",
        f"{path.name}.json",
        *RECORDS,
    }
    assert good.begun <= created(path.name, good.sandbox.name) <= datetime.now(UTC)
    assert path.stat().st_mode & 0o7777 == 0o640
    _check_checksum_file(path)
    (line,) = good.sandbox.run("list").check().backups
    assert line["state"] == "complete"
    assert line["size_bytes"] == path.stat().st_size


@under_all
def test_the_dump_is_whole_and_says_what_it_is(good: GoodRun) -> None:
    dump = _dump(good.path)
    assert dump.endswith(b"\n" + END)
    header, _, body = dump.partition(b"--\n-- PostgreSQL database cluster dump\n")
    assert body
    text = header.decode()
    assert all(line.startswith("--") or not line for line in text.splitlines()), text
    assert "homelab.postgres_backup" in text
    assert HOST in text
    assert "18." in text
    assert f'"{SUPERUSER}"' in text
    assert json.dumps(sample.CLOSED) in text
    assert "template0" not in text


@under_all
def test_result_termination_message_and_last_run_agree(good: GoodRun) -> None:
    result, path = good.outcome.result, good.path
    assert good.sandbox.last_run == result
    assert good.termination == result
    assert result["state"] == "succeeded"
    assert result["job"] == "postgres-backup-29000000"
    assert result["pod"] == "postgres-backup-29000000-abcde"
    assert result["attempts"] == 1
    assert result["reason"] is None
    assert result["backup"] == path.name
    assert result["bytes"] == path.stat().st_size
    assert Path(f"{path}.sha256").read_text() == f"{result['sha256']}  {path.name}\n"
    assert result["uncompressed_bytes"] == len(_dump(path))
    assert result["server_version"].startswith("18.")
    assert result["client_version"].startswith("18.")
    assert result["skipped_databases"] == [sample.CLOSED]
    assert result["deleted"] == 0
    assert result["seconds"]
    assert all(isinstance(value, int | float) and 0 <= value < 60 for value in result["seconds"].values())
    started, finished = (datetime.fromisoformat(result[key]) for key in ("started", "finished"))
    assert started.tzinfo is not None
    assert started <= finished


@under_all
def test_the_log_has_a_line_for_every_step(good: GoodRun) -> None:
    for word in ("dump", "read back", "checksum file", good.path.name, "gzip", "18."):
        assert word in good.outcome.log
    assert all(datetime.fromisoformat(line.split()[0]).tzinfo for line in good.outcome.log.splitlines())


def test_the_read_back_goes_past_the_cache_where_it_can(sandbox: Sandbox) -> None:
    sandbox.volume = sandbox.workspace.on_disk("volume", sandbox.uid)
    outcome = sandbox.run("run").check()
    assert outcome.result["read_back"] == "direct"
    assert "read back" in outcome.log


def test_a_restore_gives_back_every_role_table_and_row(
    sandbox: Sandbox, server: Server, template: Server, workspace: Workspace
) -> None:
    sandbox.run("run").check()
    with template.clone(workspace.directory("restored", mode=0o777)) as restored:
        errors = restored.load(_dump(_only_backup(sandbox)))
        assert errors == [f'ERROR:  role "{SUPERUSER}" already exists']
        assert sample.contents(restored) == sample.contents(server)


def test_odd_names_and_contents(sandbox: Sandbox, odd_server: Server, template: Server, workspace: Workspace) -> None:
    sandbox.server = odd_server
    sandbox.run("run").check()
    with template.clone(workspace.directory("restored", mode=0o777)) as restored:
        assert len(restored.load(_dump(_only_backup(sandbox)))) == 1
        assert sample.contents(restored) == sample.contents(odd_server)


def test_tablespaces(sandbox: Sandbox, fresh_server: Server, template: Server, workspace: Workspace) -> None:
    sandbox.server = fresh_server
    place = workspace.directory("tablespace", SERVER_UID)
    where = "SELECT spcname, pg_tablespace_location(oid), spcacl FROM pg_tablespace ORDER BY 1;"
    held = "SELECT relname FROM pg_class JOIN pg_tablespace t ON t.oid = reltablespace WHERE spcname = 'Fast disk';"
    fresh_server.sql(f'CREATE TABLESPACE "Fast disk" LOCATION {sample.literal(str(place))};')
    fresh_server.sql('GRANT CREATE ON TABLESPACE "Fast disk" TO PUBLIC;')
    fresh_server.sql('CREATE TABLE held TABLESPACE "Fast disk" AS SELECT 1 AS one;')
    expected = fresh_server.sql(where), fresh_server.sql(held)
    sandbox.run("run").check()
    fresh_server.stop()
    for left in place.iterdir():
        shutil.rmtree(left)
    with template.clone(workspace.directory("restored", mode=0o777)) as restored:
        assert len(restored.load(_dump(_only_backup(sandbox)))) == 1
        assert (restored.sql(where), restored.sql(held)) == expected
        assert expected[1] == "held"


def test_a_run_and_prunes_at_once(sandbox: Sandbox) -> None:
    """The first one deletes; neither fails, and the backups that the policy keeps remain."""
    now = datetime.now(UTC).replace(microsecond=0)
    names = [backup_name(sandbox.name, now - timedelta(days=day)) for day in range(1, 31)]
    for name in names:
        put_backup(sandbox.volume, name)
    give(sandbox.volume, sandbox.uid)
    run = sandbox.start("run", env=MANY_DELETIONS)
    prunes = []
    while run.poll() is None:
        prunes.append(sandbox.finish(sandbox.start("prune", env=MANY_DELETIONS)).check())
    result = sandbox.finish(run).check().result
    sandbox.assert_nothing_left()
    assert len(prunes) > 1
    kept = [result["backup"], *names[:6]]
    assert sorted(path.name for path in sandbox.volume.iterdir()) == sorted(
        [*RECORDS, *kept, *(f"{name}.sha256" for name in kept), f"{result['backup']}.json"]
    )


def test_seven_are_kept_after_eight_runs(sandbox: Sandbox) -> None:
    """On an empty volume with the default policy. The clock advances by a second for each run, for different names."""
    now = time.time()
    results = []
    for number in range(8):
        sandbox.freeze_clock(now + number)
        results.append(sandbox.run("run").check().result)
    names = [result["backup"] for result in results]
    assert [path.name for path in sandbox.backup_files()] == names[:0:-1]
    assert [result["deleted"] for result in results] == [0] * 7 + [1]
    assert len(list(sandbox.volume.iterdir())) == 7 * 3 + len(RECORDS)


@under_all
def test_retention_of_days_after_a_run(sandbox: Sandbox) -> None:
    now = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    for day in range(1, 31):
        put_backup(sandbox.volume, backup_name(sandbox.name, now - timedelta(days=day)))
    give(sandbox.volume, sandbox.uid)
    result = sandbox.run("run", env=MANY_DELETIONS).check().result
    assert result["deleted"] == 24
    kept = [backup_name(sandbox.name, now - timedelta(days=day)) for day in range(1, 7)]
    assert [path.name for path in sandbox.backup_files()] == [result["backup"], *kept]


def test_two_runs_in_one_second_give_two_backups(sandbox: Sandbox) -> None:
    """The clock stands still: the second run takes the next free second."""
    now = int(time.time())
    sandbox.freeze_clock(now)
    first = sandbox.run("run").check().result["backup"]
    second = sandbox.run("run", env={"POSTGRES_BACKUP_POD": "other"}).check().result["backup"]
    moments = [created(name, sandbox.name).timestamp() for name in (first, second)]
    assert moments == [now, now + 1]
    assert [line["state"] for line in sandbox.run("list").check().backups] == ["complete", "complete"]


def test_two_runs_at_once_give_two_backups(sandbox: Sandbox) -> None:
    sandbox.freeze_clock(time.time())
    processes = [
        sandbox.start("run", env={"POSTGRES_BACKUP_POD": f"pod-{number}", "POSTGRES_BACKUP_JOB": f"job-{number}"})
        for number in range(3)
    ]
    outcomes = [sandbox.finish(process).check() for process in processes]
    sandbox.assert_nothing_left()
    names = sorted(outcome.result["backup"] for outcome in outcomes)
    assert names == sorted(path.name for path in sandbox.backup_files())
    assert len(set(names)) == 3
    for path in sandbox.backup_files():
        assert _dump(path).endswith(END)
        _check_checksum_file(path)
    assert sandbox.partials() == []


@pytest.mark.parametrize(
    ("variable", "value"), [("POSTGRES_BACKUP_FILE_MODE", "0600"), ("POSTGRES_BACKUP_FILE_MODE", "0664")]
)
def test_the_mode_is_the_one_asked_for(sandbox: Sandbox, variable: str, value: str) -> None:
    sandbox.run("run", env={variable: value}).check()
    path = _only_backup(sandbox)
    assert path.stat().st_mode & 0o7777 == int(value, 8)
    assert Path(f"{path}.sha256").stat().st_mode & 0o7777 == int(value, 8)


@pytest.mark.parametrize(
    ("installed", "asked", "used"),
    [
        ([], "auto", "gzip"),
        (["pigz"], "auto", "pigz"),
        (["pigz", "igzip"], "auto", "igzip"),
        (["pigz", "igzip"], "pigz", "pigz"),
        (["pigz", "igzip"], "gzip", "gzip"),
        (["igzip"], "igzip", "igzip"),
    ],
    ids=str,
)
def test_compressors(sandbox: Sandbox, installed: list[str], asked: str, used: str) -> None:
    sandbox.add_programs(*installed)
    seen = sandbox.workspace.directory("seen", sandbox.uid)
    for name in ("igzip", "pigz", "gzip"):
        if name == "gzip" or name in installed:
            sandbox.shim(name, f'case " $* " in *" -"*d*|*" -t"*) ;; *) : > {seen}/{name};; esac; exec $real "$@"')
    result = sandbox.run("run", env={"POSTGRES_BACKUP_COMPRESSOR": asked}).check().result
    assert used in {path.name for path in seen.iterdir()}
    assert result["compressor"].startswith(used)
    assert _dump(_only_backup(sandbox)).endswith(END)


def test_extra_arguments_go_to_pg_dumpall_one_a_line(sandbox: Sandbox) -> None:
    extra = '--exclude-database="Mixed"*\n--no-role-passwords\n'
    sandbox.run("run", env={"POSTGRES_BACKUP_EXTRA_ARGS": extra}).check()
    dump = _dump(_only_backup(sandbox))
    header, _, body = dump.partition(b"\n--\n\n")
    assert f"-- databases excluded: {json.dumps([sample.NAME])}".encode() in header
    assert sample.NAME.encode() not in body
    assert b"SCRAM-SHA-256" not in dump
    assert b"transactions" in dump


def test_an_extra_argument_may_hold_spaces_and_quotes(sandbox: Sandbox) -> None:
    extra = '--exclude-database=no "such" $base * it?s\n'
    sandbox.run("run", env={"POSTGRES_BACKUP_EXTRA_ARGS": extra}).check()


def test_the_password_may_end_in_a_newline(sandbox: Sandbox) -> None:
    password = sandbox.environment()["PGPASSWORD"]
    sandbox.run("run", env={"PGPASSWORD": f"{password}\n"}).check()


def test_the_database_to_connect_to_first(sandbox: Sandbox) -> None:
    sandbox.run("run", env={"POSTGRES_BACKUP_DATABASE": sample.NAME}).check()
    assert b"transactions" in _dump(_only_backup(sandbox))


def test_another_name(sandbox: Sandbox) -> None:
    sandbox.name = "pg.nightly"
    put_backup(sandbox.volume, "postgres-backup-2001-01-01-000000.sql.gz")
    put_backup(sandbox.volume, "pgXnightly-2001-01-01-000000.sql.gz")
    give(sandbox.volume, sandbox.uid)
    before = snapshot(sandbox.volume)
    sandbox.run("run").check()
    after = snapshot(sandbox.volume)
    assert before.items() <= after.items()
    assert len(sandbox.backup_files()) == 1


def _not_deleted(sandbox: Sandbox, result: Json, names: list[str]) -> None:
    assert result["deleted"] == 0
    assert set(names) <= {path.name for path in sandbox.backup_files()}


@pytest.mark.parametrize("off_by", [-365 * 86400, -86400, -400, 400, 86400, 365 * 86400])
def test_no_retention_with_a_wrong_clock(sandbox: Sandbox, off_by: int) -> None:
    """The clock is the subject: it differs from the server's."""
    now = datetime.now(UTC).replace(microsecond=0)
    names = [backup_name(sandbox.name, now - timedelta(days=day)) for day in range(1, 12)]
    for name in names:
        put_backup(sandbox.volume, name)
    give(sandbox.volume, sandbox.uid)
    sandbox.freeze_clock(now.timestamp() + off_by)
    outcome = sandbox.run("run").check()
    _not_deleted(sandbox, outcome.result, names)
    assert "clock" in outcome.log


@pytest.mark.parametrize("off_by", [-200, 200])
def test_retention_with_a_clock_that_is_nearly_right(sandbox: Sandbox, off_by: int) -> None:
    """The clock is the subject: it differs a little from the server's."""
    now = datetime.now(UTC).replace(microsecond=0)
    for day in range(1, 12):
        put_backup(sandbox.volume, backup_name(sandbox.name, now - timedelta(days=day)))
    give(sandbox.volume, sandbox.uid)
    sandbox.freeze_clock(now.timestamp() + off_by)
    assert sandbox.run("run", env={"POSTGRES_BACKUP_KEEP_DAILY": "0", **MANY_DELETIONS}).check().result["deleted"] == 5


def test_a_header_cannot_be_broken_by_a_name(sandbox: Sandbox, fresh_server: Server) -> None:
    """A skipped database whose name holds a line break must not smuggle SQL into the dump."""
    sandbox.server = fresh_server
    name = "closed\nCREATE TABLE smuggled ();\n--"
    sample.close_database(fresh_server, name)
    outcome = sandbox.run("run")
    if outcome.code == 0:
        assert outcome.result["skipped_databases"] == [name]
        dump = _dump(_only_backup(sandbox))
        assert b"\nCREATE TABLE smuggled" not in dump
    else:
        assert sandbox.backup_files() == []


def test_databases_that_an_interrupted_drop_left(sandbox: Sandbox, fresh_server: Server) -> None:
    """pg_dumpall leaves them out silently. A connection limit of 0 does not keep a superuser out."""
    sandbox.server = fresh_server
    names = ["broken", 'a "quoted" one', "both", "template of somebody"]
    for name in (*names, "limited"):
        fresh_server.sql(f"CREATE DATABASE {sample.quoted(name)} STRATEGY file_copy;")
    fresh_server.sql('ALTER DATABASE limited CONNECTION LIMIT 0; ALTER DATABASE "both" ALLOW_CONNECTIONS false;')
    fresh_server.sql("UPDATE pg_database SET datistemplate = true WHERE datname LIKE 'template of%';")
    fresh_server.sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname ~ '^(broken|a |both|template of)';")
    outcome = sandbox.run("run").check()
    assert outcome.result["invalid_databases"] == sorted(names)
    assert outcome.result["skipped_databases"] == outcome.result["invalid_databases"]
    (warning,) = outcome.result["warnings"]
    assert "an interrupted DROP DATABASE left them invalid" in warning
    assert 'DROP DATABASE "a ""quoted"" one"; DROP DATABASE "both"; DROP DATABASE "broken";' in warning
    dump = _dump(_only_backup(sandbox))
    header = next(line for line in dump.splitlines() if line.startswith(b"-- databases skipped: "))
    assert json.loads(header.partition(b": ")[2]) == outcome.result["skipped_databases"]
    assert b"CREATE DATABASE limited" in dump
    assert b"CREATE DATABASE broken" not in dump


def test_many_skipped_databases_are_cut_in_the_termination_message_only(sandbox: Sandbox, fresh_server: Server) -> None:
    sandbox.server = fresh_server
    names = [f"{number:02d} " + 'ü"' * 19 for number in range(60)]
    fresh_server.sql("UPDATE pg_database SET datallowconn = false WHERE datname = 'template1';")
    for name in names:
        fresh_server.sql(f"CREATE DATABASE {sample.quoted(name)} TEMPLATE template0 STRATEGY file_copy;")
    fresh_server.sql("UPDATE pg_database SET datallowconn = false WHERE datname ~ '^[0-9]';")
    outcome = sandbox.run("run").check()
    assert outcome.result["skipped_databases"] == [*names, "template1"]
    assert sandbox.last_run == outcome.result
    assert sandbox.termination["state"] == "succeeded"
    assert sandbox.termination["backup"] == outcome.result["backup"]


def test_the_script_is_replaced_in_the_middle(sandbox: Sandbox) -> None:
    """As an upgrade does with a mounted ConfigMap: the run continues with the script it started with."""
    folder = sandbox.workspace.directory("replaced")
    sandbox.script = copy_script(folder)
    now = datetime.now(UTC).replace(microsecond=0)
    for day in range(1, 12):
        put_backup(sandbox.volume, backup_name(sandbox.name, now - timedelta(days=day)))
    give(sandbox.volume, sandbox.uid)
    assert sandbox.server is not None
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run", env=MANY_DELETIONS)
        sandbox.wait_until(lambda: bool(sandbox.partials()), "a partial file", process)
        for path in folder.iterdir():
            path.write_text("BEGIN { exit 9 }\n" if path.suffix == ".awk" else "echo replaced; exit 9\n" * 9999)
    outcome = sandbox.finish(process).check()
    assert "replaced" not in outcome.out + outcome.log
    assert outcome.result["deleted"] == 5


def test_no_temporary_folder(sandbox: Sandbox) -> None:
    """Before anything can be done; reported wherever possible."""
    put_backup(sandbox.volume, backup_name(sandbox.name, datetime(2026, 1, 1, tzinfo=UTC)))
    give(sandbox.volume, sandbox.uid)
    before = snapshot(sandbox.volume)
    outcome = sandbox.run("run", env={"TMPDIR": "/no/such/folder"}).check(2)
    assert sandbox.last_run == sandbox.termination == outcome.result
    assert "temporary folder" in outcome.result["reason"]
    assert "what to do: Mount a folder at /no/such/folder" in outcome.log
    assert without(snapshot(sandbox.volume), *RECORDS) == before


def test_stale_partials_go(sandbox: Sandbox) -> None:
    """A day old: anybody's. Of this pod: at once. A young one of another pod may be a run in progress."""
    base = f".{sandbox.name}-2026-01-01-020000.sql.gz"
    ours = sandbox.environment()["POSTGRES_BACKUP_POD"]
    for pod, age in ((ours, 0), ("stale", 25 * 3600), ("young", 3600)):
        path = sandbox.volume / f"{base}.{pod}.partial"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    foreign = sandbox.volume / ".other-2026-01-01-020000.sql.gz.stale.partial"
    foreign.write_bytes(b"not ours")
    os.utime(foreign, (1, 1))
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    assert {path.name for path in sandbox.partials()} == {f"{base}.young.partial", foreign.name}


RECORD_PARTIALS = (
    "postgres-backup.last-run.json", "postgres-backup.last-drill.json", "postgres-backup.history.jsonl",
    "last-run.json", "last-drill.json", "postgres-backup-2026-01-01-020000.sql.gz.json",
)  # fmt: skip


def test_stale_partials_of_records_go(sandbox: Sandbox) -> None:
    """What a killed pod leaves next to a record, once it is a day old."""
    old = [f".{name}.stale" for name in RECORD_PARTIALS]
    kept = [f".{name}.young" for name in RECORD_PARTIALS]
    kept += [".other.history.jsonl.stale", ".other.last-drill.json.stale"]
    for name in (*old, *kept):
        put(sandbox.volume / name, b"half", age=3600 if name.endswith("young") else 25 * 3600)
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    assert {name for name in (*old, *kept) if (sandbox.volume / name).exists()} == set(kept)
