# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Where a fetched file may be stored, and what is deleted after a new one has been fetched."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from plugins.module_utils._fetch.destination import (
    Destination,
    backups_to_delete,
    checksum_file_matches,
    open_partial,
    remove,
    require_space,
    resolve,
    write_checksum_file,
)
from plugins.module_utils.errors import DestinationError

NAME = "postgres-backup-2026-11-22-020000.sql.gz"
HASH = "0123456789abcdef" * 4


def test_destination_is_a_directory_or_a_file(tmp_path: Path) -> None:
    in_directory = resolve(str(tmp_path), NAME)
    assert (in_directory.path, in_directory.in_directory) == (str(tmp_path / NAME), True)
    assert resolve(f"{tmp_path}/", NAME).path == str(tmp_path / NAME)
    named = resolve(str(tmp_path / "latest.gz"), NAME)
    assert (named.path, named.in_directory) == (str(tmp_path / "latest.gz"), False)
    assert (named.checksum_file, named.partial) == (
        str(tmp_path / "latest.gz.sha256"),
        str(tmp_path / ".latest.gz.partial"),
    )
    (tmp_path / "link").symlink_to(tmp_path)
    assert resolve(str(tmp_path / "link"), NAME).path == str(tmp_path / "link" / NAME)


def test_destination_without_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    destination = resolve("x.sql.gz", NAME)
    assert (destination.path, destination.directory, destination.partial) == ("x.sql.gz", ".", "./.x.sql.gz.partial")


@pytest.mark.parametrize(
    ("dest", "message"),
    [
        ("none/", "none/ does not exist: expected a directory. Create it"),
        ("none/x", "none does not exist: expected a directory"),
        ("file/", "file/ cannot be written: Not a directory"),
        ("file/x", "file/x cannot be written: Not a directory"),
        ("link", "link is a symbolic link to file: expected a file or nothing"),
        ("dangling", "dangling is a symbolic link to nowhere"),
        ("holds-a-directory", f"{NAME} is a directory: expected a file or nothing"),
        ("pipe", "pipe is a device, pipe or socket"),
        ("x" * 300, "File name too long"),
        ("next-to-a-directory", "next-to-a-directory.sha256 is a directory"),
        ("next-to-a-link", "next-to-a-link.sha256 is a symbolic link"),
        ("loop/x", "Too many levels of symbolic links"),
    ],
)
def test_destination_that_is_not_writable(tmp_path: Path, dest: str, message: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "holds-a-directory" / NAME).mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "next-to-a-directory.sha256").mkdir()
    (tmp_path / "next-to-a-link.sha256").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DestinationError) as caught:
        resolve(f"{tmp_path}/{dest}", NAME)
    assert message in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_directory_of_another_user(tmp_path: Path) -> None:
    """Run as root, which may write everything, this is done as another user in a child process."""
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o001 == 0 and parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    (tmp_path / "shut").mkdir(mode=0o555)
    (tmp_path / "secret").mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            for dest in ("shut", "shut/x", "secret/x"):
                with pytest.raises(DestinationError, match="cannot be written by user id"):
                    resolve(str(tmp_path / dest), NAME)
            with (
                pytest.raises(DestinationError, match="cannot be written by user id"),
                open_partial(Destination(str(tmp_path / "shut" / "x"), False)),
            ):
                pass
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("kind", ["link", "directory", "pipe", "socket"])
def test_partial_path_that_is_not_a_regular_file(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    destination = resolve(NAME, NAME)
    (tmp_path / "target").write_bytes(b"precious")
    if kind == "link":
        os.symlink("target", destination.partial)
    elif kind == "directory":
        os.mkdir(destination.partial)
    elif kind == "pipe":
        os.mkfifo(destination.partial)
    else:
        socket.socket(socket.AF_UNIX).bind(destination.partial)
    with (
        pytest.raises(DestinationError, match="is not a regular file: expected a partial download"),
        open_partial(destination),
    ):
        pass
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_free_space_is_checked(tmp_path: Path) -> None:
    destination = resolve(str(tmp_path), NAME)
    require_space(destination, 1)
    with pytest.raises(DestinationError, match=f"the local disk of {tmp_path} is too full"):
        require_space(destination, 1 << 60)


@pytest.mark.parametrize(
    "name", ["b.sql.gz", "with space", "ünï", "back\\slash", "back\\nslash", "new\nline", "cr\rlf"]
)
def test_checksum_file_is_as_sha256sum_writes_it(tmp_path: Path, name: str) -> None:
    destination = resolve(str(tmp_path / name), NAME)
    (tmp_path / name).write_bytes(b"x")
    line = subprocess.run(["sha256sum", name], cwd=tmp_path, capture_output=True, check=True).stdout
    sha256 = line.lstrip(b"\\")[:64].decode()
    assert not checksum_file_matches(destination.path)
    write_checksum_file(destination, sha256, 0o604)
    assert Path(destination.checksum_file).read_bytes() == line
    assert Path(destination.checksum_file).stat().st_mode & 0o777 == 0o604
    assert checksum_file_matches(destination.path) and checksum_file_matches(destination.path, sha256)
    assert not checksum_file_matches(destination.path, HASH)
    assert len(list(tmp_path.iterdir())) == 2


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    destination = resolve(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gz"), NAME)
    write_checksum_file(destination, HASH, 0o600)
    assert checksum_file_matches(destination.path, HASH)


def fetched(folder: Path, name: str, sidecar: bool = True) -> None:
    (folder / name).write_bytes(b"x")
    if sidecar:
        (folder / f"{name}.sha256").write_text(f"{HASH}  {name}\n")


def of_day(day: int, prefix: str = "postgres-backup") -> str:
    return f"{prefix}-2026-11-{day:02d}-020000.sql.gz"


def test_older_backups_are_deleted(tmp_path: Path) -> None:
    for day in range(1, 8):
        fetched(tmp_path, of_day(day))
    newest = resolve(str(tmp_path), of_day(8))
    for _ in range(2):  # before it has been fetched, as in check mode, and afterwards
        gone = backups_to_delete(newest, 3, of_day(8))
        assert [Path(path).name for path in gone] == [of_day(day) for day in range(1, 6)]
        fetched(tmp_path, of_day(8))
    assert backups_to_delete(newest, 8, of_day(8)) == ()
    assert [Path(path).name for path in backups_to_delete(newest, 1, of_day(8))] == [of_day(day) for day in range(1, 8)]
    # An old one that was requested is kept, and the limit is respected.
    assert [Path(path).name for path in backups_to_delete(newest, 2, of_day(1))] == [of_day(day) for day in range(2, 8)]
    remove(gone)
    assert {path.name for path in tmp_path.iterdir()} == {
        name for day in (6, 7, 8) for name in (of_day(day), f"{of_day(day)}.sha256")
    }


def test_foreign_files_are_kept(tmp_path: Path) -> None:
    fetched(tmp_path, of_day(1), sidecar=False)
    fetched(tmp_path, of_day(2))
    (tmp_path / f"{of_day(2)}.sha256").write_text(f"{HASH}  other\n")
    fetched(tmp_path, of_day(3, "other"))
    fetched(tmp_path, of_day(4, "postgres-backup-two"))
    fetched(tmp_path, "postgres-backup-2026-11-05-020000.sql")
    fetched(tmp_path, "postgres-backup-2026-13-05-020000.sql.gz")
    fetched(tmp_path, "target")
    (tmp_path / of_day(6)).symlink_to("target")
    (tmp_path / f"{of_day(6)}.sha256").write_text(f"{HASH}  {of_day(6)}\n")
    (tmp_path / of_day(7)).mkdir()
    (tmp_path / f".{of_day(1)}.partial").write_bytes(b"young")
    assert backups_to_delete(resolve(str(tmp_path), of_day(20)), 1, of_day(20)) == ()


def test_stale_partial_files_are_deleted(tmp_path: Path) -> None:
    for day, prefix in ((1, "postgres-backup"), (2, "other"), (8, "postgres-backup")):
        partial = tmp_path / f".{of_day(day, prefix)}.partial"
        partial.write_bytes(b"x")
        os.utime(partial, (time.time() - 90_000,) * 2)
    newest = resolve(str(tmp_path), of_day(8))
    assert backups_to_delete(newest, 3, of_day(8)) == (str(tmp_path / f".{of_day(1)}.partial"),)
    remove(backups_to_delete(newest, 3, of_day(8)))
    assert len(list(tmp_path.iterdir())) == 2
