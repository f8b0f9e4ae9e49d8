# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A volume that does not take a backup that is brought back. test_program.py brings backups back."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins.module_utils._copy.faults import PlaceError
from plugins.module_utils._copy.retrieval import retrieve
from plugins.module_utils._copy.volume_files import VolumeFiles
from plugins.module_utils._volume.catalog import Backup, Catalog

COPY = Backup("backup-2026-11-22-020000.sql.gz", datetime(2026, 11, 22, 2, tzinfo=UTC), 9, "0" * 64, "complete", "", ())
EMPTY = Catalog((), "/backups", None, 100, 50, {}, None)


def refuse(number: int) -> None:
    raise OSError(number, os.strerror(number), "/backups/x")


def ignore(_line: object) -> None:
    pass


class FullVolume:
    """A place whose copies do not fit: restic's text is written by this process."""

    def download(self, _name: str, path: str, _progress: Callable[[int], None]) -> None:
        Path(path).write_bytes(b"the first")
        refuse(errno.ENOSPC)


class Unpublished(VolumeFiles):
    """A volume that becomes read-only after the download."""

    def read(self, _name: str) -> tuple[int, str]:
        return 9, "0" * 64

    def publish(self, _name: str, _texts: Mapping[str, bytes]) -> None:
        refuse(errno.EROFS)


class Intact:
    def download(self, _name: str, path: str, _progress: Callable[[int], None]) -> None:
        Path(path).write_bytes(b"content 1")


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (FullVolume(), VolumeFiles, "the backup volume is full. Add space"),
        (Intact(), Unpublished, "the backup volume is mounted read-only"),
    ],
)
def test_an_error_of_the_volume_is_not_one_of_the_place(
    tmp_path: Path, source: FullVolume | Intact, target: type[VolumeFiles], reason: str
) -> None:
    with pytest.raises(PlaceError, match=reason):
        retrieve(COPY, source, {}, target(str(tmp_path), 0o640, "token"), EMPTY, log=ignore, progress=ignore)
    assert list(tmp_path.iterdir()) == []


def test_a_partial_file_that_cannot_be_deleted_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "unlink", lambda *_values, **_options: refuse(errno.EROFS))
    with pytest.raises(PlaceError, match="the backup volume is full"):
        retrieve(COPY, FullVolume(), {}, VolumeFiles(str(tmp_path), 0o640, "token"), EMPTY, log=ignore, progress=ignore)
