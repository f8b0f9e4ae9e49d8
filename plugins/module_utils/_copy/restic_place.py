# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A restic repository as the steps of an attempt use it.

Each backup is a snapshot of one file, its uncompressed text, of which only what is new takes space. The list of the
copies (copy_list.py) is a snapshot too, without which no other one is a copy. An encrypted backup is stored as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .._volume.backup_names import is_encrypted_name
from .configuration import PlaceOptions
from .copy_list import ListedCopy, dump_copy_list, parse_copy_list
from .faults import BackupFaultError, PlaceError
from .place import Content, Digest, RclonePlace, Uploaded, required
from .plan import CHECKSUM_FILE, KEEP_FILE, MANIFEST, PARTIAL, Entry, partial_name
from .process import Write
from .rclone import REMOTE, Progress
from .recompression import Gunzip, Recompression, new_manifest, part_ends
from .record import Unfinished
from .restic import Restic, restic_environment
from .retrieval import Replacement
from .scratch import writing_scratch

_PASSWORD = "repository_password"  # noqa: S105 - a key
_TAG = "postgres-backup"
# Lists are in the order of their numbers: clocks may differ.
_LIST_TAG = re.compile(r"list-([0-9]{1,9})")
_TOKEN_TAG = re.compile(r"by-([0-9a-f]+)")
# So many lists are kept: one may be damaged.
_KEPT_LISTS = 2
_LIST_ATTEMPTS = 5
_GZIP_SUFFIX = ".gz"
# Each check reads one of so many parts of all data.
CHECK_PARTS = 30
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class _Snapshot:
    """A snapshot of this installation: `path` is its file, `time` when it was made, `number` that of a list.

    `token` is that of the record of the attempt that has made it; empty for a list.
    """

    id: str
    path: str
    time: str
    number: int
    token: str

    @property
    def upload_name(self) -> str:
        """The name under which it is listed while it is not a copy."""
        return partial_name(_backup_of(self.path), f"{self.token}{self.id[:8]}")


def _path_of(backup: str) -> str:
    """The file of a backup in its snapshot."""
    return f"/{backup}" if is_encrypted_name(backup) else f"/{backup[: -len(_GZIP_SUFFIX)]}"


def _backup_of(path: str) -> str:
    name = path.rpartition("/")[2]
    return name if is_encrypted_name(name) else f"{name}{_GZIP_SUFFIX}"


def _snapshot(item: Mapping[str, Any]) -> _Snapshot:
    """A snapshot as `restic snapshots` shows it."""
    tags = item.get("tags") or []
    numbers = [int(match[1]) for tag in tags if (match := _LIST_TAG.fullmatch(tag))]
    tokens = [match[1] for tag in tags if (match := _TOKEN_TAG.fullmatch(tag))]
    return _Snapshot(item["id"], item["paths"][0], item["time"], max(numbers, default=0), "".join(tokens[:1]))


def _remove_text(copies: dict[str, ListedCopy], backup: str, suffix: str) -> None:
    copy = copies.get(backup)
    if copy is not None:
        copies[backup] = replace(copy, texts={key: text for key, text in copy.texts.items() if key != suffix})


def _modified(snapshot: _Snapshot) -> str:
    """When it was made, and what identifies it: a snapshot never changes."""
    return f"{snapshot.time[:19]}Z {snapshot.id[:8]}"


class ResticPlace:
    """One restic repository (`interface.Place`). Every method may raise PlaceError.

    It lies in the folder of `store`. `installation` is the name of the snapshots' host, `token` that of the record,
    `temporary` a folder for restic's cache. With `check_part`, which is from 1 to CHECK_PARTS, a repository is made
    where there is none, and checked after a change with that part of its data. `unfinished` is what earlier attempts
    have left to do.
    """

    def __init__(
        self,
        options: PlaceOptions,
        store: RclonePlace,
        *,
        installation: str,
        token: str,
        temporary: str,
        check_part: int | None,
        unfinished: Unfinished,
    ) -> None:
        required(store.secrets, _PASSWORD)
        repository = store.folder if options.is_mounted else f"rclone:{REMOTE}:{store.folder}"
        variables = restic_environment(repository, f"{options.secrets}/{_PASSWORD}", store.processes.environment)
        processes = store.processes.in_environment(variables)
        self._restic = Restic(processes, f"{temporary}/restic", options.bandwidth_bytes, locks=check_part is not None)
        # It asks rclone first: restic would try again for a long time, and has worse messages.
        self._store = store
        self._name = options.name
        self._host = installation
        self._token = token
        self._list_path = f"/{installation}.copies.json"
        self._data = Path(store.folder, "data") if options.is_mounted else None
        self._check_part = check_part
        self._is_open = False
        self._lists: list[str] = []
        self._copies: dict[str, ListedCopy] = {}
        self._snapshots: dict[str, _Snapshot] = {}
        # What this process has uploaded, by the name that `upload` returned, and then by that of the backup.
        self._uploads: dict[str, ListedCopy] = {}
        self._unneeded: set[str] = set()
        self._is_changed = False
        self._unfinished = unfinished

    @property
    def unfinished(self) -> Unfinished:
        """What the next attempt has to do if this one ends now."""
        is_unpruned = self._unfinished.is_unpruned or self._forgets_backups()
        return replace(self._unfinished, is_unpruned=is_unpruned)

    def _forgets_backups(self) -> bool:
        # A list is so small that it can wait for the next backup that is deleted.
        return any(one in self._snapshots and self._snapshots[one].path != self._list_path for one in self._unneeded)

    # The repository

    def _open(self) -> None:
        """Make the repository if it does not exist."""
        if self._is_open:
            return
        if "config" not in self._store.list_files():
            if self._check_part is None:
                raise PlaceError(f"expected a restic repository at the place {self._name}, found none", is_lasting=True)
            self._restic.run("init")
        self._is_open = True

    def _load(self) -> None:
        """Read what is in the repository."""
        self._open()
        items = self._json("snapshots", f"--host={self._host}", f"--tag={_TAG}")
        found = [_snapshot(item) for item in items if len(item["paths"]) == 1]
        self._snapshots = {snapshot.id: snapshot for snapshot in found}
        lists = [snapshot for snapshot in found if snapshot.path == self._list_path]
        before = self._lists[-1:]
        self._lists = [each.id for each in sorted(lists, key=lambda snapshot: (snapshot.number, snapshot.time))]
        if self._lists[-1:] != before:
            self._copies = self._read_newest_list()

    def _read_newest_list(self) -> dict[str, ListedCopy]:
        """That of the newest list that can be read: what only a newer one had is copied again."""
        newest = self._lists[: -_KEPT_LISTS - 1 : -1]
        for snapshot in newest[:-1]:
            with contextlib.suppress(BackupFaultError):
                return self._read_list(snapshot)
        return self._read_list(newest[-1]) if newest else {}

    def _json(self, *arguments: str) -> list[dict[str, Any]]:
        try:
            content = json.loads(self._restic.run(*arguments))
        except ValueError:
            raise PlaceError(f"restic {arguments[0]} printed no JSON") from None
        return content or []

    def _read_list(self, snapshot: str) -> dict[str, ListedCopy]:
        try:
            return parse_copy_list(self._restic.run("dump", snapshot, self._list_path))
        except ValueError as error:
            raise BackupFaultError(
                f"the list of the copies in the restic repository is damaged: {error}", is_lasting=True
            ) from None

    def _save(self, path: str, feed: Callable[[Write], object], tags: str = _TAG) -> str:
        """Make a snapshot of a file; returns its ID."""
        # Unlike data on its input, a command that fails leaves no snapshot.
        options = (f"--stdin-filename={path}", f"--host={self._host}", f"--tag={tags}", "--stdin-from-command", "--")
        output = self._restic.run("backup", *options, feed=feed)
        self._is_changed = True
        for line in output.splitlines():
            summary = json.loads(line)
            if summary.get("message_type") == "summary" and summary.get("snapshot_id"):
                return str(summary["snapshot_id"])
        raise PlaceError("restic backup has made no snapshot")

    def _change_list(self, change: Callable[[dict[str, ListedCopy]], object]) -> None:
        """Write the list as it is after a change. What another program has added to it meanwhile remains."""
        others: dict[str, ListedCopy] = {}
        for _attempt in range(_LIST_ATTEMPTS):
            self._load()
            known = set(self._lists)
            copies = {**others, **self._copies}
            change(copies)
            copies = {name: copy for name, copy in copies.items() if copy.snapshot in self._snapshots}
            written = self._write_list(copies)
            self._load()
            added = [each for each in self._lists if each not in known and each != written]
            if not added:
                self._copies = copies
                self._unneeded |= set(self._lists[:-_KEPT_LISTS])
                return
            for each in added:
                others |= self._read_list(each)
        raise PlaceError("another program changes the list of the copies at the same time")

    def _write_list(self, copies: Mapping[str, ListedCopy]) -> str:
        text = dump_copy_list(copies)
        number = 1 + max((self._snapshots[each].number for each in self._lists), default=0)
        snapshot = self._save(self._list_path, lambda write: write(text), f"{_TAG},list-{number}")
        if self._restic.run("dump", snapshot, self._list_path) != text:
            raise PlaceError("the list of the copies could not be read back as it was written")
        return snapshot

    # The files of the place

    def list_files(self) -> dict[str, Entry]:
        """The files by their names, as a place without restic would have them."""
        self._load()
        entries: dict[str, Entry] = {}
        for name, copy in self._copies.items():
            entries |= {f"{name}{suffix}": Entry(len(text.encode()), "") for suffix, text in copy.texts.items()}
            snapshot = self._snapshots.get(copy.snapshot)
            if snapshot is not None:
                entries[name] = Entry(copy.size_bytes, _modified(snapshot))
        listed = {copy.snapshot for copy in self._copies.values()} | self._unneeded | set(self._lists)
        for snapshot in self._snapshots.values():
            upload, has_copy = self._uploads.get(snapshot.upload_name), _backup_of(snapshot.path) in entries
            is_own = snapshot.token != "" and snapshot.token == self._token
            if snapshot.id not in listed and (has_copy or is_own):
                # If the list is lost, it may be a copy: however old it is, it is not an upload that was interrupted.
                modified = _modified(snapshot) if has_copy or upload else ""
                entries[snapshot.upload_name] = Entry(upload.size_bytes if upload else 0, modified)
        return entries

    def fetch_texts(self, prefix: str, folder: str) -> None:
        """Write the manifests and the checksum files of an installation's backups into a local folder."""
        if not self._is_open:
            self._load()
        for name, copy in self._copies.items():
            if name.startswith(f"{prefix}-") and "/" not in name:
                for suffix in (CHECKSUM_FILE, MANIFEST):
                    if suffix in copy.texts:
                        with writing_scratch():
                            Path(folder, f"{name}{suffix}").write_bytes(copy.texts[suffix].encode())

    def upload(self, name: str, lock_until: datetime | None, progress: Progress) -> Uploaded:
        """Make a snapshot of the text of a backup."""
        del lock_until  # refused by the role: prune must delete
        path = _path_of(name)
        read: list[tuple[Content, Content]] = []

        def feed(write: Write) -> None:
            # It is called again if the repository was locked.
            read.append(self._feed(name, write, progress))

        snapshot = self._save(path, feed, f"{_TAG},by-{self._token}")
        source, text = read[-1]
        uploaded = _Snapshot(snapshot, path, "", 0, self._token).upload_name
        self._uploads[uploaded] = ListedCopy(
            snapshot=snapshot,
            path=path,
            sha256=source.sha256,
            size_bytes=source.size_bytes,
            text_sha256=text.sha256,
            text_bytes=text.size_bytes,
        )
        return Uploaded(uploaded, None)

    def _feed(self, name: str, write: Write, progress: Progress) -> tuple[Content, Content]:
        """Write the text of a backup; what was read of the file, and what was written. May raise BackupFaultError."""
        source, text = Digest(progress), Digest()
        gunzip = None if is_encrypted_name(name) else Gunzip()
        try:
            with (self._store.volume / name).open("rb") as file:
                while data := file.read(_READ_BYTES):
                    source(data)
                    for piece in gunzip.feed(data) if gunzip else (data,):
                        text(piece)
                        write(piece)
            if gunzip:
                gunzip.finish()
        except zlib.error as error:
            raise BackupFaultError(
                f"{name} on the volume is damaged: {error}. Verify it, and run a new backup", is_lasting=True
            ) from None
        return source.content, text.content

    def read(self, name: str, progress: Progress) -> Content:
        """Read a file completely: that of the backup if its text is the right one, otherwise what was found."""
        copy = self._uploads.get(name) or self._copies.get(name)
        if copy is None:
            raise PlaceError(f"{name} is not in the restic repository", is_absence=True)
        text = Digest(progress)
        self._forget_cached()
        self._restic.read("dump", copy.snapshot, copy.path, chunk=text)
        if text.content == Content(copy.text_bytes, copy.text_sha256):
            return Content(copy.size_bytes, copy.sha256)
        return text.content

    def _forget_cached(self) -> None:
        """What is read from a repository that is mounted must come from its server."""
        for path in self._data.rglob("*") if self._data else ():
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def download(self, name: str, path: str, progress: Progress) -> Replacement | None:
        """Write a backup to a path of this pod: its text is compressed again. Returns what that changes."""
        self._load()
        copy = self._copies.get(name)
        if copy is None:
            raise PlaceError(f"{name} is not in the restic repository", is_absence=True)
        with Path(path).open("xb") as file:
            if is_encrypted_name(name):
                self._restic.read("dump", copy.snapshot, copy.path, chunk=file.write)
                return None
            manifest = copy.texts[MANIFEST].encode() if MANIFEST in copy.texts else None
            done = Recompression(part_ends(manifest, name), file.write)

            def add(data: bytes) -> None:
                done(data)
                progress(done.text_bytes)

            self._restic.read("dump", copy.snapshot, copy.path, chunk=add)
            done.finish()
        if done.text_sha256 != copy.text_sha256:
            raise PlaceError(
                f"the copy of {name} is damaged: expected a text of {copy.text_bytes} bytes with the sha256 "
                f"{copy.text_sha256}, found {done.text_bytes} bytes with {done.text_sha256}. Take an older "
                "backup, or another place",
                is_lasting=True,
            )
        changed = new_manifest(manifest, name, done, copy.sha256) if manifest else None
        texts = {**({MANIFEST: changed} if changed else {}), CHECKSUM_FILE: f"{done.sha256}  {name}\n".encode()}
        return Replacement(done.sha256, done.size_bytes, texts)

    def read_source(self, name: str) -> Content:
        """Read a backup of the volume."""
        return self._store.read_source(name)

    def read_text(self, name: str) -> bytes | None:
        """The manifest, the checksum file or the keep file of a backup on the volume; None without it."""
        return self._store.read_text(name)

    def rename(self, uploaded: str, name: str) -> None:
        """Give an uploaded file its final name, which it gets with its checksum file."""
        self._uploads[name] = self._uploads.pop(uploaded)

    def write_text(self, name: str, text: bytes, lock_until: datetime | None) -> None:
        """Write the manifest, checksum file or keep file of a backup. The checksum file makes it a copy."""
        del lock_until
        suffix = next(each for each in (CHECKSUM_FILE, KEEP_FILE, MANIFEST) if name.endswith(each))
        backup = name[: -len(suffix)]
        copy = self._uploads.get(backup) or self._copies[backup]
        copy = replace(copy, texts={**copy.texts, suffix: text.decode("utf-8", "replace")})
        self._uploads[backup] = copy
        if (suffix == CHECKSUM_FILE or backup in self._copies) and self._copies.get(backup) != copy:
            self._change_list(lambda copies: copies.update({backup: copy}))

    def locked_until(self, name: str) -> datetime | None:
        """None: prune must be able to delete."""
        del name
        return None

    def read_etag(self, name: str) -> str | None:
        """None: the hashes of the store are not those of the backup."""
        del name
        return None

    def delete(self, name: str) -> None:
        """Delete a file if it exists. Without its checksum file, a backup is not in the list any more."""
        self._uploads.pop(name, None)
        if name.endswith(CHECKSUM_FILE):
            backup = name[: -len(CHECKSUM_FILE)]
            copy = self._copies.get(backup)
            if copy is not None:
                self._change_list(lambda copies: copies.pop(backup, None))
                self._unneeded.add(copy.snapshot)
        elif name.endswith(KEEP_FILE):
            backup = name[: -len(KEEP_FILE)]
            self._change_list(lambda copies: _remove_text(copies, backup, KEEP_FILE))
        elif name.endswith(PARTIAL):
            self._forget({one.id for one in self._snapshots.values() if one.upload_name == name})

    def _forget(self, uploads: set[str]) -> None:
        """At once, since this attempt may fail; their space is freed by the next one that does not fail."""
        if uploads:
            self._unfinished = replace(self._unfinished, is_unpruned=True)
            self._restic.run("forget", *sorted(uploads))

    def remove_unlisted_uploads(self, prefix: str, is_forgotten: Callable[[str, str], bool]) -> int:
        """None: restic's files are so small that they are not sent in parts."""
        del prefix, is_forgotten
        return 0

    def finish(self) -> None:
        """Free the space of what was deleted, and have restic check the repository with a part of its data."""
        if self._unneeded:
            self._unfinished = self.unfinished
            self._restic.run("forget", *sorted(self._unneeded))
            self._unneeded.clear()
        if self._unfinished.is_unpruned:
            self._restic.run("prune")
            self._unfinished = replace(self._unfinished, is_unpruned=False)
        if self._is_changed or self._unfinished.damaged_part:
            self._check(self._unfinished.damaged_part or self._check_part)
            self._is_changed = False

    def _check(self, part: int | None) -> None:
        try:
            self._restic.run("check", f"--read-data-subset={part}/{CHECK_PARTS}")
        except BackupFaultError:
            # Until it is repaired, each attempt reads this part.
            self._unfinished = replace(self._unfinished, damaged_part=part)
            raise
        self._unfinished = replace(self._unfinished, damaged_part=None)
