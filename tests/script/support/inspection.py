# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work

"""The inspection of databases and of the server's health, called outside of a run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .sample import literal
from .sandbox import parse
from .server import Server

FILES = Path(__file__).resolve().parents[3] / "roles" / "postgres_backup" / "files"
SHELLS = ("dash", "bash", "busybox sh")
_SOURCES = ("output", "configuration", "process", "postgres", "psql", "collations", "inspect", "server_health")
# As the run does it; the databases are all that allow connections, in this order.
_LIST = r"""
SELECT concat_ws(E'\t', row_number() OVER (ORDER BY datname COLLATE "C"),
    CASE WHEN datallowconn THEN 'dump' ELSE 'closed' END,
    (SELECT string_agg('\0' || byte / 64 || byte / 8 % 8 || byte % 8, '' ORDER BY at)
        FROM convert_to(datname, 'UTF8') AS bytes CROSS JOIN LATERAL generate_series(0, octet_length(bytes) - 1) AS at
        CROSS JOIN LATERAL get_byte(bytes, at) AS byte),
    to_json(datname::text), oid, '{arguments}')
FROM pg_database WHERE datname <> 'template0' ORDER BY datname COLLATE "C";
"""


@dataclass
class Inspection:
    """The lines about one database."""

    members: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    result: str = ""
    finding: str = ""
    advice: str = ""


def read_lines(text: str) -> Inspection:
    """The lines of an inspection, or of the server's health: members of a JSON object, then W, R, F and A."""
    first, *others = text.splitlines()
    assert first.isascii(), first
    inspection = Inspection(parse("{" + first + "}"))
    for line in others:
        letter, tab, value = line.partition("\t")
        assert tab and value, line
        if letter == "W":
            inspection.warnings.append(value)
            continue
        name = {"R": "result", "F": "finding", "A": "advice"}[letter]
        assert not getattr(inspection, name), text
        setattr(inspection, name, value)
    return inspection


def _environment(server: Server, user: str, folder: Path) -> dict[str, str]:
    """The variables that the run has set."""
    rolsuper = server.sql(f"SELECT rolsuper FROM pg_roles WHERE rolname = {literal(user)}")
    return {
        **server.environment(),
        "PATH": f"{server.programs.bin}:/usr/bin:/bin",
        "PGUSER": user,
        "work": str(folder),
        "POSTGRES_BACKUP_DATABASE": "postgres",
        "server_version_num": server.sql("SHOW server_version_num"),
        "is_superuser": rolsuper,
        "database_args": "",
    }


def _run(shell: str, environment: dict[str, str], step: str) -> None:
    """Source the script's files, and call a step."""
    sources = " ".join(str(FILES / f"{name}.sh") for name in _SOURCES)
    script = f'set -u; LC_ALL=C; export LC_ALL; for file in {sources}; do . "$file"; done\n{step}\n'
    result = subprocess.run(
        [*shell.split(), "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), result


def inspect(
    server: Server,
    user: str,
    folder: Path,
    shell: str = "dash",
    *,
    arguments: str = "-",
    before: Callable[[], object] = lambda: None,
    **values: str,
) -> dict[str, Inspection]:
    """What step_inspect finds out about each database, by its name; `before` is called when they are listed."""
    server_list = server.sql(_LIST.format(arguments=arguments))
    folder.mkdir(exist_ok=True)
    (folder / "databases").write_text(f"{server_list}\n")
    environment = _environment(server, user, folder)
    before()
    _run(shell, {**environment, **values}, "step_inspect")
    inspections = {}
    for line in server_list.splitlines():
        number, state, _, name, *_ = line.split("\t")
        path = folder / f"inspect.{number}"
        assert path.exists() == (state == "dump"), line
        if path.exists():
            inspections[parse(f'{{"name":{name}}}')["name"]] = read_lines(path.read_text(encoding="utf-8"))
    assert not list(folder.glob("*.new")), list(folder.iterdir())
    return inspections


def health(
    server: Server, user: str, folder: Path, shell: str = "dash", before: Callable[[], object] = lambda: None
) -> Inspection:
    """What step_server_health finds out; `before` is called when the version is known."""
    folder.mkdir(exist_ok=True)
    environment = _environment(server, user, folder)
    before()
    _run(shell, environment, "step_server_health")
    return read_lines((folder / "server_health").read_text(encoding="utf-8"))
