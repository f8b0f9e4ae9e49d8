# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A place as the steps of an attempt use it: how files lie there, are written, read, renamed and deleted."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from .._volume.backup_names import TIME_FORMAT
from .._volume.file_replacement import flush_folder
from ..secret_files import read_secrets
from .configuration import S3, SFTP, PlaceOptions
from .etag import PARTS_FROM_BYTES, Etag, part_bytes
from .faults import ACCESS_DENIED, SCRATCH, VOLUME, PlaceError, fault
from .known_hosts import host_key_algorithms
from .plan import CHECKSUM_FILE, MANIFEST, Entry, partial_name
from .process import Processes
from .rclone import REMOTE, Progress, Rclone, rclone_environment
from .record import Unfinished
from .s3_requests import S3Requests

_READ_BYTES = 1 << 20
# The time of a file there has no fractions of a second (draft-ietf-secsh-filexfer-02, 5), and is the server's.
_SFTP_TIME_SECONDS = 1.1
# A file that is read as text: more than any manifest has.
_TEXT_BYTES = 16 << 20


@dataclass(frozen=True)
class Content:
    """What was read of a file."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Uploaded:
    """A file that was uploaded (`interface.Uploaded`)."""

    name: str
    source: Content | None
    etag: str | None = None


class Digest:
    """The size and the sha256 of what it is called with, piece by piece."""

    def __init__(self, progress: Callable[[int], None] = lambda _size: None) -> None:
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._progress = progress

    def __call__(self, data: bytes) -> None:
        self._sha256.update(data)
        self._size += len(data)
        self._progress(self._size)

    @property
    def content(self) -> Content:
        return Content(self._size, self._sha256.hexdigest())


def required(secrets: Mapping[str, str], key: str) -> str:
    """The value of a key. Raises PlaceError without one."""
    value = secrets.get(key, "").strip()
    if not value:
        raise PlaceError(f"expected the key {key} in the place's Secret, found none or nothing in it", is_lasting=True)
    return value


def variables_of(options: PlaceOptions, secrets: Mapping[str, str]) -> dict[str, str]:
    """The configuration of rclone's backend (https://rclone.org/s3/, /sftp/, /local/). Raises PlaceError."""
    values = options.options
    if options.store == S3:
        variables = {
            "type": "s3",
            "provider": values.get("provider") or "Other",
            "access_key_id": required(secrets, "access_key_id"),
            "secret_access_key": required(secrets, "secret_access_key"),
            "endpoint": values.get("endpoint") or "",
            "region": values.get("region") or "",
            "storage_class": values.get("storage_class") or "",
            # It must exist: one that rclone creates would have no Object Lock.
            "no_check_bucket": "true",
        }
    elif options.store == SFTP:
        known_hosts = required(secrets, "known_hosts")
        host, port = str(values["host"]), int(values.get("port") or 22)
        variables = {
            "type": "sftp",
            # rclone appends the port, with a colon.
            "host": f"[{host}]" if ":" in host and not host.startswith("[") else host,
            "port": str(port),
            "user": values["user"],
            "known_hosts_file": f"{options.secrets}/known_hosts",
            "host_key_algorithms": " ".join(host_key_algorithms(known_hosts, host, port)),
            # No command is run on the server: an account for sftp only is enough.
            "shell_type": "none",
            "disable_hashcheck": "true",
            # Not every server lets the time of a file be set.
            "set_modtime": "false",
        }
        if secrets.get("private_key", "").strip():
            variables["key_file"] = f"{options.secrets}/private_key"
        else:
            required(secrets, "password")
            # Spaces are a part of it, the end of the line is not.
            variables["pass"] = _obscured(secrets["password"].rstrip("\r\n"))
    else:
        variables = {"type": "local"}
    return {name: value for name, value in variables.items() if value}


def folder_of(options: PlaceOptions) -> str:
    """The path of the place's folder as rclone's backend knows it; empty for the one where an SFTP session begins."""
    if options.store == SFTP:
        return options.folder
    base = options.mount if options.is_mounted else str(options.options["bucket"])
    return f"{base.rstrip('/')}/{options.folder}" if options.folder else base


def refuse_backup_folder(options: PlaceOptions, volume: str, file: Path) -> None:
    """Raises PlaceError if the place's folder is that of the backups, or lies in it. `file` is on the backup volume.

    Such a copy would be none, and retention there would delete the backups. A claim or a share shows that under any
    name: what is mounted twice may have two device numbers, but its files have the same inode numbers and times.
    """
    if not options.is_mounted:
        return
    mount = Path(options.mount)
    folder = Path(folder_of(options))
    for path in (folder, *folder.parents):
        if _is_same(path / file.relative_to(volume), file):
            where = "" if path == folder else f", in its folder {folder.relative_to(path)}"
            raise PlaceError(
                f"expected another folder than that of the backups, found the backup volume itself{where}: what lies "
                "there is lost with the backups. Give the place another share, claim or folder",
                is_lasting=True,
            )
        if path == mount:
            return


def _is_same(first: Path, second: Path) -> bool:
    try:
        one, other = first.stat(), second.stat()
    except OSError:
        return False
    return (one.st_ino, one.st_mtime_ns) == (other.st_ino, other.st_mtime_ns)


def _obscured(password: str) -> str:
    """The password as rclone wants it; it is not a secret form of it."""
    command = ["rclone", "obscure", "-"]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()


def read_flushed(path: Path, add: Callable[[bytes], None]) -> None:
    """Flushes the file and reads it past the page cache, so that it comes from the server."""
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while data := file.read(_READ_BYTES):
            add(data)


class RclonePlace:
    """One place (`interface.Place`), whose files are in `folder` there. Every method may raise PlaceError.

    `processes` runs programs in rclone's environment; `secrets` are those of the place, and `token` that of its record.
    """

    def __init__(
        self,
        options: PlaceOptions,
        volume: str,
        *,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        closes: float | None,
        token: str,
    ) -> None:
        self.secrets = read_secrets(options.secrets)
        # The values that no message may have.
        hidden = [value.strip() for key, value in self.secrets.items() if key not in ("ca.crt", "known_hosts")]
        self._authority = f"{options.secrets}/ca.crt" if self.secrets.get("ca.crt", "").strip() else None
        variables = variables_of(options, self.secrets)
        self.processes = Processes(rclone_environment(variables, self._authority, environment), hidden, clock, closes)
        self._rclone = Rclone(self.processes)
        self._options = options
        self.volume = Path(volume)
        # Another copier may write to the same place at the same time.
        self._upload = f"{token}{token_hex(4)}"
        # A store has an object completely or not at all.
        self._is_atomic = options.store == S3
        self.folder = folder_of(options)
        self._limit = [f"--bwlimit={options.bandwidth_bytes}B"] if options.bandwidth_bytes else []

    def _path(self, name: str = "") -> str:
        # Without a folder, an SFTP server chooses it.
        return f"{REMOTE}:" + "/".join(part for part in (self.folder, name) if part)

    def list_files(self) -> dict[str, Entry]:
        """The files by their names; empty if the folder does not exist yet."""
        try:
            output = self._rclone.run("lsjson", "--files-only", "--no-mimetype", self._path())
        except PlaceError as error:
            if not error.is_absence:
                raise
            if self._options.store == S3:
                # A bucket without such objects gives an empty list.
                raise fault("api error NoSuchBucket:", 0) from None
            return {}
        return {item["Path"]: Entry(item["Size"], item["ModTime"]) for item in json.loads(output)}

    def fetch_texts(self, prefix: str, folder: str) -> None:
        """Copy the manifests and the checksum files of an installation's backups into a local folder."""
        filters = [f"--include=/{prefix}-*{suffix}" for suffix in (CHECKSUM_FILE, MANIFEST)]
        arguments = (*filters, f"--max-size={_TEXT_BYTES}B", "--max-depth=1", "--transfers=8")
        try:
            self._rclone.run("copy", *arguments, self._path(), folder, target=SCRATCH)
        except PlaceError as error:
            if not error.is_absence:
                raise

    def upload(self, name: str, lock_until: datetime | None, progress: Progress) -> Uploaded:
        """Copy a backup of the volume; reads it at the same time if it is not read back. May raise OSError."""
        uploaded = name if self._is_atomic else partial_name(name, self._upload)
        if self._options.reads_back:
            self._send(name, uploaded, lock_until, progress)
            if self._options.store == SFTP:
                # So that what is changed from now on has another time.
                time.sleep(_SFTP_TIME_SECONDS)
            return Uploaded(uploaded, None)
        ended, etag = threading.Event(), Etag((self.volume / name).stat().st_size)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(self._read_source, name, ended, etag)
            try:
                self._send(name, uploaded, lock_until, progress)
            except BaseException:
                ended.set()
                raise
            return Uploaded(uploaded, reading.result(), etag.value)

    def _send(self, name: str, uploaded: str, lock_until: datetime | None, progress: Progress) -> None:
        part = part_bytes((self.volume / name).stat().st_size)
        arguments = [
            *("--no-check-dest", "--s3-upload-concurrency=4"),
            *(f"--s3-upload-cutoff={PARTS_FROM_BYTES}B", f"--s3-chunk-size={part}B"),
            # Neither is a proof: rclone compares the hash of the backup with the one that it has stored with it.
            *("--s3-disable-checksum", "--ignore-checksum"),
            *self._limit,
            *self._lock(lock_until),
            *(str(self.volume / name), self._path(uploaded)),
        ]
        try:
            self._rclone.run("copyto", *arguments, progress=progress)
        except PlaceError as error:
            if lock_until is None or error.code != ACCESS_DENIED:
                raise
            raise PlaceError(f"{error}, and with lock_days to set its retention", is_lasting=True) from None

    def _lock(self, until: datetime | None) -> list[str]:
        if until is None:
            return []
        mode = self._options.lock_mode.upper()
        return [f"--s3-object-lock-mode={mode}", f"--s3-object-lock-retain-until-date={until.strftime(TIME_FORMAT)}"]

    def locked_until(self, name: str) -> datetime | None:
        """Until when the store refuses to delete the file; None without a lock."""
        return self._s3.read_lock(f"{self.folder}/{name}")

    def read_etag(self, name: str) -> str | None:
        """The hash that the S3 store has of the file, None if it shows none."""
        return self._s3.read_etag(f"{self.folder}/{name}")

    def remove_unlisted_uploads(self, prefix: str, is_forgotten: Callable[[str, str], bool]) -> int:
        """Abort the uploads in parts that `is_forgotten` fits.

        Not by rclone's `backend cleanup`: it aborts all whose paths begin like the folder, also those of others, and
        refuses the path of an object that exists.
        """
        if self._options.store != S3:
            return 0
        bucket, _slash, folder = self.folder.partition("/")
        before = f"{folder}/" if folder else ""
        try:
            uploads = [
                upload
                for upload in self._s3.multipart_uploads(bucket, f"{before}{prefix}")
                if upload.path.startswith(before) and is_forgotten(upload.path[len(before) :], upload.began)
            ]
            for upload in uploads:
                self._s3.abort(bucket, upload)
        except PlaceError as error:
            if error.code != ACCESS_DENIED:
                raise
            raise PlaceError(f"the store answered {error.code}. Allow these keys to list and abort uploads") from None
        return len(uploads)

    @property
    def _s3(self) -> S3Requests:
        return S3Requests(self._options.options, self.secrets, self._authority)

    def read(self, name: str, progress: Progress) -> Content:
        """Read a file completely."""
        digest = Digest(progress)
        if self._options.is_mounted:
            try:
                read_flushed(self._mounted(name), self._paced(digest))
            except FileNotFoundError:
                raise PlaceError(f"{name} is not there", is_absence=True) from None
            except OSError as error:
                raise fault(str(error), 0) from None
        else:
            self._rclone.read("cat", *self._limit, self._path(name), chunk=digest)
        return digest.content

    def _paced(self, add: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """Calls `add` no faster than the place's bandwidth allows, until its window closes, as rclone does it."""
        began, added_bytes = self.processes.clock(), 0

        def add_paced(data: bytes) -> None:
            nonlocal added_bytes
            self.processes.check_window()
            add(data)
            added_bytes += len(data)
            if self._options.bandwidth_bytes:
                due = began + added_bytes / self._options.bandwidth_bytes
                pause = max(0.0, due - self.processes.clock())
                left = self.processes.check_window()
                time.sleep(pause if left is None else min(pause, left))

        return add_paced

    def download(self, name: str, path: str, progress: Progress) -> None:
        """Copy a file of the place to a path of this pod, as it is."""
        arguments = ("--no-check-dest", "--ignore-checksum", "--inplace", *self._limit)
        self._rclone.run("copyto", *arguments, self._path(name), path, progress=progress, target=VOLUME)

    def _mounted(self, name: str) -> Path:
        return Path(f"{self.folder}/{name}")

    def read_source(self, name: str) -> Content:
        """Read a backup of the volume."""
        return self._read_source(name, threading.Event(), lambda _data: None)

    def _read_source(self, name: str, ended: threading.Event, add: Callable[[bytes], None]) -> Content:
        """Read the backup, until its end or the event; `add` gets each piece."""
        digest = Digest()
        with (self.volume / name).open("rb") as file:
            while not ended.is_set() and (data := file.read(_READ_BYTES)):
                digest(data)
                add(data)
        return digest.content

    def read_text(self, name: str) -> bytes | None:
        """The manifest, the checksum file or the keep file of a backup on the volume; None without it."""
        try:
            return (self.volume / name).read_bytes()
        except FileNotFoundError:
            return None

    def rename(self, uploaded: str, name: str) -> None:
        """Give an uploaded file its final name."""
        if uploaded != name:
            self._rclone.run("moveto", "--no-check-dest", self._path(uploaded), self._path(name))
            self._flush()

    def write_text(self, name: str, text: bytes, lock_until: datetime | None) -> None:
        """Write a small file, and read it back."""
        self._rclone.run("rcat", f"--size={len(text)}", *self._lock(lock_until), self._path(name), text=text)
        self._flush()
        if self._rclone.run("cat", self._path(name)) != text:
            raise PlaceError(f"{name} could not be read back as it was written")

    def _flush(self) -> None:
        if self._options.is_mounted:
            flush_folder(self.folder)

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        try:
            self._rclone.run("deletefile", self._path(name))
        except PlaceError as error:
            if not error.is_absence:
                raise

    def finish(self) -> None:
        """Nothing: what was deleted takes no space."""

    @property
    def unfinished(self) -> Unfinished:
        """Nothing."""
        return Unfinished()
