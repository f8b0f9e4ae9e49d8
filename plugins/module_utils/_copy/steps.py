# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The steps of an attempt at one place: their errors, repetitions and log, and the copies that are proven so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from .._progress.reporter import SILENT, Reporter
from .._volume.copy_record import is_elsewhere
from .configuration import PlaceOptions
from .faults import BackupFaultError, PlaceError
from .interface import Content, Judge, Place, Progress
from .plan import Copy, Entry, complete_among, without
from .record import NOTHING_TO_DO, Record
from .transfer_progress import READ, TransferProgress, total_bytes

# After an error that may pass.
PAUSES_SECONDS = (5.0, 30.0)
# So often the record is written during a long upload: readers expect one in the time of some schedules.
_HEARTBEAT = timedelta(minutes=10)

Result = TypeVar("Result")


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
def named(words: str) -> Iterator[None]:
    """Names the step in an error of the place."""
    try:
        yield
    except BackupFaultError:
        raise
    except PlaceError as error:
        raise PlaceError(
            f"could not {words}: {error}", is_lasting=error.is_lasting, is_absence=error.is_absence
        ) from None


class Steps:
    """The steps of one attempt; `clock` returns the time (UTC) without fractions of a second.

    `before` is the record before it. `copies` are the proven ones by the names of the backups, `others` are known and
    not proven, and `strangers` are of another installation: these are neither judged nor deleted. `remember` gets all
    of them after each new one, since an attempt that is killed must not lose their proofs, and from time to time. It
    raises PlaceError if the volume does not take the record.
    """

    def __init__(
        self,
        options: PlaceOptions,
        place: Place,
        judge: Judge,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        log: Callable[[str], None],
        remember: Callable[[Iterable[Copy]], None],
        reporter: Reporter = SILENT,
    ) -> None:
        self.options = options
        self.place = place
        self.judge = judge
        self.clock = clock
        self.attempt = Attempt()
        self.copies: dict[str, Copy] = {}
        self.others: set[str] = set()
        self.strangers: set[str] = set()
        self.before = Record()
        self._installation, self._on_volume = "", frozenset[str]()
        self._sleep = sleep
        self._print = log
        self._remember = remember
        self._reporter = reporter
        self._remembered = clock()

    @property
    def is_moved(self) -> bool:
        """Whether the copies of the record were proven at another location."""
        return is_elsewhere(self.before.location, self.options.location)

    def log(self, text: str) -> None:
        """Print a line."""
        self._print(f"{self.options.name}: {text}")

    def warn(self, text: str) -> None:
        """Note what somebody should know, and what does not make this attempt fail."""
        self.attempt.findings.append(text)
        self.log(f"WARNING: {text}")

    def remember(self) -> None:
        """Record the copies."""
        self._remembered = self.clock()
        self._remember(self.copies.values())

    def begin(self, installation: str, before: Record, on_volume: Iterable[str]) -> None:
        """Set what is known before the attempt: the record, and the backups on the volume."""
        self.before = before
        if self.is_moved:
            # What the record of another location had no space for is not known here.
            self.before = replace(before, left_out="")
        self._installation, self._on_volume = installation, frozenset(on_volume)
        self.copies = {copy.backup: copy for copy in before.copies}
        self.others = set(before.others)

    def list_files(self) -> dict[str, Entry]:
        """The files that lie there, without those of another installation."""
        entries = self.again("list the files", self.place.list_files)
        complete = complete_among(entries, self._installation)
        self.strangers |= self.before.strangers(complete, self._on_volume)
        known = {*(copy.backup for copy in self.before.copies), *self.others}
        # Also those that are no longer proven, or no longer there: they remain known. Not those of another location.
        self.others = complete & known if self.is_moved else known
        if self.before.is_new:
            self.others |= complete
        return without(entries, self.strangers)

    def checksums(self) -> Mapping[str, str]:
        """The hashes of the checksum files there, by the names of the backups."""
        return self.again("read the checksum files", self.judge.checksums)

    def read(self, name: str, size_bytes: int | None) -> Content:
        """Read a file of the place back."""
        return self.again(f"read {name} back", lambda: self.place.read(name, self.progress(READ, name, size_bytes)))

    def write(self, name: str, text: bytes, until: datetime | None) -> None:
        """Write a small file, locked until a time."""
        self.again(f"write {name}", lambda: self.place.write_text(name, text, until))

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        self.again(f"delete {name}", lambda: self.place.delete(name))

    def locked_until(self, name: str) -> datetime | None:
        """Until when the store refuses to delete a file."""
        return self.again(f"read the lock of {name}", lambda: self.place.locked_until(name))

    def read_etag(self, name: str) -> str | None:
        """The hash that the store has of a file."""
        return self.again(f"read the hash of {name}", lambda: self.place.read_etag(name))

    def lock_until(self) -> datetime | None:
        """Until when what is written now shall be locked; None without Object Lock."""
        days = self.options.lock_days
        return self.clock() + timedelta(days=days) if days else None

    def progress(self, activity: str, backup: str, size_bytes: int | None) -> Progress:
        """Shows what is transferred of a backup of that size, and records the copies from time to time."""
        show = TransferProgress(
            activity,
            backup,
            self.options.name,
            total_bytes(activity, self.options.kind, size_bytes),
            reporter=self._reporter,
            log=self.log,
            clock=lambda: self.clock().timestamp(),
        )

        def transferred(done_bytes: int) -> None:
            if self.clock() - self._remembered >= _HEARTBEAT:
                self._give_sign_of_life()
            show(done_bytes)

        return transferred

    def _give_sign_of_life(self) -> None:
        try:
            self.remember()
        except PlaceError as error:
            # It must not end the transfer. The record at the end of the attempt cannot be written either, unless this
            # has passed.
            self.log(f"WARNING: its record: {error}")

    def again(self, words: str | None, act: Callable[[], Result]) -> Result:
        """The result of a step, named by `words` in its errors; repeated after pauses while its error may pass."""

        def step() -> Result:
            if words is None:
                return act()
            with named(words):
                return act()

        for pause in PAUSES_SECONDS:
            try:
                return step()
            except PlaceError as error:
                if error.is_lasting or error.is_absence:
                    raise
                self.log(f"{error}: the next try is in {pause:.0f} s")
                self._sleep(pause)
        try:
            return step()
        except PlaceError as error:
            # A step that this one is a part of is not repeated because of it.
            error.is_lasting = True
            raise
