# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How often a transfer over an unreliable connection is tried, and how long it pauses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, TypeVar

from ..errors import LostError

_T = TypeVar("_T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often to retry: `retries` times in a row without receiving data, with growing pauses, until `deadline`."""

    retries: int = 6
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0
    deadline: float | None = None  # of `clock`
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Attempts:
    """Counts the attempts that failed, and waits before the next one; `work` and `progress` are words of messages."""

    def __init__(self, retry_policy: RetryPolicy, work: str = "fetching", progress: str = "receiving data") -> None:
        self.interruptions = 0
        self._work, self._progress = work, progress
        self._retry_policy = retry_policy
        self._fruitless = 0

    def require_time(self) -> None:
        """Raises LostError after the deadline."""
        if self._retry_policy.deadline is not None and self._retry_policy.clock() > self._retry_policy.deadline:
            raise LostError(f"the time allowed for {self._work} is over. Allow more time if the connection is slow")

    def wait_or_give_up(self, error: LostError, has_progressed: bool) -> None:
        """Wait before another attempt, or raise LostError with the reason why there is none."""
        retry_policy = self._retry_policy
        self.interruptions += 1
        self._fruitless = 1 if has_progressed else self._fruitless + 1
        if self._fruitless > retry_policy.retries:
            raise LostError(f"{error}; tried {self._fruitless} times without {self._progress}") from error
        pause = min(retry_policy.pause_seconds * 2 ** (self._fruitless - 1), retry_policy.longest_pause_seconds)
        if retry_policy.deadline is not None and retry_policy.clock() + pause > retry_policy.deadline:
            raise LostError(f"{error}; no time is left for another attempt") from error
        retry_policy.sleep(pause)

    def retry(self, request: Callable[[], _T]) -> _T:
        """The result of `request`, which is repeated while it raises LostError."""
        while True:
            self.require_time()
            try:
                return request()
            except LostError as error:
                self.wait_or_give_up(error, False)
