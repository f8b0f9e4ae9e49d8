# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Shows how much of a file was transferred: in events for the module that waits, and from time to time in the log."""

from __future__ import annotations

from collections.abc import Callable

from .._progress.event import Event
from .._progress.reporter import Reporter
from ..units import format_size
from .configuration import RESTIC

# Activities (line.WORDS), and what has happened to the bytes so far.
COPY, READ, RETRIEVE, READ_VOLUME = "copy", "read_copy", "retrieve", "read_volume"
_DONE = {COPY: "copied", READ: "read back", RETRIEVE: "copied", READ_VOLUME: "read on the volume:"}
_LOG_SECONDS = 10


def total_bytes(activity: str, kind: str, size_bytes: int | None) -> int | None:
    """How much is read or written of a backup of that size, for a place of that kind; None if it is not known.

    What a restic repository gives back is the text, whose size is another one.
    """
    return size_bytes if activity in (COPY, READ_VOLUME) or kind != RESTIC else None


class TransferProgress:
    """Called with the number of bytes that were transferred of a backup, from or to a place.

    `total_bytes` is None if it is not known. `clock` returns seconds.
    """

    def __init__(
        self,
        activity: str,
        backup: str,
        place: str,
        total_bytes: int | None,
        *,
        reporter: Reporter,
        log: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._meter = reporter.meter(Event(activity, f"{backup} ({place})", 0, total_bytes))
        self._words = _DONE[activity]
        self._total = f" of {format_size(total_bytes)}" if total_bytes else ""
        self._log = log
        self._clock = clock
        self._logged = clock()

    def __call__(self, done_bytes: int) -> None:
        self._meter.reach(done_bytes)
        now = self._clock()
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            self._log(f"{self._words} {format_size(done_bytes)}{self._total}")
