# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The program of the copies with one place, for the faults of copy_causes.py; what lies there, read directly."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.copy_program import NAME, Copier, install
from tests.stores.authority import Authority
from tests.stores.loopback import (
    minio_server,
    rclone,
    rclone_s3_server,
    rootfs,
    sftp_password_server,
    sftp_server,
)
from tests.stores.servers import S3Store, SftpStore, Store

RCLONE, MINIO, SFTP, FOLDER = "rclone", "minio", "sftp", "folder"
S3_STORES = (RCLONE, MINIO)
SERVERS = (RCLONE, MINIO, SFTP)
STORES = (RCLONE, MINIO, SFTP, FOLDER)
PLACE = "place"
BUCKET, LOCKED_BUCKET = "backups", "locked"
MIB = 1 << 20
LARGE = 6 * MIB
# Nobody waits for the pauses between tries.
QUICK = "steps.PAUSES_SECONDS = (0.1, 0.2)"
_WAIT_SECONDS = 60
_GATE = """#!/bin/sh
case "$*" in
{pattern})
    if mkdir {gate} 2>/dev/null; then
        while [ ! -e {gate}/open ]; do sleep 0.02; done
    fi
    ;;
esac
exec {rclone} "$@"
"""

Process = subprocess.Popen[str]


@dataclass
class Server:
    """A running store; `authority` is asked by minio whether a request is allowed."""

    kind: str
    store: Store | None
    authority: Authority | None = None

    @property
    def s3(self) -> S3Store:
        assert isinstance(self.store, S3Store)
        return self.store

    @property
    def sftp(self) -> SftpStore:
        assert isinstance(self.store, SftpStore)
        return self.store


@contextmanager
def serve(kind: str, variant: str = "") -> Iterator[Server]:
    """A store: `variant` is `tls`, `password` (of SFTP), or the size of its file system, such as `24m`."""
    tls, size = variant == "tls", variant if variant[:1].isdigit() else ""
    if kind == RCLONE:
        with rclone_s3_server(tls=tls, size=size) as store:
            store.make_bucket(BUCKET)
            yield Server(kind, store)
    elif kind == MINIO:
        with Authority() as authority, minio_server(tls=tls, size=size, authority=authority.url) as store:
            store.make_bucket(BUCKET)
            store.make_bucket(LOCKED_BUCKET, locked=True)
            yield Server(kind, store, authority)
    elif kind == SFTP:
        with sftp_password_server() if variant == "password" else sftp_server(size=size) as sftp:
            yield Server(kind, sftp)
    else:
        yield Server(kind, None)


@dataclass
class Bench:
    """One installation and one place. `folder` is where its files lie: below the bucket, or where a session begins."""

    server: Server
    copier: Copier
    folder: str
    code: Path
    before_end: tuple[str, Callable[[Process], None]] | None = None
    names: list[str] = field(default_factory=list)
    keeps_options: bool = False
    next_folder: str = ""
    volumes: list[Path] = field(default_factory=list)
    """Of other installations that copy to the place."""

    @property
    def kind(self) -> str:
        return self.server.kind

    @property
    def place(self) -> dict[str, Any]:
        return self.copier.places[0]

    @property
    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = self.place["options"]
        return found

    @property
    def bucket(self) -> str:
        return str(self.options.get("bucket", BUCKET))

    # The installation

    def add(self, size: int, days_ago: float) -> str:
        """A backup with a manifest; its name."""
        name = self.copier.add_backup(days_ago, os.urandom(size), "complete")
        self.names = sorted([*self.names, name], reverse=True)
        return name

    def through(self, port: int) -> None:
        """Reach the server at another port, as that of a proxy."""
        store = self.server.store
        if isinstance(store, S3Store):
            self.options["endpoint"] = store.through(port).url
        elif isinstance(store, SftpStore):
            self.options["port"] = port
            self.copier.add_secret({"known_hosts": store.through(port).known_hosts})

    def at(self, pattern: str, action: Callable[[Process], None]) -> None:
        """Stop the program of `run` before it starts the first rclone whose words fit, for the action."""
        self.before_end = (pattern, action)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Options and Secret are afterwards as they were, but for the policy."""
        places, secrets = deepcopy(self.copier.places), self.copier.folder / "secrets"
        saved = self.copier.folder / "saved-secrets"
        shutil.copytree(secrets, saved)
        try:
            yield
        finally:
            if not self.keeps_options:
                # What retention has deleted is not copied again.
                self.copier.places[:] = [{**place, "policy": self.place["policy"]} for place in places]
            shutil.rmtree(secrets)
            saved.rename(secrets)
            self.copier.changes, self.before_end = QUICK, None
            self.folder = self.options["folder"] = self.next_folder or self.folder

    def run(self) -> dict[str, Any]:
        """The result; of a program that was killed, only its log."""
        process = self.copier.start() if self.before_end is None else self._run_to_gate(*self.before_end)
        log, _unused = process.communicate(timeout=300)
        return {**_result(log), "status": process.returncode, "log": log}

    def _run_to_gate(self, pattern: str, action: Callable[[Process], None]) -> Process:
        program, gate = self.copier.folder / "bin" / "rclone", self.copier.folder / "gate"
        real = program.resolve()
        shutil.rmtree(gate, ignore_errors=True)
        program.unlink()
        program.write_text(_GATE.format(pattern=pattern.replace(" ", "\\ "), gate=gate, rclone=real))
        program.chmod(0o755)
        process = self.copier.start()
        try:
            wait_for(lambda: gate.exists() or process.poll() is not None)
            assert gate.exists(), f"no rclone {pattern}: {process.communicate()[0]}"
            action(process)
            (gate / "open").touch()
        finally:
            program.unlink()
            program.symlink_to(real)
        return process

    def secrets(self) -> list[str]:
        """Values that nobody may read in a log."""
        folder = self.copier.folder / "secrets" / "0"
        names = ("secret_access_key", "private_key", "password")
        return [(folder / name).read_text().strip() for name in names if (folder / name).is_file()]

    # The place, seen directly. rclone's server does not notice at once what is changed behind its back.

    @property
    def path(self) -> Path | None:
        """The folder of the files, where this machine has them as they are."""
        if self.kind == FOLDER:
            return self.copier.mount() / self.folder
        store = self.server.store
        if store is None or not store.data:
            return None
        return Path(store.data, *([self.bucket] if isinstance(store, S3Store) else []), self.folder)

    @property
    def remote(self) -> str:
        return f"{self.bucket}/{self.folder}"

    def contents(self) -> dict[str, bytes]:
        """Each file that lies there."""
        path = self.path
        if path is not None:
            # A server may have temporary files of uploads that it gives up.
            files = [file for file in path.iterdir() if not file.name.startswith(".")] if path.is_dir() else []
            return {file.name: file.read_bytes() for file in files}
        with tempfile.TemporaryDirectory(dir=rootfs("tools") / "tmp") as copied:
            done = self.server.s3.rclone("copy", f"store:{self.remote}", copied, check=False)
            # The bucket may be missing.
            assert done.returncode == 0 or b"directory not found" in done.stderr, done.stderr
            return {file.name: file.read_bytes() for file in Path(copied).iterdir()}

    def write(self, name: str, content: bytes) -> None:
        path = self.path
        if path is None or self.kind == RCLONE:
            self.server.s3.write(f"{self.remote}/{name}", content)
            return
        is_new = not (path / name).exists()
        (path / name).write_bytes(content)
        if is_new and self.kind == SFTP:
            shutil.chown(path / name, self.server.sftp.user)

    def delete(self, name: str) -> None:
        path = self.path
        if path is None or self.kind == RCLONE:
            self.server.s3.delete(f"{self.remote}/{name}")
        else:
            (path / name).unlink()

    def rename_folder(self, other: str) -> None:
        path = self.path
        if path is None or self.kind == RCLONE:
            self.server.s3.rclone("moveto", f"store:{self.remote}", f"store:{self.bucket}/{other}")
        else:
            path.rename(path.with_name(other))

    # What must hold

    def half_copies(self) -> list[str]:
        """What is called a copy and is not one: by its checksum file, its manifest, or the record."""
        there = self.contents()
        wrong = []
        for name, content in there.items():
            backup = name.removesuffix(".sha256").removesuffix(".json")
            if backup == name or not fnmatch.fnmatch(backup, f"{NAME}-*.sql.gz"):
                continue
            of_file = [volume for volume in self._volumes() if is_same(volume / backup, there.get(backup))]
            if not of_file:
                wrong.append(f"{name} of a file that is not this backup")
            elif not any(is_same(volume / name, content) for volume in of_file):
                wrong.append(f"{name} is another one than on the volume")
        in_record = [name for name in self.recorded() if not is_same(self.copier.volume / name, there.get(name))]
        return wrong + [f"{name} in the record" for name in in_record]

    def _volumes(self) -> list[Path]:
        return [self.copier.volume, *self.volumes]

    def recorded(self) -> list[str]:
        """The copies by the record, newest first."""
        try:
            return self.copier.copies(PLACE)
        except FileNotFoundError:
            return []

    def missing(self) -> list[str]:
        """Files of the backups that the place should have and has not."""
        there = self.contents()
        return [name for name in self._files() if there.get(name) != (self.copier.volume / name).read_bytes()]

    def remains(self) -> list[str]:
        """Files that lie there and are not those of the backups that it should have."""
        return sorted(self.contents().keys() - set(self._files()))

    def _files(self) -> list[str]:
        return [f"{name}{suffix}" for name in self.names for suffix in ("", ".json", ".sha256")]


def make_bench(server: Server, folder: Path, code: Path) -> Bench:
    """An empty installation in that folder, and its place in the server."""
    place: dict[str, Any] = {"name": PLACE, "kind": "claim", "options": {"folder": folder.name}}
    secret: dict[str, str] = {}
    store = server.store
    if isinstance(store, S3Store):
        options = {"endpoint": store.url, "bucket": BUCKET, "provider": store.provider}
        place |= {"kind": "s3", "options": {**place["options"], **options}}
        secret = {"access_key_id": store.access_key, "secret_access_key": store.secret_key}
        secret |= {"ca.crt": store.ca} if store.ca else {}
    elif isinstance(store, SftpStore):
        at_server: dict[str, Any] = {"host": store.host, "port": store.port, "user": store.user}
        place |= {"kind": "sftp", "options": {**place["options"], **at_server}}
        login = {"password": store.password} if store.password else {"private_key": store.private_key}
        secret = {**login, "known_hosts": store.known_hosts}
    copier = install(folder, rclone(), place, code=code)
    copier.add_secret(secret)
    copier.changes = QUICK
    return Bench(server, copier, folder.name, code)


def is_same(path: Path, content: bytes | None) -> bool:
    return content is not None and hashlib.sha256(content).digest() == hashlib.sha256(path.read_bytes()).digest()


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def kill(process: Process) -> None:
    """The program and its children, as when a pod is killed."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _result(log: str) -> dict[str, Any]:
    with suppress(IndexError, ValueError):
        found = json.loads(log.splitlines()[-1])
        if isinstance(found, dict):
            return found
    return {"places": [], "reason": None}
