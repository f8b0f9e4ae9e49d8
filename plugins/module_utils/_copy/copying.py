# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Copies the backups to one place: no input or output. `Place` and `Judge` (interface.py) have the functions for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from .._volume.catalog import Backup, Catalog
from .faults import BackupFaultError, PlaceError, WindowClosedError
from .plan import (
    CHECKSUM_FILE,
    KEEP_FILE,
    MANIFEST,
    Copy,
    Entry,
    Task,
    candidates,
    complete_among,
    forgotten_uploads,
    is_forgotten_upload,
    still_proven,
    tasks,
)
from .proof import Prover, conflict
from .recompression import origin
from .record import COPIED, FAILED, NOTHING_TO_DO, OUTSIDE_WINDOW, Record, Unfinished, next_record
from .retention import apply_retention
from .steps import Attempt, Steps

_NAMED = 3


class Copying:
    """One attempt of an installation at one place."""

    def __init__(self, installation: str, steps: Steps) -> None:
        self._installation = installation
        self._steps = steps
        self._prover = Prover(steps)
        self._faults: dict[str, str] = {}
        self._is_done = False
        self._is_judged = False
        self._location = ""

    def run(self, before: Record, catalog: Catalog) -> tuple[Attempt, Record]:
        """What was done, and the record after it. Errors of the place are in both."""
        attempt = self._steps.attempt
        self._location = before.location
        self._steps.begin(self._installation, before, [backup.name for backup in catalog.backups])
        try:
            self._work(before, catalog)
        except WindowClosedError:
            attempt.state = OUTSIDE_WINDOW
            self._steps.log("the window has closed: the rest follows in the next one")
            if self._faults:
                attempt.state, attempt.error = FAILED, self._joined_faults()
        except (PlaceError, OSError) as error:
            attempt.state, attempt.error = FAILED, str(error)
        else:
            attempt.state = COPIED if attempt.copied or attempt.deleted else NOTHING_TO_DO
        record = next_record(
            self._steps.before,
            self._steps.copies.values(),
            attempt.findings,
            self._steps.clock(),
            error=attempt.error,
            is_done=self._is_done and attempt.error is None and attempt.state != OUTSIDE_WINDOW,
            is_judged=self._is_judged,
            others=self._steps.others - set(self._steps.copies) - set(attempt.deleted),
        )
        return attempt, replace(record, location=self._location)

    def _work(self, before: Record, catalog: Catalog) -> None:
        entries: Mapping[str, Entry] = self._without_forgotten_uploads(self._steps.list_files())
        checksums = self._steps.checksums()
        kept, lost = still_proven(before.copies, entries, checksums)
        sources = candidates(catalog)
        recompressed = self._recompressed(sources, checksums)
        on_volume = {source.name: source.sha256 for source in sources}
        # Somebody may have moved the files there, with their times: the proofs are not of these.
        kept = {
            name: copy
            for name, copy in kept.items()
            if not self._steps.is_moved and name not in recompressed and on_volume.get(name, copy.sha256) == copy.sha256
        }
        self._steps.copies, self._location = dict(kept), self._steps.options.location
        self._find_lost(lost)
        # Files may be moved without their checksum files, and in part.
        recorded = set() if self._steps.is_moved else {copy.backup for copy in before.copies}
        self._find_without_checksum_file(recorded, entries)
        self._mend_manifests(sources)
        wanted = self._steps.judge.plan(entries, sources)
        keep = [backup.name for backup in wanted.backups if backup.verdict == "keep"]
        # What the brake on deletions holds back remains, and counts.
        remaining = complete_among(entries, self._installation) if wanted.held_back else set()
        todo, conflicts = tasks(
            {*keep, *remaining} - set(kept),
            sources,
            entries,
            checksums,
            recorded=recorded,
            recompressed=recompressed,
        )
        for name in conflicts:
            self._steps.warn(conflict(name))
        for task in todo:
            try:
                self._prover.prove(task, entries.get(task.backup))
            except BackupFaultError as error:
                # The others do not wait for somebody to mend it.
                self._steps.log(f"FAILED: {error}")
                self._faults[task.backup] = str(error)
            except (PlaceError, OSError):
                if not self._is_gone(task):
                    raise
                self._steps.log(f"{task.backup} was deleted on the volume meanwhile: it is not copied")
        has_copied = bool(self._steps.attempt.copied)
        # Also where a task has failed: it may fail each time.
        if not has_copied:
            self._prover.prove_again()
        due = [source.name for source in sources if source.name in keep]
        self._is_done = not conflicts and self._are_copies(due)
        if todo:
            entries = self._prover.newest_entries or self._steps.list_files()
            self._check_again(entries)
            checksums = self._steps.checksums()
        self._mend_keep_files(sources, entries)
        if self._faults.keys() & checksums.keys():
            self._steps.log("nothing is deleted: retention would count copies that cannot be read")
        else:
            apply_retention(entries, self._installation, self._steps)
            self._is_judged = True
        self._find_strangers()
        self._finish()
        if has_copied:
            # Each attempt may have something to copy. What the window has no time left for does not fail.
            with contextlib.suppress(WindowClosedError):
                self._prover.prove_again()
            self._is_done = self._is_done and self._are_copies(due)
        if self._faults:
            raise PlaceError(self._joined_faults())

    def _are_copies(self, names: Iterable[str]) -> bool:
        return all(name in self._steps.copies for name in names)

    def _joined_faults(self) -> str:
        return "; ".join(self._faults.values())

    def _without_forgotten_uploads(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """Delete them before anything can fail: each attempt that ends during an upload leaves one.

        Where copies are lost, somebody has changed what lies there, perhaps the list of a restic repository: then what
        looks like an upload of an earlier attempt may be a copy, also at the next attempts, which have another token.
        """
        left = dict(entries)
        if any(copy.backup not in entries for copy in self._steps.before.copies):
            self._steps.before = replace(self._steps.before, token="")
        token = self._steps.before.token
        for name in forgotten_uploads(entries, self._installation, token, self._steps.clock()):
            # Where files cannot be deleted, retention fails, after the copies.
            with contextlib.suppress(PlaceError):
                self._steps.place.delete(name)
                del left[name]
        self._remove_unlisted_uploads()
        return left

    def _remove_unlisted_uploads(self) -> None:
        """A store that does not allow or know it gets its copies all the same."""
        installation, now = self._installation, self._steps.clock()
        try:
            number = self._steps.place.remove_unlisted_uploads(
                f"{installation}-", lambda name, began: is_forgotten_upload(name, began, installation, now)
            )
        except PlaceError as error:
            self._steps.log(f"parts of interrupted uploads may remain there: {error}")
        else:
            if number:
                self._steps.log(f"removed the parts of {number} interrupted uploads")

    def _is_gone(self, task: Task) -> bool:
        """Whether the volume had the backup, and has it no longer, as when retention deletes during a long upload."""
        return task.source is not None and not self._is_on_volume(task.backup)

    def _is_on_volume(self, backup: str) -> bool:
        return self._steps.place.read_text(f"{backup}{CHECKSUM_FILE}") is not None

    def _recompressed(self, sources: Iterable[Backup], checksums: Mapping[str, str]) -> set[str]:
        """The backups whose file there has another hash than on the volume and the same text."""
        found = set()
        for source in sources:
            there = checksums.get(source.name)
            if there is None or source.sha256 is None or there == source.sha256:
                continue
            text = self._steps.place.read_text(f"{source.name}{MANIFEST}")
            if origin(text, source.sha256) == origin(self._steps.judge.manifest_of(source.name), there):
                found.add(source.name)
        return found

    def _finish(self) -> None:
        if self._steps.place.unfinished != Unfinished():
            # An attempt that is killed from here on is continued.
            self._steps.remember()
        try:
            self._steps.again("tidy up", self._steps.place.finish)
        except BackupFaultError as error:
            self._steps.warn(str(error))
            raise

    def _find_lost(self, lost: list[Copy]) -> None:
        if lost:
            self._steps.warn(
                f"no longer there, though not deleted by retention: {_named(copy.backup for copy in lost)}. Has "
                "somebody deleted files, or renamed the folder or the bucket?"
            )

    def _find_without_checksum_file(self, recorded: Iterable[str], entries: Mapping[str, Entry]) -> None:
        for name in sorted(recorded, reverse=True):
            if name in entries and f"{name}{CHECKSUM_FILE}" not in entries:
                self._steps.warn(
                    f"{name}{CHECKSUM_FILE} was deleted there: the copy is read again, and gets a new one. Has "
                    "somebody changed files?"
                )

    def _find_strangers(self) -> None:
        if self._steps.strangers:
            self._steps.warn(
                f"copies that this installation has not made: {_named(sorted(self._steps.strangers, reverse=True))}. "
                "They are left alone. If another installation has the same name, set another folder for one of them; "
                "if they are of this one, give the place another name, or delete them there"
            )

    def _mend_manifests(self, sources: Iterable[Backup]) -> None:
        """Write the manifests of proven copies again that are not those of the volume."""
        for source in sources:
            copy = self._steps.copies.get(source.name)
            if copy is None or copy.sha256 != source.sha256:
                continue
            name = f"{source.name}{MANIFEST}"
            text, found = self._steps.place.read_text(name), self._steps.judge.manifest_of(source.name)
            if text is not None and text != found:
                changed = f"{name} is another one than on the volume: it is written again. Has somebody changed files?"
                deleted = f"{name} was deleted: it is written again. Has somebody deleted files?"
                self._steps.warn(deleted if found is None else changed)
                self._steps.write(name, text, self._steps.lock_until())

    def _mend_keep_files(self, sources: Iterable[Backup], entries: Mapping[str, Entry]) -> None:
        """Keep there what somebody keeps on the volume, also when the volume is lost, and no longer."""
        for name in (source.name for source in sources if source.name in self._steps.copies):
            keep = f"{name}{KEEP_FILE}"
            text = self._steps.place.read_text(keep)
            if text is not None and keep not in entries:
                self._steps.write(keep, text, None)
            elif text is None and keep in entries and self._is_on_volume(name):
                self._steps.delete(keep)

    def _check_again(self, entries: Mapping[str, Entry]) -> None:
        """Whether each new copy is still the file that was proven."""
        for name in self._steps.attempt.copied:
            copy, entry = self._steps.copies.get(name), entries.get(name)
            if copy is not None and entry != Entry(copy.size_bytes, copy.modified):
                del self._steps.copies[name]
                self._is_done = False
                self._steps.warn(f"{name} was changed or deleted right after it had been copied")


def _named(backups: Iterable[str]) -> str:
    names = [*backups]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
