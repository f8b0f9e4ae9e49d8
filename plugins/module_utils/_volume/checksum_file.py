# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The file beside a backup that holds its hash: one line that `sha256sum -c` accepts."""

from __future__ import annotations

import os
import re

from ..errors import SidecarError

SUFFIX = ".sha256"
# What is read of a sidecar at most: more than the longest line there can be (GNU coreutils, md5sum.c).
LIMIT_BYTES = 8192
# A backslash before the hash says that the name is escaped; the second blank is an asterisk in binary mode.
_LINE = re.compile(rb"(?P<escaped>\\?)(?P<sha256>[0-9a-fA-F]{64}) [ *](?P<name>[^\n]+)\n?")
_ESCAPED = re.compile(r"\\([\\nr])")
_MEANT = {"\\": "\\", "n": "\n", "r": "\r"}


def format_sidecar(sha256: str, backup: str) -> bytes:
    """What the sidecar of the file `backup` (its name, no path) holds, as sha256sum writes it."""
    name = backup.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return os.fsencode(f"{'' if name == backup else chr(92)}{sha256}  {name}\n")


def parse_sidecar(data: bytes, backup: str) -> str:
    """The sha256, in lower case, that a sidecar holding `data` gives for the file `backup` (its name, no path).

    Raises SidecarError when it is anything but one line, when it names another file, or when it names a path: such a
    line checks some file elsewhere, not the one beside it.
    """
    if not data.strip():
        raise SidecarError("the sidecar is empty: expected one line '<sha256>  <name>'; write it anew with sha256sum")
    found = _LINE.fullmatch(data)
    if found is None:
        raise SidecarError(
            "the sidecar is not one line '<sha256>  <name>' as sha256sum writes it: write it anew, or remove it"
        )
    name = found["name"].decode("utf-8", "backslashreplace")
    if found["escaped"]:
        name = _ESCAPED.sub(lambda found: _MEANT[found[1]], name)
    if "/" in name:
        raise SidecarError(
            f"the sidecar names the path '{name}': expected the bare name '{backup}'. It says nothing about the file "
            "beside it; write it anew from the backup's own folder"
        )
    if name != backup:
        raise SidecarError(
            f"the sidecar is of another file: expected '{backup}', found '{name}'. Rename the backup and its sidecar "
            "together, or write it anew"
        )
    return found["sha256"].decode().lower()
