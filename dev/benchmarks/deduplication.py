# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The size of a restic repository after 30 nights in which 1 % of the rows change, against one backup."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.copy_program import Copier, install
from tests.script.support.server import Server
from tests.stores.loopback import rclone, restic

from .figures import Figure, NotMeasuredError
from .servers import new_server
from .verify import Say

NIGHTS = 30
_BAR = 2.0
_ROW_BYTES = 95


@dataclass(frozen=True)
class _Pattern:
    """What changes in a night; `sql` gets the number of rows as `rows`."""

    name: str
    text_bytes: int
    sql: str


# Where the changed rows lie decides: restic stores a piece of about 1 MB again if one byte in it has changed.
_PATTERNS = (
    _Pattern("1 % of new rows", 1_000_000_000, "INSERT INTO t SELECT * FROM made(:rows / 100)"),
    _Pattern(
        "0.5 % of new rows, 0.5 % of changes among the newest 5 %",
        1_000_000_000,
        """INSERT INTO t SELECT * FROM made(:rows / 200);
        UPDATE t SET value = random() WHERE id > (SELECT max(id) * 0.95 FROM t) AND random() < 0.1""",
    ),
    _Pattern("changes of 1 % of all rows", 100_000_000, "UPDATE t SET value = random() WHERE random() < 0.01"),
)
_TABLE = """
CREATE SEQUENCE number;
CREATE TABLE t (id bigint PRIMARY KEY, token text, note text, at timestamptz, value float8);
CREATE FUNCTION made(integer) RETURNS SETOF t LANGUAGE sql AS $$
    SELECT nextval('number'), md5(random()::text), 'sensor ' || (random() * 1000)::integer || ' of floor '
        || (random() * 50)::integer, now() + n * interval '1 s', random() FROM generate_series(1, $1) n $$;
INSERT INTO t SELECT * FROM made(:rows)
"""


def measure(say: Say) -> list[Figure]:
    """The size after the last night, for each pattern."""
    with new_server() as (space, server):
        return [
            _measure(pattern, server, space.directory(f"copies{number}"), say)
            for number, pattern in enumerate(_PATTERNS)
        ]


def _measure(pattern: _Pattern, server: Server, folder: Path, say: Say) -> Figure:
    rows = str(pattern.text_bytes // _ROW_BYTES)
    server.sql("CREATE DATABASE bench")
    server.sql(_TABLE.replace(":rows", rows), "bench")
    copier = _copier(folder)
    for night in range(NIGHTS):
        if night:
            server.sql(pattern.sql.replace(":rows", rows), "bench")
            server.sql("VACUUM t", "bench")
        backup = _backup(server, copier, NIGHTS - night)
        result = copier.run()
        if result["status"] or copier.copies("restic")[:1] != [backup]:
            raise NotMeasuredError(f"expected a copy of {backup}, found\n{result['log']}")
        stored = sum(path.stat().st_size for path in copier.mount().rglob("*") if path.is_file())
        say(f"{pattern.name}, night {night + 1} of {NIGHTS}: repository {stored / 1e6:.1f} MB")
        if night + 1 == NIGHTS:
            size = _gzip_bytes(copier.volume / backup)
        for path in copier.volume.glob(f"{backup}*"):
            path.unlink()
    server.sql("DROP DATABASE bench")
    label = f"a repository after {NIGHTS} nights of {pattern.text_bytes / 1e9:g} GB with {pattern.name}"
    return Figure(label, stored / 1e6, "MB", _BAR, "the last backup with gzip", size / 1e6)


def _copier(folder: Path) -> Copier:
    place = {"kind": "restic", "repository": "claim", "name": "restic"}
    copier = install(folder, rclone(), place)
    (folder / "bin" / "restic").symlink_to(restic())
    copier.add_secret({"repository_password": "benchmark"})
    copier.places[0]["policy"] |= {"keep_last": 100, "keep_daily": 0}
    return copier


def _backup(server: Server, copier: Copier, days_ago: int) -> str:
    """A backup of the server on the volume, compressed as by a run with igzip, with its checksum file; its name."""
    name = copier.add_backup(days_ago)
    command = f"set -o pipefail; '{server.programs.path('pg_dumpall')}' | igzip >\"$0\""
    path = copier.volume / name
    subprocess.run(["bash", "-c", command, str(path)], env=server.environment(), check=True)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    path.with_name(f"{name}.sha256").write_text(f"{digest}  {name}\n")
    return name


def _gzip_bytes(backup: Path) -> int:
    """The size that the backup would have if gzip had compressed it, as in most images: it is smaller."""
    command = 'set -o pipefail; igzip -d -c "$0" | gzip -1 | wc -c'
    return int(subprocess.run(["bash", "-c", command, str(backup)], stdout=subprocess.PIPE, check=True).stdout)
