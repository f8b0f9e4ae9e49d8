# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The watch's program as its pod has it: only the files that the role puts into the ConfigMap."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plugins.module_utils._role.program_text import without_docstrings

CHECKOUT = Path(__file__).resolve().parents[1]
UTILS = CHECKOUT / "plugins" / "module_utils"
SCRIPT = CHECKOUT / "roles/postgres_backup/files/backup.sh"
VARIABLES = yaml.safe_load((CHECKOUT / "roles/postgres_backup/vars/main/watch.yml").read_text())
FILES: list[str] = VARIABLES["__postgres_backup_watch_files"]
PACKAGE: str = VARIABLES["__postgres_backup_watch_package"]


@dataclass
class Program:
    """An installation in a folder of this machine, and its watch."""

    folder: Path
    content: dict[str, Any]
    program: Path
    volume: Path
    state: Path

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.state / "last-watch.json").read_text())
        return record

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.program),
            "TMPDIR": str(self.folder / "tmp"),
            "POSTGRES_BACKUP_NAME": self.content["name"],
            "POSTGRES_BACKUP_DIR": str(self.volume),
            "POSTGRES_BACKUP_TERMINATION_LOG": str(self.folder / "termination-log"),
            "POSTGRES_BACKUP_WATCH_CONFIGURATION": str(self.folder / "watch.json"),
            "POSTGRES_BACKUP_WATCH_FOLDER": str(self.state),
            "POSTGRES_BACKUP_WATCH_SECRETS": str(self.folder / "secrets"),
            "POSTGRES_BACKUP_WATCH_SCRIPT": str(SCRIPT),
        }

    def command(self, word: str) -> list[str]:
        return [sys.executable, "-m", f"{PACKAGE.replace('/', '.')}._watch.program", word]

    def run(self, word: str = "look", **variables: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "watch.json").write_text(json.dumps(self.content))
        environment = {**self.environment(), **variables}
        return subprocess.run(
            self.command(word), env=environment, cwd=self.folder, capture_output=True, text=True, check=False
        )

    def add_secret(self, number: int, values: Mapping[str, str]) -> None:
        folder = self.folder / "secrets" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in values.items():
            (folder / key).write_text(value)


def copy_program(folder: Path) -> Path:
    """The folder with the files of the ConfigMap."""
    return write_program(folder, FILES)


def write_program(folder: Path, files: Sequence[str]) -> Path:
    """These files of plugins/module_utils in `folder`, as a ConfigMap has them; returns it."""
    for name in files:
        target = folder / PACKAGE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(without_docstrings((UTILS / name).read_text()))
    return folder


def install(
    folder: Path,
    channels: list[dict[str, Any]],
    program: Path | None = None,
    volume: Path | None = None,
    **values: Any,
) -> Program:
    """A watch in `folder`; `program` is a copy of the program that exists.

    `volume` exists too, and nothing is written to it: what the watch remembers is in `folder`. Without one, there is an
    empty volume in `folder`.
    """
    code = program or copy_program(folder / "program")
    for name in ("tmp", "secrets"):
        (folder / name).mkdir()
    (folder / "termination-log").write_text("")
    content = {
        "name": "postgres-backup",
        "namespace": "data",
        "max_age_seconds": 26 * 3600,
        "time_zone": "Etc/UTC",
        "drill_schedule": "",
        "suspended": False,
        "digest_seconds": 7 * 86400,
        "schedule": "*/30 * * * *",
        "file_mode": "0640",
        "channels": [{"secret": "a-secret", "options": {}, **channel} for channel in channels],
    }
    content |= values
    backups = volume or folder / "backups"
    state = (folder if volume else backups) / f"{content['name']}.watch"
    state.mkdir(parents=True)
    return Program(folder, content, code, backups, state)


def _imported(name: str) -> set[str]:
    """The files of module_utils that a file imports."""
    found = set()
    package = name.split("/")[:-1]
    for node in ast.walk(ast.parse((UTILS / name).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            found.add("/".join(parts) + ".py")
    return found


def imported_by(program: str) -> list[str]:
    """The program and all files of module_utils that it needs, sorted."""
    found, new = {program}, {program}
    while new:
        new = {other for name in new for other in _imported(name)} - found
        found |= new
    return sorted(found)
