# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Copies the backups to one place: no input or output, `Place` and `Judge` have the functions for it.

The order makes each interruption harmless: bytes, proof, final name, manifest, checksum file. Before a copy is written
again or deleted, its checksum file is deleted, so that what lies there is not called a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from .._volume.backup_names import TIME_FORMAT
from .._volume.catalog import Backup, Catalog, Plan
from ..units import format_size
from .configuration import PlaceOptions
from .faults import BackupFaultError, PlaceError, WindowClosedError
from .plan import (
    CHECKSUM_FILE,
    MANIFEST,
    Copy,
    Entry,
    Task,
    backups_among,
    candidates,
    forgotten_uploads,
    oldest_proof,
    still_proven,
    tasks,
)
from .recompression import origin
from .record import COPIED, FAILED, NOTHING_TO_DO, OUTSIDE_WINDOW, Record, Unfinished, next_record

READ_BACK, STORE = "read_back", "store"
# After an error that may pass.
PAUSES_SECONDS = (5.0, 30.0)
# Clocks may differ, and an upload takes time.
_LOCK_TOLERANCE = timedelta(days=1)
_NAMED = 3
# So often the record is written during a long upload: readers expect one in the time of some schedules.
_HEARTBEAT = timedelta(minutes=10)

Result = TypeVar("Result")
Progress = Callable[[int], None]


class Content(Protocol):
    """What was read of a file."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def sha256(self) -> str: ...


class Uploaded(Protocol):
    """A file that was uploaded, which can be read under its name.

    `source` is what was read of the backup if the store's hash shows that the file is the same; None if it does not.
    """

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> Content | None: ...


class Place(Protocol):
    """What is done at a place. Each method may raise PlaceError or WindowClosedError."""

    def list_files(self) -> dict[str, Entry]: ...

    def upload(self, name: str, lock_until: datetime | None, progress: Progress) -> Uploaded:
        """Copy a backup of the volume. May raise OSError."""

    def read(self, name: str, progress: Progress) -> Content: ...

    def read_source(self, name: str) -> Content:
        """Read the backup on the volume. May raise OSError."""

    def read_text(self, name: str) -> bytes | None:
        """The manifest or the checksum file of a backup on the volume; None without it. May raise OSError."""

    def rename(self, uploaded: str, name: str) -> None: ...

    def write_text(self, name: str, text: bytes, lock_until: datetime | None) -> None: ...

    def locked_until(self, name: str) -> datetime | None: ...

    def delete(self, name: str) -> None: ...

    def finish(self) -> None:
        """What has to be done after the last deletion."""

    @property
    def unfinished(self) -> Unfinished:
        """What the next attempt has to do if this one ends now."""


class Judge(Protocol):
    """What the script finds at a place."""

    def checksums(self) -> Mapping[str, str]:
        """The hashes of the checksum files at the place, by the names of the backups. May raise PlaceError."""

    def manifest_of(self, name: str) -> bytes | None:
        """The manifest of a copy at the place, after `checksums`; None without one."""

    def plan(self, entries: Mapping[str, Entry], sources: Iterable[Backup]) -> Plan:
        """What retention would do at the place if the `sources` were there too. May raise PlaceError."""


@dataclass
class Attempt:
    """What an attempt has done."""

    state: str = NOTHING_TO_DO
    error: str | None = None
    copied: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    transferred_bytes: int = 0


@contextmanager
def _step(words: str) -> Iterator[None]:
    """Names the step in an error of the place."""
    try:
        yield
    except BackupFaultError:
        raise
    except PlaceError as error:
        raise PlaceError(
            f"could not {words}: {error}", is_lasting=error.is_lasting, is_absence=error.is_absence
        ) from None


def _vanished(task: Task) -> PlaceError:
    return PlaceError(f"{task.backup} was deleted right after it had been copied")


def _conflict(name: str) -> str:
    return (
        f"{name} differs from the backup of this name on the volume. Do two installations copy to this folder? Give "
        "each a folder"
    )


class Copying:
    """One attempt at one place; `clock` returns the time (UTC) without fractions of a second.

    `remember` gets all copies after each new one, since an attempt that is killed must not lose their proofs, and from
    time to time.
    """

    def __init__(
        self,
        options: PlaceOptions,
        installation: str,
        place: Place,
        judge: Judge,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        log: Callable[[str], None],
        remember: Callable[[Iterable[Copy]], None],
    ) -> None:
        self._options = options
        self._installation = installation
        self._place = place
        self._judge = judge
        self._clock = clock
        self._sleep = sleep
        self._print = log
        self._remember = remember
        self._attempt = Attempt()
        self._copies: dict[str, Copy] = {}
        self._changed: set[str] = set()
        # After the last copy; None if something was written or deleted since.
        self._newest_entries: Mapping[str, Entry] | None = None
        self._is_done = False
        self._remembered = clock()

    def run(self, before: Record, catalog: Catalog) -> tuple[Attempt, Record]:
        """What was done, and the record after it. Errors of the place are in both."""
        attempt = self._attempt
        self._copies = {copy.backup: copy for copy in before.copies}
        try:
            self._work(before, catalog)
        except WindowClosedError:
            attempt.state = OUTSIDE_WINDOW
            self._log("the window has closed: the rest follows in the next one")
        except (PlaceError, OSError) as error:
            attempt.state, attempt.error = FAILED, str(error)
        else:
            attempt.state = COPIED if attempt.copied or attempt.deleted else NOTHING_TO_DO
        record = next_record(
            before,
            self._copies.values(),
            attempt.findings,
            self._clock(),
            error=attempt.error,
            is_done=self._is_done and attempt.error is None,
        )
        return attempt, record

    def _work(self, before: Record, catalog: Catalog) -> None:
        entries: Mapping[str, Entry] = self._list()
        checksums = self._checksums()
        kept, lost = still_proven(before.copies, entries, checksums)
        sources = candidates(catalog)
        recompressed = self._recompressed(sources, checksums)
        kept = {name: copy for name, copy in kept.items() if name not in recompressed}
        self._copies = dict(kept)
        self._find_lost(lost)
        for copy in before.copies:
            if copy.backup in entries and f"{copy.backup}{CHECKSUM_FILE}" not in entries:
                self._find(
                    f"{copy.backup}{CHECKSUM_FILE} was deleted there: the copy is read again, and gets a new one. Has "
                    "somebody changed files?"
                )
        self._mend_manifests(sources)
        wanted = self._judge.plan(entries, sources)
        keep = [backup.name for backup in wanted.backups if backup.verdict == "keep"]
        todo, conflicts = tasks(
            set(keep) - set(kept),
            sources,
            entries,
            checksums,
            recorded={copy.backup for copy in before.copies},
            recompressed=recompressed,
        )
        for name in conflicts:
            self._find(_conflict(name))
        faults = []
        for task in todo:
            try:
                self._prove(task, entries.get(task.backup))
            except BackupFaultError as error:
                # The others do not wait for somebody to mend it.
                self._log(f"FAILED: {error}")
                faults.append(str(error))
        if not todo:
            self._prove_again()
        self._is_done = not conflicts and all(source.name in self._copies for source in sources if source.name in keep)
        if todo:
            entries = self._newest_entries or self._list()
            self._check_again(entries)
            self._checksums()
        self._delete(entries)
        self._finish()
        if faults:
            raise PlaceError("; ".join(faults))

    def _recompressed(self, sources: Iterable[Backup], checksums: Mapping[str, str]) -> set[str]:
        """The backups whose file there has another hash than on the volume and the same text."""
        found = set()
        for source in sources:
            there = checksums.get(source.name)
            if there is None or source.sha256 is None or there == source.sha256:
                continue
            text = self._place.read_text(f"{source.name}{MANIFEST}")
            if origin(text, source.sha256) == origin(self._judge.manifest_of(source.name), there):
                found.add(source.name)
        return found

    def _finish(self) -> None:
        if self._place.unfinished != Unfinished():
            # An attempt that is killed from here on is continued.
            self._remember_copies()
        try:
            self._again("tidy up", self._place.finish)
        except BackupFaultError as error:
            self._find(str(error))
            raise

    def _list(self) -> dict[str, Entry]:
        return self._again("list the files", self._place.list_files)

    def _checksums(self) -> Mapping[str, str]:
        return self._again("read the checksum files", self._judge.checksums)

    def _log(self, text: str) -> None:
        self._print(f"{self._options.name}: {text}")

    def _find(self, text: str) -> None:
        self._attempt.findings.append(text)
        self._log(f"WARNING: {text}")

    def _find_lost(self, lost: list[Copy]) -> None:
        if not lost:
            return
        names = ", ".join(copy.backup for copy in lost[:_NAMED])
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        self._find(
            f"no longer there, though not deleted by retention: {names}{more}. Has somebody deleted files, or renamed "
            "the folder or the bucket?"
        )

    def _mend_manifests(self, sources: Iterable[Backup]) -> None:
        """Write the manifests of proven copies again that are not those of the volume."""
        for source in sources:
            copy = self._copies.get(source.name)
            if copy is None or copy.sha256 != source.sha256:
                continue
            name = f"{source.name}{MANIFEST}"
            text, found = self._place.read_text(name), self._judge.manifest_of(source.name)
            if text is not None and text != found:
                changed = f"{name} is another one than on the volume: it is written again. Has somebody changed files?"
                deleted = f"{name} was deleted: it is written again. Has somebody deleted files?"
                self._find(deleted if found is None else changed)
                self._write(name, text, self._lock_until())

    def _prove(self, task: Task, there: Entry | None) -> None:
        """Make a copy of the backup, or prove the one that lies there."""
        self._newest_entries = None
        if task.is_there:
            self._log(f"reading {task.backup} back")
            content = self._read_again(task.backup, None)
            if content.sha256 == task.sha256:
                self._publish(task, there, READ_BACK, None if task.was_copy else self._lock_until())
                return
            if task.was_copy and not task.is_recompressed:
                self._find(
                    f"{task.backup} is damaged or was changed: expected the sha256 {task.sha256}, found "
                    + content.sha256
                    + ("" if task.source else ". The volume does not have it any more")
                )
        elif task.was_copy and not task.is_recompressed and task.found_bytes is not None and task.source is not None:
            self._find(
                f"{task.backup} is damaged or was changed: expected {task.source.size_bytes} bytes, found "
                f"{task.found_bytes}"
            )
        if task.source is not None:
            source = task.source
            self._again(None, lambda: self._upload(task, source))

    def _read_again(self, name: str, size_bytes: int | None) -> Content:
        return self._again(f"read {name} back", lambda: self._place.read(name, self._progress("read", size_bytes)))

    def _prove_again(self) -> None:
        """Read the copy whose proof is old."""
        copy = oldest_proof(self._copies.values(), self._clock())
        if copy is None:
            return
        self._log(f"reading {copy.backup} again, {copy.proven:%Y-%m-%d} was the last time")
        try:
            content = self._read_again(copy.backup, copy.size_bytes)
        except BackupFaultError:
            del self._copies[copy.backup]
            raise
        if content.sha256 == copy.sha256:
            self._copies[copy.backup] = replace(copy, proven=self._clock(), proof=READ_BACK)
        else:
            del self._copies[copy.backup]
            self._find(
                f"{copy.backup} was damaged there since {copy.proven:%Y-%m-%d}: expected the sha256 {copy.sha256}, "
                f"found {content.sha256}. If the volume still has it, it is copied again"
            )

    def _upload(self, task: Task, source: Backup) -> None:
        if task.backup in self._changed:
            if self._adopts(task, source):
                return
            if self._checksums().get(task.backup) not in (None, task.sha256):
                raise BackupFaultError(_conflict(task.backup), is_lasting=True)
        self._check_that_none_is_there(task)
        until = self._lock_until()
        if task.was_copy:
            self._delete_file(f"{task.backup}{CHECKSUM_FILE}")
        self._log(f"copying {task.backup} ({format_size(source.size_bytes)})")
        with _step(f"copy {task.backup}"):
            uploaded = self._place.upload(task.backup, until, self._progress("copied", source.size_bytes))
        self._attempt.transferred_bytes += source.size_bytes
        # What is read is what is listed before and after it.
        entry = self._list().get(uploaded.name)
        if entry is None:
            raise _vanished(task)
        content = uploaded.source or self._read_uploaded(task, uploaded.name, entry)
        if content.sha256 != task.sha256:
            self._refuse(task, uploaded, content)
        if uploaded.name != task.backup:
            self._check_that_none_is_there(task, uploaded.name)
            with _step(f"rename {uploaded.name}"):
                self._place.rename(uploaded.name, task.backup)
        self._publish(task, entry, STORE if uploaded.source else READ_BACK, until)

    def _check_that_none_is_there(self, task: Task, uploaded: str | None = None) -> None:
        """Raise PlaceError if another copier has made a copy of this name since the first listing."""
        if task.was_copy or task.backup in self._changed or f"{task.backup}{CHECKSUM_FILE}" not in self._list():
            return
        self._changed.add(task.backup)
        if uploaded is not None:
            self._delete_file(uploaded)
        raise PlaceError(f"{task.backup} was copied by another installation meanwhile")

    def _adopts(self, task: Task, source: Backup) -> bool:
        """Prove what another copier has written meanwhile, if it is this backup: two do not replace it in turn."""
        entry = self._list().get(task.backup)
        if entry is None or entry.size_bytes != source.size_bytes:
            return False
        if self._read_again(task.backup, source.size_bytes).sha256 != task.sha256:
            return False
        self._publish(task, entry, READ_BACK, self._lock_until())
        return True

    def _read_uploaded(self, task: Task, uploaded: str, entry: Entry) -> Content:
        try:
            with _step(f"read {task.backup} back"):
                content = self._place.read(uploaded, self._progress("read back", entry.size_bytes))
        except PlaceError as error:
            if error.is_absence:
                raise _vanished(task) from None
            raise
        if content.sha256 != task.sha256:
            self._check_entry(task, entry, self._list().get(uploaded))
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
        source = uploaded.source or self._place.read_source(task.backup)
        self._delete_file(uploaded.name)
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
                text = self._place.read_text(f"{task.backup}{suffix}")
                if text is None and suffix == CHECKSUM_FILE:
                    raise PlaceError(f"{task.backup} has no checksum file on the volume any more")
                if text is not None:
                    self._write(f"{task.backup}{suffix}", text, until)
        entries = self._list()
        found = entries.get(task.backup)
        if found != proven and task.source is not None and self._checksums().get(task.backup) == task.sha256:
            self._delete_file(f"{task.backup}{CHECKSUM_FILE}")
        entry = self._check_entry(task, proven, found)
        self._copies[task.backup] = Copy(
            task.backup, task.sha256, entry.size_bytes, self._clock(), proof, entry.modified, locked
        )
        self._remember_copies()
        self._attempt.copied.append(task.backup)
        self._newest_entries = entries
        self._log(f"proven: {task.backup}" + (f", locked until {locked:%Y-%m-%d}" if locked else ""))

    def _remember_copies(self) -> None:
        self._remembered = self._clock()
        self._remember(self._copies.values())

    def _write(self, name: str, text: bytes, until: datetime | None) -> None:
        self._again(f"write {name}", lambda: self._place.write_text(name, text, until))

    def _delete_file(self, name: str) -> None:
        self._again(f"delete {name}", lambda: self._place.delete(name))

    def _lock_until(self) -> datetime | None:
        days = self._options.lock_days
        return self._clock() + timedelta(days=days) if days else None

    def _checked_lock(self, name: str, until: datetime | None) -> datetime | None:
        if not self._options.lock_days:
            return None
        found = self._find_lock(name)
        if until is not None and (found is None or found < until - _LOCK_TOLERANCE):
            self._find(
                f"{name} is not locked as wanted: expected until {until.strftime(TIME_FORMAT)}, "
                f"found {found.strftime(TIME_FORMAT) if found else 'no lock'}. Has the bucket Object Lock, and may "
                "these keys use it (s3:PutObjectRetention)?"
            )
        return found

    def _check_again(self, entries: Mapping[str, Entry]) -> None:
        """Whether each new copy is still the file that was proven."""
        for name in self._attempt.copied:
            copy, entry = self._copies.get(name), entries.get(name)
            if copy is not None and entry != Entry(copy.size_bytes, copy.modified):
                del self._copies[name]
                self._is_done = False
                self._find(f"{name} was changed or deleted right after it had been copied")

    def _delete(self, entries: Mapping[str, Entry]) -> None:
        """Apply retention to what lies there."""
        now = self._clock()
        for name in forgotten_uploads(entries, self._installation, now):
            self._delete_file(name)
        plan = self._judge.plan(entries, ())
        there = set(backups_among(entries, self._installation))
        due = [name for name in plan.deleted if name in there]
        if plan.held_back:
            self._find(
                f"retention would delete {plan.held_back} copies at once, and deletes none. Check the keep_* options "
                "of the place"
            )
            return
        for name in due:
            if self._is_locked(name, now):
                continue
            self._delete_copy(name, entries)
            self._attempt.deleted.append(name)
            self._log(f"deleted {name}")

    def _delete_copy(self, name: str, entries: Mapping[str, Entry]) -> None:
        # First in the record: what an attempt that is killed has deleted is not missed.
        copy = self._copies.pop(name, None)
        self._remember_copies()
        try:
            if f"{name}{CHECKSUM_FILE}" in entries:
                self._delete_file(f"{name}{CHECKSUM_FILE}")
        except PlaceError:
            if copy is not None:
                self._copies[name] = copy
            raise
        # No manifest is left without its backup.
        for file in (f"{name}{MANIFEST}", name):
            if file in entries:
                self._delete_file(file)

    def _is_locked(self, name: str, now: datetime) -> bool:
        copy = self._copies.get(name)
        if copy is not None and copy.locked_until is not None:
            return copy.locked_until > now
        if not self._options.lock_days:
            return False
        found = self._find_lock(name)
        return found is not None and found > now

    def _find_lock(self, name: str) -> datetime | None:
        return self._again(f"read the lock of {name}", lambda: self._place.locked_until(name))

    def _progress(self, word: str, total: int | None) -> Progress:
        shown = self._clock()

        def show(done: int) -> None:
            nonlocal shown
            now = self._clock()
            if now - self._remembered >= _HEARTBEAT:
                self._remember_copies()
            if now - shown >= timedelta(seconds=10):
                shown = now
                self._log(f"{word} {format_size(done)}" + (f" of {format_size(total)}" if total else ""))

        return show

    def _again(self, words: str | None, act: Callable[[], Result]) -> Result:
        """The result of a step, named by `words` in its errors; repeated after pauses while its error may pass."""

        def step() -> Result:
            if words is None:
                return act()
            with _step(words):
                return act()

        for pause in PAUSES_SECONDS:
            try:
                return step()
            except PlaceError as error:
                if error.is_lasting or error.is_absence:
                    raise
                self._log(f"{error}: the next try is in {pause:.0f} s")
                self._sleep(pause)
        try:
            return step()
        except PlaceError as error:
            # A step that this one is a part of is not repeated because of it.
            error.is_lasting = True
            raise
