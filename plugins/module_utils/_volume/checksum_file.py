# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The checksum file of a backup, which contains its hash: one line that `sha256sum -c` accepts."""

from __future__ import annotations

import os
import re

from ..errors import ChecksumFileError

SUFFIX = ".sha256"
# How much of a checksum file is read: more than the longest possible line (GNU coreutils, md5sum.c).
LIMIT_BYTES = 8192
# A backslash before the hash marks an escaped name; the second blank is an asterisk in binary mode.
_LINE = re.compile(rb"(?P<escaped>\\?)(?P<sha256>[0-9a-fA-F]{64}) [ *](?P<name>[^\n]+)\n?")
_ESCAPED = re.compile(r"\\([\\nr])")
_UNESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}


def format_checksum_file(sha256: str, backup: str) -> bytes:
    """The content of the checksum file of `backup` (its name, no path), as sha256sum writes it."""
    name = backup.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return os.fsencode(f"{'' if name == backup else chr(92)}{sha256}  {name}\n")


def parse_checksum_file(data: bytes, backup: str) -> str:
    """The sha256, in lower case, that a checksum file with the content `data` has for `backup` (its name, no path).

    Raises ChecksumFileError when it is anything but one line, when it names another file, or when it names a path: such
    a line may be about a file in another folder.
    """
    if not data.strip():
        raise ChecksumFileError(
            "the checksum file is empty: expected one line '<sha256>  <name>'. Create it again with sha256sum"
        )
    match = _LINE.fullmatch(data)
    if match is None:
        raise ChecksumFileError(
            "the checksum file is not one line '<sha256>  <name>' as sha256sum writes it. Create it again, or delete it"
        )
    name = match["name"].decode("utf-8", "backslashreplace")
    if match["escaped"]:
        name = _ESCAPED.sub(lambda escape: _UNESCAPED[escape[1]], name)
    if "/" in name:
        raise ChecksumFileError(
            f"the checksum file names the path '{name}', which may be another file: expected only the name '{backup}'. "
            "Create it again in the backup's folder"
        )
    if name != backup:
        raise ChecksumFileError(
            f"the checksum file belongs to another file: expected '{backup}', found '{name}'. Rename the backup and "
            "its checksum file together, or create it again"
        )
    return match["sha256"].decode().lower()
