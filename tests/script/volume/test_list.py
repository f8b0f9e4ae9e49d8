# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`list`: its output for a volume with any contents, without changes."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ..support.combinations import under_all
from ..support.sandbox import Sandbox
from ..support.volume import LAST_RUN, backup_name, give, put, put_backup, snapshot

pytestmark = under_all

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
BACKUP_KEYS = [
    "type", "name", "created", "size_bytes", "sha256", "state", "future", "verdict", "reasons",
    "manifest", "dumped", "missing", "left_out", "encrypted",
]  # fmt: skip
VOLUME_KEYS = {"type", "path", "source", "size_bytes", "free_bytes", "script_version", "policy", "last_run"}


def _name(sandbox: Sandbox, age_days: int = 0) -> str:
    return backup_name(sandbox.name, NOON - timedelta(days=age_days))


def test_an_empty_volume(offline: Sandbox) -> None:
    outcome = offline.run("list").check()
    (volume,) = outcome.objects
    assert set(volume) >= VOLUME_KEYS
    assert volume["type"] == "volume"
    assert volume["path"] == str(offline.volume)
    assert volume["last_run"] is None
    assert volume["policy"] == {
        "keep_last": 7, "keep_daily": 7, "keep_weekly": 0, "keep_monthly": 0, "keep_yearly": 0, "keep_within": "",
        "max_deletions": None,
    }  # fmt: skip


def test_one_line_for_each_backup_newest_first_then_the_volume(offline: Sandbox) -> None:
    for age in (3, 0, 2, 1):
        put_backup(offline.volume, _name(offline, age), checksum_file=age != 2)
    outcome = offline.run("list").check()
    assert [item["type"] for item in outcome.objects] == ["backup"] * 4 + ["volume"]
    assert [line["name"] for line in outcome.backups] == [_name(offline, age) for age in range(4)]
    assert [line["state"] for line in outcome.backups] == ["complete", "complete", "unchecked", "complete"]
    assert all(list(line) == BACKUP_KEYS for line in outcome.backups)


def test_it_says_what_a_dry_prune_says(offline: Sandbox) -> None:
    for age in range(12):
        put_backup(offline.volume, _name(offline, age), checksum_file=age % 4 != 3)
    before = snapshot(offline.volume)
    listed = offline.run("list").check()
    assert listed.backups == offline.run("prune", "--dry-run").check().backups
    assert {line["verdict"] for line in listed.backups} == {"keep", "delete"}
    assert snapshot(offline.volume) == before


@pytest.mark.parametrize(
    ("before", "after"), [("mv coming/* .", ":"), (":", "rm *06-01-120000.sql.gz*")], ids=["comes", "goes"]
)
def test_a_backup_that_comes_or_goes_meanwhile(offline: Sandbox, before: str, after: str) -> None:
    """Another run publishes or deletes it while its files are read."""
    coming = offline.volume / "coming"
    coming.mkdir()
    put_backup(offline.volume if after != ":" else coming, _name(offline))
    put_backup(offline.volume, _name(offline, 1))
    give(offline.volume, offline.uid)
    offline.shim("find", f'case $* in *"-exec stat"*) {before}; "$real" "$@"; {after}; exit;; esac; exec "$real" "$@"')
    outcome = offline.run("list").check()
    assert [line["state"] for line in outcome.backups] == ["complete", "complete"]
    assert {path.name for path in offline.volume.glob("*.sql.gz")} == {
        _name(offline, age) for age in ((0, 1) if after == ":" else (1,))
    }


@pytest.mark.parametrize(
    ("before", "after"), [("mv coming/* .", ":"), (":", "rm *06-01-120000.sql.gz*")], ids=["comes", "goes"]
)
def test_an_incomplete_backup_that_comes_or_goes_meanwhile(offline: Sandbox, before: str, after: str) -> None:
    """Without its manifest, it would seem to be complete."""
    coming = offline.volume / "coming"
    coming.mkdir()
    folder = offline.volume if after != ":" else coming
    name = _name(offline)
    put_backup(folder, name)
    summary = f'{{"format":1,"backup":"{name}","state":"incomplete","dumped":["a"],"missing":["b"],"left_out":false,'
    put(folder / f"{name}.json", f'{summary}\n"bytes":1}}\n')
    give(offline.volume, offline.uid)
    offline.shim("find", f'case $* in *"-exec stat"*) {before}; "$real" "$@"; {after}; exit;; esac; exec "$real" "$@"')
    (line,) = offline.run("list").check().backups
    assert (line["state"], line["dumped"], line["missing"]) == ("incomplete", ["a"], ["b"])


def test_a_manifest_with_many_databases(offline: Sandbox) -> None:
    """A thousand names of the longest kind, in escapes; the newest manifest misses them all."""
    names = [f"{number:04d}" + "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 29 for number in range(1000)]
    for age, (state, dumped, missing) in enumerate(
        [("incomplete", ["postgres"], names), ("complete", ["postgres"], []), ("complete", ["postgres", *names], [])]
    ):
        name = _name(offline, age)
        put_backup(offline.volume, name)
        lists = json.dumps({"dumped": dumped, "missing": missing}, separators=(",", ":"))[1:-1]
        put(
            offline.volume / f"{name}.json",
            f'{{"format":1,"backup":"{name}","state":"{state}",{lists},"left_out":false,\n',
        )
    newest, second, third = offline.run(
        "list", env={"POSTGRES_BACKUP_KEEP_LAST": "1", "POSTGRES_BACKUP_KEEP_DAILY": "1"}
    ).backups
    assert newest["missing"] == names and newest["reasons"] == ["incomplete, and no newer complete backup"]
    assert second["verdict"] == "keep"
    assert third["verdict"] == "keep" and third["reasons"] == [f"the newest that holds {name}" for name in names]


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 5_400_000_001, 2**40 + 3])
def test_sizes(offline: Sandbox, size: int) -> None:
    path = put_backup(offline.volume, _name(offline))
    os.truncate(path, size)
    (line,) = offline.run("list").check().backups
    assert line["size_bytes"] == size
    assert f'"size_bytes":{size},' in offline.run("list").out


@pytest.mark.parametrize("size", ["64k", "3g"])
def test_the_size_and_source_of_the_volume(offline: Sandbox, size: str) -> None:
    source = "nas.local:/volume1/home lab"
    offline.workspace.mount_tmpfs(offline.volume, size, source)
    try:
        put(offline.volume / "something", b"x" * 10_000)
        (line,) = offline.run("list").check().objects
        status = os.statvfs(offline.volume)
    finally:
        offline.workspace.unmount(offline.volume)
    assert line["source"] == source
    assert line["size_bytes"] == status.f_blocks * status.f_frsize
    assert line["free_bytes"] == status.f_bavail * status.f_frsize


@pytest.mark.parametrize("state", ["succeeded", "failed", "running"])
def test_the_last_run_is_passed_on(offline: Sandbox, state: str) -> None:
    text = f'{{"state":"{state}","attempts":2,"reason":"it said \\"no\\", \\\\ é","skipped_databases":["a b"]}}\n'
    put(offline.volume / LAST_RUN, text)
    (line,) = offline.run("list").check().objects
    assert line["last_run"] == {
        "state": state, "attempts": 2, "reason": 'it said "no", \\ é', "skipped_databases": ["a b"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{",
        b'{"state":"running"',
        b'{"state":"run\n',
        b"rubbish",
        b"\0" * 50,
        b"null\n",
        b"[]\n",
    ],
    ids=repr,
)
def test_a_last_run_that_was_cut_or_is_rubbish(offline: Sandbox, content: bytes) -> None:
    """A crash or a full volume can leave any text; the listing remains readable and contains the backups."""
    put(offline.volume / LAST_RUN, content)
    put_backup(offline.volume, _name(offline))
    outcome = offline.run("list").check()
    assert len(outcome.backups) == 1
    assert outcome.result["last_run"] is None


def test_a_last_run_with_bytes_that_are_no_text(offline: Sandbox) -> None:
    """Left out or made readable: what is printed is valid JSON all the same."""
    put(offline.volume / LAST_RUN, b'{"state":"\xff"}\n')
    put_backup(offline.volume, _name(offline))
    assert len(offline.run("list").check().objects) == 2


@pytest.mark.parametrize(
    "first_line",
    [
        b'"quoted"', b"back\\slash", b"tab\there", b"bell\a escape\x1b[31m", b"return\r", b"not utf-8 \xff\xfe",
        b"cut utf-8 \xc3", "ünï 💾".encode(), b"", b"x" * 100_000, b"%s %d %n $(id) `id`", b"</script>", b"\x7f",
    ],
    ids=lambda line: repr(line[:12]),
)  # fmt: skip
def test_any_reason_of_damage_gives_valid_json(offline: Sandbox, first_line: bytes) -> None:
    put_backup(offline.volume, _name(offline), checksum_file=False)
    put(offline.volume / f"{_name(offline)}.damaged", first_line + b"\nsecond line\n")
    (line,) = offline.run("list").check().backups
    assert line["state"] == "damaged"
    (reason,) = line["reasons"]
    assert reason.startswith("damaged: ") or (reason == "damaged:" and not first_line)
    assert "second line" not in reason


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [_fifo, _folder, _endless, _dangling])
@pytest.mark.parametrize("suffix", ["", ".sha256", ".damaged", ".keep"])
def test_what_is_no_file_is_not_waited_for(offline: Sandbox, suffix: str, make: object) -> None:
    assert callable(make)
    if suffix:
        put_backup(offline.volume, _name(offline), checksum_file=False)
    make(offline.volume / f"{_name(offline)}{suffix}")
    make(offline.volume / LAST_RUN)
    outcome = offline.run("list", timeout=20).check()
    assert len(outcome.backups) == (1 if suffix else 0)
    assert all(line["state"] != "complete" for line in outcome.backups)


def test_a_name_is_no_pattern(offline: Sandbox) -> None:
    """The dot in a name that Kubernetes allows stands for itself."""
    put_backup(offline.volume, "pgXbackup-2025-06-01-120000.sql.gz")
    put_backup(offline.volume, "pg.backup-2025-06-01-120000.sql.gz")
    lines = offline.run("list", env={"POSTGRES_BACKUP_NAME": "pg.backup"}).check().backups
    assert [line["name"] for line in lines] == ["pg.backup-2025-06-01-120000.sql.gz"]


@pytest.mark.parametrize("folder", ["a folder", "it's", 'a "b"', "back\\slash", "$HOME", "ünï", "-dash", "*"])
def test_any_path_of_the_volume(offline: Sandbox, folder: str) -> None:
    volume = offline.volume / folder
    volume.mkdir()
    put_backup(volume, _name(offline))
    outcome = offline.run("list", env={"POSTGRES_BACKUP_DIR": str(volume)}).check()
    assert [line["name"] for line in outcome.backups] == [_name(offline)]
    assert outcome.result["path"] == str(volume)


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"TZ": "America/St_Johns"}], ids=str)
def test_locale_and_time_zone_change_nothing(offline: Sandbox, environment: dict[str, str | None]) -> None:
    for age in range(9):
        put_backup(offline.volume, _name(offline, age))
    put(Path(os.fsdecode(os.fsencode(offline.volume) + b"/\xff\xfe")), "")
    assert offline.run("list", env=environment).check().backups == offline.run("list").check().backups


def test_it_needs_no_permission_to_write(offline: Sandbox) -> None:
    put_backup(offline.volume, _name(offline))
    os.chown(offline.volume, 0, 0)
    before = snapshot(offline.volume)
    assert len(offline.run("list").check().backups) == 1
    assert snapshot(offline.volume) == before


def test_a_volume_that_is_not_there(offline: Sandbox) -> None:
    shutil.rmtree(offline.volume)
    outcome = offline.run("list")
    assert outcome.code in (1, 2) and outcome.out == ""
    assert str(offline.volume) in outcome.log
    offline.volume.mkdir()


def test_a_volume_that_may_not_be_read(offline: Sandbox) -> None:
    """An empty list would say that there are no backups."""
    put_backup(offline.volume, _name(offline))
    os.chown(offline.volume, 0, 0)
    offline.volume.chmod(0o311)
    outcome = offline.run("list")
    assert outcome.code in (1, 2) and outcome.backups == []
    assert str(offline.volume) in outcome.log
    offline.volume.chmod(0o755)


def test_backups_of_another_owner_are_listed(offline: Sandbox) -> None:
    put_backup(offline.volume, _name(offline))
    give(offline.volume, 4242)
    assert [line["state"] for line in offline.run("list").check().backups] == ["complete"]
