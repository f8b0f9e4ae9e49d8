# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How often events are reported, and what is counted."""

from __future__ import annotations

import io

from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils._progress.reporter import SILENT, CountedStream, Reporter


class Written:
    """A reporter with a clock of the test, and what it wrote."""

    def __init__(self) -> None:
        self.now = 100.0
        self.events: list[Event | None] = []
        self.reporter = Reporter(lambda line: self.events.append(parse_event(line)), lambda: self.now)


def test_the_same_work_is_reported_twice_a_second_and_other_work_at_once() -> None:
    written = Written()
    for step in range(40):
        written.now = 100 + step / 10
        written.reporter.report(Event("fetch", None, step))
    assert len(written.events) == 8
    written.reporter.report(Event("flush"))
    assert written.events[-1] == Event("flush")


def test_a_meter_counts_all_and_reports_the_beginning() -> None:
    written = Written()
    meter = written.reporter.meter(Event("upload", "x", 10, 100))
    list(meter.pieces(iter([memoryview(b"12345")] * 4)))
    written.now += 1
    meter.add(7)
    assert written.events == [Event("upload", "x", 10, 100), Event("upload", "x", 37, 100)]


def test_a_counted_stream_returns_the_same() -> None:
    written = Written()
    stream = CountedStream(io.BytesIO(b"0123456789"), written.reporter.meter(Event("verify", done_bytes=0)))
    assert stream.read(4) == b"0123"
    written.now += 1
    assert (stream.read(100), stream.read(4)) == (b"456789", b"")
    assert written.events[-1] == Event("verify", done_bytes=10)


def test_without_a_reader_nothing_happens() -> None:
    SILENT.report(Event("fetch"))
    SILENT.meter(Event("fetch")).add(5)
