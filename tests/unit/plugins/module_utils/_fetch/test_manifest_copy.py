# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The manifest next to a fetched backup."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.module_utils._fetch.destination import Destination, remove
from plugins.module_utils._fetch.manifest_copy import ManifestCopy, naming_recipients, update_manifest
from plugins.module_utils.errors import BackupError, CommandFailedError, FetchError, LostError, UndecryptedError
from tests.backup_parts import NAME, make_backup

CLUSTER = (Path(__file__).parents[1] / "dumps" / "18-all.sql").read_bytes()
BACKUP = make_backup(CLUSTER)
OTHER = make_backup(CLUSTER, name=NAME.replace("22", "21"))


def never() -> str:
    raise AssertionError("the volume is not read")


def update(
    folder: Path,
    read: Callable[[], str] | None = lambda: BACKUP.manifest,
    *,
    sha256: str | None = BACKUP.sha256,
    is_dry_run: bool = False,
    name: str = "latest.sql.gz",
) -> ManifestCopy:
    destination = Destination(str(folder / name), False)
    return update_manifest(read, destination, NAME, sha256, 0o640, is_dry_run=is_dry_run)


def manifest(folder: Path) -> Path:
    return folder / "latest.sql.gz.json"


def test_manifest_is_copied_and_not_read_again(tmp_path: Path) -> None:
    path = str(manifest(tmp_path))
    assert update(tmp_path, never, is_dry_run=True) == ManifestCopy(path, is_changed=True)
    assert [*tmp_path.iterdir()] == []
    assert update(tmp_path) == ManifestCopy(path, is_changed=True)
    assert manifest(tmp_path).read_text() == BACKUP.manifest
    assert manifest(tmp_path).stat().st_mode & 0o777 == 0o640
    assert update(tmp_path, never) == ManifestCopy(path)
    assert [*tmp_path.iterdir()] == [manifest(tmp_path)]


def test_the_recipients_are_those_of_the_manifest_on_the_volume() -> None:
    encryption = {"recipients": ["age1abc", "ssh-ed25519 AAAA me@nas"], "gzip_bytes": len(BACKUP.file)}
    text = json.dumps({**json.loads(BACKUP.manifest), "encryption": encryption})

    def lost() -> str:
        raise LostError("the connection was lost")

    def message(read: Callable[[], str]) -> str:
        with pytest.raises(UndecryptedError) as caught, naming_recipients(read, NAME):
            raise UndecryptedError("none of these")
        return str(caught.value)

    assert message(lambda: text) == "none of these: age1abc, ssh-ed25519 AAAA"
    assert [message(read) for read in (lambda: BACKUP.manifest, lambda: "", lost)] == ["none of these"] * 3


def test_backup_without_a_manifest(tmp_path: Path) -> None:
    assert update(tmp_path, None) == ManifestCopy(None)
    assert update(tmp_path, None, sha256=None, is_dry_run=True) == ManifestCopy(None)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("has_manifest", [True, False])
def test_manifest_of_another_backup_is_replaced_or_deleted(tmp_path: Path, has_manifest: bool) -> None:
    """`dest` is one file, into which another backup was fetched before."""
    manifest(tmp_path).write_text(OTHER.manifest)
    read = (lambda: BACKUP.manifest) if has_manifest else None
    assert update(tmp_path, read, is_dry_run=True).is_changed
    assert manifest(tmp_path).read_text() == OTHER.manifest
    assert update(tmp_path, read).is_changed
    assert manifest(tmp_path).exists() == has_manifest
    assert not has_manifest or manifest(tmp_path).read_text() == BACKUP.manifest


@pytest.mark.parametrize("content", ['{"complete":true,"databases":[]}', "x", ""])
@pytest.mark.parametrize("has_manifest", [True, False])
def test_file_of_a_user_is_kept(tmp_path: Path, content: str, has_manifest: bool) -> None:
    """Such as one of `contents_dest`."""
    manifest(tmp_path).write_text(content)
    copy = update(tmp_path, never if has_manifest else None)
    assert (copy.path, copy.is_changed) == (None, False)
    assert (copy.warning is not None) == has_manifest
    assert manifest(tmp_path).read_text() == content


def raises(error: BackupError) -> Callable[[], str]:
    def read() -> str:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (raises(LostError("the connection was lost")), "the connection was lost"),
        (raises(FetchError("it cannot be read")), "it cannot be read"),
        (raises(CommandFailedError("failed", 1, "")), "failed"),
        (lambda: "", "is damaged"),
        (lambda: BACKUP.manifest[:100], "is damaged"),
        (lambda: json.dumps({**json.loads(BACKUP.manifest), "format": 2}), "of another version"),
        (lambda: OTHER.manifest, "is damaged: expected that of"),
        (lambda: BACKUP.manifest.replace(BACKUP.sha256, "0" * 64), "that of another file"),
    ],
)
def test_manifest_that_cannot_be_used_is_a_warning(tmp_path: Path, read: Callable[[], str], words: str) -> None:
    copy = update(tmp_path, read)
    assert (copy.path, copy.is_changed) == (None, False)
    assert copy.warning is not None and words in copy.warning
    assert [*tmp_path.iterdir()] == []
    manifest(tmp_path).write_text(OTHER.manifest)
    assert update(tmp_path, read).is_changed
    assert [*tmp_path.iterdir()] == []


def test_disk_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    copy = update(tmp_path, name="missing/latest.sql.gz")
    assert (copy.path, copy.is_changed) == (None, False)
    assert copy.warning is not None and "was not copied" in copy.warning


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_not_a_file_is_kept(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    target.write_text(OTHER.manifest)
    if kind == "link":
        manifest(tmp_path).symlink_to(target)
    else:
        manifest(tmp_path).mkdir()
    copy = update(tmp_path, never)
    assert copy.warning is not None and "is not a manifest" in copy.warning
    assert target.read_text() == OTHER.manifest


@pytest.mark.parametrize(("content", "remains"), [(OTHER.manifest, False), ("{}", True)])
def test_manifest_is_deleted_with_its_backup(tmp_path: Path, content: str, remains: bool) -> None:
    backup = tmp_path / OTHER.name
    for path, text in ((backup, "x"), (Path(f"{backup}.json"), content)):
        path.write_text(text)
    remove((str(backup),))
    assert {path.name for path in tmp_path.iterdir()} == ({f"{OTHER.name}.json"} if remains else set())
