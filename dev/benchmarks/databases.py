# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs of many databases against a plain pipe, and one of 20 databases read out of a backup."""

from __future__ import annotations

import json
import statistics
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.script.support.programs import DEFAULT_VERSION, root_filesystem, wrap
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

from .backup import Say, image, run_environment, seconds
from .figures import Figure

MANY = 1000
ROUNDS = 3
PARTS = 20
# 50 MB of text in each.
ROWS = 500_000
TABLE = f"""
CREATE UNLOGGED TABLE t AS
SELECT g AS id, md5(g::text) AS token,
       'customer ' || g % 1000 || ' bought item ' || g::bigint * 7919 % 100003 || ' and was content with it' AS remark
FROM generate_series(1, {ROWS}) AS g
"""  # noqa: S608 - our own number


def _environment(server: Server) -> dict[str, str]:
    return {**run_environment(server), "POSTGRES_BACKUP_COMPRESSOR": "gzip"}


def _manifest(root: Path) -> tuple[Path, dict[str, Any]]:
    backup = max((root / "backups").glob("*.sql.gz"))
    return backup, json.loads(backup.with_name(f"{backup.name}.json").read_text())


def _create(server: Server, name: str, table: str) -> None:
    server.sql(f"CREATE DATABASE {name} STRATEGY file_copy")
    server.sql(table, name)


def _many(server: Server, root: Path, say: Say) -> list[Figure]:
    say(f"creating {MANY} databases")
    for number in range(MANY):
        _create(server, f"many_{number}", "CREATE TABLE t AS SELECT generate_series(1, 10) AS i")
    inside = ["chroot", str(root), "sh"]
    plain, proven = [], []
    for number in range(ROUNDS):
        plain.append(seconds([*inside, "-c", "pg_dumpall | gzip -1 > /backups/plain"], _environment(server)))
        proven.append(seconds([*inside, "/script/backup.sh", "run"], _environment(server)))
        say(f"round {number + 1} of {ROUNDS}: pipe {plain[-1]:.1f} s, run {proven[-1]:.1f} s")
    dumped = [name for name in _manifest(root)[1]["dumped"] if name.startswith("many_")]
    if len(dumped) != MANY:
        raise SystemExit(f"expected {MANY} databases in the backup, found {len(dumped)}")
    name = f"run, gzip, {MANY} small databases"
    return [Figure(name, statistics.median(proven), "s", 1.1, "pg_dumpall | gzip -1", statistics.median(plain))]


def _one_of_many(server: Server, root: Path, say: Say) -> list[Figure]:
    say(f"creating {PARTS} databases of 50 MB of text")
    for number in range(PARTS):
        _create(server, f"part_{number:02}", TABLE)
    seconds(["chroot", str(root), "sh", "/script/backup.sh", "run"], _environment(server))
    backup, manifest = _manifest(root)
    part = next(part for part in manifest["parts"] if part["name"] == f"part_{PARTS - 1:02}")
    begin, length = part["offset_bytes"], part["length_bytes"]
    end = part["text_offset_bytes"] + part["text_length_bytes"]
    one = (
        f"dd if={backup} bs=1M iflag=skip_bytes,count_bytes,fullblock skip={begin} count={length} 2>/dev/null"
        " | gzip -dc | sha256sum"
    )
    to_there = f"gzip -dc {backup} | head -c {end} | tail -c {part['text_length_bytes']} | sha256sum"
    hashes = {subprocess.check_output(["sh", "-c", command]) for command in (one, to_there)}
    if len(hashes) != 1:
        raise SystemExit(f"the part that was read alone differs: {hashes}")
    environment = {"PATH": "/usr/bin:/bin"}
    alone = statistics.median(seconds(["sh", "-c", one], environment) for _ in range(5))
    reading = statistics.median(seconds(["sh", "-c", to_there], environment) for _ in range(3))
    size = part["text_length_bytes"] / 1e6
    say(f"the last of {PARTS} databases has {size:.0f} MB of {manifest['uncompressed_bytes'] / 1e6:.0f} MB of text")
    return [Figure(f"the last of {PARTS} databases, read alone", alone, "s", 0.1, "reading to there", reading)]


def measure(say: Say) -> list[Figure]:
    """All figures of runs with many databases."""
    figures = []
    with ExitStack() as stack:
        space = Workspace()
        stack.callback(space.close)
        programs = wrap(space.show(root_filesystem(DEFAULT_VERSION)), DEFAULT_VERSION, space.directory("postgresql"))
        root = image(space)
        for work in (_one_of_many, _many):
            directory = space.directory("server", mode=0o777)
            with Server(programs, directory).create() as server:
                figures += work(server, root, say)
            space.remove(directory)
    return figures
