# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`prune`: exact moments, large sizes, the order of removal, and what it must survive."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ..support.combinations import under_all
from ..support.sandbox import Sandbox
from ..support.volume import HISTORY, LAST_RUN, backup_name, give, put, put_backup, snapshot, without

pytestmark = under_all

NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)
ONE = {
    "POSTGRES_BACKUP_KEEP_LAST": "1",
    "POSTGRES_BACKUP_KEEP_DAILY": "0",
    "POSTGRES_BACKUP_KEEP_WITHIN": "",
    # Not the subject here: see test_brake.py.
    "POSTGRES_BACKUP_MAX_DELETIONS": "1000",
}


def _place(sandbox: Sandbox, *moments: datetime) -> list[str]:
    names = [backup_name(sandbox.name, moment) for moment in moments]
    for name in names:
        put_backup(sandbox.volume, name)
    give(sandbox.volume, sandbox.uid)
    return names


def _days(number: int) -> list[datetime]:
    return [NOW - timedelta(days=day) for day in range(1, number + 1)]


@pytest.mark.parametrize(("ahead", "future"), [(299, False), (300, False), (301, True)])
def test_five_minutes_ahead_is_the_border_of_the_future(offline: Sandbox, ahead: int, future: bool) -> None:
    """The clock is the subject: it stands still."""
    offline.freeze_clock(NOW.timestamp())
    _place(offline, NOW + timedelta(seconds=ahead), NOW - timedelta(hours=1))
    first, second = offline.run("prune", "--dry-run", env=ONE).check().backups
    assert first["reasons"] == (["dated in the future"] if future else ["last"])
    assert second["verdict"] == ("keep" if future else "delete")


@pytest.mark.parametrize(("age", "kept"), [(36 * 3600 - 1, True), (36 * 3600, True), (36 * 3600 + 1, False)])
@pytest.mark.parametrize("duration", ["36h", "2160m", "129600s"])
def test_keep_within_counts_back_from_the_newest(offline: Sandbox, age: int, kept: bool, duration: str) -> None:
    newest = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)
    _place(offline, newest, newest - timedelta(seconds=age))
    policy = {**ONE, "POSTGRES_BACKUP_KEEP_LAST": "0", "POSTGRES_BACKUP_KEEP_WITHIN": duration}
    lines = offline.run("prune", "--dry-run", env=policy).check().backups
    assert lines[0]["reasons"] == [f"within {duration}"]
    assert lines[1]["reasons"] == ([f"within {duration}"] if kept else ["no rule keeps it"])


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "<-12>12", "<+14>-14"])
def test_days_are_utc_days_in_every_time_zone(offline: Sandbox, zone: str) -> None:
    first, second = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
    _place(offline, first, second)
    policy = {**ONE, "POSTGRES_BACKUP_KEEP_LAST": "0", "POSTGRES_BACKUP_KEEP_DAILY": "5", "TZ": zone}
    lines = offline.run("prune", "--dry-run", env=policy).check().backups
    assert [line["reasons"] for line in lines] == [["daily 2026-11-21"], ["daily 2026-11-20"]]
    assert [line["created"] for line in lines] == ["2026-11-21T00:00:00Z", "2026-11-20T23:59:59Z"]


def test_sizes_beyond_32_bits(offline: Sandbox) -> None:
    sizes = [(1 << 31) - 1, 1 << 31, (1 << 32) + 1, 5_000_000_007, 123_456_789_012]
    names = _place(offline, *_days(len(sizes)))
    for name, size in zip(names, sizes, strict=True):
        os.truncate(offline.volume / name, size)
    outcome = offline.run("prune", env=ONE).check()
    assert [line["size_bytes"] for line in outcome.backups] == sizes
    assert outcome.result["freed_bytes"] == sum(sizes[1:])
    assert outcome.result["deleted"] == names[1:] or sorted(outcome.result["deleted"]) == sorted(names[1:])


def test_a_backup_goes_before_its_checksum_files(offline: Sandbox) -> None:
    """A prune that is killed leaves a checksum file without backup, never a backup that seems unchecked or complete."""
    names = _place(offline, *_days(4))
    for name in names:
        put(offline.volume / f"{name}.json", "{}\n")
    log = put(offline.tmp.parent / f"{offline.tmp.name}.removals", "")
    log.chmod(0o666)
    for name in ("rm", "unlink"):
        offline.shim(name, f"for word; do printf '%s\\n' \"$word\"; done >> '{log}'\nexec $real \"$@\"")
    if offline.combination.shell == "busybox":
        # busybox's shell may run its own rm, whatever the PATH; then there is nothing to check.
        offline.shim("rm", offline.shims.joinpath("rm").read_text().replace("exec $real", "exec /bin/rm"))
    offline.run("prune", env=ONE).check()
    removed = [Path(line).name for line in log.read_text().splitlines() if not line.startswith("-")]
    for name in names[1:]:
        assert removed.index(name) < removed.index(f"{name}.sha256") < removed.index(f"{name}.json")


def test_dying_in_the_middle_leaves_what_the_next_prune_finishes(offline: Sandbox) -> None:
    names = _place(offline, *_days(6))
    offline.shim(
        "rm",
        'for word; do case $word in *.sql.gz) $real -f "$word"; kill -9 $PPID; exit 1;; esac; done; exec $real "$@"',
    )
    before = snapshot(offline.volume)
    process = offline.start("prune", env=ONE)
    assert offline.finish(process).code != 0
    gone = set(before) - set(snapshot(offline.volume))
    assert len(gone) == 1 and gone <= {name.encode() for name in names[1:]}
    (offline.shims / "rm").unlink()
    for path in offline.tmp.iterdir():
        shutil.rmtree(path)
    for path in offline.volume.iterdir():
        os.utime(path, (1, 1))
    offline.run("prune", env=ONE).check()
    assert {path.name for path in offline.volume.iterdir()} == {names[0], f"{names[0]}.sha256", HISTORY}


def test_a_volume_that_refuses_deletion_fails_the_run(offline: Sandbox) -> None:
    names = _place(offline, *_days(3))
    os.chown(offline.volume, 0, 0)
    before = snapshot(offline.volume)
    outcome = offline.run("prune", env=ONE).check(1)
    assert snapshot(offline.volume) == before
    assert any(name in outcome.log for name in names[1:]), outcome.log


def test_two_at_once_agree(offline: Sandbox) -> None:
    names = _place(offline, *_days(30))
    processes = [offline.start("prune", env=ONE) for _ in range(3)]
    for process in processes:
        offline.finish(process).check()
    offline.assert_nothing_left()
    assert {path.name for path in offline.volume.iterdir()} == {names[0], f"{names[0]}.sha256", HISTORY}


def test_nothing_else_is_touched(offline: Sandbox) -> None:
    """Records, a young partial and what other programs keep on a share."""
    names = _place(offline, *_days(2))
    for name in (
        LAST_RUN, "last-run.json", f".{names[0]}.pod.partial", "@eaDir", "notes.txt", "postgres-backup", "-rf",
        f"{names[0]}.json.old", "other.history.jsonl", "other-2026-11-21-020000.sql.gz.json",
    ):  # fmt: skip
        put(offline.volume / name, "{}\n")
    give(offline.volume, offline.uid)
    before = snapshot(offline.volume)
    offline.run("prune", env=ONE).check()
    assert without(snapshot(offline.volume), HISTORY) == without(before, names[1], f"{names[1]}.sha256")


def test_the_dry_run_needs_no_permission_to_write(offline: Sandbox) -> None:
    names = _place(offline, *_days(3))
    os.chown(offline.volume, 0, 0)
    outcome = offline.run("prune", "--dry-run", env=ONE).check()
    assert sorted(outcome.result["deleted"]) == sorted(names[1:])
