# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The program of the copies as its pod has it: only the files that the role puts into the ConfigMap."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from plugins.module_utils._role.copy_places import location_text
from tests.watch_program import CHECKOUT, PACKAGE, SCRIPT, write_program

VARIABLES = yaml.safe_load((CHECKOUT / "roles/postgres_backup/vars/main/copy.yml").read_text())
FILES: list[str] = VARIABLES["__postgres_backup_copy_files"]
NAME = "postgres-backup"
DEFAULTS: dict[str, Any] = {
    "secret": "a-secret",
    "options": {},
    "policy": {
        "keep_last": 7,
        "keep_daily": 7,
        "keep_weekly": 0,
        "keep_monthly": 0,
        "keep_yearly": 0,
        "keep_within": "",
        "max_deletions": "",
    },
    "bandwidth_bytes": None,
    "window": None,
    "lock_days": 0,
    "lock_mode": "compliance",
    "read_back": True,
    "offsite": True,
    "max_delay_seconds": 86400,
    "location": "",
}


@dataclass
class Copier:
    """An installation in a folder of this machine, and its copies.

    `changes` are statements of Python that change constants of the program before it begins, such as its pauses.
    """

    folder: Path
    program: Path
    places: list[dict[str, Any]]
    variables: dict[str, str] = field(default_factory=dict)
    changes: str = ""

    @property
    def volume(self) -> Path:
        return self.folder / "backups"

    @property
    def records(self) -> Path:
        return self.volume / f"{NAME}.copies"

    def mount(self, number: int = 0) -> Path:
        """Where a place is mounted."""
        return self.folder / "places" / str(number)

    def record(self, place: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.records / f"{place}.json").read_text())
        return record

    def copies(self, place: str) -> list[str]:
        """The names of the proven copies, newest first."""
        return [copy["backup"] for copy in self.record(place)["copies"]]

    def add_backup(self, days_ago: float = 0, content: bytes = b"content", state: str | None = None) -> str:
        """A backup on the volume with its checksum file, and with a manifest if there is a `state`; its name."""
        made = datetime.now(UTC) - timedelta(days=days_ago)
        path = self.volume / f"{NAME}-{made:%Y-%m-%d-%H%M%S}.sql.gz"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
        if state is not None:
            manifest = {"format": 1, "backup": path.name, "state": state, "dumped": ["app"], "missing": []}
            path.with_name(f"{path.name}.json").write_text(json.dumps(manifest, separators=(",", ":")) + "\n")
        return path.name

    def add_secret(self, values: Mapping[str, str], number: int = 0) -> None:
        folder = self.folder / "secrets" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in values.items():
            (folder / key).write_text(value)

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder / "tmp"),
            "PYTHONPATH": str(self.program),
            "TMPDIR": str(self.folder / "tmp"),
            "POSTGRES_BACKUP_NAME": NAME,
            "POSTGRES_BACKUP_DIR": str(self.volume),
            "POSTGRES_BACKUP_TERMINATION_LOG": str(self.folder / "termination-log"),
            "POSTGRES_BACKUP_COPY_CONFIGURATION": str(self.folder / "copy.json"),
            "POSTGRES_BACKUP_COPY_FOLDER": str(self.records),
            "POSTGRES_BACKUP_COPY_SECRETS": str(self.folder / "secrets"),
            "POSTGRES_BACKUP_COPY_PLACES": str(self.folder / "places"),
            "POSTGRES_BACKUP_COPY_SCRIPT": str(SCRIPT),
            **self.variables,
        }

    def command(self, *words: str) -> list[str]:
        content = {
            "name": NAME,
            "namespace": "data",
            "time_zone": "Etc/UTC",
            "file_mode": "0640",
            "places": [{**place, "location": place["location"] or _location(place)} for place in self.places],
        }
        (self.folder / "copy.json").write_text(json.dumps(content))
        package = f"{PACKAGE.replace('/', '.')}._copy"
        if not self.changes:
            return [sys.executable, "-m", f"{package}.program", *words]
        imports = f"import os, sys\nfrom {package} import program, rclone, steps\n"
        begin = "\nsys.exit(program.main(sys.argv[1:], os.environ))"
        return [sys.executable, "-c", f"{imports}{self.changes}{begin}", *words]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts the program, by default to copy to all places, in a session that can be killed."""
        return subprocess.Popen(
            self.command(*(words or ["copy"])),
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> dict[str, Any]:
        """The result; with `status`, the exit status, and `log`."""
        process = self.start(*words)
        log, _unused = process.communicate(timeout=300)
        lines = log.splitlines()
        try:
            result: dict[str, Any] = json.loads(lines[-1])
        except (IndexError, ValueError):
            raise AssertionError(log) from None
        return {**result, "status": process.returncode, "log": log}


def _location(place: dict[str, Any]) -> str:
    return location_text({"claim_name": "claim", **place, **place["options"]})


def place_of(result: dict[str, Any]) -> dict[str, Any]:
    """What became of the first place."""
    place: dict[str, Any] = result["places"][0]
    return place


def install(folder: Path, rclone: Path, *places: dict[str, Any], code: Path | None = None) -> Copier:
    """Copies of an empty volume in `folder`; `rclone` is its path, `code` a copy of the program that exists."""
    for number, place in enumerate(places):
        (folder / "places" / str(number)).mkdir(parents=True)
        place.setdefault("name", place["kind"])
    for name in ("bin", "tmp", "secrets", f"backups/{NAME}.copies"):
        (folder / name).mkdir(parents=True)
    (folder / "termination-log").write_text("")
    # Other programs in its folder may be of another system.
    (folder / "bin" / "rclone").symlink_to(rclone)
    return Copier(
        folder, code or copy_program(folder / "program"), [{**deepcopy(DEFAULTS), **place} for place in places]
    )


def copy_program(folder: Path) -> Path:
    """The folder with the files of the ConfigMap."""
    return write_program(folder, FILES)
