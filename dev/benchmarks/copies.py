# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A copy to an S3 server on this machine, with its proof, against `rclone copyto` of the same file."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.copy_program import Copier, install
from tests.stores.loopback import minio_server, rclone
from tests.stores.servers import S3Store

from .figures import Figure, NotMeasuredError
from .verify import Say

ROUNDS = 5
_BYTES = 1_000_000_000
_BLOCK = 1 << 20
# 0.9 of the speed.
_BAR = 1 / 0.9


def measure(say: Say) -> list[Figure]:
    """All figures of copies."""
    with tempfile.TemporaryDirectory(prefix="postgres-backup-bench.") as folder, minio_server() as store:
        store.make_bucket("backups")
        return _measure(Path(folder), store, say)


def _measure(folder: Path, store: S3Store, say: Say) -> list[Figure]:
    copiers = {
        "read back": _copier(folder / "read", store, reads_back=True),
        "proven by the store's hashes": _copier(folder / "store", store, reads_back=False),
    }
    say("writing the backup")
    first, other = copiers.values()
    backup = _write(first)
    for name in (backup, f"{backup}.sha256"):
        os.link(first.volume / name, other.volume / name)
    plain = [str(rclone()), "copyto", str(first.volume / backup), "store:backups/plain/backup"]
    environment = {**os.environ, **store.environment()}
    works: dict[str, Callable[[], None]] = {
        "rclone": partial(_run, plain, environment),
        **{name: partial(_copy, copier) for name, copier in copiers.items()},
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS):
        for name, work in works.items():
            # What one has written must not slow down the next one.
            for path in ("plain", *(str(copier.places[0]["options"]["folder"]) for copier in copiers.values())):
                store.rclone("purge", f"store:backups/{path}", check=False)
            os.sync()
            began = time.monotonic()
            work()
            seconds[name].append(time.monotonic() - began)
            say(f"round {number + 1} of {ROUNDS}: {name}: {seconds[name][-1]:.2f} s")
    reference = statistics.median(seconds["rclone"])
    return [
        Figure(f"a copy of {_BYTES / 1e9:.0f} GB, {name}", statistics.median(values), "s", _BAR, "rclone", reference)
        for name, values in seconds.items()
        if name != "rclone"
    ]


def _copier(folder: Path, store: S3Store, *, reads_back: bool) -> Copier:
    folder.mkdir()
    options = {"endpoint": store.url, "bucket": "backups", "folder": folder.name, "provider": store.provider}
    copier = install(folder, rclone(), {"kind": "s3", "name": "s3", "options": options, "read_back": reads_back})
    copier.add_secret({"access_key_id": store.access_key, "secret_access_key": store.secret_key})
    return copier


def _write(copier: Copier) -> str:
    """A backup that cannot be compressed, as a compressed one is; its name."""
    name = copier.add_backup(1)
    digest = hashlib.sha256()
    with (copier.volume / name).open("wb") as file:
        for _block in range(_BYTES // _BLOCK):
            data = os.urandom(_BLOCK)
            digest.update(data)
            file.write(data)
    (copier.volume / f"{name}.sha256").write_text(f"{digest.hexdigest()}  {name}\n")
    return name


def _copy(copier: Copier) -> None:
    (copier.records / "s3.json").unlink(missing_ok=True)
    result = copier.run()
    if result["status"] or len(result["places"][0]["copied"]) != 1:
        raise NotMeasuredError(f"expected one copy, found\n{result['log']}")


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasuredError(f"{command[0]} failed:\n{done.stderr}")
