# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What goes wrong with the volume: full, read-only, somebody else's, not the one that was expected."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.combinations import under_all
from ..support.failed_runs import assert_failed, fill_volume
from ..support.sandbox import Sandbox
from ..support.volume import LAST_RUN, RECORDS, give, put, put_backup, snapshot, without
from ..support.workspace import processes_of

SOURCE = "nas.local:/volume1/home lab"


@pytest.fixture
def small(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A volume of one megabyte that really fills up."""
    sandbox.workspace.mount_tmpfs(sandbox.volume, "1m", SOURCE)
    yield sandbox
    sandbox.workspace.unmount(sandbox.volume)


def _leave_free(volume: Path, wanted: int) -> Path:
    """Fill a volume up to so many bytes."""
    status = os.statvfs(volume)
    return put(volume / "filler", b"x" * (status.f_bavail * status.f_frsize - wanted))


def _says_full(text: str) -> bool:
    return any(words in text.lower() for words in ("no space left", "not enough free space"))


def test_full_while_the_dump_is_written(small: Sandbox) -> None:
    fill_volume(small, 3)
    _leave_free(small.volume, 16384)
    before = snapshot(small.volume)
    outcome = small.run("run").check(1)
    after = snapshot(small.volume)
    assert without(after, *RECORDS) == before
    assert _says_full(outcome.log)
    assert outcome.result["state"] == "failed"
    assert _says_full(outcome.result["reason"])
    assert small.termination["state"] == "failed"
    assert small.partials() == []


@pytest.mark.parametrize("free", [0, 4096])
def test_full_from_the_start(small: Sandbox, free: int) -> None:
    """Not even the record of the run fits; the reason is still in the log and in the termination message."""
    fill_volume(small, 3)
    _leave_free(small.volume, free)
    before = snapshot(small.volume)
    outcome = small.run("run").check(1)
    assert without(snapshot(small.volume), *RECORDS) == before
    assert _says_full(outcome.log)
    assert small.termination["state"] == "failed"
    assert small.partials() == []


@pytest.mark.parametrize("step", ["checksum_file", "record"])
def test_full_at_a_later_step(small: Sandbox, step: str) -> None:
    """The dump fits exactly; then there is no space for the checksum file, or for the last record."""
    small.run("run").check()
    (path,) = small.backup_files()
    size = path.stat().st_size
    for entry in small.volume.iterdir():
        entry.unlink()
    fill_volume(small, 2)
    blocks = -(-size // 4096) * 4096 + (4096 if step == "checksum_file" else 8192)
    _leave_free(small.volume, blocks)
    before = snapshot(small.volume)
    outcome = small.run("run")
    after = without(snapshot(small.volume), *RECORDS)
    if outcome.code == 0:
        assert before.items() <= after.items()
        (line,) = [line for line in small.run("list").check().backups if line["name"] == outcome.result["backup"]]
        assert line["state"] == "complete"
    else:
        outcome.check(1)
        assert after == before
        assert _says_full(outcome.log)
    assert small.partials() == []


@under_all
def test_refused_when_the_last_backup_would_not_fit(small: Sandbox) -> None:
    """Before a byte is dumped."""
    fill_volume(small, 1)
    big = put_backup(small.volume, "postgres-backup-2025-06-01-020000.sql.gz")
    os.truncate(big, 0)
    with big.open("ab") as stream:
        stream.write(b"x" * 600_000)
    newest = put_backup(small.volume, "postgres-backup-2026-01-01-020000.sql.gz")
    put(
        small.volume / LAST_RUN,
        json.dumps({"state": "succeeded", "bytes": 600_000, "backup": newest.name}) + "\n",
    )
    newest.write_bytes(b"y" * 300_000)
    for entry in small.volume.glob("postgres-backup-*.sql.gz"):
        if entry not in (big, newest):
            entry.unlink()
            Path(f"{entry}.sha256").unlink()
    give(small.volume, small.uid)
    before = snapshot(small.volume)
    small.shim(
        "pg_dumpall", 'case $1 in --version|-V) exec $real "$@";; esac; : > "$TMPDIR/../dumped"; exec $real "$@"'
    )
    outcome = small.run("run").check(1)
    assert without(snapshot(small.volume), *RECORDS) == without(before, *RECORDS)
    assert _says_full(outcome.log)
    assert small.last_run is not None
    assert small.last_run["state"] == "failed"
    assert "dumping" not in outcome.log


def test_not_writable(sandbox: Sandbox) -> None:
    """A folder of another user, as a share with a wrong squash setting shows it."""
    fill_volume(sandbox, 3)
    os.chown(sandbox.volume, 0, 0)
    before = snapshot(sandbox.volume)
    outcome = sandbox.run("run").check(2)
    assert snapshot(sandbox.volume) == before
    assert str(sandbox.volume) in outcome.log
    assert "writ" in outcome.log.lower()
    assert sandbox.termination["state"] == "failed"
    assert sandbox.termination["reason"] == outcome.result["reason"]


def test_read_only(sandbox: Sandbox) -> None:
    sandbox.workspace.mount_tmpfs(sandbox.volume, "1m")
    fill_volume(sandbox, 3)
    subprocess.run(["mount", "-o", "remount,ro", str(sandbox.volume)], check=True)
    before = snapshot(sandbox.volume)
    outcome = sandbox.run("run").check(1)
    assert snapshot(sandbox.volume) == before
    assert "read-only" in outcome.log.lower() or "writ" in outcome.log.lower()
    assert sandbox.termination["state"] == "failed"
    sandbox.workspace.unmount(sandbox.volume)


def test_not_there(sandbox: Sandbox) -> None:
    sandbox.volume.rmdir()
    outcome = sandbox.run("run")
    assert outcome.code in (1, 2)
    assert str(sandbox.volume) in outcome.log
    assert sandbox.termination["state"] == "failed"
    assert not sandbox.volume.exists()
    sandbox.volume.mkdir()


@pytest.mark.parametrize("expected", ["any", SOURCE])
def test_an_empty_folder_where_the_mount_should_be(sandbox: Sandbox, expected: str) -> None:
    """Nothing may be written into it: when the share is back, it would be hidden below."""
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_EXPECTED_MOUNT": expected}).check(1)
    assert "mount" in outcome.log
    assert str(sandbox.volume) in outcome.log
    assert not sandbox.backup_files()
    assert sandbox.termination["state"] == "failed"


@pytest.mark.parametrize("expected", ["any", SOURCE])
def test_the_expected_mount(small: Sandbox, expected: str) -> None:
    small.run("run", env={"POSTGRES_BACKUP_EXPECTED_MOUNT": expected}).check()


@pytest.mark.parametrize("expected", ["nas.local:/volume1", SOURCE + "2", "other:/volume1/home lab", "tmpfs"])
def test_another_mount_than_expected(small: Sandbox, expected: str) -> None:
    outcome = small.run("run", env={"POSTGRES_BACKUP_EXPECTED_MOUNT": expected}).check(1)
    assert expected in outcome.log
    assert SOURCE in outcome.log
    assert not small.backup_files()


def test_a_mount_above_is_not_the_mount(small: Sandbox) -> None:
    """A folder inside the share is not a separate mount point."""
    inside = small.volume / "inside"
    inside.mkdir()
    give(small.volume, small.uid)
    environment = {"POSTGRES_BACKUP_DIR": str(inside), "POSTGRES_BACKUP_EXPECTED_MOUNT": "any"}
    small.run("run", env=environment).check(1)
    assert not list(inside.glob("*.sql.gz"))


def _in_the_middle(sandbox: Sandbox) -> bool:
    """The dump waits for a lock, and every program that writes is running."""
    return any("pg_dump " in command for command in processes_of(sandbox.uid).values())


def test_the_share_is_unmounted_in_the_middle(small: Sandbox) -> None:
    """An empty folder is in its place. Nothing may be written there, and what is claimed must be on the share."""
    assert small.server is not None
    elsewhere = small.workspace.directory("elsewhere")
    subprocess.run(["mount", "--bind", str(small.volume), str(elsewhere)], check=True)
    with small.server.locked("users", "app"):
        process = small.start("run", env={"POSTGRES_BACKUP_EXPECTED_MOUNT": "any"})
        small.wait_until(lambda: _in_the_middle(small), "pg_dump", process)
        small.workspace.unmount(small.volume)
        os.chown(small.volume, small.uid, small.uid)
    outcome = small.finish(process)
    small.assert_nothing_left()
    assert without(snapshot(small.volume), *RECORDS) == {}
    backups = [path.name for path in elsewhere.glob("postgres-backup-*.sql.gz")]
    if outcome.code == 0:
        assert backups == [outcome.result["backup"]]
        subprocess.run(["sha256sum", "-c", f"{backups[0]}.sha256"], cwd=elsewhere, check=True, capture_output=True)
    else:
        outcome.check(1)
        assert outcome.result["state"] == "failed"
        assert backups == []
    small.workspace.unmount(elsewhere)
    small.workspace.mount_tmpfs(small.volume, "1m")


def test_the_folder_is_removed_in_the_middle(sandbox: Sandbox) -> None:
    assert sandbox.server is not None
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: _in_the_middle(sandbox), "pg_dump", process)
        shutil.rmtree(sandbox.volume)
    outcome = sandbox.finish(process).check(1)
    sandbox.assert_nothing_left()
    assert outcome.result["state"] == "failed"
    assert sandbox.termination["state"] == "failed"
    assert not sandbox.volume.exists()
    sandbox.volume.mkdir()


def test_the_partial_is_removed_in_the_middle(sandbox: Sandbox) -> None:
    assert sandbox.server is not None
    before = fill_volume(sandbox, 3)
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run")
        sandbox.wait_until(lambda: _in_the_middle(sandbox), "pg_dump", process)
        for path in sandbox.partials():
            path.unlink()
    assert_failed(sandbox, sandbox.finish(process), before)


def test_a_folder_that_takes_no_new_mode(sandbox: Sandbox) -> None:
    """NFS and SMB may refuse chmod and chown: that alone is not a reason for a run to fail."""
    for name in ("chmod", "chown", "chgrp"):
        sandbox.shim(name, "echo 'Operation not permitted' >&2; exit 1")
    outcome = sandbox.run("run")
    if outcome.code != 0:
        assert "chmod" in outcome.log or "mode" in outcome.log
        return
    assert len(sandbox.backup_files()) == 1


def test_deletion_that_fails_after_a_good_backup(sandbox: Sandbox) -> None:
    """The backup exists and is verified; that the old ones could not be deleted is reported."""
    fill_volume(sandbox, 9)
    sandbox.shim(
        "rm",
        'for word; do case $word in *.sql.gz) exit 1;; esac; done; exec $real "$@"',
    )
    if sandbox.combination.shell == "busybox":
        sandbox.shim("rm", 'for word; do case $word in *.sql.gz) exit 1;; esac; done; exec /bin/rm "$@"')
    outcome = sandbox.run("run")
    assert len(sandbox.backup_files()) == 10
    assert "deleted" in outcome.log
    line = sandbox.run("list").check().backups[0]
    assert line["state"] == "complete"
    assert line["created"][:10] == time.strftime("%Y-%m-%d", time.gmtime())
