# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Hostile entries on the volume, hostile values in the environment, and who may read what is written.

In one shell: what differs between shells is in the other tests.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .support.combinations import under_one
from .support.foreign_files import FOREIGN, OLD
from .support.sandbox import Sandbox
from .support.script_files import files_of, source
from .support.server import Server
from .support.volume import LAST_RUN, Entry, backup_name, give, put, put_backup, snapshot, without

pytestmark = under_one

DAY = 86400
ONE = {"POSTGRES_BACKUP_KEEP_LAST": "1", "POSTGRES_BACKUP_KEEP_DAILY": "0"}


def _fill(volume: Path, uid: int) -> set[str]:
    """Old foreign files of all kinds, next to three backups; returns what retention must delete."""
    for entry in FOREIGN:
        path = os.path.join(os.fsencode(volume), entry)
        Path(os.fsdecode(path)).write_bytes(b"foreign")
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    # What has a backup's name and is none.
    (volume / "postgres-backup-2024-02-01-020000.sql.gz").mkdir()
    os.mkfifo(volume / "postgres-backup-2024-02-02-020000.sql.gz")
    (volume / "postgres-backup-2024-02-03-020000.sql.gz").symlink_to("/etc/passwd")
    here = Path.cwd()
    os.chdir(volume)  # a socket's name must be short
    try:
        socket.socket(socket.AF_UNIX).bind("postgres-backup-2024-02-04-020000.sql.gz")
    finally:
        os.chdir(here)
    names = [backup_name("postgres-backup", datetime.now(UTC) - timedelta(days=days)) for days in (1, 2, 3)]
    for name in names:
        put_backup(volume, name, age=2 * DAY)
    give(volume, uid)
    return {each for name in names[1:] for each in (name, f"{name}.sha256")}


def _assert_only(before: dict[bytes, Entry], after: dict[bytes, Entry], deleted: set[str]) -> None:
    assert b"PWNED" not in after
    gone = {os.fsdecode(name) for name in before.keys() - after.keys()}
    assert gone == deleted
    assert {name: after[name] for name in before.keys() & after.keys()} == without(before, *deleted)


def test_foreign_files_are_neither_touched_nor_run(sandbox: Sandbox) -> None:
    deleted = _fill(sandbox.volume, sandbox.uid)
    before = snapshot(sandbox.volume)
    listed = sandbox.run("list", env=ONE, timeout=60).check()
    assert [line["verdict"] for line in listed.backups] == ["keep", "delete", "delete"]
    _assert_only(before, snapshot(sandbox.volume), set())
    planned = sandbox.run("prune", "--dry-run", env=ONE, timeout=60).check()
    assert {each for name in planned.result["deleted"] for each in (name, f"{name}.sha256")} == deleted
    sandbox.run("prune", env=ONE, timeout=60).check()
    _assert_only(before, snapshot(sandbox.volume), deleted)
    sandbox.run("run", timeout=60).check()
    _assert_only(before, snapshot(sandbox.volume), deleted)
    assert not (sandbox.tmp / "PWNED").exists()


# What a run writes, by the names that it can be expected to take.
LINKS = [LAST_RUN, f".{LAST_RUN}.postgres-backup-29000000-abcde", f"{OLD}.sha256", f"{OLD}.damaged"]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "damaged"])
@pytest.mark.parametrize("target", ["file", "folder", "nowhere"])
def test_nothing_is_written_through_a_link(sandbox: Sandbox, target: str, whole: bool) -> None:
    outside = sandbox.workspace.directory("outside", sandbox.uid)
    (outside / "folder").mkdir()
    (outside / "file").write_text("precious")
    give(outside, sandbox.uid)
    for name in LINKS:
        (sandbox.volume / name).symlink_to(outside / target)
    # Unchecked, so that the run writes a checksum file for it, or marks it as damaged.
    path = put_backup(sandbox.volume, OLD, checksum_file=False)
    if not whole:
        path.write_bytes(path.read_bytes()[:-9])
    os.utime(path, (time.time() - DAY,) * 2)
    give(sandbox.volume, sandbox.uid)
    before = snapshot(outside)
    sandbox.run("run", timeout=60).check()
    assert snapshot(outside) == before
    assert not list((outside / "folder").iterdir())
    assert sandbox.last_run is not None and sandbox.last_run["state"] == "succeeded"
    assert not (sandbox.volume / LAST_RUN).is_symlink()


def test_a_folder_in_the_place_of_the_record_is_said(sandbox: Sandbox) -> None:
    (sandbox.volume / LAST_RUN).mkdir()
    give(sandbox.volume, sandbox.uid)
    outcome = sandbox.run("run").check(1)
    assert "last-run.json is a directory" in outcome.log
    assert not list((sandbox.volume / LAST_RUN).iterdir())


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", f"/backups/{OLD}", f"../{OLD}", f"x{OLD}"])
def test_a_checksum_file_that_names_another_path_proves_nothing(offline: Sandbox, name: str) -> None:
    put_backup(offline.volume, OLD, checksum_file=False)
    put(offline.volume / f"{OLD}.sha256", f"{'0' * 64}  {name}\n")
    (line,) = offline.run("list").check().backups
    assert (line["state"], line["sha256"]) == ("unchecked", None)


TOUCH = "touch $TMPDIR/PWNED"
# Where they stand alone, or within quotes of one kind or the other.
HOSTILE = [f"$({TOUCH})`{TOUCH}`;{TOUCH}|{TOUCH}&{TOUCH} *?[ %s é", f'";{TOUCH};"', f"';{TOUCH};'", "x\\"]
# Every variable that the run knows, by its text.
TEXT = "".join((source() / name).read_text() for name in files_of("list", "prune", "run") if name.endswith(".sh"))
VARIABLES = sorted(set(re.findall(r"\bPOSTGRES_BACKUP_[A-Z_]*[A-Z]\b", TEXT)))
# Refused by a message that names it.
CHECKED = {
    f"POSTGRES_BACKUP_{name}"
    for name in (
        "NAME", "POD", "JOB", "KEEP_LAST", "KEEP_DAILY", "KEEP_WEEKLY", "KEEP_MONTHLY", "KEEP_YEARLY", "KEEP_WITHIN",
        "FILE_MODE", "PORT", "SSLMODE", "COMPRESSOR", "TIME_LIMIT", "LOCK_TIMEOUT", "RESTART_SECONDS",
    )
}  # fmt: skip
# Without a say in whether the run succeeds.
HARMLESS = {
    f"POSTGRES_BACKUP_{name}"
    for name in (
        *("TERMINATION_LOG", "SSLROOTCERT", "SSLCERT", "SSLKEY", "EXCLUDE_DATABASES", "KIT", "SCHEDULE_SECONDS"),
        *("AGE", "IDENTITY_FILE", "METRICS", "NAMESPACE", "PROGRESS", "COPY_LOCATIONS"),
    )
}
# Lines of a pattern for databases and a value.
BY_DATABASE = {f"POSTGRES_BACKUP_{name}" for name in ("DUMP_ARGS", "EXCLUDE_TABLES", "EXCLUDE_TABLE_DATA")}
# Some of the values are patterns of PostgreSQL for which no table exists.
PATTERNS = {"POSTGRES_BACKUP_EXCLUDE_TABLES", "POSTGRES_BACKUP_EXCLUDE_TABLE_DATA"}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_hostile_value_is_not_run(sandbox: Sandbox, variable: str) -> None:
    for text in HOSTILE:
        prefix = f"{sandbox.tmp}/" if variable == "POSTGRES_BACKUP_DIR" else "*\t" if variable in BY_DATABASE else ""
        value = prefix + text
        # Whether its temporary folder is empty is checked there.
        outcome = sandbox.run("run", env={variable: value}, timeout=60)
        expected = {0} if variable in HARMLESS else {0, 1, 2} if variable in PATTERNS else {1, 2}
        assert outcome.code in expected, outcome.log
        if variable in CHECKED:
            assert outcome.code == 2 and f"{variable}: expected" in outcome.log
        assert not list(sandbox.volume.glob("PWNED*"))


def test_a_databases_name_is_no_connection_string(sandbox: Sandbox, fresh_server: Server) -> None:
    """libpq would connect to any host in it, with the password."""
    sandbox.server = fresh_server
    refused = sandbox.run("run", env={"POSTGRES_BACKUP_DATABASE": "dbname=postgres"}).check(2)
    assert 'database "dbname=postgres" does not exist' in refused.log
    fresh_server.sql('CREATE DATABASE "host=nowhere it\'s \\";')
    sandbox.run("run", env={"POSTGRES_BACKUP_DATABASE": "host=nowhere it's \\"}).check()


def test_what_is_written_is_never_for_everybody(sandbox: Sandbox) -> None:
    """At no moment, though the image's umask is 022."""
    process = sandbox.start("run")
    seen: dict[str, int] = {}
    while process.poll() is None:
        for folder in (sandbox.volume, sandbox.tmp):
            for entry in os.scandir(folder):
                try:
                    seen[entry.name] = seen.get(entry.name, 0) | entry.stat(follow_symlinks=False).st_mode
                except FileNotFoundError:
                    continue
        time.sleep(0.001)
    sandbox.finish(process).check()
    assert any(name.endswith(".partial") for name in seen)
    assert not {name: oct(mode) for name, mode in seen.items() if stat.S_IMODE(mode) & 0o007}
    assert {stat.S_IMODE(path.stat().st_mode) for path in sandbox.volume.iterdir()} == {0o640}
