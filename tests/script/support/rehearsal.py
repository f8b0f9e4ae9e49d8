# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` as in its pod: a separate passwd file, no credentials, a folder for the data."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

from tests.backup_parts import make_backup

from .programs import Programs
from .sandbox import Json, Outcome, Sandbox
from .volume import give
from .workspace import as_user

NAME = "postgres-backup-2026-11-22-020000.sql.gz"
# What a drill must never get.
CREDENTIALS = ("PGPASSWORD", "POSTGRES_BACKUP_HOST", "POSTGRES_BACKUP_PORT", "POSTGRES_BACKUP_USER")
_ENTER = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'


class Rehearsal(Sandbox):
    """A sandbox for drills, with PostgreSQL's programs and no server."""

    programs: Programs

    @classmethod
    def of(cls, sandbox: Sandbox, programs: Programs) -> Rehearsal:
        made = cls(sandbox.workspace, sandbox.combination, sandbox._path, sandbox.script)
        made.programs = programs
        made.data = made.workspace.directory("drill", made.uid)
        made.passwd = made.workspace.directory("passwd") / "passwd"
        made.passwd.write_text(f"root:x:0:0::/:/bin/sh\ndrill:x:{made.uid}:{made.uid}::/:/bin/false\n")
        return made

    data: Path
    passwd: Path

    def environment(self) -> dict[str, str]:
        values = {name: value for name, value in super().environment().items() if name not in CREDENTIALS}
        return values | {
            "PATH": f"{values['PATH']}:{self.programs.bin}",
            "LANG": "C.UTF-8",
            "POSTGRES_BACKUP_DRILL_DATA": str(self.data),
        }

    def _enter(self, values: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        enter = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.passwd), *as_user(self.uid)]
        # The script's PATH need not have these.
        return [*enter, "-i", *(f"{name}={value}" for name, value in values.items())], dict(os.environ)

    def put(self, dump: bytes, name: str = NAME, checksum_file: bool = True) -> Path:
        """A backup on the volume; `dump` is its text."""
        return self.put_compressed(gzip.compress(dump, 1), name, checksum_file)

    def put_compressed(self, data: bytes, name: str = NAME, checksum_file: bool = True) -> Path:
        path = self.volume / name
        path.write_bytes(data)
        if checksum_file:
            (self.volume / f"{name}.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        give(self.volume, self.uid)
        return path

    def put_with_manifest(self, dump: bytes, name: str = NAME, **options: Any) -> Path:
        """A backup as a run makes it, with its manifest; the options are those of make_backup."""
        backup = make_backup(dump, name=name, **options)
        (self.volume / f"{name}.json").write_text(backup.manifest)
        return self.put_compressed(backup.file, name)

    def assert_nothing_left(self) -> None:
        super().assert_nothing_left()
        assert not list(self.data.iterdir()), f"left of the temporary server: {list(self.data.iterdir())}"


def counted(outcome: Outcome) -> dict[str, dict[tuple[str, str], int]]:
    """Each database's tables, those of extensions left out, with their rows."""
    found: dict[str, dict[tuple[str, str], int]] = {}
    tables: dict[tuple[str, str], int] = {}
    for line in outcome.objects:
        if line.get("type") == "database":
            tables = found.setdefault(_text(line["name_hex"]), {})
        elif line.get("type") == "table" and not line.get("extension"):
            tables[_text(line["schema_hex"]), _text(line["name_hex"])] = line["rows"]
    return found


def database(outcome: Outcome, name: str) -> Json:
    (line,) = (line for line in outcome.of_type("database") if _text(line["name_hex"]) == name)
    return line


def _text(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode("utf-8", "backslashreplace")
