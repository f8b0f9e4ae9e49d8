# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is shown of a transfer, and how often."""

from __future__ import annotations

import pytest

from plugins.module_utils._copy.transfer_progress import COPY, READ, RETRIEVE, TransferProgress
from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils._progress.line import line
from plugins.module_utils._progress.reporter import SILENT, Reporter

MIB = 1 << 20


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("activity", "total", "logged", "shown"),
    [
        (COPY, 90 * MIB, "copied 40.0 MiB of 90.0 MiB", "copying a.sql.gz (nas), 40.0 of 90.0 MiB (44 %)"),
        (READ, 90 * MIB, "read back 40.0 MiB of 90.0 MiB", "reading back a.sql.gz (nas), 40.0 of 90.0 MiB (44 %)"),
        (RETRIEVE, None, "copied 40.0 MiB", "retrieving a.sql.gz (nas), 40.0 MiB"),
    ],
)
def test_events_at_once_and_the_log_every_ten_seconds(
    activity: str, total: int | None, logged: str, shown: str
) -> None:
    lines: list[str] = []
    log: list[str] = []
    clock = Clock()
    reporter = Reporter(lines.append, clock)
    progress = TransferProgress(activity, "a.sql.gz", "nas", total, reporter=reporter, log=log.append, clock=clock)
    for second in range(1, 25):
        clock.seconds += 1
        progress(4 * MIB * second)
    assert log == [logged, logged.replace("40.0 MiB", "80.0 MiB", 1)]
    events = [event for text in lines if (event := parse_event(text)) is not None]
    assert events[0] == Event(activity, "a.sql.gz (nas)", 0, total)
    assert len(events) == len(lines) == 25
    assert line("x", events[10], elapsed=10, rate=MIB, left=None) == f"x: {shown}, 1.0 MiB/s"


def test_nobody_asked() -> None:
    log: list[str] = []
    progress = TransferProgress(COPY, "a.sql.gz", "nas", 9, reporter=SILENT, log=log.append, clock=Clock())
    progress(9)
    assert log == []
