# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup as a run makes it from the text of pg_dumpall: a gzip member for each part, and its manifest."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugins.module_utils._dump.dump_reader import DumpReader

NAME = "postgres-backup-2026-11-22-020000.sql.gz"
END = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"


@dataclass(frozen=True)
class BackupParts:
    """The file, its text, and the text of its manifest."""

    name: str
    file: bytes
    text: bytes
    manifest: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.file).hexdigest()


def missing_comment(names: tuple[str, ...]) -> bytes:
    """The comment before the end of the text of an incomplete backup."""
    return f"--\n-- Databases that could not be dumped: {json.dumps([*names])}\n--\n\n".encode()


def make_backup(
    text: bytes,
    *,
    name: str = NAME,
    without: Mapping[str, str] | None = None,
    left_out: bool = False,
    details: Mapping[str, Any] | None = None,
    extensions: Mapping[str, list[dict[str, str]]] | None = None,
) -> BackupParts:
    """A backup of pg_dumpall's text; `without` names databases that failed, with the reason. `details` are added.

    `extensions` are those of the databases: name, version and schema.
    """
    failed = dict(without or {})
    reader = DumpReader()
    reader.feed(text)
    contents = reader.finish()
    assert contents.globals_span is not None
    begin = sum(contents.globals_span)
    pieces: list[tuple[str, str | None, bytes | None]] = [("globals", None, text[:begin])]
    for database in contents.databases:
        span = text[database.offset_bytes : database.offset_bytes + database.length_bytes]
        pieces.append(("database", database.name, None if database.name in failed else span))
    known = {database.name for database in contents.databases}
    pieces += [("database", extra, None) for extra in failed if extra not in known]
    end = text[text.rindex(b"--\n-- PostgreSQL database cluster dump complete") :]
    pieces.append(("end", None, (missing_comment(tuple(failed)) if failed else b"") + end))
    file = whole = b""
    parts = []
    for kind, database_name, piece in pieces:
        part: dict[str, Any] = {
            "kind": kind,
            "name": database_name,
            "result": "dumped" if piece is not None else "failed",
            "reason": None if piece is not None else failed[str(database_name)],
            "advice": None,
            "sqlstate": None,
            "offset_bytes": None,
            "length_bytes": None,
            "text_offset_bytes": None,
            "text_length_bytes": None,
            "seconds": 1,
        }
        if piece is not None:
            member = gzip.compress(piece, 1, mtime=0)
            part |= {
                "offset_bytes": len(file),
                "length_bytes": len(member),
                "text_offset_bytes": len(whole),
                "text_length_bytes": len(piece),
            }
            file, whole = file + member, whole + piece
        if kind == "database":
            part |= {"owner": "postgres", "encoding": "UTF8", "statements": []}
            part["extensions"] = (extensions or {}).get(str(database_name), [])
        parts.append(part)
    summary = {
        "format": 1,
        "backup": name,
        "state": "incomplete" if failed else "complete",
        "dumped": [each[1] for each in pieces if each[0] == "database" and each[2] is not None],
        "missing": [*failed],
        "left_out": left_out,
    }
    rest = {
        "sha256": hashlib.sha256(file).hexdigest(),
        "bytes": len(file),
        "uncompressed_bytes": len(whole),
        "started": "2026-11-22T02:00:00Z",
        "finished": "2026-11-22T02:00:12Z",
        "script_version": "1.1.0",
        "compressor": "gzip",
        "read_back": "direct",
        "warnings": [],
        "server": {"version": "18.1"},
        **(details or {}),
    }
    lines = [json.dumps(summary, separators=(",", ":"))[:-1] + ","]
    lines += [f'"{key}":{json.dumps(value, separators=(",", ":"))},' for key, value in rest.items()]
    lines += ['"parts":[', ",\n".join(json.dumps(part, separators=(",", ":")) for part in parts), "]}"]
    return BackupParts(name, file, whole, "\n".join(lines) + "\n")
