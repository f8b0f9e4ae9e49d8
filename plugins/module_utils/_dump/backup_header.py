# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The header of SQL comments with which a run begins a backup (backup.sh, write_header)."""

from __future__ import annotations

import json
import re
from typing import Any

from .contents import Header

_HEADER = re.compile(rb"-- Backup made by homelab\.postgres_backup (\S+)\n((?:-- [^\n]+\n)*)--\n")
# No header is longer.
HEADER_BYTES = 1 << 20


def read_header(begin: bytes) -> Header | None:
    """The header at the beginning of a backup's text; None where there is none."""
    match = _HEADER.match(begin)
    if match is None:
        return None
    values: dict[str, Any] = {}
    for line in match[2].decode("utf-8", "backslashreplace").splitlines():
        name, colon, value = line[3:].partition(": ")
        if colon:
            try:
                values[name] = json.loads(value)
            except ValueError:
                values[name] = value

    def names(name: str) -> tuple[str, ...]:
        value = values.get(name)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def text(name: str) -> str | None:
        value = values.get(name)
        return value if isinstance(value, str) else None

    left_out = values.get("left out on request")
    return Header(
        collection_version=match[1].decode("utf-8", "backslashreplace"),
        started=text("started"),
        server=text("server"),
        server_version=text("server version"),
        pg_dumpall_version=text("pg_dumpall version"),
        bootstrap_superuser=text("bootstrap superuser"),
        databases_skipped=names("databases skipped"),
        databases_excluded=names("databases excluded"),
        left_out=left_out if isinstance(left_out, dict) else None,
    )
