# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands that read a volume, run with each kind of tool, and readers that start and end."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from plugins.module_utils._cluster import volume_file
from plugins.module_utils._cluster.volume_file import ReplaceableReader, VolumeFile
from plugins.module_utils.errors import BackupError, CommandFailedError, FetchError, GoneError, LostError

DATA = os.urandom(100_000)
NAMES = [
    "postgres-backup-2026-11-22-020000.sql.gz",
    "with space-2026-11-22-020000.sql.gz",
    'it\'s $(touch pwned) `x` "q" ;&|-2026-11-22-020000.sql.gz',
    "-n-2026-11-22-020000.sql.gz",
    "back\\slash\nnewline-2026-11-22-020000.sql.gz",
]


@dataclass
class FakeReader:
    directory: str
    namespace: str = "data"
    pod: str = "reader-1"
    container: str = "reader"
    runs: bool = True
    left: list[str] = field(default_factory=list)

    def is_running(self) -> bool:
        return self.runs

    def __enter__(self) -> FakeReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.left.append(self.pod)


class Local:
    """A container whose commands run here."""

    path = "/usr/bin:/bin"
    fails: ClassVar[list[BackupError]] = []

    def __init__(self, *_: Any) -> None:
        pass

    def output(self, command: Sequence[str]) -> Iterator[memoryview]:
        if self.fails:
            raise self.fails.pop(0)
        done = subprocess.run(command, env={"PATH": self.path}, capture_output=True, check=False)
        yield memoryview(done.stdout)
        if done.returncode:
            raise CommandFailedError("failed", done.returncode, done.stderr.decode())

    def answer(self, command: Sequence[str], limit_bytes: int = 1 << 20) -> bytes:
        answer = b"".join(self.output(command))
        assert len(answer) <= limit_bytes
        return answer


@pytest.fixture(params=["coreutils", "busybox"])
def volume(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(volume_file, "Container", Local)
    monkeypatch.setattr(Local, "fails", [])
    if request.param == "busybox":
        busybox = shutil.which("busybox")
        assert busybox, "expected busybox on PATH, found none: apt-get install busybox"
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("sh", "cat", "dd", "head", "sha256sum", "test"):
            (tools / name).symlink_to(busybox)
        monkeypatch.setattr(Local, "path", str(tools))
    path = tmp_path / "volume"
    path.mkdir()
    return path


def replaceable(volume: Path, *more: FakeReader) -> ReplaceableReader:
    waiting = [FakeReader(str(volume)), *more]
    return ReplaceableReader(lambda: None, lambda: waiting.pop(0), 60.0)


@pytest.mark.parametrize("name", NAMES)
def test_file_names_are_never_parsed_by_a_shell(volume: Path, name: str) -> None:
    (volume / name).write_bytes(DATA)
    file = VolumeFile(replaceable(volume), name)
    for offset in (0, 1, 4096, len(DATA) - 1, len(DATA)):
        assert b"".join(bytes(chunk) for chunk in file.chunks(offset)) == DATA[offset:], offset
    assert file.sha256() == hashlib.sha256(DATA).hexdigest()
    for length in (1, 4096, len(DATA)):
        assert file.sha256(length) == hashlib.sha256(DATA[:length]).hexdigest()
    assert {path.name for path in volume.iterdir()} == {name}


@pytest.mark.parametrize("name", NAMES)
def test_manifest_is_read(volume: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_file, "LIMIT_BYTES", 3_000_000)
    (volume / name).write_bytes(DATA)
    file = VolumeFile(replaceable(volume), name)
    assert file.manifest() == ""
    (volume / f"{name}.json").write_text("{}" + " x" * 2_000_000)
    assert file.manifest() == ("{}" + " x" * 2_000_000)[:3_000_000].strip()


def test_a_backup_that_is_gone(volume: Path) -> None:
    file = VolumeFile(replaceable(volume), NAMES[0])
    for ask in (lambda: list(file.chunks(0)), lambda: list(file.chunks(7)), file.sha256, lambda: file.sha256(7)):
        with pytest.raises(GoneError, match=f"{NAMES[0]} is no longer on the volume"):
            ask()


def test_a_backup_that_cannot_be_read(volume: Path) -> None:
    (volume / NAMES[0]).mkdir()
    file = VolumeFile(replaceable(volume), NAMES[0])
    for ask in (lambda: list(file.chunks(0)), file.sha256):
        with pytest.raises(FetchError, match="cannot be read on the volume: failed"):
            ask()


def test_reader_is_kept_while_it_runs(volume: Path) -> None:
    (volume / NAMES[0]).write_bytes(DATA)
    first = FakeReader(str(volume))
    waiting = [first]
    with ReplaceableReader(lambda: None, waiting.pop, 60.0) as reader:
        file = VolumeFile(reader, NAMES[0])
        Local.fails.append(LostError("broke"))
        with pytest.raises(LostError):
            list(file.chunks(0))
        assert b"".join(file.chunks(0)) == DATA
        assert not first.left
    assert first.left == ["reader-1"]


def test_new_reader_when_the_pod_is_gone(volume: Path) -> None:
    (volume / NAMES[0]).write_bytes(DATA)
    first, second = FakeReader("/nowhere"), FakeReader(str(volume), pod="reader-2")
    waiting = [first, second]
    with ReplaceableReader(lambda: None, lambda: waiting.pop(0), 60.0) as reader:
        file = VolumeFile(reader, NAMES[0])
        assert reader.current() is first
        Local.fails.append(LostError("broke"))
        with pytest.raises(LostError):
            file.sha256()
        first.runs = False
        assert file.sha256() == hashlib.sha256(DATA).hexdigest()
        assert (reader.current(), first.left, second.left) == (second, ["reader-1"], [])
    assert second.left == ["reader-2"]


def test_unanswered_request_is_repeated(volume: Path) -> None:
    class Unknown(FakeReader):
        def is_running(self) -> bool:
            raise BackupError("the API server does not answer")

    def new() -> Any:
        if waiting:
            return waiting.pop(0)
        raise BackupError("unschedulable")

    waiting: list[FakeReader] = [Unknown(str(volume))]
    reader = ReplaceableReader(lambda: None, new, 60.0)
    first = reader.current()
    reader.mark_suspect()
    with pytest.raises(LostError, match="does not answer"):
        reader.current()
    first.is_running = lambda: False  # type: ignore[method-assign]
    with pytest.raises(LostError, match="unschedulable"):
        reader.current()
    waiting.append(FakeReader(str(volume), pod="reader-2"))
    assert reader.current().pod == "reader-2"


def test_first_reader_that_cannot_start_is_not_a_lost_reader() -> None:
    def new() -> Any:
        raise BackupError("forbidden")

    with pytest.raises(BackupError, match="forbidden") as caught:
        ReplaceableReader(lambda: None, new, 60.0).current()
    assert not isinstance(caught.value, LostError)
