# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Bytes that arrive in pieces, are interrupted, change and disappear: the right file, or an error and no file."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import itertools
import multiprocessing
import os
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils._fetch import transfer as module
from plugins.module_utils._fetch.attempts import RetryPolicy
from plugins.module_utils._fetch.destination import Destination, open_partial, resolve
from plugins.module_utils._fetch.parallel_reader import ContentsProcess, FileContents
from plugins.module_utils._fetch.transfer import (
    RemoteFile,
    Transferred,
    hash_file,
    matching_local_sha256,
    read_contents,
    read_through,
    transfer,
)
from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils._progress.event_file import VARIABLE, reporter_of
from plugins.module_utils.errors import (
    BackupError,
    ChangedError,
    ConcurrentFetchError,
    DamagedError,
    DestinationError,
    FetchError,
    GoneError,
    LostError,
    UndecryptedError,
)

DUMPS = Path(__file__).parents[1] / "dumps"
BACKUP = gzip.compress((DUMPS / "18-all.sql").read_bytes(), mtime=0)
NAME = "postgres-backup-2026-11-22-020000.sql.gz"
FOREVER = RetryPolicy(retries=10**6, sleep=lambda _: None)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Fake:
    """A file elsewhere; the stream breaks after each of `cuts` bytes, in turn."""

    data: bytes
    cuts: list[int] = field(default_factory=list)
    piece: int = 1000
    lost_answers: int = 0
    offsets: list[int] = field(default_factory=list)
    asked: list[int | None] = field(default_factory=list)
    before_chunk: Callable[[], None] = lambda: None

    def chunks(self, offset: int) -> Iterator[memoryview]:
        self.offsets.append(offset)
        allowed = self.cuts.pop(0) if self.cuts else None
        given_bytes = 0
        for begin in range(offset, len(self.data), self.piece):
            self.before_chunk()
            chunk = self.data[begin : begin + self.piece]
            if allowed is not None and given_bytes + len(chunk) >= allowed:
                yield memoryview(chunk[: allowed - given_bytes])
                raise LostError("the stream broke")
            given_bytes += len(chunk)
            yield memoryview(chunk)

    def sha256(self, length: int | None = None) -> str:
        if self.lost_answers:
            self.lost_answers -= 1
            raise LostError("no answer")
        self.asked.append(length)
        return sha256(self.data[:length])


def fetch(
    source: Any,
    dest: Path | Destination,
    data: bytes = BACKUP,
    retry_policy: RetryPolicy = FOREVER,
    known: bool = True,
    **options: Any,
) -> Transferred:
    destination = resolve(str(dest), NAME) if isinstance(dest, Path) else dest
    remote = RemoteFile(NAME, len(data), sha256(data) if known else None)
    return transfer(source, remote, destination, 0o640, retry_policy, **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def require_whole(folder: Path, data: bytes = BACKUP) -> None:
    assert names(folder) == {NAME, f"{NAME}.sha256"}
    assert (folder / NAME).read_bytes() == data
    assert (folder / f"{NAME}.sha256").read_text() == f"{sha256(data)}  {NAME}\n"
    for name in names(folder):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o640


def test_whole_file_in_one_stream(tmp_path: Path) -> None:
    source = Fake(BACKUP)
    done = fetch(source, tmp_path)
    require_whole(tmp_path)
    assert (done.sha256, done.resumed_bytes, done.interruptions) == (sha256(BACKUP), 0, 0)
    assert done.contents is None
    assert done.duration_seconds > 0
    assert (source.offsets, source.asked) == ([0], [])


def test_what_is_done_is_reported(tmp_path: Path) -> None:
    """A resumed transfer: the local part is read, the rest is fetched, then flushed, and its contents are read."""
    size = len(BACKUP)
    (tmp_path / f".{NAME}.partial").write_bytes(BACKUP[:100])
    (tmp_path / f".{NAME}.partial").chmod(0o600)
    (tmp_path / "events").touch()
    reporter = reporter_of({VARIABLE: str(tmp_path / "events")})
    assert fetch(Fake(BACKUP), tmp_path, reads_contents=True, reporter=reporter).resumed_bytes == 100
    events = [parse_event(line) for line in (tmp_path / "events").read_text().splitlines()]
    expected = [
        Event("read_local", None, 0, 100),
        Event("fetch", NAME, 100, size),
        Event("flush"),
        Event("contents", None, size, size),
    ]
    assert [event for event in events if event in expected] == expected

    (tmp_path / "events").write_text("")
    source, remote = Fake(BACKUP), RemoteFile(NAME, size, sha256(BACKUP))
    assert matching_local_sha256(source, remote, resolve(str(tmp_path), NAME), FOREVER, reporter) == sha256(BACKUP)
    read_contents(str(tmp_path / NAME), sha256(BACKUP), reporter)
    events = [parse_event(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [event.activity for event in events if event] == ["read_local", "compare_hash", "contents"]


def test_empty_file(tmp_path: Path) -> None:
    fetch(Fake(b""), tmp_path, b"")
    require_whole(tmp_path, b"")


def test_file_of_many_batches(tmp_path: Path) -> None:
    data = os.urandom(5_000_011)
    fetch(Fake(data, piece=32_767), tmp_path, data)
    require_whole(tmp_path, data)
    fetch(Fake(data[:200_000], piece=3), tmp_path, data[:200_000])
    require_whole(tmp_path, data[:200_000])


def test_stream_cut_at_every_byte_is_resumed(tmp_path: Path) -> None:
    for at in range(len(BACKUP) + 1):
        source = Fake(BACKUP, [at])
        done = fetch(source, tmp_path)
        require_whole(tmp_path)
        assert (done.resumed_bytes, done.interruptions) == (0, 0 if at == len(BACKUP) else 1), at
        assert source.offsets == ([0] if at == len(BACKUP) else [0, at])


def test_process_ended_at_every_byte_then_run_again(tmp_path: Path) -> None:
    """What is here is not fetched twice, and is compared with the volume before it is built on."""
    for at in range(len(BACKUP)):
        with pytest.raises(LostError, match=f"{at} of {len(BACKUP)} bytes were received and are kept"):
            fetch(Fake(BACKUP, [at]), tmp_path, retry_policy=RetryPolicy(retries=0))
        assert names(tmp_path) == ({f".{NAME}.partial"} if at else set())
        source = Fake(BACKUP)
        assert fetch(source, tmp_path).resumed_bytes == at
        assert (source.offsets, source.asked) == ([at], [at] if at else [])
        require_whole(tmp_path)
        (tmp_path / NAME).unlink()
        (tmp_path / f"{NAME}.sha256").unlink()


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 2000), max_size=12),
    piece=st.integers(1, 3000),
    retries=st.integers(0, 3),
    known=st.booleans(),
    reads_contents=st.booleans(),
    partial=st.one_of(st.none(), st.integers(0, len(BACKUP) + 9), st.binary(max_size=50)),
)
def test_random_cuts_and_random_partial_files(
    *, cuts: list[int], piece: int, retries: int, known: bool, reads_contents: bool, partial: int | bytes | None
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if partial is not None:
            there = partial if isinstance(partial, bytes) else (BACKUP + b"too much!")[:partial]
            (folder / f".{NAME}.partial").write_bytes(there)
        source = Fake(BACKUP, list(cuts), piece)
        retry_policy = RetryPolicy(retries=retries, sleep=lambda _: None)
        for _ in range(len(cuts) + 1):
            try:
                done = fetch(source, folder, retry_policy=retry_policy, known=known, reads_contents=reads_contents)
            except LostError:
                assert not names(folder) & {NAME, f"{NAME}.sha256"}
                continue
            break
        require_whole(folder)
        assert (done.contents is not None) == reads_contents
        for before, after in itertools.pairwise(source.offsets):
            assert after >= before


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, len(BACKUP) - 1),
    bit=st.integers(0, 7),
    cuts=st.lists(st.integers(0, 2000), max_size=4),
    known=st.booleans(),
)
def test_flipped_bit_never_gets_the_final_name(at: int, bit: int, cuts: list[int], known: bool) -> None:
    wrong = bytearray(BACKUP)
    wrong[at] ^= 1 << bit
    with tempfile.TemporaryDirectory() as name:
        source = Fake(bytes(wrong), list(cuts))
        source.sha256 = lambda length=None: sha256(BACKUP[:length])  # type: ignore[method-assign]
        with pytest.raises(FetchError):
            fetch(source, Path(name), known=known)
        assert names(Path(name)) == set()


def test_pauses_between_retries_grow_until_bytes_arrive(tmp_path: Path) -> None:
    pauses: list[float] = []
    retry_policy = RetryPolicy(retries=7, pause_seconds=1, longest_pause_seconds=30, sleep=pauses.append)
    source = Fake(BACKUP, [0, 0, 0, 0, 0, 0, 100, 0, 100, 100])
    assert fetch(source, tmp_path, retry_policy=retry_policy).interruptions == 10
    assert pauses == [1, 2, 4, 8, 16, 30, 1, 2, 1, 1]


def test_retries_are_limited(tmp_path: Path) -> None:
    with pytest.raises(LostError, match=r"the stream broke; tried 4 times without receiving data\. 7 of"):
        fetch(Fake(BACKUP, [7, *[0] * 9]), tmp_path, retry_policy=RetryPolicy(retries=3, sleep=lambda _: None))


def test_failed_request_is_repeated(tmp_path: Path) -> None:
    source = Fake(BACKUP, lost_answers=3)
    assert fetch(source, tmp_path, known=False).interruptions == 3
    require_whole(tmp_path)


def test_deadline_ends_the_fetch(tmp_path: Path) -> None:
    now = [0.0]

    def tick() -> None:
        now[0] += 1

    retry_policy = RetryPolicy(deadline=100.0, clock=lambda: now[0], sleep=lambda _: None)
    data = os.urandom(300 << 18)
    source = Fake(data, piece=1 << 18, before_chunk=tick)
    with pytest.raises(LostError, match="the time allowed for fetching is over"):
        fetch(source, tmp_path, data, retry_policy)
    kept = (tmp_path / f".{NAME}.partial").stat().st_size
    assert 99 << 18 <= kept <= 102 << 18
    now[0] = 0
    assert fetch(Fake(data), tmp_path, data, retry_policy).resumed_bytes == kept
    now[0] = 99.5
    (tmp_path / NAME).unlink()
    with pytest.raises(LostError, match="no time is left for another attempt"):
        fetch(Fake(BACKUP, [5]), tmp_path, retry_policy=retry_policy)


def test_partial_file_of_something_else_is_not_trusted(tmp_path: Path) -> None:
    partial = tmp_path / f".{NAME}.partial"
    for there in (b"garbage", BACKUP[:100] + b"?", bytes(len(BACKUP)), BACKUP + b"more"):
        partial.write_bytes(there)
        assert fetch(Fake(BACKUP), tmp_path).resumed_bytes == 0
        require_whole(tmp_path)
    partial.write_bytes(BACKUP)
    source = Fake(BACKUP)
    assert fetch(source, tmp_path).resumed_bytes == len(BACKUP)
    assert (source.offsets, source.asked) == ([], [])
    partial.write_bytes(BACKUP)
    source = Fake(BACKUP)
    assert fetch(source, tmp_path, known=False).resumed_bytes == len(BACKUP)
    assert source.offsets == []


def test_partial_file_is_private(tmp_path: Path) -> None:
    partial = tmp_path / f".{NAME}.partial"
    partial.write_bytes(BACKUP[:10])
    partial.chmod(0o666)
    modes = set()
    fetch(Fake(BACKUP, before_chunk=lambda: modes.add(stat.S_IMODE(partial.stat().st_mode))), tmp_path)
    assert modes == {0o600}


class Gone(Fake):
    def chunks(self, offset: int) -> Iterator[memoryview]:
        if offset:
            raise GoneError("it is no longer there")
        yield from super().chunks(offset)


@pytest.mark.parametrize(
    ("source", "known", "error", "message"),
    [
        (Fake(BACKUP[:-1]), True, ChangedError, f"expected {len(BACKUP)} bytes as listed, found {len(BACKUP) - 1}"),
        (Fake(BACKUP + b"x" * 5000), True, ChangedError, "found more than"),
        (Fake(BACKUP + b"x" * 5000), False, ChangedError, "If another program is still writing it"),
        (Fake(bytes(len(BACKUP))), True, ChangedError, "does not match its checksum file"),
        (Gone(BACKUP, [500]), True, GoneError, "no longer there"),
        (Gone(BACKUP, [500]), False, GoneError, "no longer there"),
    ],
    ids=["shorter", "longer", "longer-unchecked", "other", "gone", "gone-unchecked"],
)
def test_file_that_is_not_as_listed(
    tmp_path: Path, source: Fake, known: bool, error: type[BackupError], message: str
) -> None:
    with pytest.raises(error, match=message):
        fetch(source, tmp_path, known=known)
    assert names(tmp_path) == set()


def test_file_that_changes_during_the_fetch(tmp_path: Path) -> None:
    other = bytes(len(BACKUP))
    for known, message in ((True, "its checksum file has the sha256"), (False, "it has the sha256")):
        source = Fake(BACKUP[:1000] + other[1000:])
        source.sha256 = lambda length=None: sha256(other[:length])  # type: ignore[method-assign]
        with pytest.raises(ChangedError, match=f"changed on the volume while it was fetched: {message}"):
            fetch(source, tmp_path, known=known)
        assert names(tmp_path) == set()


def test_damage_in_transit_is_fetched_again(tmp_path: Path) -> None:
    source = Fake(bytes(len(BACKUP)))
    source.sha256 = lambda length=None: sha256(BACKUP[:length])  # type: ignore[method-assign]
    with pytest.raises(FetchError, match="was damaged in transit"):
        fetch(source, tmp_path)
    assert names(tmp_path) == set()


# ---------------------------------------------------------------------------------------------------------- contents


def test_contents_are_read_during_the_fetch(tmp_path: Path) -> None:
    done = fetch(Fake(BACKUP, [100, 1000], piece=77), tmp_path, reads_contents=True)
    assert done.contents is not None and done.contents["complete"] and done.contents["rows"] == 4
    assert done.contents == read_contents(str(tmp_path / NAME), sha256(BACKUP))


def test_contents_of_a_file_that_exists_locally(tmp_path: Path) -> None:
    for there in (BACKUP[:1000], BACKUP):
        (tmp_path / f".{NAME}.partial").write_bytes(there)
        done = fetch(Fake(BACKUP), tmp_path, reads_contents=True)
        assert done.contents is not None and done.contents["rows"] == 4
        assert done.resumed_bytes == len(there)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BACKUP[:-20], "the file is cut off"),
        (b"no gzip at all", "gzip"),
        (gzip.compress(b"SELECT 1;\n"), "dump"),
        (BACKUP[:900] + b"\xff\xff" + BACKUP[902:], "the data is damaged"),
    ],
    ids=["cut-off", "text", "no-dump", "damaged"],
)
def test_damage_on_the_volume_never_gets_the_final_name(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DamagedError, match=message) as caught:
        fetch(Fake(data), tmp_path, data, reads_contents=True)
    assert isinstance(caught.value.partial, FileContents) and caught.value.partial.failures
    assert names(tmp_path) == set()
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(DamagedError, match=message):
        read_contents(str(tmp_path / NAME), sha256(data))


def test_an_encrypted_backup_needs_an_identity_of_its_recipients(tmp_path: Path) -> None:
    key, stranger = (pyrage.x25519.Identity.generate() for _ in range(2))
    data = pyrage.encrypt(BACKUP, [key.to_public()])
    done = fetch(Fake(data, [100], piece=77), tmp_path, data, reads_contents=True, identities=(key,))
    assert done.contents is not None and done.contents["rows"] == 4
    assert (tmp_path / NAME).read_bytes() == data
    assert read_contents(str(tmp_path / NAME), sha256(data), identities=(key,)) == done.contents
    (tmp_path / NAME).unlink()
    (tmp_path / f"{NAME}.sha256").unlink()
    with pytest.raises(UndecryptedError, match="could not be verified: none of the identities"):
        fetch(Fake(data), tmp_path, data, reads_contents=True, identities=(stranger,))
    assert names(tmp_path) == set()
    changed = data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]
    for damaged in (data[:-50], changed):
        with pytest.raises(DamagedError, match="cut off at its end, or was changed"):
            fetch(Fake(damaged), tmp_path, damaged, reads_contents=True, identities=(key,))


def test_reading_process_ends_with_an_error(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(LostError):
        fetch(Fake(BACKUP, [900]), tmp_path, retry_policy=RetryPolicy(retries=0), reads_contents=True)
    assert set(multiprocessing.active_children()) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_reading_process_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(ContentsProcess):
        def __init__(self, descriptor: int, *about: Any) -> None:
            super().__init__(descriptor, *about)
            assert self._pid is not None
            os.kill(self._pid, signal.SIGKILL)

    monkeypatch.setattr(module, "ContentsProcess", Killed)
    with pytest.raises(FetchError, match="ended with -9"):
        fetch(Fake(BACKUP), tmp_path, reads_contents=True)
    assert names(tmp_path) == set()


# ---------------------------------------------------------------------------------------------------- read and not kept


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, which is to have no file in it at any moment."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def read(source: Any, data: bytes = BACKUP, retry_policy: RetryPolicy = FOREVER, known: bool = True) -> Transferred:
    return read_through(source, RemoteFile(NAME, len(data), sha256(data) if known else None), retry_policy)


@pytest.mark.parametrize("known", [True, False])
def test_read_through_keeps_no_file(temporary: Path, known: bool) -> None:
    seen: list[set[str]] = []
    source = Fake(BACKUP, [100, 1000], piece=77, before_chunk=lambda: seen.append(names(temporary)))
    done = read(source, known=known)
    assert seen and not any(seen)
    assert names(temporary) == set()
    assert done.contents is not None and done.contents["complete"] and done.contents["rows"] == 4
    assert (done.sha256, done.interruptions) == (sha256(BACKUP), 2)
    # Bytes already received are not requested again.
    assert source.offsets == [0, 100, 1100]


@pytest.mark.parametrize(
    ("source", "retry_policy", "error"),
    [
        (Fake(BACKUP[:-20]), FOREVER, FetchError),
        (Fake(BACKUP, [900]), RetryPolicy(retries=0), LostError),
        (Fake(bytes(len(BACKUP))), FOREVER, ChangedError),
    ],
    ids=["shorter", "lost", "other-bytes"],
)
def test_read_through_keeps_no_file_after_an_error(
    temporary: Path, source: Fake, retry_policy: RetryPolicy, error: type[BackupError]
) -> None:
    with pytest.raises(error) as caught:
        read(source, retry_policy=retry_policy)
    assert "kept" not in str(caught.value)
    assert names(temporary) == set()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_read_through_names_damage(temporary: Path) -> None:
    data = BACKUP[:-20]
    with pytest.raises(DamagedError, match="the file is cut off"):
        read(Fake(data), data)
    assert names(temporary) == set()


def test_read_through_killed_at_any_moment_leaves_no_file(temporary: Path) -> None:
    for moment in range(6):
        child = os.fork()
        if child == 0:
            read(Fake(BACKUP, piece=20, before_chunk=lambda: time.sleep(0.001)))
            os._exit(0)
        time.sleep(0.01 * moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert names(temporary) == set()


def test_read_through_needs_free_space_for_the_backup(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DestinationError, match=r"free bytes, found \d+. .* set TMPDIR to another"):
        read_through(Fake(BACKUP), RemoteFile(NAME, 1 << 60, None), FOREVER)

    def writev(_descriptor: int, _views: list[memoryview]) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "writev", writev)
    with pytest.raises(DestinationError, match=r"the temporary folder .* is full: .* set TMPDIR to another"):
        read(Fake(BACKUP))
    assert names(temporary) == set()


# ------------------------------------------------------------------------------------------------------- the local disk


def test_local_disk_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0

    def writev(descriptor: int, views: list[memoryview]) -> int:
        nonlocal written
        if written > 1_000_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # As the system may: less than was asked for, and not at the end of a view.
        done = os.write(descriptor, b"".join(views)[:100_003])
        written += done
        return done

    monkeypatch.setattr(os, "writev", writev)
    data = os.urandom(3_000_000)
    with pytest.raises(DestinationError, match="is full"):
        fetch(Fake(data), tmp_path, data)
    assert names(tmp_path) == set()


def test_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "writev", lambda fd, views: os.write(fd, b"".join(views)[:7777]))
    data = os.urandom(700_000)
    fetch(Fake(data), tmp_path, data)
    require_whole(tmp_path, data)


def test_local_disk_that_cannot_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fdatasync(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(DestinationError, match="Input/output error"):
        fetch(Fake(BACKUP), tmp_path)
    assert names(tmp_path) <= {f".{NAME}.partial"}


def test_too_little_local_space_is_refused_first(tmp_path: Path) -> None:
    source = Fake(BACKUP)
    with pytest.raises(DestinationError, match=r"expected \d+ free bytes, found \d+"):
        transfer(source, RemoteFile(NAME, 1 << 60, None), resolve(str(tmp_path), NAME), 0o640, FOREVER)
    assert source.offsets == []
    assert names(tmp_path) == set()


def test_file_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are on the disk before the checksum file gets its name, and that before the backup gets its name."""
    seen: list[str] = []
    for name in ("fdatasync", "fsync", "rename"):
        real = getattr(os, name)

        def watched(*arguments: Any, name: str = name, real: Any = real) -> Any:
            what = arguments[0]
            path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else what
            seen.append(f"{name} {Path(path).name}")
            return real(*arguments)

        monkeypatch.setattr(os, name, watched)
    fetch(Fake(BACKUP), tmp_path)
    assert seen == [
        f"fdatasync .{NAME}.partial",
        f"fsync .{NAME}.sha256.partial",
        f"rename .{NAME}.sha256.partial",
        f"fsync {tmp_path.name}",
        f"rename .{NAME}.partial",
        f"fsync {tmp_path.name}",
    ]


# -------------------------------------------------------------------------------------------------------------- at once


def test_second_fetch_to_one_file_is_refused(tmp_path: Path) -> None:
    refused: list[str] = []

    def second() -> None:
        if not refused:
            with pytest.raises(ConcurrentFetchError, match=r"another fetch to .* is in progress") as caught:
                fetch(Fake(bytes(len(BACKUP))), tmp_path, bytes(len(BACKUP)))
            refused.append(str(caught.value))

    fetch(Fake(BACKUP, before_chunk=second), tmp_path)
    assert refused
    require_whole(tmp_path)


def test_many_fetches_to_one_file(tmp_path: Path) -> None:
    """Whatever their order, the file is always complete, and no process writes into another one's finished file."""
    data = [bytes([number]) * 400_000 for number in range(4)]
    until = time.monotonic() + 3

    def work(number: int) -> None:
        done = 0
        while time.monotonic() < until:
            # Any other error ends this process with another exit status.
            with contextlib.suppress(ConcurrentFetchError):
                fetch(Fake(data[number], piece=10_000), tmp_path, data[number])
                done += 1
        os._exit(0 if done else 3)

    children = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(4)]
    for child in children:
        child.start()
    while time.monotonic() < until:
        try:
            found = (tmp_path / NAME).read_bytes()
        except FileNotFoundError:
            continue
        assert found in data
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert names(tmp_path) == {NAME, f"{NAME}.sha256"}


def test_process_killed_at_random_then_run_again(tmp_path: Path) -> None:
    data = os.urandom(8_000_000)
    resumed = 0
    for moment in range(12):
        child = os.fork()
        if child == 0:
            fetch(Fake(data, piece=20_000, before_chunk=lambda: time.sleep(0.0005)), tmp_path, data)
            os._exit(0)
        time.sleep(0.02 * moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if (tmp_path / NAME).exists():
            assert (tmp_path / NAME).read_bytes() == data
        resumed = max(resumed, fetch(Fake(data), tmp_path, data).resumed_bytes)
        require_whole(tmp_path, data)
        (tmp_path / NAME).unlink()
    assert resumed > 0


def test_local_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(BACKUP)
    assert hash_file(str(tmp_path / "x")) == sha256(BACKUP)
    with pytest.raises(DestinationError):
        hash_file(str(tmp_path / "y"))


def test_empty_partial_file_is_removed(tmp_path: Path) -> None:
    with open_partial(resolve(str(tmp_path), NAME)):
        assert names(tmp_path) == {f".{NAME}.partial"}
    assert names(tmp_path) == set()
