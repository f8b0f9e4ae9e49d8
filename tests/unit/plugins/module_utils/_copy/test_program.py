# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The program of the copies as a process, with the real script and real stores on this machine.

Their faults are in tests/script/test_copy_faults.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._progress.event import parse_event
from tests.copy_program import NAME, Copier, install, place_of
from tests.in_turn import weekly
from tests.stores.copy_bench import QUICK
from tests.stores.http_proxy import HttpProxy, Request, Rule
from tests.stores.loopback import minio_server, rclone, sftp_server
from tests.stores.servers import S3Store, SftpStore
from tests.watch_program import PACKAGE

CLAIM = {"kind": "claim", "name": "usb", "options": {"folder": "of/this installation"}}
MIB = 1 << 20
LARGE = 6 * MIB
OTHER_HOST = "nas ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMLw8Uq1wKcNqVdGZ9b8s8K0m3ce2nCuSkGAbXJSh5nF\n"


@pytest.fixture
def usb(tmp_path: Path, code: Path) -> Copier:
    """A claim as the place."""
    return install(tmp_path, rclone(), dict(CLAIM), code=code)


@pytest.fixture(scope="module")
def locking_store() -> Iterator[S3Store]:
    with minio_server() as found:
        found.make_bucket("backups")
        found.make_bucket("locked", locked=True)
        yield found


def s3_place(store: S3Store, folder: str, bucket: str = "backups", **values: Any) -> dict[str, Any]:
    options = {"endpoint": store.url, "bucket": bucket, "folder": folder, "provider": store.provider}
    return {"kind": "s3", "name": "offsite", "options": options, **values}


def s3_keys(store: S3Store) -> dict[str, str]:
    return {"access_key_id": store.access_key, "secret_access_key": store.secret_key}


@pytest.fixture
def offsite(tmp_path: Path, code: Path, store: S3Store) -> Copier:
    """An S3 server of rclone as the place."""
    copier = install(tmp_path, rclone(), s3_place(store, tmp_path.name), code=code)
    copier.add_secret(s3_keys(store))
    return copier


def there(copier: Copier) -> Path:
    return copier.mount() / "of/this installation"


def test_a_claim(usb: Copier) -> None:
    """Backup, manifest and checksum file lie there, and a second attempt has nothing to do."""
    names = [usb.add_backup(days, f"content {days}".encode(), "complete") for days in (0, 1)]
    result = usb.run()
    assert (result["status"], place_of(result)["state"], place_of(result)["copied"]) == (0, "copied", names)
    assert usb.copies("usb") == names
    for name in (each for backup in names for each in (backup, f"{backup}.json", f"{backup}.sha256")):
        assert (there(usb) / name).read_bytes() == (usb.volume / name).read_bytes()
    # Who may not read the backups on the volume may not read their copies either.
    files, folders = list(there(usb).iterdir()), [there(usb), there(usb).parent]
    assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o640"] * 6
    assert [oct(path.stat().st_mode & 0o777) for path in folders] == ["0o750"] * 2
    assert json.loads((usb.folder / "termination-log").read_text()) == {
        key: value for key, value in result.items() if key not in ("status", "log")
    }
    before = usb.record("usb")
    again = usb.run()
    assert (place_of(again)["state"], usb.record("usb")["copies"]) == ("nothing_to_do", before["copies"])


@pytest.mark.parametrize("inside", ["", "copies/here"])
@pytest.mark.parametrize("mounted", ["", "one folder above"])
def test_the_backup_volume_under_another_name_is_no_place(usb: Copier, mounted: str, inside: str) -> None:
    """As two PersistentVolumes of one share are, or a share that has the backup volume as a folder."""
    name = usb.add_backup(1)
    usb.mount().rmdir()
    usb.mount().symlink_to(usb.volume.parent if mounted else usb.volume)
    folder = "/".join(part for part in (mounted and usb.volume.name, inside) if part)
    usb.places[0]["options"] = {**usb.places[0]["options"], "folder": folder}
    result = usb.run()
    assert (result["status"], result["places"][0]["state"]) == (1, "failed")
    assert "expected another folder than that of the backups" in result["places"][0]["error"]
    assert (f", in its folder {inside}" in result["places"][0]["error"]) == bool(inside)
    assert (usb.volume / name).exists()


def test_only_proven_backups_are_copied(usb: Copier) -> None:
    name = usb.add_backup(1)
    (usb.volume / f"{usb.add_backup(2)}.sha256").unlink()
    (usb.volume / f"{usb.add_backup(3)}.sha256").write_text("")
    usb.add_backup(-2)
    usb.run()
    assert usb.copies("usb") == [name]


def test_retention_of_the_place(usb: Copier) -> None:
    """Its policy, not the volume's; what the volume has deleted is kept there."""
    usb.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    names = [usb.add_backup(days) for days in (3, 2, 1)]
    usb.run()
    assert usb.copies("usb") == names[:0:-1]
    (usb.volume / names[1]).unlink()
    newest = usb.add_backup(0)
    result = usb.run()
    assert place_of(result)["deleted"] == [names[1]]
    assert usb.copies("usb") == [newest, names[2]]
    assert sorted(path.name for path in there(usb).glob("*.sql.gz*")) == sorted(
        each for name in (newest, names[2]) for each in (name, f"{name}.sha256")
    )


def lose_volume(copier: Copier) -> None:
    for path in copier.volume.glob(f"{NAME}-*"):
        path.unlink()


def test_what_somebody_keeps(usb: Copier) -> None:
    """It is copied and kept there, also after a loss of the volume; when it is brought back, too. Until it is not."""
    usb.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    kept = usb.add_backup(30, b"kept")
    (usb.volume / f"{kept}.keep").write_text("before the migration\n")
    names = [usb.add_backup(days) for days in (9, 8)]
    usb.run()
    assert usb.copies("usb") == [*names[::-1], kept]
    lose_volume(usb)
    for days in (4, 3):
        names.append(usb.add_backup(days))
        usb.run()
    assert usb.copies("usb") == [*names[:1:-1], kept]
    assert usb.run("retrieve", "usb", kept)["status"] == 0
    assert (usb.volume / f"{kept}.keep").exists()
    (usb.volume / f"{kept}.keep").unlink()
    assert place_of(usb.run())["deleted"] == [kept]
    assert not [path.name for path in there(usb).iterdir() if path.name.startswith(kept)]


def test_what_somebody_keeps_while_it_is_copied_to_the_volume_by_hand(usb: Copier) -> None:
    """A part of it without a checksum file does not mean that nobody keeps it any more."""
    usb.places[0]["policy"] |= {"keep_last": 1, "keep_daily": 0}
    kept = usb.add_backup(30, b"kept")
    (usb.volume / f"{kept}.keep").touch()
    there(usb).mkdir(parents=True)
    for path in usb.volume.glob(f"{kept}*"):
        path.rename(there(usb) / path.name)
    newest = usb.add_backup(2)
    (usb.volume / kept).write_bytes(b"ke")
    assert (place_of(usb.run())["deleted"], usb.copies("usb")) == ([], [newest, kept])


def test_another_installation_of_the_same_name_in_the_same_folder(usb: Copier) -> None:
    """Its copies are not called copies of this one, take no slot of its retention, and are not deleted by it."""
    usb.places[0]["policy"] |= {"keep_last": 1, "keep_daily": 0}
    own = usb.add_backup(3, state="complete")
    usb.run()
    foreign = usb.add_backup(1, b"of another", "complete")
    for path in usb.volume.glob(f"{foreign}*"):
        path.rename(there(usb) / path.name)
    for _again in range(2):
        result = place_of(usb.run())
        assert (result["state"], usb.copies("usb")) == ("nothing_to_do", [own])
        assert f"copies that this installation has not made: {foreign}. They are left alone" in result["findings"][0]
    newest = usb.add_backup(2, state="complete")
    assert place_of(usb.run())["deleted"] == [own]
    assert usb.copies("usb") == [newest] and (there(usb) / foreign).exists()

    (usb.volume / newest).unlink()
    refused = usb.run("retrieve", "usb")["reason"]
    assert f"to be of this installation, found {foreign}, which its record does not have" in refused
    assert f"The newest one that it has is {newest}. Name the backup that you want" in refused
    assert usb.run("retrieve", "usb", newest)["changed"] is True


@pytest.mark.weekly
def test_copies_that_were_moved_to_another_claim_are_proven_again(usb: Copier) -> None:
    """They may have been damaged on the way, and have the same times."""
    names = [usb.add_backup(days) for days in (1, 2)]
    usb.places[0]["options"] = {"claim_name": "usb", "folder": "of/this installation"}
    usb.run()
    moved = there(usb) / names[1]
    times = moved.stat()
    moved.write_bytes(b"damaged")
    os.utime(moved, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert place_of(usb.run())["state"] == "nothing_to_do"
    usb.places[0]["options"] = {"claim_name": "nas", "folder": "of/this installation"}
    result = place_of(usb.run())
    assert result["copied"] == names and f"{names[1]} is damaged or was changed" in result["findings"][0]
    assert moved.read_bytes() == b"content" and place_of(usb.run())["state"] == "nothing_to_do"


@pytest.mark.parametrize("is_retrieval", [False, True])
def test_a_place_that_gets_a_name_again_that_it_had_earlier(usb: Copier, is_retrieval: bool) -> None:
    """What it got under the other name is of this installation, also if the volume does not have it any more.

    And what retention has deleted meanwhile is not missed.
    """
    usb.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    names = [usb.add_backup(4)]
    for name in ("usb", "disk"):
        usb.places[0]["name"] = name
        names.insert(0, usb.add_backup(4 - len(names)))
        assert usb.run()["status"] == 0
    lose_volume(usb)
    foreign = usb.add_backup(1, b"of another")
    for path in usb.volume.glob(f"{foreign}*"):
        path.rename(there(usb) / path.name)
    # It is written in the second in which the other one was.
    change_record(usb, time=days_away(-1))
    usb.places[0]["name"] = "usb"
    if is_retrieval:
        assert f"The newest one that it has is {names[0]}." in usb.run("retrieve", "usb")["reason"]
        return
    for _again in range(2):
        (finding,) = place_of(usb.run())["findings"]
        assert f"copies that this installation has not made: {foreign}. They are left alone" in finding
        assert usb.copies("usb") == names[:2]


def test_copies_of_which_a_part_was_moved_to_another_claim(usb: Copier) -> None:
    """The move was interrupted, with the checksum files there or not: nothing was proven there, or has changed."""
    names = [usb.add_backup(days) for days in (1, 2)]
    usb.run()
    usb.places[0]["options"] = {**usb.places[0]["options"], "claim_name": "nas"}
    for name in names:
        (there(usb) / name).write_bytes(b"con")
    (there(usb) / f"{names[1]}.sha256").unlink()
    result = place_of(usb.run())
    assert result["copied"] == names and (there(usb) / names[0]).read_bytes() == b"content"
    assert result["findings"] == [f"{names[0]} is shorter than the backup: expected 7 bytes, found 3"]


@pytest.mark.weekly
def test_a_folder_that_is_away_and_comes_back(usb: Copier) -> None:
    """As with a disk that is not mounted at the server for a time: what only the place has remains of this one."""
    names = [usb.add_backup(days) for days in (1, 2)]
    usb.run()
    (usb.volume / names[1]).unlink()
    away = there(usb).rename(usb.mount() / "away")
    assert place_of(usb.run())["copied"] == names[:1]
    for path in away.iterdir():
        path.replace(there(usb) / path.name)
    assert (place_of(usb.run())["findings"], usb.copies("usb")) == ([], names)


@pytest.mark.weekly
def test_the_brake_holds_back_deletions(usb: Copier) -> None:
    for days in range(9, 0, -1):
        usb.add_backup(days)
    usb.places[0]["policy"] |= {"keep_last": 9, "keep_daily": 0}
    usb.run()
    usb.places[0]["policy"] |= {"keep_last": 1}
    result = place_of(usb.run())
    assert result["deleted"] == [] and "would delete 8 copies at once" in result["findings"][0]
    assert len(usb.copies("usb")) == 9


def change_record(copier: Copier, **values: Any) -> None:
    (copier.records / "usb.json").write_text(json.dumps({**copier.record("usb"), **values}, separators=(",", ":")))


def days_away(days: float) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def closing_window(method: str, name: str) -> str:
    """Changes of the program: the window closes when a method of the place is called for a file of this backup."""
    return f"""
from {PACKAGE.replace("/", ".")}._copy.faults import WindowClosedError
{method} = program.RclonePlace.{method}
def until_closed(self, name, *others):
    if name.startswith({name!r}):
        raise WindowClosedError
    return {method}(self, name, *others)
program.RclonePlace.{method} = until_closed
"""


def test_the_brake_does_not_hold_after_an_outage_of_the_place(usb: Copier) -> None:
    """What was made meanwhile is copied at once, and explains the deletions. It explains no other policy."""
    usb.places[0]["policy"] |= {"keep_last": 7, "keep_daily": 0}
    old = [usb.add_backup(days) for days in range(18, 11, -1)]
    usb.run()
    change_record(usb, judged=None, last_success=days_away(-11.5))
    for days in range(11, 4, -1):
        usb.add_backup(days)
    # The window closes while they are deleted.
    usb.changes = closing_window("delete", old[3])
    assert place_of(usb.run())["deleted"] == old[:3]
    usb.changes = ""
    result = place_of(usb.run())
    assert (result["deleted"], result["findings"]) == (old[3:], [])
    # Retention was applied since the last success.
    change_record(usb, judged=days_away(-4.5), last_success=days_away(-60))
    for days in range(4):
        usb.add_backup(days)
    usb.places[0]["policy"] |= {"keep_last": 1}
    result = place_of(usb.run())
    assert result["deleted"] == [] and "would delete 7 copies at once" in result["findings"][0]


def test_the_brake_does_not_count_what_is_locked(usb: Copier) -> None:
    """As where lock_days is longer than retention. After an outage, many locks have ended."""
    usb.places[0]["policy"] |= {"keep_last": 14, "keep_daily": 0}
    names = [usb.add_backup(days) for days in range(14, 0, -1)]
    usb.run()
    copies = usb.record("usb")["copies"]
    # From the newest on: the oldest one is locked for another hour.
    locks = [{**copy, "locked_until": days_away(13 - number + 1 / 24)} for number, copy in enumerate(copies)]
    change_record(usb, copies=locks, judged=days_away(400))  # by a wrong clock
    usb.places[0]["policy"] |= {"keep_last": 3}
    result = place_of(usb.run())
    assert (result["deleted"], result["findings"]) == ([], [])
    locks = [{**copy, "locked_until": days_away(6 - number - 1 / 24)} for number, copy in enumerate(copies)]
    change_record(usb, copies=locks, judged=days_away(-8))
    result = place_of(usb.run())
    assert (result["deleted"], result["findings"]) == (names[:8], [])


def change(path: Path) -> None:
    """The same size, another content."""
    path.write_bytes(path.read_bytes()[::-1])


def test_a_finding_is_shown_for_a_day(usb: Copier) -> None:
    name = usb.add_backup(1, b"content 1")
    usb.run()
    change(there(usb) / name)
    findings = place_of(usb.run())["findings"]
    assert len(findings) == 1
    assert place_of(usb.run())["state"] == "nothing_to_do"
    assert usb.record("usb")["findings"] == findings


def test_a_backup_that_was_replaced_on_the_volume_has_no_copy(usb: Copier) -> None:
    """Neither is overwritten with the other one: somebody has to say which is the right one."""
    names = [usb.add_backup(days, b"content %d" % days) for days in (1, 2)]
    usb.run()
    (usb.volume / names[1]).write_bytes(b"another content")
    digest = hashlib.sha256(b"another content").hexdigest()
    (usb.volume / f"{names[1]}.sha256").write_text(f"{digest}  {names[1]}\n")
    before = usb.record("usb")["last_success"]
    for _look in range(2):
        (finding,) = place_of(usb.run())["findings"]
        assert f"{names[1]} differs from the backup of this name on the volume" in finding
        assert usb.copies("usb") == names[:1] and usb.record("usb")["last_success"] == before
    assert (there(usb) / names[1]).read_bytes() == b"content 2"


@pytest.mark.weekly
def test_a_copy_with_another_time_is_read_again(usb: Copier) -> None:
    """It is not uploaded again."""
    name = usb.add_backup(1, b"content 1")
    usb.run()
    os.utime(there(usb) / name, (1, 1))
    result = place_of(usb.run())
    assert (result["copied"], result["bytes"], result["findings"]) == ([name], 0, [])


def test_a_damaged_backup_on_the_volume_is_never_a_copy(usb: Copier) -> None:
    """It keeps no other backup from being copied, and retention from being applied."""
    usb.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    old = [usb.add_backup(days) for days in (4, 3)]
    usb.run()
    name, other = usb.add_backup(1, b"content 1"), usb.add_backup(2)
    change(usb.volume / name)
    usb.places[0]["policy"] |= {"keep_last": 3}
    result = usb.run()
    assert result["status"] == 1
    assert f"{name} on the volume is damaged: expected the sha256" in result["reason"]
    assert usb.copies("usb") == [other, old[1], old[0]]
    assert not [path for path in there(usb).iterdir() if path.name.startswith(name)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_backup_that_is_deleted_on_the_volume_during_the_attempt(usb: Copier, moment: str) -> None:
    """As by retention, before or after its own upload: the attempt succeeds, and the others are copied."""
    usb.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    old, oldest = usb.add_backup(3), usb.add_backup(4)
    usb.run()
    new, gone = [usb.add_backup(days, state="complete") for days in (1, 2)]
    usb.changes = "from pathlib import Path\nRclonePlace = program.RclonePlace\n"
    usb.changes += f"upload, gone = RclonePlace.upload, {str(usb.volume / gone)!r}\n"
    usb.changes += "def upload_once(self, name, *others):\n"
    usb.changes += "    def delete():\n"
    usb.changes += "        if gone.endswith(name):\n"
    usb.changes += "            [Path(gone + end).unlink(missing_ok=True) for end in ('', '.sha256', '.json')]\n"
    calls = ("delete()", "found = upload(self, name, *others)")
    usb.changes += "".join(f"    {call}\n" for call in (calls if moment == "before" else calls[::-1]))
    usb.changes += "    return found\nRclonePlace.upload = upload_once\n"
    result = usb.run()
    assert (result["status"], place_of(result)["copied"], place_of(result)["deleted"]) == (0, [new], [oldest])
    assert f"{gone} was deleted on the volume meanwhile: it is not copied" in result["log"]
    assert usb.copies("usb") == [new, old]


def test_what_somebody_keeps_when_the_volume_is_lost_during_the_attempt(usb: Copier) -> None:
    usb.places[0]["policy"] |= {"keep_last": 1, "keep_daily": 0}
    kept = usb.add_backup(30)
    (usb.volume / f"{kept}.keep").touch()
    usb.run()
    newest = usb.add_backup(1)
    usb.changes = f"""
from pathlib import Path
upload = program.RclonePlace.upload
def upload_and_lose(self, *others):
    found = upload(self, *others)
    [path.unlink() for path in Path({str(usb.volume)!r}).glob("{NAME}-*")]
    return found
program.RclonePlace.upload = upload_and_lose
"""
    usb.run()
    usb.changes = ""
    assert (there(usb) / f"{kept}.keep").exists() and not (there(usb) / f"{newest}.sha256").exists()
    assert (place_of(usb.run())["deleted"], usb.copies("usb")) == ([], [kept])


def test_an_attempt_that_is_killed_does_not_end_a_failure(usb: Copier) -> None:
    """A place that fails each time would seem to recover in between."""
    names = [usb.add_backup(days) for days in (1, 2)]
    failed = {"error": "the server refused the connection", "failing_since": days_away(-2)}
    (usb.records / "usb.json").write_text(json.dumps({"format": 1, "place": "usb", "state": "failed", **failed}))
    usb.changes = closing_window("upload", names[1]).replace("raise WindowClosedError", "os._exit(9)")
    assert usb.start().wait() == 9
    assert (usb.record("usb")["state"], usb.copies("usb")) == ("copying", names[:1])
    assert usb.record("usb") | failed == usb.record("usb")


def test_a_window_that_closes_after_a_backup_that_cannot_be_copied(usb: Copier) -> None:
    damaged, name = usb.add_backup(1), usb.add_backup(2)
    (usb.volume / damaged).write_bytes(b"changed")
    usb.changes = closing_window("upload", name)
    result = usb.run()
    assert (result["status"], place_of(result)["state"]) == (1, "failed")
    assert f"{damaged} on the volume is damaged" in usb.record("usb")["error"]


def test_attempts_that_fail_do_not_fill_the_place(usb: Copier) -> None:
    """What cannot be read back is deleted, and what attempts have left that were killed, though nothing is copied."""
    name = usb.add_backup(1)
    usb.changes = f"""
from {PACKAGE.replace("/", ".")}._copy import place
steps.PAUSES_SECONDS = (0.0,)
def read_flushed(path, add):
    raise OSError(5, "Input/output error")
place.read_flushed = read_flushed
"""
    there(usb).mkdir(parents=True)
    killed = there(usb) / f"{name}.01234567.partial"
    killed.touch()
    os.utime(killed, (0, 0))
    assert "could not read" in place_of(usb.run())["error"]
    assert list(there(usb).iterdir()) == []


@pytest.mark.parametrize("activity", ["copy", "read_copy"])
def test_a_sign_of_life_that_the_volume_does_not_take_is_no_fault_of_the_place(usb: Copier, activity: str) -> None:
    """It is shown, and the attempt continues. The fakes: the volume is full meanwhile, and no time is between two."""
    name = usb.add_backup(1, os.urandom(LARGE))
    usb.places[0]["bandwidth_bytes"] = LARGE // 3
    usb.changes = f"""
import errno
from contextlib import contextmanager
from datetime import timedelta
steps._HEARTBEAT = timedelta(0)
progress, write, transferring = steps.Steps.progress, program.RecordFolder.write, []
@contextmanager
def during_transfer():
    transferring.append(True)
    try:
        yield
    finally:
        transferring.pop()
def progress_of(self, activity, *others):
    show = progress(self, activity, *others)
    return during_transfer()(show) if activity == {activity!r} else show
def write_if_there_is_space(self, *others):
    if transferring:
        raise OSError(errno.ENOSPC, "No space left on device")
    write(self, *others)
steps.Steps.progress, program.RecordFolder.write = progress_of, write_if_there_is_space
"""
    result = usb.run()
    assert (result["status"], place_of(result)["error"], usb.copies("usb")) == (0, None, [name]), result["log"]
    assert "WARNING: its record: the backup volume is full" in result["log"]
    assert "Traceback" not in result["log"]


def test_a_full_backup_volume_does_not_keep_the_newest_backup_from_its_place(usb: Copier) -> None:
    """The attempt fails, since nothing can be recorded. The fake: the volume is full."""
    name = usb.add_backup(1)
    usb.changes = """
import errno
def write(self, *others):
    raise OSError(errno.ENOSPC, "No space left on device")
program.RecordFolder.write = write
"""
    result = usb.run()
    assert result["status"] == 1 and "WARNING: its record: the backup volume is full" in result["log"]
    assert {path.name for path in there(usb).iterdir()} == {name, f"{name}.sha256"}
    usb.changes = ""
    assert usb.run()["status"] == 0 and usb.copies("usb") == [name]


def test_a_lost_record_means_new_proofs(usb: Copier) -> None:
    """Also of what only the place still has."""
    names = [usb.add_backup(days, b"content %d" % days) for days in (1, 2)]
    usb.run()
    (usb.records / "usb.json").unlink()
    (usb.volume / names[1]).unlink()
    result = place_of(usb.run())
    assert (usb.copies("usb"), result["bytes"]) == (names, 0)
    (usb.records / "usb.json").write_text("{")
    change(there(usb) / names[1])
    result = place_of(usb.run())
    assert usb.copies("usb") == names[:1]
    assert [names[1] in found and "does not have it any more" in found for found in result["findings"]] == [True]


def test_a_damaged_copy_that_nothing_can_mend(usb: Copier) -> None:
    """It is not a copy any more: it is not read at each look, costs no good copy its slot, and is not brought back."""
    usb.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    good, damaged = [usb.add_backup(days, b"content %d" % days) for days in (9, 8)]
    usb.run()
    change(there(usb) / damaged)
    lose_volume(usb)
    assert [f"{damaged} is damaged" in found for found in place_of(usb.run())["findings"]] == [True]
    assert "reading" not in usb.run()["log"]
    newest = usb.add_backup(1)
    assert place_of(usb.run())["deleted"] == []
    assert usb.copies("usb") == [newest, good]
    (usb.volume / newest).unlink()
    (there(usb) / newest).unlink()
    assert usb.run("retrieve", "usb")["backup"] == good


@pytest.mark.weekly
def test_a_copy_that_was_read_wrongly_once_remains_one(usb: Copier) -> None:
    """As by a node with bad memory. The fake is that the file is intact again when the copy is read the second time."""
    name = usb.add_backup(1, b"content 1")
    usb.run()
    change(there(usb) / name)
    for path in [*usb.volume.glob(f"{NAME}-*"), usb.records / "usb.json"]:
        path.unlink()
    usb.changes = "from ansible_collections.homelab.postgres_backup.plugins.module_utils._copy import place\n"
    usb.changes += "read = place.read_flushed\n"
    usb.changes += "def read_flushed(path, add):\n    read(path, add)\n    path.write_bytes(path.read_bytes()[::-1])\n"
    usb.changes += "place.read_flushed = read_flushed\n"
    usb.run()
    assert (there(usb) / f"{name}.sha256").exists()


@pytest.mark.weekly
def test_old_proofs_are_renewed(usb: Copier) -> None:
    name = usb.add_backup(1, b"content 1")
    usb.run()
    path = usb.records / "usb.json"
    record = json.loads(path.read_text())
    record["copies"][0]["proven"] = f"{datetime.now(UTC) - timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}"
    path.write_text(json.dumps(record))
    times = (there(usb) / name).stat()
    usb.run()
    assert usb.record("usb")["copies"][0]["proven"][:10] == f"{datetime.now(UTC):%Y-%m-%d}"
    # The listing is the same, the content is not.
    path.write_text(json.dumps(record))
    change(there(usb) / name)
    os.utime(there(usb) / name, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "was damaged there since" in place_of(usb.run())["findings"][0]
    assert usb.copies("usb") == []
    usb.run()
    assert usb.copies("usb") == [name]


def hold_back(copier: Copier) -> list[str]:
    """Copies of six backups of which retention would delete four, if the brake did not hold them back; newest first."""
    names = [copier.add_backup(days, f"content {days}".encode(), "complete") for days in range(6)]
    copier.run()
    copier.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0, "max_deletions": 1}
    assert "retention would delete 4 copies at once" in copier.run()["log"]
    assert copier.copies("usb") == names
    return names


def test_a_copy_that_is_held_back_is_proven_again(usb: Copier) -> None:
    """It lies there and counts, whatever retention would do."""
    names = hold_back(usb)
    os.utime(there(usb) / names[4])
    result = usb.run()
    assert place_of(result)["copied"] == [names[4]] and f"proven: {names[4]}" in result["log"]
    assert usb.copies("usb") == names


def test_a_copy_that_is_held_back_and_damaged(usb: Copier) -> None:
    names = hold_back(usb)
    (usb.volume / names[5]).unlink()
    (there(usb) / names[5]).write_bytes(b"CONTENT 5")
    result = usb.run()
    assert f"{names[5]} is damaged or was changed: expected the sha256 " in result["log"]
    assert usb.copies("usb") == names[:5] and not (there(usb) / f"{names[5]}.sha256").exists()
    # What retention would not keep is not copied because of it.
    assert place_of(usb.run())["copied"] == []


def make_proofs_old(copier: Copier) -> None:
    old = days_away(-31)
    change_record(copier, copies=[{**copy, "proven": old} for copy in copier.record("usb")["copies"]])


def proofs_of_today(copier: Copier) -> list[str]:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return [copy["backup"] for copy in copier.record("usb")["copies"] if copy["proven"][:10] == today]


def test_an_old_proof_is_renewed_by_an_attempt_that_copies(usb: Copier) -> None:
    """Each one may have something to copy, as where there is one in each night. It reads one copy again."""
    old = [usb.add_backup(days) for days in (3, 4)]
    usb.run()
    make_proofs_old(usb)
    new = usb.add_backup(1)
    assert place_of(usb.run())["copied"] == [new]
    assert proofs_of_today(usb) == [new, old[0]]
    assert place_of(usb.run())["copied"] == []
    assert proofs_of_today(usb) == [new, *old]


def test_an_old_proof_delays_nothing_else_when_the_window_closes(usb: Copier) -> None:
    usb.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    old, oldest = [usb.add_backup(days) for days in (3, 4)]
    usb.run()
    make_proofs_old(usb)
    new = usb.add_backup(1)
    usb.changes = closing_window("read", old)
    result = usb.run()
    assert (result["status"], place_of(result)["state"]) == (0, "copied")
    assert (place_of(result)["copied"], place_of(result)["deleted"]) == ([new], [oldest])
    assert proofs_of_today(usb) == [new] and usb.record("usb")["last_success"] is not None


def test_an_old_proof_is_renewed_although_one_backup_cannot_be_copied(usb: Copier) -> None:
    name = usb.add_backup(1)
    usb.run()
    record = usb.record("usb")
    record["copies"][0]["proven"] = f"{datetime.now(UTC) - timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}"
    (usb.records / "usb.json").write_text(json.dumps(record, separators=(",", ":")))
    damaged = usb.add_backup(0)
    (usb.volume / damaged).write_bytes(b"CONTENT")
    result = usb.run()
    assert (result["status"], place_of(result)["copied"]) == (1, []) and "on the volume is damaged" in result["reason"]
    assert f"reading {name} again" in result["log"]
    assert usb.record("usb")["copies"][0]["proven"][:10] == f"{datetime.now(UTC):%Y-%m-%d}"


def test_a_closed_window(usb: Copier) -> None:
    usb.add_backup(1)
    now = datetime.now(UTC)
    hours = [f"{now + timedelta(hours=after):%H:00}" for after in (2, 3)]
    usb.places[0]["window"] = "-".join(hours)
    result = usb.run()
    assert (result["status"], place_of(result)["state"]) == (0, "outside_window")
    assert usb.record("usb")["state"] == "outside_window" and usb.copies("usb") == []
    assert (usb.record("usb")["error"], usb.record("usb")["failing_since"]) == (None, None)


def test_a_closed_window_after_an_attempt_that_has_failed(usb: Copier) -> None:
    """During the day, it is still known why the place has got nothing in the night."""
    now = datetime.now(UTC)
    failed = {"error": "the server refused the connection", "failing_since": days_away(-2)}
    (usb.records / "usb.json").write_text(json.dumps({"format": 1, "place": "usb", "state": "failed", **failed}))
    usb.places[0]["window"] = "-".join(f"{now + timedelta(hours=after):%H:00}" for after in (2, 3))
    result = usb.run()
    assert (result["status"], place_of(result)["error"]) == (0, None)
    assert usb.record("usb") | failed == usb.record("usb")
    assert usb.record("usb")["state"] == "outside_window"


def test_a_job_of_another_place_does_not_wait(usb: Copier) -> None:
    """As where a share does not answer: the Job that has its lock may run for hours."""
    name = usb.add_backup(1)
    usb.records.mkdir(exist_ok=True)
    with (usb.records / "nas.lock").open("w") as other, (usb.records / "usb.lock").open("w") as own:
        fcntl.lockf(other, fcntl.LOCK_EX)
        assert place_of(usb.run())["state"] == "copied"
        assert usb.copies("usb") == [name]
        fcntl.lockf(own, fcntl.LOCK_EX)
        result = usb.run()
        assert (result["status"], result["places"]) == (0, [])
        assert "usb: another Job copies to it at this time" in result["log"]


@pytest.mark.parametrize("file", ["first.json", "first.lock", ".first.json.partial"])
def test_a_record_that_cannot_be_used_delays_no_other_place(tmp_path: Path, code: Path, file: str) -> None:
    """A folder in its place is the fake for a volume that is full, a damaged disk, or a file of another user."""
    places = ({**CLAIM, "name": name} for name in ("first", "second"))
    copier = install(tmp_path, rclone(), *places, code=code)
    name = copier.add_backup(1)
    (copier.records / file).mkdir()
    result = copier.run()
    assert (result["status"], copier.copies("second")) == (1, [name])
    assert [place["state"] for place in result["places"]] == ["failed", "copied"]
    assert result["reason"].startswith("first: its lock or its record on the backup volume cannot be used: [Errno 21] ")


def test_s3(offsite: Copier, store: S3Store) -> None:
    content = os.urandom(LARGE)
    name = offsite.add_backup(1, content)
    result = offsite.run()
    assert result["status"] == 0, result["log"]
    folder = offsite.folder.name
    assert offsite.copies("offsite") == [name]
    assert store.read(f"backups/{folder}/{name}") == content
    assert sorted(store.files(f"backups/{folder}")) == [name, f"{name}.sha256"]
    assert place_of(offsite.run())["state"] == "nothing_to_do"
    for secret in s3_keys(store).values():
        assert secret not in result["log"] and secret not in (offsite.records / "offsite.json").read_text()


@pytest.mark.weekly
def test_object_lock(tmp_path: Path, code: Path, locking_store: S3Store) -> None:
    """With the copier's own keys nothing can be deleted; retention waits for the end of the lock."""
    store = locking_store
    copier = install(tmp_path, rclone(), s3_place(store, tmp_path.name, "locked", lock_days=3), code=code)
    copier.add_secret(s3_keys(store))
    names = [copier.add_backup(days) for days in (1, 2)]
    copier.places[0]["policy"] |= {"keep_last": 2, "keep_daily": 0}
    assert copier.run()["status"] == 0
    locks = [copy["locked_until"] for copy in copier.record("offsite")["copies"]]
    end = datetime.now(UTC) + timedelta(days=3)
    assert all(abs(datetime.fromisoformat(lock) - end) < timedelta(hours=1) for lock in locks)
    for path, version in store.versions("locked"):
        if names[0] in path:
            assert store.delete_version("locked", path, version) in (400, 403)
    copier.places[0]["policy"] |= {"keep_last": 1}
    assert place_of(copier.run())["deleted"] == []
    assert copier.copies("offsite") == names


@pytest.mark.parametrize("is_read", [weekly(True), False])
def test_proof_by_the_store(tmp_path: Path, code: Path, store: S3Store, is_read: bool) -> None:
    place = s3_place(store, tmp_path.name, read_back=is_read)
    copier = install(tmp_path, rclone(), place, code=code)
    copier.add_secret(s3_keys(store))
    name = copier.add_backup(1, os.urandom(40 << 20))
    assert copier.run()["status"] == 0
    assert copier.record("offsite")["copies"][0]["proof"] == ("read_back" if is_read else "store")
    change(copier.volume / name)
    copier.places[0]["options"]["folder"] += "-other"
    result = copier.run()
    assert f"{name} on the volume is damaged" in result["reason"]


# rclone sends the parts of a file of 256 MiB or more in another way.
@pytest.mark.weekly
@pytest.mark.parametrize("size_mib", [1, 199, 200, 256, 333])
def test_the_hash_of_the_store(tmp_path: Path, code: Path, locking_store: S3Store, size_mib: int) -> None:
    copier = install(tmp_path, rclone(), s3_place(locking_store, tmp_path.name, read_back=False), code=code)
    copier.add_secret(s3_keys(locking_store))
    copier.add_backup(1, os.urandom(MIB) * size_mib)
    assert copier.run()["status"] == 0
    record = copier.record("offsite")
    assert ([copy["proof"] for copy in record["copies"]], record["findings"]) == (["store"], [])


def test_another_hash_of_the_store(tmp_path: Path, code: Path, store: S3Store) -> None:
    """The store has received what was sent, and has another object when it is listed: it is copied again."""
    with HttpProxy(store.host, store.port) as proxy:
        copier = install(
            tmp_path, rclone(), s3_place(store.through(proxy.port), tmp_path.name, read_back=False), code=code
        )
        copier.add_secret(s3_keys(store))
        name = copier.add_backup(1, b"a" * MIB)
        copier.changes = QUICK

        def replace_uploaded(_request: Request) -> None:
            if name in store.files(f"backups/{tmp_path.name}") and len(proxy.rules) == 1:
                proxy.rules.append(proxy.rules[0])
                store.rclone("rcat", f"store:backups/{tmp_path.name}/{name}", stdin=b"b" * MIB)

        proxy.rules.append(Rule(replace_uploaded, "GET", "list-type"))
        result = copier.run()
    assert f"{name} was read back differently" in result["log"]
    assert ["has another hash in the store than was sent" in found for found in place_of(result)["findings"]] == [True]
    assert copier.copies("offsite") == [name]
    assert store.rclone("cat", f"store:backups/{tmp_path.name}/{name}").stdout == b"a" * MIB


def test_a_store_with_other_hashes(tmp_path: Path, code: Path, store: S3Store) -> None:
    """rclone's S3 server has the md5 of an object also if it was sent in parts: the copy is proven by reading."""
    copier = install(tmp_path, rclone(), s3_place(store, tmp_path.name, read_back=False), code=code)
    copier.add_secret(s3_keys(store))
    copier.add_backup(1, bytes(200 * MIB))
    result = copier.run()
    assert result["status"] == 0
    assert [copy["proof"] for copy in copier.record("offsite")["copies"]] == ["read_back"]
    assert "The copy is read back. If the store computes other hashes" in place_of(result)["findings"][0]


def test_without_curl_a_copy_is_read_back(tmp_path: Path, code: Path, store: S3Store) -> None:
    copier = install(tmp_path, rclone(), s3_place(store, tmp_path.name, read_back=False), code=code)
    copier.add_secret(s3_keys(store))
    copier.add_backup(1)
    programs = tmp_path / "programs"
    programs.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name != "curl":
            (programs / path.name).symlink_to(path)
    copier.variables["PATH"] = f"{tmp_path / 'bin'}:{programs}"
    result = copier.run()
    assert result["status"] == 0
    assert [copy["proof"] for copy in copier.record("offsite")["copies"]] == ["read_back"]
    assert "expected the command curl in the image" in place_of(result)["findings"][0]


@pytest.fixture(scope="module")
def sftp_store() -> Iterator[SftpStore]:
    with sftp_server() as found:
        yield found


@pytest.fixture
def nas(tmp_path: Path, code: Path, sftp_store: SftpStore) -> Copier:
    """A real sshd as the place."""
    return sftp_copier(tmp_path, code, sftp_store)


def sftp_copier(tmp_path: Path, code: Path, store: SftpStore) -> Copier:
    options = {"host": store.host, "port": store.port, "user": store.user, "folder": tmp_path.name}
    copier = install(tmp_path, rclone(), {"kind": "sftp", "name": "nas", "options": options}, code=code)
    copier.add_secret({"private_key": store.private_key, "known_hosts": store.known_hosts})
    return copier


def test_sftp(nas: Copier, sftp_store: SftpStore) -> None:
    content = os.urandom(LARGE)
    name = nas.add_backup(1, content)
    folder = nas.folder.name
    assert nas.run()["status"] == 0
    assert sorted(sftp_store.files(folder)) == [name, f"{name}.sha256"]
    assert sftp_store.read(f"{folder}/{name}") == content
    assert place_of(nas.run())["state"] == "nothing_to_do"
    # Without a folder, it is where a session begins.
    del nas.places[0]["options"]["folder"]
    nas.run()
    assert sftp_store.read(name) == content


@pytest.mark.parametrize("refused", ["setstat,fsetstat", weekly("posix-rename"), weekly("fsync,statvfs,limits")])
def test_an_sftp_server_without_some_requests(tmp_path: Path, code: Path, refused: str) -> None:
    """As servers in front of object stores are. A damaged copy is replaced there, too."""
    with sftp_server(refused=refused) as store:
        nas = sftp_copier(tmp_path, code, store)
        name = nas.add_backup(1, b"content 1")
        assert nas.run()["status"] == 0
        change(Path(store.data, nas.folder.name, name))
        assert nas.run()["status"] == 0
        assert store.read(f"{nas.folder.name}/{name}") == b"content 1"


def events_of(result: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {event.key for line in result["log"].splitlines() if (event := parse_event(line)) is not None}


def test_events_are_printed_for_those_who_ask(usb: Copier) -> None:
    """And no other program of the pod prints any."""
    name = usb.add_backup(1)
    usb.variables["POSTGRES_BACKUP_PROGRESS"] = "yes"
    result = usb.run()
    assert result["status"] == 0
    assert events_of(result) == {("copy", f"{name} (usb)"), ("read_copy", f"{name} (usb)")}
    for path in usb.volume.glob(f"{NAME}-*"):
        path.unlink()
    steps = {("retrieve", f"{name} (usb)"), ("read_volume", f"{name} (usb)")}
    assert events_of(usb.run("retrieve", "usb")) == steps
    steps = {("read_volume", f"{name} (usb)"), ("read_copy", f"{name} (usb)")}
    assert events_of(usb.run("retrieve", "--read-copy", "usb")) == steps
    del usb.variables["POSTGRES_BACKUP_PROGRESS"]
    assert events_of(usb.run()) == set()


def test_a_result_that_is_too_long_for_the_termination_message(usb: Copier) -> None:
    """It has no places there. The fake is the limit."""
    usb.add_backup(1)
    usb.changes = "program._TERMINATION_BYTES = 100\n"
    for words, reason in (("copy",), None), (("copy", "nas"), "expected names of places (usb), found nas"):
        assert usb.run(*words)["reason"] == reason
        message = json.loads((usb.folder / "termination-log").read_text())
        assert (message["places"], message["reason"]) == ([], reason)


def test_unknown_place(usb: Copier) -> None:
    assert "expected names of places (usb), found none" in usb.run("copy", "none")["reason"]


def test_a_lost_volume(usb: Copier) -> None:
    """The newest complete copy is brought back, as a backup that the script finds complete."""
    names = [usb.add_backup(days, f"content {days}".encode()) for days in (3, 2)]
    usb.add_backup(1, b"content 1", "incomplete")
    usb.run()
    for path in usb.volume.glob(f"{NAME}-*"):
        path.unlink()
    result = usb.run("retrieve", "usb")
    digest = hashlib.sha256(b"content 2").hexdigest()
    found = {key: result[key] for key in ("status", "state", "backup", "sha256", "size_bytes", "changed")}
    assert found == {
        "status": 0, "state": "succeeded", "backup": names[1], "sha256": digest, "size_bytes": 9, "changed": True,
    }  # fmt: skip
    assert (usb.volume / names[1]).read_bytes() == b"content 2"
    assert [(backup["name"], backup["state"]) for backup in listed(usb, "backup")] == [(names[1], "complete")]
    assert usb.run("retrieve", "usb", names[1])["changed"] is False
    assert usb.run("retrieve", "usb", names[0])["changed"] is True
    assert not list(usb.volume.glob(".*.partial"))


@pytest.mark.parametrize(
    ("harm", "words", "reason"),
    [
        (lambda usb, name: change(there(usb) / name), [], "is damaged: expected 9 bytes with the sha256"),
        (lambda usb, name: (there(usb) / f"{name}.sha256").unlink(), [], "expected a copy of a complete backup"),
        (lambda usb, name: (there(usb) / name).unlink(), [], "expected a copy of a complete backup"),
        (lambda usb, name: (usb.volume / name).write_bytes(b"x"), [], "has another file of the name"),
        (lambda *_found: None, [f"{NAME}-2026-01-01-000000.sql.gz"], "at the place usb, found postgres-backup-2"),
    ],
)
def test_what_cannot_be_brought_back(
    usb: Copier, harm: Callable[[Copier, str], object], words: list[str], reason: str
) -> None:
    name = usb.add_backup(1, b"content 1")
    usb.run()
    for path in usb.volume.glob(f"{NAME}-*"):
        path.unlink()
    harm(usb, name)
    before = sorted(usb.volume.iterdir())
    result = usb.run("retrieve", "usb", *words)
    assert (result["status"], result["state"]) == (1, "failed")
    assert reason in result["reason"]
    assert sorted(usb.volume.iterdir()) == before


@pytest.mark.parametrize("words", [[], ["--read-copy"]])
def test_what_the_identity_does_not_decrypt_is_not_brought_back(usb: Copier, words: list[str]) -> None:
    """It was brought back first, which may take hours, and then could not be restored."""
    name = usb.add_backup(1, b"content 1", "complete")
    file = usb.volume / f"{name}.json"
    manifest = {
        **json.loads(file.read_text()),
        **{"left_out": False, "sha256": hashlib.sha256(b"content 1").hexdigest(), "bytes": 9, "parts": []},
        **{"uncompressed_bytes": 9, "encryption": {"recipients": ["age1a", "ssh-rsa AA me"], "gzip_bytes": 9}},
    }
    file.write_text(json.dumps(manifest, separators=(",", ":")))
    usb.run()
    for path in usb.volume.glob(f"{NAME}-*"):
        path.unlink()
    result = usb.run("retrieve", *words, "--public-keys", "age1x,age1y", "usb")
    assert (result["status"], result["state"], result["changed"]) == (1, "failed", False)
    assert result["reason"] == (
        f"identity: expected the private key of one of the recipients of {name}, which are age1a, ssh-rsa AA, found "
        "that of age1x, age1y. Give the identity of one of these recipients"
    )
    assert not list(usb.volume.glob(f"*{NAME}-*")) and "copying" not in result["log"]
    assert usb.run("retrieve", *words, "--public-keys", "age1x,ssh-rsa AA", "usb", name)["changed"] is True
    # A manifest of another file, such as one that was encrypted again to others, decides nothing.
    for path in usb.volume.glob(f"{NAME}-*"):
        path.unlink()
    (there(usb) / f"{name}.json").write_text(json.dumps({**manifest, "sha256": "0" * 64}))
    assert usb.run("retrieve", *words, "--public-keys", "age1x", "usb")["changed"] is True


def test_a_damaged_backup_on_the_volume_is_replaced(usb: Copier) -> None:
    """By the copy, which has what the run wrote; nothing else of the volume is changed."""
    name = usb.add_backup(1, b"content 1")
    usb.run()
    for damaged in (b"content 2", b"content", b""):
        (usb.volume / name).write_bytes(damaged)
        result = usb.run("retrieve", "usb", name)
        assert (result["status"], result["changed"], result["replaced_damaged"]) == (0, True, True), result["log"]
        assert (usb.volume / name).read_bytes() == b"content 1"
        assert f"WARNING: {name} on the volume is damaged (expected the sha256 " in result["log"]
    assert [(backup["name"], backup["state"]) for backup in listed(usb, "backup")] == [(name, "complete")]
    result = usb.run("retrieve", "usb", name)
    assert (result["changed"], result["replaced_damaged"], result["copy_read"]) == (False, False, False)


def test_nothing_is_replaced_by_a_damaged_copy(usb: Copier) -> None:
    name = usb.add_backup(1, b"content 1")
    usb.run()
    change(there(usb) / name)
    (usb.volume / name).write_bytes(b"content 2")
    result = usb.run("retrieve", "usb")
    assert result["status"] == 1 and f"the copy of {name} is damaged: expected 9 bytes" in result["reason"]
    assert (usb.volume / name).read_bytes() == b"content 2"
    assert not list(usb.volume.glob(".*.partial"))


def test_a_copy_is_read_though_the_volume_has_the_backup(usb: Copier) -> None:
    name = usb.add_backup(1, b"content 1")
    usb.run()
    result = usb.run("retrieve", "--read-copy", "usb")
    assert (result["status"], result["changed"], result["copy_read"]) == (0, False, True)
    change(there(usb) / name)
    assert usb.run("retrieve", "usb")["status"] == 0
    result = usb.run("retrieve", "--read-copy", "usb", name)
    assert result["status"] == 1 and f"the copy of {name} is damaged: expected 9 bytes" in result["reason"]
    assert (usb.volume / name).read_bytes() == b"content 1"


def test_retrieval_from_an_unknown_place(usb: Copier) -> None:
    assert "expected the name of a place (usb), found none" in usb.run("retrieve", "none")["reason"]


def test_retrieval_where_another_installation_has_its_copies(usb: Copier) -> None:
    name = usb.add_backup(state="complete")
    assert usb.run()["status"] == 0
    for path in [*usb.mount().rglob("*"), *usb.volume.glob("*.sql.gz*")]:
        if name in path.name:
            path.rename(path.with_name(f"other-{path.name}"))
    reason = usb.run("retrieve", "usb")["reason"]
    assert "expected a copy of a complete backup at the place usb, found none. Check its options, and " in reason
    assert "postgres_backup_name" in reason


def listed(copier: Copier, kind: str) -> list[dict[str, Any]]:
    """The objects of one type in the script's listing of the volume."""
    environment = copier.environment()
    command = ["sh", environment["POSTGRES_BACKUP_COPY_SCRIPT"], "list"]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    objects = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [item for item in objects if item["type"] == kind]


def test_listing_has_the_records(usb: Copier) -> None:
    """The script prints what the copies have recorded, and nothing else that lies there."""
    usb.add_backup(1)
    usb.run()
    (usb.records / "other.json").write_text('{"format":2}\n')
    (usb.records / "lines.json").write_text('{"format":1,"place":"lines"\n}\n')
    record = json.loads((usb.records / "usb.json").read_text())
    assert listed(usb, "copies") == [{"type": "copies", "record": record}]
    assert record["copies"][0]["backup"].startswith(NAME)
