# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Reports events, as often as somebody may want to read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO, Callable

from .event import Event

# How often the same piece of work is reported.
_SECONDS = 0.5


class Reporter:
    """Calls `write` with the lines of events; `clock` returns seconds. Without `write`, it does nothing."""

    def __init__(self, write: Callable[[str], None] | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        self._write = write
        self._clock = clock
        self._last: tuple[str, str | None] | None = None
        self._due = 0.0

    @property
    def is_heard(self) -> bool:
        """Whether anybody reads the events."""
        return self._write is not None

    def report(self, event: Event) -> None:
        """Write the event, unless another one about the same piece of work was just written."""
        if self._write is None:
            return
        now = self._clock()
        if event.key == self._last and now < self._due:
            return
        self._last, self._due = event.key, now + _SECONDS
        self._write(event.to_line())

    def meter(self, event: Event) -> Meter:
        """Counts the bytes of that piece of work, from the event's `done_bytes` on, and reports it now."""
        self.report(event)
        return Meter(self, event, self._clock if self._write else None)


class Meter:
    """The bytes of one piece of work. It may be called for each small step: it reads the clock first."""

    def __init__(self, reporter: Reporter, event: Event, clock: Callable[[], float] | None) -> None:
        self._reporter = reporter
        self._event = event
        self._clock = clock
        self._done = event.done_bytes or 0
        self._due = 0.0

    def add(self, number: int) -> None:
        """That many bytes more are done."""
        self.reach(self._done + number)

    def reach(self, done: int) -> None:
        """That many bytes are done."""
        self._done = done
        if self._clock is None or (now := self._clock()) < self._due:
            return
        self._due = now + _SECONDS
        self._reporter.report(replace(self._event, done_bytes=done))

    def pieces(self, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """The pieces, each of which is counted when the next one is asked for."""
        for piece in pieces:
            yield piece
            self.add(len(piece))


class CountedStream:
    """A stream whose bytes are counted as they are read."""

    def __init__(self, stream: BinaryIO, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter

    def read(self, number: int) -> bytes:
        data = self._stream.read(number)
        self._meter.add(len(data))
        return data


SILENT = Reporter()
