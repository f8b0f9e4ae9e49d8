# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plugins.module_utils._volume.checksum_file import parse_checksum_file
from plugins.module_utils.errors import ChecksumFileError

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "line", [f"{HASH}  b.sql.gz\n", f"{HASH}  b.sql.gz", f"{HASH} *b.sql.gz\n", f"{HASH.upper()}  b.sql.gz\n"]
)
def test_lines_of_sha256sum_are_read(line: str) -> None:
    assert parse_checksum_file(line.encode(), "b.sql.gz") == HASH


@pytest.mark.parametrize("name", ["b.sql.gz", "with space", "ünï", "back\\slash", "new\nline"])
def test_real_sha256sum_accepts_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    line = subprocess.run(["sha256sum", name], cwd=tmp_path, capture_output=True, check=True).stdout
    assert parse_checksum_file(line, name) == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"x  b.sql.gz\n", "is not one line"),
        (HASH.encode() + b"\n", "is not one line"),
        (f"{HASH}  b.sql.gz\n{HASH}  c\n".encode(), "is not one line"),
        (b"\0" * 100, "is not one line"),
        (f"{HASH}  a.sql.gz\n".encode(), "belongs to another file: expected 'b.sql.gz', found 'a.sql.gz'"),
        (f"{HASH}  /backups/b.sql.gz\n".encode(), "names the path '/backups/b.sql.gz'"),
        (f"{HASH}  ./b.sql.gz\n".encode(), "names the path"),
    ],
)
def test_checksum_file_of_something_else_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ChecksumFileError, match=message):
        parse_checksum_file(data, "b.sql.gz")
