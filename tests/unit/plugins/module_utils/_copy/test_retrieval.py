# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A volume that does not take a backup that is brought back. test_program.py brings backups back."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import pytest

from plugins.module_utils._copy.faults import PlaceError
from plugins.module_utils._copy.interface import Progress
from plugins.module_utils._copy.place import Content
from plugins.module_utils._copy.retrieval import Retrieved, retrieve
from plugins.module_utils._copy.volume_files import VolumeFiles
from plugins.module_utils._volume.catalog import Backup

CONTENT = b"content 1"
COPY = Backup(
    "backup-2026-11-22-020000.sql.gz",
    datetime(2026, 11, 22, 2, tzinfo=UTC),
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    "complete",
    "",
    (),
)


def refuse(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number), "/backups/x")


def nothing(_name: str) -> None:
    """The volume has no backup."""


def bring_back(
    target: VolumeFiles,
    source: Source,
    find: Callable[[str], Backup | None] = nothing,
    texts: Mapping[str, bytes] = MappingProxyType({}),
) -> Retrieved:
    return retrieve(
        COPY, source, texts, target, find, reads_copy=False, log=ignore, progress=lambda _activity, _size: ignore
    )


def ignore(_value: object) -> None:
    pass


class Source:
    """A place with an intact copy."""

    def download(self, _name: str, path: str, _progress: Progress) -> None:
        Path(path).write_bytes(CONTENT)

    def read(self, _name: str, _progress: Progress) -> Content:
        return Content(len(CONTENT), COPY.sha256 or "")


class FullVolume(Source):
    """A place whose copies do not fit: restic's text is written by this process."""

    def download(self, _name: str, path: str, _progress: Progress) -> None:
        Path(path).write_bytes(b"the first")
        refuse(errno.ENOSPC)


class Unpublished(VolumeFiles):
    """A volume that becomes read-only after the download."""

    def publish(self, name: str, texts: Mapping[str, bytes], *, replaces: bool) -> None:
        del name, texts, replaces
        refuse(errno.EROFS)


class Unreadable(VolumeFiles):
    """A volume with a file that it cannot read."""

    number = errno.EIO

    def read(self, _name: str, _progress: Progress) -> Content:
        refuse(self.number)


class Forbidden(Unreadable):
    number = errno.EACCES


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (FullVolume(), VolumeFiles, "the backup volume is full. Add space"),
        (Source(), Unpublished, "the backup volume is mounted read-only"),
    ],
)
def test_an_error_of_the_volume_is_not_one_of_the_place(
    tmp_path: Path, source: Source, target: type[VolumeFiles], reason: str
) -> None:
    with pytest.raises(PlaceError, match=reason):
        bring_back(target(str(tmp_path), 0o640, "token"), source)
    assert list(tmp_path.iterdir()) == []


def test_a_partial_file_that_cannot_be_deleted_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", lambda *_values, **_options: refuse(errno.EROFS))
    with pytest.raises(PlaceError, match="the backup volume is full"):
        bring_back(VolumeFiles(str(tmp_path), 0o640, "token"), FullVolume())


def test_a_backup_whose_blocks_cannot_be_read_is_replaced(tmp_path: Path) -> None:
    (tmp_path / COPY.name).write_bytes(b"damaged")
    found = bring_back(Unreadable(str(tmp_path), 0o640, "token"), Source(), lambda _name: COPY)
    assert found.is_new and found.replaces_damaged
    assert (tmp_path / COPY.name).read_bytes() == CONTENT


def test_a_backup_that_this_user_may_not_read_is_not_damaged(tmp_path: Path) -> None:
    (tmp_path / COPY.name).write_bytes(CONTENT)
    with pytest.raises(PlaceError, match="on the volume cannot be read: Permission denied"):
        bring_back(Forbidden(str(tmp_path), 0o640, "token"), Source(), lambda _name: COPY)


class Rival(Source):
    """The place, from which another call brings the backup back during the download."""

    def __init__(self, volume: Path, sha256: str) -> None:
        self._volume, self.sha256 = volume, sha256

    def download(self, name: str, path: str, progress: Progress) -> None:
        super().download(name, path, progress)
        (self._volume / name).write_bytes(b"of another")
        (self._volume / f"{name}.sha256").write_text(self.sha256)

    def find(self, name: str) -> Backup | None:
        return replace(COPY, sha256=self.sha256) if (self._volume / name).exists() else None


@pytest.mark.parametrize("is_the_same", [True, False])
def test_a_backup_that_another_call_has_brought_back_meanwhile(tmp_path: Path, *, is_the_same: bool) -> None:
    """It keeps its checksum file."""
    digest = str(COPY.sha256)
    rival, target = Rival(tmp_path, digest if is_the_same else "1" * 64), VolumeFiles(str(tmp_path), 0o640, "token")
    texts = {".sha256": b"of this call"}
    if is_the_same:
        found = bring_back(target, rival, rival.find, texts=texts)
        assert found == Retrieved(COPY.name, digest, 9, copy_is_read=True)
    else:
        with pytest.raises(PlaceError, match="the volume has another file of the name"):
            bring_back(target, rival, rival.find, texts=texts)
    found_files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found_files == {COPY.name: "of another", f"{COPY.name}.sha256": rival.sha256}
