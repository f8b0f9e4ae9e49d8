# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Makes a copy, or proves one that lies there.

The order makes each interruption harmless: bytes, proof, final name, manifest, checksum file. Before a copy is written
again, its checksum file is deleted, so that what lies there is not called a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from .._volume.backup_names import TIME_FORMAT
from .._volume.catalog import Backup
from ..units import format_size
from .configuration import RESTIC
from .faults import BackupFaultError, PlaceError, WindowClosedError
from .interface import Content, Uploaded
from .plan import CHECKSUM_FILE, MANIFEST, Copy, Entry, Task, oldest_proof
from .steps import Steps, named
from .transfer_progress import COPY, READ

READ_BACK, STORE = "read_back", "store"
_LOST = (
    "The volume does not have it any more: its checksum file there is deleted, so that nothing takes it for a copy and "
    "retention does not count it"
)
# Clocks may differ, and an upload takes time.
_LOCK_TOLERANCE = timedelta(days=1)


def _vanished(task: Task) -> PlaceError:
    return PlaceError(f"{task.backup} was deleted right after it had been copied")


def conflict(name: str) -> str:
    return (
        f"{name} differs from the backup of this name on the volume. Do two installations copy to this folder? Give "
        "each a folder"
    )


class Prover:
    """Proves copies in the steps of an attempt, which has their records."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        # The backups that another copier has written or changed during this attempt.
        self._changed: set[str] = set()
        self.newest_entries: Mapping[str, Entry] | None = None
        """What lay there after the last copy; None if something was written or deleted since."""

    def prove(self, task: Task, there: Entry | None) -> None:
        """Make a copy of the backup, or prove the one that lies there."""
        self.newest_entries = None
        if task.is_there:
            self._steps.log(f"reading {task.backup} back")
            content = self._steps.read(task.backup, None)
            if content.sha256 != task.sha256 and task.source is None:
                # Nothing can mend it: an error of the network or of this node must not make it no copy.
                content = self._steps.read(task.backup, None)
            if content.sha256 == task.sha256:
                self._publish(task, there, READ_BACK, None if task.was_copy else self._steps.lock_until())
                return
            if task.was_copy and not task.is_recompressed:
                self._steps.warn(
                    f"{task.backup} is damaged or was changed: expected the sha256 {task.sha256}, found "
                    + content.sha256
                    + ("" if task.source else f". {_LOST}")
                )
            if task.source is None and self._steps.options.kind != RESTIC:  # where this would delete its snapshot, too
                self._steps.delete(f"{task.backup}{CHECKSUM_FILE}")
        elif task.was_copy and not task.is_recompressed and task.found_bytes is not None and task.source is not None:
            size_bytes, found_bytes = task.source.size_bytes, task.found_bytes
            change = f"{task.backup} is damaged or was changed: expected {size_bytes} bytes, found {found_bytes}"
            part = f"{task.backup} is shorter than the backup: expected {size_bytes} bytes, found {found_bytes}"
            # What was moved there was not proven there.
            self._steps.warn(part if self._steps.is_moved and found_bytes < size_bytes else change)
        if task.source is not None:
            source = task.source
            self._steps.again(None, lambda: self._upload(task, source))

    def prove_again(self) -> None:
        """Read the copy whose proof is old."""
        copy = oldest_proof(self._steps.copies.values(), self._steps.clock())
        if copy is None:
            return
        self._steps.log(f"reading {copy.backup} again, {copy.proven:%Y-%m-%d} was the last time")
        try:
            content = self._steps.read(copy.backup, copy.size_bytes)
        except BackupFaultError:
            del self._steps.copies[copy.backup]
            raise
        if content.sha256 == copy.sha256:
            self._steps.copies[copy.backup] = replace(copy, proven=self._steps.clock(), proof=READ_BACK)
        else:
            del self._steps.copies[copy.backup]
            self._steps.warn(
                f"{copy.backup} was damaged there since {copy.proven:%Y-%m-%d}: expected the sha256 {copy.sha256}, "
                f"found {content.sha256}. If the volume still has it, it is copied again"
            )

    def _upload(self, task: Task, source: Backup) -> None:
        if task.backup in self._changed:
            if self._adopts(task, source):
                return
            if self._steps.checksums().get(task.backup) not in (None, task.sha256):
                raise BackupFaultError(conflict(task.backup), is_lasting=True)
        self._check_that_none_is_there(task)
        until = self._steps.lock_until()
        if task.was_copy:
            self._steps.delete(f"{task.backup}{CHECKSUM_FILE}")
        self._steps.log(f"copying {task.backup} ({format_size(source.size_bytes)})")
        with named(f"copy {task.backup}"):
            uploaded = self._steps.place.upload(
                task.backup, until, self._steps.progress(COPY, task.backup, source.size_bytes)
            )
        self._steps.attempt.transferred_bytes += source.size_bytes
        with self._discarding(uploaded.name, task.backup):
            # What is read is what is listed before and after it.
            entry = self._steps.list_files().get(uploaded.name)
            if entry is None:
                raise _vanished(task)
            source_content = uploaded.source if self._has_same_hash(uploaded) else None
            content = source_content or self._read_uploaded(task, uploaded.name, entry)
            if content.sha256 != task.sha256:
                self._refuse(task, uploaded, content)
            if uploaded.name != task.backup:
                self._check_that_none_is_there(task, uploaded.name)
                with named(f"rename {uploaded.name}"):
                    self._steps.place.rename(uploaded.name, task.backup)
        self._publish(task, entry, STORE if source_content else READ_BACK, until)

    @contextmanager
    def _discarding(self, uploaded: str, backup: str) -> Iterator[None]:
        """Delete an upload that gets no final name: if each attempt left one, the place would become full."""
        try:
            yield
        except PlaceError:
            if uploaded != backup:
                with suppress(PlaceError, WindowClosedError):
                    self._steps.place.delete(uploaded)
            raise

    def _has_same_hash(self, uploaded: Uploaded) -> bool:
        """Whether the store's hash proves the copy. If it should and does not, the copy is read back."""
        if uploaded.etag is None:
            return False
        try:
            found = self._steps.read_etag(uploaded.name)
        except PlaceError as error:
            self._steps.warn(f"{error}. The copy is read back: its hash in the store is not known")
            return False
        if found == uploaded.etag:
            return True
        self._steps.warn(
            f"{uploaded.name} has another hash in the store than was sent: expected the ETag {uploaded.etag}, found "
            f"{found or 'none'}. The copy is read back. If the store computes other hashes, set read_back to true"
        )
        return False

    def _check_that_none_is_there(self, task: Task, uploaded: str | None = None) -> None:
        """Raise PlaceError if another copier has made a copy of this name since the first listing."""
        if (
            task.was_copy
            or task.backup in self._changed
            or f"{task.backup}{CHECKSUM_FILE}" not in self._steps.list_files()
        ):
            return
        self._changed.add(task.backup)
        if uploaded is not None:
            self._steps.delete(uploaded)
        raise PlaceError(f"{task.backup} was copied by another installation meanwhile")

    def _adopts(self, task: Task, source: Backup) -> bool:
        """Prove what another copier has written meanwhile, if it is this backup: two do not replace it in turn."""
        entry = self._steps.list_files().get(task.backup)
        if entry is None or entry.size_bytes != source.size_bytes:
            return False
        if self._steps.read(task.backup, source.size_bytes).sha256 != task.sha256:
            return False
        self._publish(task, entry, READ_BACK, self._steps.lock_until())
        return True

    def _read_uploaded(self, task: Task, uploaded: str, entry: Entry) -> Content:
        try:
            with named(f"read {task.backup} back"):
                content = self._steps.place.read(uploaded, self._steps.progress(READ, task.backup, entry.size_bytes))
        except PlaceError as error:
            if error.is_absence:
                raise _vanished(task) from None
            raise
        if content.sha256 != task.sha256:
            self._check_entry(task, entry, self._steps.list_files().get(uploaded))
        return content

    def _check_entry(self, task: Task, expected: Entry | None, found: Entry | None) -> Entry:
        """What lies there. Raises PlaceError if it is not the file that was uploaded, or that was read."""
        if found is None:
            raise _vanished(task)
        if found != expected:
            self._changed.add(task.backup)
            raise PlaceError(f"{task.backup} was changed right after it had been copied")
        return found

    def _refuse(self, task: Task, uploaded: Uploaded, found: Content) -> None:
        """Raise BackupFaultError for a copy with another content: where the difference is."""
        source = uploaded.source or self._steps.place.read_source(task.backup)
        self._steps.delete(uploaded.name)
        if source.sha256 != task.sha256:
            raise BackupFaultError(
                f"{task.backup} on the volume is damaged: expected the sha256 {task.sha256}, found {source.sha256}. "
                "Verify it, and run a new backup",
                is_lasting=True,
            )
        raise BackupFaultError(
            f"{task.backup} was read back differently: expected {source.size_bytes} bytes with the sha256 "
            f"{task.sha256}, found {found.size_bytes} bytes with {found.sha256}. It is copied again at the next time"
        )

    def _publish(self, task: Task, proven: Entry | None, proof: str, until: datetime | None) -> None:
        """Write manifest and checksum file of a proven file: now it is a copy. Unless it is no longer that file."""
        locked = self._checked_lock(task.backup, until)
        if task.source is not None:
            for suffix in (MANIFEST, CHECKSUM_FILE):
                text = self._steps.place.read_text(f"{task.backup}{suffix}")
                if text is None and suffix == CHECKSUM_FILE:
                    raise PlaceError(f"{task.backup} has no checksum file on the volume any more", is_lasting=True)
                if text is not None:
                    self._steps.write(f"{task.backup}{suffix}", text, until)
        entries = self._steps.list_files()
        found = entries.get(task.backup)
        if found != proven and task.source is not None and self._steps.checksums().get(task.backup) == task.sha256:
            self._steps.delete(f"{task.backup}{CHECKSUM_FILE}")
        entry = self._check_entry(task, proven, found)
        self._steps.copies[task.backup] = Copy(
            task.backup, task.sha256, entry.size_bytes, self._steps.clock(), proof, entry.modified, locked
        )
        self._steps.remember()
        self._steps.attempt.copied.append(task.backup)
        self.newest_entries = entries
        self._steps.log(f"proven: {task.backup}" + (f", locked until {locked:%Y-%m-%d}" if locked else ""))

    def _checked_lock(self, name: str, until: datetime | None) -> datetime | None:
        if not self._steps.options.lock_days:
            return None
        found = self._steps.locked_until(name)
        if until is not None and (found is None or found < until - _LOCK_TOLERANCE):
            self._steps.warn(
                f"{name} is not locked as wanted: expected until {until.strftime(TIME_FORMAT)}, "
                f"found {found.strftime(TIME_FORMAT) if found else 'no lock'}. Has the bucket Object Lock, and may "
                "these keys use it (s3:PutObjectRetention)?"
            )
        return found
