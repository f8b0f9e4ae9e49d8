# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""An upload: the local file, interruptions, and a volume that has, changes or refuses something."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest

from plugins.module_utils._fetch.attempts import RetryPolicy
from plugins.module_utils._fetch.upload import partial_name, upload
from plugins.module_utils._fetch.upload_source import LocalBackup, read_source
from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils._progress.reporter import Reporter
from plugins.module_utils.errors import (
    BackupError,
    ChecksumFileError,
    IdentityError,
    LostError,
    SourceError,
    UploadError,
)

NAME = "postgres-backup-2026-11-22-020000.sql.gz"
DATA = gzip.compress(os.urandom(300_000), mtime=0)
SHA256 = hashlib.sha256(DATA).hexdigest()
ENCRYPTED: bytes = pyrage.encrypt(DATA, [pyrage.x25519.Identity.generate().to_public()])
FOREVER = RetryPolicy(retries=10**6, sleep=lambda _: None)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(DATA)
    Path(f"{path}.sha256").write_text(f"{SHA256}  {NAME}\n")
    return path


class Volume:
    """A volume in memory; `cuts` are the numbers of bytes after which a transfer is interrupted."""

    def __init__(self, *cuts: int, **files: bytes) -> None:
        self.cuts = list(cuts)
        self.files = dict(files)
        self.flip = False
        self.error: BackupError | None = None
        self.kept = False

    def partial_size(self, partial: str) -> int:
        return len(self.files.setdefault(partial, b""))

    def sha256(self, name: str, length: int | None = None) -> str:
        return hashlib.sha256(self.files[name][:length]).hexdigest()

    def send(self, partial: str, offset: int, length: int, pieces: Iterator[memoryview]) -> str:
        data = b"".join(pieces)
        assert len(data) == length
        cut = self.cuts.pop(0) if self.cuts else None
        content = self.files[partial][:offset] + data[:cut]
        self.files[partial] = content[:-1] + b"?" if self.flip else content
        if self.error:
            raise self.error
        if cut is not None:
            raise LostError("the pod is gone")
        return self.sha256(partial)

    def remove(self, partial: str) -> None:
        self.files.pop(partial, None)

    def publish(self, partial: str, backup: LocalBackup, keep: bool) -> bool:
        if backup.name in self.files:
            return False
        self.files[backup.name] = self.files.pop(partial)
        self.kept = keep
        return True

    def exists(self, name: str) -> bool:
        return name in self.files


def source(path: Path, installation: str | None = "postgres-backup", rename: bool = False) -> LocalBackup:
    return read_source(str(path), installation, rename=rename)


def test_upload_is_named_last_and_not_repeated(local: Path) -> None:
    volume, backup = Volume(), source(local)
    done = upload(volume, backup, FOREVER, keep=True)
    assert (done.changed, done.resumed_bytes, volume.files, volume.kept) == (True, 0, {NAME: DATA}, True)
    assert upload(volume, backup, FOREVER, keep=False).changed is False


def test_what_is_done_is_reported(local: Path) -> None:
    lines: list[str] = []
    reporter = Reporter(lines.append, itertools.count().__next__)  # a second passes each time the clock is read
    backup = read_source(str(local), "postgres-backup", rename=False, reporter=reporter)
    upload(Volume(), backup, FOREVER, keep=False, reporter=reporter)
    events = [parse_event(line) for line in lines]
    size = len(DATA)
    expected = [
        Event("read_local", None, len(b"-----BEGIN AGE ENCRYPTED FILE-----"), size),
        Event("read_local", None, size, size),
        Event("compare_hash"),
        Event("upload", NAME, 0, size),
        Event("upload", NAME, size, size),
        Event("check_upload"),
    ]
    assert [event for event in events if event in expected] == expected


@pytest.mark.parametrize("cuts", [(1,), (0, 5, 100_000), (0, 0, 0), (len(DATA),)])
def test_interrupted_upload_is_resumed(local: Path, cuts: tuple[int, ...]) -> None:
    volume = Volume(*cuts)
    done = upload(volume, source(local), FOREVER, keep=False)
    assert (done.interruptions, volume.files) == (len(cuts), {NAME: DATA})


def test_partial_file_of_an_earlier_run_is_used_if_it_is_the_beginning(local: Path) -> None:
    backup = source(local)
    volume = Volume()
    volume.files[partial_name(backup)] = DATA[:1000]
    assert upload(volume, backup, FOREVER, keep=False).resumed_bytes == 1000
    for other in (b"?" * 1000, DATA + b"?"):
        volume = Volume()
        volume.files[partial_name(backup)] = other
        assert upload(volume, backup, FOREVER, keep=False).resumed_bytes == 0
        assert volume.files == {NAME: DATA}


def test_lost_for_good_keeps_the_partial_file(local: Path) -> None:
    volume = Volume(100, 0, 0, 0)
    with pytest.raises(LostError, match=r"without sending data.*What was sent is kept on the volume for a day"):
        upload(volume, source(local), RetryPolicy(retries=1, sleep=lambda _: None), keep=False)
    assert volume.files == {partial_name(source(local)): DATA[:100]}


def test_an_error_leaves_nothing(local: Path) -> None:
    volume = Volume()
    volume.error = UploadError("the backup volume is full")
    with pytest.raises(UploadError, match="is full"):
        upload(volume, source(local), FOREVER, keep=False)
    assert volume.files == {}


def test_damage_on_the_way_is_detected(local: Path) -> None:
    volume = Volume()
    volume.flip = True
    with pytest.raises(UploadError, match="was damaged on its way to the volume"):
        upload(volume, source(local), FOREVER, keep=False)
    assert volume.files == {}


def test_no_file_is_replaced(local: Path) -> None:
    volume = Volume()
    volume.files[NAME] = b"other"
    with pytest.raises(UploadError, match="is on the volume already, with other content"):
        upload(volume, source(local), FOREVER, keep=False)
    assert volume.files == {NAME: b"other"}


def test_backup_that_appears_during_the_upload(local: Path) -> None:
    class Racing(Volume):
        content = DATA

        def send(self, partial: str, offset: int, length: int, pieces: Iterator[memoryview]) -> str:
            sha256 = super().send(partial, offset, length, pieces)
            self.files[NAME] = self.content
            return sha256

    volume = Racing()
    assert upload(volume, source(local), FOREVER, keep=False).changed
    assert volume.files == {NAME: DATA}
    volume = Racing()
    volume.content = b"other"
    with pytest.raises(UploadError, match="with other content"):
        upload(volume, source(local), FOREVER, keep=False)
    assert volume.files == {NAME: b"other"}


def test_file_that_changes_during_the_upload(local: Path) -> None:
    backup = source(local)
    local.write_bytes(DATA + b"?")
    with pytest.raises(SourceError, match="changed during the upload"):
        upload(Volume(), backup, FOREVER, keep=False)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Path.unlink, "cannot be read: No such file"),
        (pipe, "is not a file"),
        (folder, "is not a file"),
        (lambda path: path.write_bytes(b""), "expected a gzip file, or one that age has encrypted, found nothing"),
        (lambda path: path.write_bytes(b"SELECT 1;"), "or one that age has encrypted, found other data"),
        (lambda path: path.write_bytes(DATA + b"?"), "does not match its checksum file"),
        (lambda path: path.write_bytes(ENCRYPTED), "is encrypted: expected a name that ends in .sql.gz.age"),
    ],
)
def test_local_files_that_are_refused(local: Path, change: Callable[[Path], None], message: str) -> None:
    change(local)
    with pytest.raises(SourceError, match=message):
        source(local)


def encrypted(folder: Path, content: bytes) -> Path:
    path = folder / f"{NAME}.age"
    path.write_bytes(content)
    Path(f"{path}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    return path


@pytest.mark.parametrize("rename", [False, True])
def test_an_encrypted_backup(tmp_path: Path, rename: bool) -> None:
    """It is proven by its checksum file, as a plain one."""
    volume, installation = Volume(), "other" if rename else "postgres-backup"
    backup = read_source(str(encrypted(tmp_path, ENCRYPTED)), installation, rename=rename)
    name = f"{NAME}.age".replace("postgres-backup", installation)
    assert (backup.name, backup.checksum_file is not None) == (name, True)
    assert upload(volume, backup, FOREVER, keep=False).changed
    assert volume.files == {name: ENCRYPTED}


@pytest.mark.parametrize("installation", ["postgres-backup", "other", None])
def test_what_the_identity_does_not_decrypt_is_not_uploaded(tmp_path: Path, installation: str | None) -> None:
    """Also before there is an installation: a playbook installs the backup only for a file that it can restore."""
    path = encrypted(tmp_path, ENCRYPTED)
    manifest = {
        **{"format": 1, "backup": path.name, "state": "complete", "dumped": [], "missing": [], "left_out": False},
        **{"sha256": hashlib.sha256(ENCRYPTED).hexdigest(), "bytes": len(ENCRYPTED), "uncompressed_bytes": 9},
        **{"parts": [], "encryption": {"recipients": ["age1a"], "gzip_bytes": 9}},
    }

    def read(public_keys: list[str], **changes: object) -> LocalBackup:
        Path(f"{path}.json").write_text(json.dumps({**manifest, **changes}, separators=(",", ":")))
        return read_source(str(path), installation, rename=True, public_keys=public_keys)

    with pytest.raises(IdentityError, match=f"^identity: expected .* of {path.name}, which are age1a, found that of a"):
        read(["age1x"])
    assert read(["age1x", "age1a"]).manifest and read([]).manifest
    # A manifest of another file decides nothing, and is not uploaded.
    assert read(["age1x"], sha256="0" * 64).manifest is None


def test_a_plain_file_with_the_name_of_an_encrypted_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not encrypted: expected a name that ends in \.sql\.gz\. Rename"):
        source(encrypted(tmp_path, DATA))


@pytest.mark.parametrize(
    "name",
    [
        "dump.sql.gz",
        "postgres-backup-2026-13-22-020000.sql.gz",
        "postgres-backup-2026-11-22-020000.sql.gz.partial",
        "post\ngres-2026-11-22-020000.sql.gz",
        "../x-2026-11-22-020000.sql.gz",
        "$(reboot)-2026-11-22-020000.sql.gz",
        os.fsdecode(b"\xff-2026-11-22-020000.sql.gz"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "below" / name
    (tmp_path / "below").mkdir()
    path.write_bytes(DATA)
    with pytest.raises(SourceError) as raised:
        source(path)
    str(raised.value).encode()


def test_checksum_file_of_another_file_is_refused(local: Path) -> None:
    Path(f"{local}.sha256").write_text(f"{SHA256}  other.sql.gz\n")
    with pytest.raises(ChecksumFileError, match="belongs to another file"):
        source(local)


def test_without_checksum_file_nothing_is_proven(local: Path) -> None:
    Path(f"{local}.sha256").unlink()
    assert source(local).checksum_file is None


def manifest(name: str, sha256: str = SHA256) -> bytes:
    fields = {
        "format": 1,
        "backup": name,
        "sha256": sha256,
        "bytes": len(DATA),
        "uncompressed_bytes": 5,
        "state": "complete",
        "dumped": ["app"],
        "missing": [],
        "left_out": False,
        "parts": [],
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def test_rename_also_changes_checksum_file_and_manifest(local: Path) -> None:
    Path(f"{local}.json").write_bytes(manifest(NAME))
    with pytest.raises(SourceError, match="is a backup of another installation"):
        source(local, "pg")
    renamed = source(local, "pg", rename=True)
    name = NAME.replace("postgres-backup-", "pg-")
    assert (renamed.name, renamed.manifest) == (name, manifest(name))
    assert renamed.checksum_file == f"{SHA256}  {name}\n".encode()


def test_manifest_of_another_file_is_left_out(local: Path) -> None:
    Path(f"{local}.json").write_bytes(manifest(NAME, "0" * 64))
    backup = source(local)
    assert backup.manifest is None
    assert "belongs to another file" in backup.warnings[0]
