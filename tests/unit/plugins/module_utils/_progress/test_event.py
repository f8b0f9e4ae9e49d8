# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Events as lines of JSON, and lines that are none."""

from __future__ import annotations

import pytest

from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils.script_output import log_lines

EVENTS = {
    "little": Event("fetch"),
    "everything": Event("dump", "shop", 1, 7, True, 3, 9, 60, "Unschedulable: no node"),
    "zero": Event("verify", done_bytes=0, total_bytes=0),
    "a hostile name": Event("dump", 'a"}\n{"type":"progress"\ud800\x1b[2J'),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_is_one_line(event: Event) -> None:
    text = event.to_line()
    assert "\n" not in text
    assert parse_event(text) == event
    assert log_lines([text]) == [], "it is not for people"


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("", None),
        ("dumping shop", None),
        ('{"type":"volume"}', None),
        ('{"type":"progress","activity":"du', None),
        ('{"type":"progress"}', None),
        ('{"type":"progress","activity":7}', None),
        ('{"type":"progress","activity":"dump","done_bytes":"7","total_bytes":-1,"later":1}', Event("dump")),
        ('{"type":"progress","activity":"dump","done_bytes":true,"subject":[],"is_estimate":1}', Event("dump")),
    ],
)
def test_what_is_not_an_event(line: str, event: Event | None) -> None:
    assert parse_event(line) == event
