# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands of an upload, run by the shells of the images in a local folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._cluster.volume_upload import VolumeFolder
from plugins.module_utils._fetch.upload_source import LocalBackup
from plugins.module_utils._volume.checksum_file import format_checksum_file
from plugins.module_utils.errors import CommandFailedError, UploadError

NAME = "postgres-backup-2026-11-22-020000.sql.gz"
PARTIAL = f".{NAME}.upload-0123456789ab.partial"
DATA = os.urandom(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
MANIFEST = b'{"format":1}\n'
LINE = format_checksum_file(SHA256, NAME)


class LocalReader:
    """A reader whose commands run here, in a folder with a space in its name, with the programs of one image."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.folder = folder
        self.shell = shell
        self.environment: dict[str, str] = {}

    def place(self, name: str) -> tuple[LocalReader, str]:
        return self, f"{self.folder}/{name}"

    def answer(self, script: str, name: str, *arguments: str, limit_bytes: int) -> str:
        done = self._run(["sh", "-c", script, "sh", f"{self.folder}/{name}", *arguments], b"")
        assert len(done.stdout) <= limit_bytes
        if done.returncode:
            raise CommandFailedError("failed", done.returncode, done.stderr.decode())
        return done.stdout.decode().strip()

    def send(self, command: list[str], pieces: Iterable[memoryview], answer: re.Pattern[str]) -> str:
        done = self._run(command, b"".join(pieces))
        line = done.stdout.decode().partition("\n")[0]
        if not answer.fullmatch(line):
            raise CommandFailedError("failed", 1, line)
        assert not done.stderr
        return line

    def mark_suspect(self) -> None:
        raise AssertionError("no connection is lost here")

    def _run(self, command: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
        assert command[0] == "sh"
        environment = {"PATH": os.environ["PATH"], **self.environment}
        return subprocess.run(
            [*self.shell, *command[1:]], input=data, env=environment, capture_output=True, check=False
        )


@pytest.fixture(params=["dash", "bash", "busybox"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> LocalReader:
    folder = tmp_path / "the backups"
    folder.mkdir()
    program = shutil.which(request.param)
    assert program, f"{request.param}: not installed"
    return LocalReader(folder, [program, "sh"] if request.param == "busybox" else [program])


def folder_of(reader: Any) -> VolumeFolder:
    return VolumeFolder(reader)


def backup(checksum_file: bytes | None = LINE, manifest: bytes | None = MANIFEST) -> LocalBackup:
    return LocalBackup("here", NAME, len(DATA), SHA256, checksum_file, manifest, (0, 0, 0, 0))


def pieces(data: bytes) -> Iterator[memoryview]:
    for start in range(0, len(data), 1 << 17):
        yield memoryview(data[start : start + (1 << 17)])


def files(reader: LocalReader) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in reader.folder.iterdir()}


@pytest.mark.parametrize("offset", [0, 1, 131_072, 299_999])
def test_bytes_are_written_at_their_position_and_hashed(reader: LocalReader, offset: int) -> None:
    (reader.folder / PARTIAL).write_bytes(DATA[:offset])
    folder = folder_of(reader)
    assert folder.partial_size(PARTIAL) == offset
    assert folder.send(PARTIAL, offset, len(DATA) - offset, pieces(DATA[offset:])) == SHA256
    assert files(reader) == {PARTIAL: DATA}


def test_a_link_is_not_followed(reader: LocalReader) -> None:
    (reader.folder / PARTIAL).symlink_to("elsewhere")
    with pytest.raises(UploadError, match="cannot be written or read"):
        folder_of(reader).partial_size(PARTIAL)
    assert not (reader.folder / "elsewhere").exists()


@pytest.mark.parametrize("checksum_file", [None, LINE])
@pytest.mark.parametrize("manifest", [None, MANIFEST, b"x" * 300_000])
@pytest.mark.parametrize("keep", [False, True])
def test_published_with_its_companions(
    reader: LocalReader, checksum_file: bytes | None, manifest: bytes | None, keep: bool
) -> None:
    (reader.folder / PARTIAL).write_bytes(DATA)
    (reader.folder / f"{NAME}.damaged").write_bytes(b"of a deleted backup")
    assert folder_of(reader).publish(PARTIAL, backup(checksum_file, manifest), keep)
    companions = {".sha256": checksum_file, ".json": manifest, ".keep": b"" if keep else None}
    expected = {f"{NAME}{suffix}": content for suffix, content in companions.items() if content is not None}
    assert files(reader) == {NAME: DATA, **expected}


@pytest.mark.parametrize(("variable", "mode"), [("0600", 0o600), ("660", 0o660), ("", 0o640), ("$(id)", 0o640)])
def test_mode(reader: LocalReader, variable: str, mode: int) -> None:
    (reader.folder / PARTIAL).write_bytes(DATA)
    reader.environment["POSTGRES_BACKUP_FILE_MODE"] = variable
    assert folder_of(reader).publish(PARTIAL, backup(), False)
    assert {path.stat().st_mode & 0o777 for path in reader.folder.iterdir()} == {mode}


def test_a_name_that_is_taken(reader: LocalReader) -> None:
    before = {NAME: b"other", f"{NAME}.json": b"its manifest", PARTIAL: DATA}
    for name, content in before.items():
        (reader.folder / name).write_bytes(content)
    assert not folder_of(reader).publish(PARTIAL, backup(), True)
    assert files(reader) == before


def test_a_checksum_file_of_another_backup_reserves_the_name(reader: LocalReader) -> None:
    (reader.folder / PARTIAL).write_bytes(DATA)
    (reader.folder / f"{NAME}.sha256").write_bytes(LINE)
    assert folder_of(reader).publish(PARTIAL, backup(), False)
    (reader.folder / NAME).rename(reader.folder / PARTIAL)
    (reader.folder / f"{NAME}.sha256").write_bytes(format_checksum_file("0" * 64, NAME))
    with pytest.raises(UploadError, match="a checksum file of another backup"):
        folder_of(reader).publish(PARTIAL, backup(), False)
    assert not (reader.folder / NAME).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_volume_is_reported(reader: LocalReader) -> None:
    (reader.folder / PARTIAL).symlink_to("/dev/full")
    with pytest.raises(UploadError, match=r"the backup volume is full: .*No space left"):
        folder_of(reader).send(PARTIAL, 0, len(DATA), pieces(DATA))
    with pytest.raises(UploadError, match="cannot be written"):
        folder_of(reader).publish("missing/partial", backup(), False)


@pytest.mark.parametrize("content", [b"", b"<p>\xc3\xa4</p>\n", DATA])
@pytest.mark.parametrize("before", [None, b"an earlier report", b"a link"])
def test_a_report_is_replaced(reader: LocalReader, content: bytes, before: bytes | None) -> None:
    report, victim = reader.folder / "postgres-backup.report.html", reader.folder.parent / "victim"
    victim.write_bytes(b"of somebody else")
    if before == b"a link":
        report.symlink_to(victim)
    elif before is not None:
        report.write_bytes(before)
    # Of an attempt that was killed, or of somebody who wants to have another file written.
    (reader.folder / ".postgres-backup.report.html.new").symlink_to(victim)
    folder = folder_of(reader)
    assert not folder.has(report.name, content)
    assert folder.replace(report.name, content)
    assert files(reader) == {report.name: content}
    assert (report.is_symlink(), report.stat().st_mode & 0o777) == (False, 0o640)
    assert victim.read_bytes() == b"of somebody else"
    assert not folder.replace(report.name, content), "it has this content already"


def test_a_report_that_cannot_be_written(reader: LocalReader) -> None:
    (reader.folder / "postgres-backup.report.html").mkdir()
    with pytest.raises(UploadError, match="cannot be written or read"):
        folder_of(reader).replace("postgres-backup.report.html", b"page")
    reader.folder.joinpath("postgres-backup.report.html").rmdir()
    reader.folder.joinpath(".postgres-backup.report.html.new").mkdir()
    with pytest.raises(UploadError, match="cannot be written or read"):
        folder_of(reader).replace("postgres-backup.report.html", b"page")
    assert not reader.folder.joinpath("postgres-backup.report.html").exists()
