# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Has the script judge the volume, and a place: by a folder with files of the same names and sizes, without contents.

So what a place keeps is decided by the retention of the volume (retention.awk), from checksum files and manifests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .._volume.catalog import Backup, Catalog, Plan, parse_listing, parse_plan
from .._volume.checksum_file import parse_checksum_file
from ..errors import BackupError
from .faults import PlaceError
from .plan import CHECKSUM_FILE, KEEP_FILE, MANIFEST, Entry, backups_among
from .scratch import check_scratch, writing_scratch

# Asks the programs of a pod for events (job_templates.ask_for_progress).
PROGRESS_VARIABLE = "POSTGRES_BACKUP_PROGRESS"
_SECONDS = 240

Result = TypeVar("Result")


class Script:
    """The script of the installation, with the environment of the pod."""

    def __init__(self, path: str, environment: Mapping[str, str]) -> None:
        self._path = path
        # Its output is read by this program only.
        self._environment = {name: value for name, value in environment.items() if name != PROGRESS_VARIABLE}
        self.volume = environment["POSTGRES_BACKUP_DIR"]
        self.name = environment["POSTGRES_BACKUP_NAME"]

    def catalog(self) -> Catalog:
        """The backups on the volume. Raises PlaceError."""
        return self._parsed(parse_listing, ["list"], {})

    def plan(self, folder: str, policy: Mapping[str, Any]) -> Plan:
        """What retention with the policy would do in a folder. Raises PlaceError."""
        variables = {f"POSTGRES_BACKUP_{name.upper()}": str(value) for name, value in policy.items()}
        variables |= {"POSTGRES_BACKUP_DIR": folder, "POSTGRES_BACKUP_EXPECTED_MOUNT": ""}
        return self._parsed(parse_plan, ["prune", "--dry-run"], variables)

    def _parsed(
        self, parse: Callable[[Iterable[str]], Result], arguments: list[str], variables: dict[str, str]
    ) -> Result:
        try:
            done = subprocess.run(
                ["sh", self._path, *arguments],
                env={**self._environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PlaceError(f"the volume gave no listing within {_SECONDS} seconds", is_lasting=True) from None
        try:
            return parse(done.stdout.decode("utf-8", "replace").splitlines())
        except BackupError as error:
            check_scratch(self._environment)
            raise PlaceError(str(error), is_lasting=True) from None


class Mirror:
    """A place as a folder (`interface.Judge`). `fetch_texts` copies its manifests and checksum files into a folder."""

    def __init__(
        self, script: Script, policy: Mapping[str, Any], fetch_texts: Callable[[str, str], None], folder: str
    ) -> None:
        self._script = script
        self._policy = policy
        self._fetch_texts = fetch_texts
        self._texts = Path(folder, "texts")
        self._place = Path(folder, "place")

    def checksums(self) -> Mapping[str, str]:
        self._renewed(self._texts)
        self._fetch_texts(self._script.name, str(self._texts))
        found = {}
        for path in self._texts.glob(f"*{CHECKSUM_FILE}"):
            name = path.name[: -len(CHECKSUM_FILE)]
            with contextlib.suppress(BackupError):
                found[name] = parse_checksum_file(path.read_bytes(), name)
        return found

    def texts_of(self, name: str) -> dict[str, bytes]:
        """The manifest and the checksum file of a copy, by their suffixes, after `checksums`."""
        found = {}
        for suffix in (MANIFEST, CHECKSUM_FILE):
            with contextlib.suppress(FileNotFoundError):
                found[suffix] = (self._texts / f"{name}{suffix}").read_bytes()
        return found

    def manifest_of(self, name: str) -> bytes | None:
        return self.texts_of(name).get(MANIFEST)

    def plan(self, entries: Mapping[str, Entry], sources: Iterable[Backup]) -> Plan:
        self._renewed(self._place)
        volume = Path(self._script.volume)
        there = {name: entries[name].size_bytes for name in backups_among(entries, self._script.name)}
        on_volume = {backup.name: backup.size_bytes for backup in sources}
        for name, size_bytes in {**there, **on_volume}.items():
            self._add(name, size_bytes, volume if name in on_volume else self._texts)
            keep = f"{name}{KEEP_FILE}"
            # The keep file of a backup that the volume has is the one on the volume. It may have only a part of one, as
            # while somebody copies it there by hand.
            is_on_volume = all((volume / file).exists() for file in (name, f"{name}{CHECKSUM_FILE}"))
            if (volume / keep).exists() or (keep in entries and not is_on_volume):
                with writing_scratch():
                    (self._place / keep).touch()
        return self._script.plan(str(self._place), self._policy)

    def _add(self, name: str, size_bytes: int, texts: Path) -> None:
        with writing_scratch(), (self._place / name).open("wb") as file:
            os.truncate(file.fileno(), size_bytes)
        for suffix in (CHECKSUM_FILE, MANIFEST):
            with contextlib.suppress(FileNotFoundError):
                text = (texts / f"{name}{suffix}").read_bytes()
                with writing_scratch():
                    (self._place / f"{name}{suffix}").write_bytes(text)

    @staticmethod
    def _renewed(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with writing_scratch():
            folder.mkdir(parents=True)
