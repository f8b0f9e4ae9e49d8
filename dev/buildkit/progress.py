# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""One line for each step, with the seconds since the start, and a sign of life in long ones."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_started = time.monotonic()
_HEARTBEAT_SECONDS = 15.0


def say(text: str) -> None:
    """Prints one line to standard error: standard output belongs to results."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announces a step, and every 15 seconds that it is still running."""
    say(text)
    begun = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_HEARTBEAT_SECONDS):
            say(f"  ... still {text.partition(' (')[0]} ({time.monotonic() - begun:.0f} s)")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    taken = time.monotonic() - begun
    if taken >= 1:
        say(f"  done: {text.partition(' (')[0]} ({taken:.1f} s)")
