# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Signals that end a module, as exceptions: what it started in the cluster is deleted before it ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# Ansible passes on the signals that it gets, more than once (ansible/executor/process/worker.py).
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class InterruptedBySignal(BaseException):
    """Ansible was terminated by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return signal.Signals(self.number).name


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Raise InterruptedBySignal in the body for the first SIGTERM, SIGHUP or SIGINT, and ignore later ones."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main one only
        return

    def leave(number: int, _: FrameType | None) -> None:
        for ignored in _SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)
        raise InterruptedBySignal(number)

    before = {number: signal.signal(number, leave) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
