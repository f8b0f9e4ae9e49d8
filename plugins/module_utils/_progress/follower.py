# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Follows the events of one task: how fast its work advances, how long it will take, and when a line is due."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .event import Event
from .line import line

# The rate is that of the last seconds, of at least some of them.
_WINDOW_SECONDS, _LEAST_SECONDS = 20.0, 1.5


@dataclass(frozen=True)
class Pace:
    """When the first line is due, in seconds after the start, and each further one after the line before it.

    A task that ends earlier shows nothing.
    """

    first_seconds: float
    next_seconds: float


class Follower:
    """Follows a task that began at `began`. All times are seconds of one clock.

    `where` begins each line. Until the first event, lines have that `activity`.
    """

    def __init__(self, where: str, activity: str, pace: Pace, began: float) -> None:
        self._where = where
        self._pace = pace
        self._activity_began = began
        self._due = began + pace.first_seconds
        self._event = Event(activity)
        self._samples: deque[tuple[float, int]] = deque()
        self._usual_end: float | None = None

    def add(self, event: Event, now: float) -> None:
        """An event that happened now."""
        if event.key != self._event.key:
            self._activity_began = now
            # Databases are dumped into one file: the rate of one applies to the next.
            if event.activity != self._event.activity:
                self._samples.clear()
        self._event = event
        if event.usual_seconds is not None:
            self._usual_end = now + event.usual_seconds
        if event.done_bytes is not None:
            if self._samples and event.done_bytes < self._samples[-1][1]:
                self._samples.clear()
            self._samples.append((now, event.done_bytes))

    def due_line(self, now: float) -> str | None:
        """The line for now, if one is due."""
        if now < self._due:
            return None
        self._due = now + self._pace.next_seconds
        rate = self._rate(now)
        elapsed = now - self._activity_began
        return line(self._where, self._event, elapsed=elapsed, rate=rate, left=self._left(rate, now))

    def _rate(self, now: float) -> float | None:
        """Bytes per second; None while nothing advances, or too little is known."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now - _WINDOW_SECONDS:
            samples.popleft()
        if not samples:
            return None
        seconds, advanced = now - samples[0][0], samples[-1][1] - samples[0][1]
        return advanced / seconds if seconds >= _LEAST_SECONDS and advanced > 0 else None

    def _left(self, rate: float | None, now: float) -> float | None:
        """How many seconds are left; None if that is not known."""
        event = self._event
        if self._usual_end is not None:
            return self._usual_end - now if self._usual_end > now else None
        if (
            rate is None
            or event.done_bytes is None
            or event.total_bytes is None
            or event.done_bytes > event.total_bytes
        ):
            return None
        return (event.total_bytes - event.done_bytes) / rate
