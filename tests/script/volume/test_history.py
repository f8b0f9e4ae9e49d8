# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The history of an installation: every line can be read, whatever happens to a writer or to the file."""

from __future__ import annotations

import json
import os
import resource
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from ..support.sandbox import Sandbox, parse
from ..support.volume import HISTORY, backup_name, give, put, put_backup, snapshot, without
from ..support.workspace import kill_all

Json = dict[str, Any]
LOCK = f".{HISTORY}.lock"
# Appends entries with the numbers from FIRST on, COUNT of them, and prints each number when its entry is written.
WRITER = """
for file in output configuration volume history; do . "{files}/$file.sh"; done
work=$TMPDIR/$$
mkdir "$work"
read_configuration
{setting}
number=$1
while [ "$number" -lt $(($1 + $2)) ]; do
    append_history "$(history_entry run succeeded "$(now_iso)" "$number" "" "" "" "" 0 '"a \\"reason\\" \\u00e4"')"
    echo "$number"
    number=$((number + 1))
done
rm -rf "$work"
"""


def _entry(number: int, **members: object) -> str:
    entry = {"operation": "run", "started": "2026-11-22T02:00:00Z", "state": "succeeded", "seconds": number, **members}
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


def _put(sandbox: Sandbox, *lines: str | bytes) -> None:
    raw = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
    put(sandbox.volume / HISTORY, raw)
    give(sandbox.volume, sandbox.uid)


def _listed(sandbox: Sandbox) -> list[Json]:
    outcome = sandbox.run("list", "--history").check()
    assert outcome.objects[-1]["type"] == "volume"
    return outcome.of_type("history")


def _stored(sandbox: Sandbox) -> list[Json]:
    """The entries of the file; every line of it must parse."""
    path = sandbox.volume / HISTORY
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [parse(line) for line in text.splitlines()]


def _writer(sandbox: Sandbox, setting: str = "") -> Sandbox:
    """The sandbox, with a program that only appends entries."""
    program = sandbox.tmp.parent / f"{sandbox.tmp.name}.writer"
    program.write_text(WRITER.format(files=sandbox.script.parent, setting=setting))
    sandbox.script = program
    return sandbox


def test_no_history(offline: Sandbox) -> None:
    assert _listed(offline) == []
    assert not (offline.volume / HISTORY).exists()


def test_entries_are_listed_before_the_volume_the_oldest_first(offline: Sandbox) -> None:
    _put(offline, *(_entry(number) for number in range(5)))
    entries = _listed(offline)
    assert [entry["seconds"] for entry in entries] == [0, 1, 2, 3, 4]
    assert list(entries[0])[:2] == ["type", "operation"]
    assert offline.run("list").of_type("history") == []


def test_an_entry_of_a_prune(offline: Sandbox) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    for age in range(9):
        put_backup(offline.volume, backup_name(offline.name, now - timedelta(days=age)))
    give(offline.volume, offline.uid)
    offline.run("prune").check()
    (entry,) = _stored(offline)
    for volatile in ("started", "finished", "seconds", "free_bytes", "volume_bytes"):
        assert entry.pop(volatile) is not None
    assert entry == {
        "operation": "prune", "state": "succeeded", "backup": None, "backup_state": None, "bytes": None,
        "uncompressed_bytes": None, "deleted": 2, "tables": None, "rows": None,
        "job": "postgres-backup-29000000", "reason": None,
    }  # fmt: skip
    offline.run("prune").check()
    assert len(_stored(offline)) == 1, "a prune that deletes nothing"


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_prune_keeps_the_mode(offline: Sandbox, mode: int) -> None:
    _put(offline, _entry(1))
    (offline.volume / HISTORY).chmod(mode)
    _writer(offline).run("2", "1").check()
    assert stat.S_IMODE((offline.volume / HISTORY).stat().st_mode) == mode
    assert [entry["seconds"] for entry in _stored(offline)] == [1, 2]


RUBBISH: list[bytes] = [
    b"", b"rubbish", b"{}", b"[]", b"null", b'{"operation":"run"', b'{"operation":"run","seconds":}', b'"operation"',
    b'{"operation":"run","seconds":01}', b'{"operation":"run","seconds":1,}', b'{"operation":"run" "seconds":1}',
    b'{"operation":"run","reason":"\\x"}', b'{"operation":"run","reason":"\\u12"}',
    b'{"operation":"run","reason":"a"b"}',
    b'{"operation":"run","type":"volume"}', b'{"operation":"run","reason":"x}',
    b'{"operation":"run"}{"operation":"run"}',
    b'{"operation":"run","more":{"a":1}}', b'{"operation":"run","seconds":5', b"\0" * 300, b"x" * 100_000,
    b'{"type":"volume","path":"/"}',
]  # fmt: skip


def test_what_is_not_an_entry_is_left_out(offline: Sandbox) -> None:
    lines: list[bytes] = []
    for number, line in enumerate(RUBBISH):
        lines += [line, _entry(number).encode()]
    _put(offline, *lines)
    assert [entry["seconds"] for entry in _listed(offline)] == list(range(len(RUBBISH)))
    _writer(offline).run(str(len(RUBBISH)), "1").check()
    assert [entry["seconds"] for entry in _stored(offline)] == list(range(len(RUBBISH) + 1))


@pytest.mark.parametrize(
    ("reason", "listed"),
    [
        ('grün \\"x\\" 💾'.encode(), None),
        (b"cut \xc3", "cut ?"),
        (b"\xff\xfe", "??"),
        (b"tab\there", "tab?here"),
        (b"bell\x07 nul\x00 \x1b[31m \x7f", "bell? nul? ?[31m ?"),
    ],
    ids=repr,
)
def test_bytes_in_an_entry(offline: Sandbox, reason: bytes, listed: str | None) -> None:
    _put(offline, b'{"operation":"run","reason":"' + reason + b'"}')
    (entry,) = _listed(offline)
    assert entry["reason"] == (json.loads(b'"' + reason + b'"') if listed is None else listed)


def test_only_the_newest_entries_are_kept(offline: Sandbox) -> None:
    _put(offline, *(_entry(number) for number in range(10_500)))
    _writer(offline).run("10500", "1").check()
    assert [entry["seconds"] for entry in _stored(offline)] == list(range(501, 10_501))


def test_a_file_that_somebody_made_huge(offline: Sandbox) -> None:
    _put(offline, *(_entry(number) for number in range(3)))
    with open(offline.volume / HISTORY, "r+b") as stream:
        stream.truncate(1 << 34)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n" + _entry(3).encode() + b"\n")
    assert [entry["seconds"] for entry in _listed(offline)] == [3]


def test_ten_thousand_entries_are_read_in_half_a_second(offline: Sandbox) -> None:
    """Processor time, so that a busy machine does not fail it."""
    text = "the server could not be reached: " + "x" * 120
    _put(offline, *(_entry(number, reason=text, job=f"postgres-backup-{number}") for number in range(10_000)))

    def seconds(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        offline.finish(offline.start(*arguments)).check()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds("list", "--history") for _ in range(3)) - min(seconds("list") for _ in range(3)) < 0.5


def _folder(sandbox: Sandbox) -> None:
    (sandbox.volume / HISTORY).mkdir()


def _link(sandbox: Sandbox) -> None:
    put(sandbox.volume / "elsewhere", _entry(1) + "\n")
    (sandbox.volume / HISTORY).symlink_to("elsewhere")


def _endless(sandbox: Sandbox) -> None:
    (sandbox.volume / HISTORY).symlink_to("/dev/zero")


def _link_to_folder(sandbox: Sandbox) -> None:
    (sandbox.volume / "folder").mkdir()
    (sandbox.volume / HISTORY).symlink_to("folder")


def _fifo(sandbox: Sandbox) -> None:
    os.mkfifo(sandbox.volume / HISTORY)


@pytest.mark.parametrize("make", [_folder, _link, _endless, _link_to_folder, _fifo])
def test_what_is_not_a_file(offline: Sandbox, make: Callable[[Sandbox], None]) -> None:
    """It is neither read nor written through; a folder is left alone."""
    make(offline)
    give(offline.volume, offline.uid)
    before = snapshot(offline.volume)
    assert _listed(offline) == []
    outcome = _writer(offline).run("1", "1").check()
    assert without(snapshot(offline.volume), HISTORY) == without(before, HISTORY)
    if make is _folder:
        assert f"WARNING: {HISTORY} could not be written: it is a directory" in outcome.log
        assert not list((offline.volume / HISTORY).iterdir())
    else:
        assert not (offline.volume / HISTORY).is_symlink()
        assert [entry["seconds"] for entry in _stored(offline)] == [1]


def test_a_partial_file_of_somebody_else_is_not_written_through(offline: Sandbox) -> None:
    put(offline.volume / "elsewhere", "untouched")
    (offline.volume / f".{HISTORY}.postgres-backup-29000000-abcde").symlink_to("elsewhere")
    give(offline.volume, offline.uid)
    _writer(offline).run("1", "1").check()
    assert (offline.volume / "elsewhere").read_text() == "untouched"
    assert [entry["seconds"] for entry in _stored(offline)] == [1]


def test_a_volume_that_cannot_be_written(offline: Sandbox) -> None:
    """A warning; the command continues, and nothing waits for a lock."""
    _put(offline, _entry(1))
    os.chown(offline.volume, 0, 0)
    before = snapshot(offline.volume)
    began = time.monotonic()
    outcome = _writer(offline).run("2", "1").check()
    assert time.monotonic() - began < 4
    assert outcome.out == "2\n"
    assert f"WARNING: {HISTORY} could not be written: " in outcome.log and "denied" in outcome.log
    assert snapshot(offline.volume) == before


def test_a_full_volume(offline: Sandbox) -> None:
    offline.workspace.mount_tmpfs(offline.volume, "64k")
    try:
        _put(offline, *(_entry(number) for number in range(100)))
        before = snapshot(offline.volume)
        put(offline.volume / "filler", b"x" * (os.statvfs(offline.volume).f_bavail * 4096 - 4096))
        give(offline.volume, offline.uid)
        outcome = _writer(offline).run("100", "1").check()
        assert f"WARNING: {HISTORY} could not be written: " in outcome.log
        assert without(snapshot(offline.volume), "filler") == before
        (offline.volume / "filler").unlink()
        offline.run("100", "1").check()
        assert [entry["seconds"] for entry in _stored(offline)] == list(range(101))
    finally:
        offline.workspace.unmount(offline.volume)


@pytest.mark.parametrize("entry", ["rubbish", '{"operation":"run","more":{"a":1}}', '{"operation":"run"}\\n{}', ""])
def test_an_entry_that_is_not_one_is_refused(offline: Sandbox, entry: str) -> None:
    _put(offline, _entry(1))
    writer = _writer(offline, f"append_history \"$(printf '%b' '{entry}')\"")
    outcome = writer.run("2", "1").check()
    assert "WARNING: " in outcome.log and "not a flat JSON object" in outcome.log
    assert [stored["seconds"] for stored in _stored(offline)] == [1, 2]


def test_writers_at_once_lose_nothing(offline: Sandbox) -> None:
    _writer(offline)
    writers = [
        offline.start(str(first), "8", env={"POSTGRES_BACKUP_POD": f"postgres-backup-{first}"})
        for first in (0, 100, 200)
    ]
    for writer in writers:
        offline.finish(writer).check()
    offline.assert_nothing_left()
    numbers = sorted(entry["seconds"] for entry in _stored(offline))
    assert numbers == [first + number for first in (0, 100, 200) for number in range(8)]
    assert {path.name for path in offline.volume.iterdir()} == {HISTORY}


def test_the_lock_of_a_writer_that_was_killed(offline: Sandbox) -> None:
    """A new one is waited for some seconds; an old one is removed."""
    lock = offline.volume / LOCK
    lock.mkdir()
    give(offline.volume, offline.uid)
    _writer(offline, "RECORD_LOCK_SECONDS=1").run("1", "1").check()
    assert lock.exists()
    os.utime(lock, (1, 1))
    offline.run("2", "1").check()
    assert not lock.exists()
    assert [entry["seconds"] for entry in _stored(offline)] == [1, 2]


def test_the_file_is_never_written_in_place(offline: Sandbox) -> None:
    """A kill during a large write is too rare to be met by chance."""
    _put(offline, _entry(1))
    os.link(offline.volume / HISTORY, offline.volume / "before")
    _writer(offline).run("2", "1").check()
    assert (offline.volume / "before").read_text() == _entry(1) + "\n"
    assert [entry["seconds"] for entry in _stored(offline)] == [1, 2]


def _check_after_a_kill(sandbox: Sandbox, acknowledged: list[int], last: int) -> int:
    """Every entry that was written is there, and at most the one that was being written. Returns the next number."""
    numbers = [entry["seconds"] for entry in _stored(sandbox)]
    assert numbers in (acknowledged, [*acknowledged, last])
    acknowledged[:] = numbers
    return last + 1


def test_killed_at_any_time(offline: Sandbox) -> None:
    """Seventy points with each combination of shell and awk."""
    _writer(offline, "RECORD_LOCK_SECONDS=0")
    random = Random(str(offline.combination))  # noqa: S311 - the same moments each time
    acknowledged: list[int] = []
    number = killed_while_writing = 0
    for _ in range(70):
        process = offline.start(str(number), "1000")
        assert process.stdout is not None
        # The first entry, so that the shell has started.
        written = [int(process.stdout.readline())]
        time.sleep(random.random() * 0.12)
        kill_all(offline.uid)
        if (lock := offline.volume / LOCK).exists():
            killed_while_writing += 1
            lock.rmdir()
        written += [int(line) for line in process.stdout.read().split()]
        process.communicate()
        acknowledged += written
        number = _check_after_a_kill(offline, acknowledged, written[-1] + 1)
        for path in offline.tmp.iterdir():
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
    assert killed_while_writing > 20


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["mkdir", "tail", "awk", "dd", "chmod", "mv", "rmdir"])
def test_killed_at_each_program(offline: Sandbox, name: str, moment: str) -> None:
    _put(offline, _entry(1))
    _writer(offline, 'RECORD_LOCK_SECONDS=0; : >"$TMPDIR/ready"')
    ready, killing = offline.tmp / "ready", 'kill -9 "$(cat "$TMPDIR/pid")"; kill -9 $PPID; exit 1'
    offline.shim(
        name,
        f'[ -e "{ready}" ] || exec "$real" "$@"\n' + (killing if moment == "before" else f'"$real" "$@"; {killing}'),
    )
    offline.script.write_text('echo $$ >"$TMPDIR/pid"\n' + offline.script.read_text())
    outcome = offline.finish(offline.start("2", "1"))
    kill_all(offline.uid)
    assert outcome.code != 0 and outcome.out == ""
    assert [entry["seconds"] for entry in _stored(offline)] in ([1], [1, 2])
    (offline.shims / name).unlink()
    ready.unlink()
    offline.finish(offline.start("3", "1")).check()
    assert [entry["seconds"] for entry in _stored(offline)][-1] == 3
