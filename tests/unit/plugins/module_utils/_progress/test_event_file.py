# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The file of the events: progress is never a reason to fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils._progress.event_file import VARIABLE, reporter_of
from plugins.module_utils._progress.reporter import SILENT


def test_events_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.touch()
    first, second = (reporter_of({VARIABLE: str(path)}) for _ in range(2))
    first.report(Event("fetch"))
    second.report(Event("contents", "\udcff"))
    first.report(Event("flush"))
    lines = path.read_text().splitlines()
    assert [parse_event(line) for line in lines] == [Event("fetch"), Event("contents", "\udcff"), Event("flush")]


def test_no_file_is_created_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    for name in ("none", "folder/none", "link", ""):
        assert reporter_of({VARIABLE: name and str(tmp_path / name)}) is SILENT
    assert reporter_of({}) is SILENT
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]


def test_a_full_disk_is_ignored() -> None:
    if not Path("/dev/full").exists():
        pytest.fail("expected /dev/full")
    reporter_of({VARIABLE: "/dev/full"}).report(Event("fetch"))
