# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The line that a person sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plugins.module_utils._progress.event import Event
from plugins.module_utils._progress.line import WORDS, line

ROOT = Path(__file__).parents[5]
MIB, GIB = 1 << 20, 1 << 30
WHERE = "data/postgres-backup"


@pytest.mark.parametrize(
    ("event", "rate", "left", "text"),
    [
        (
            Event("dump", "shop", int(3.1 * GIB), int(7.4 * GIB), True),
            118 * MIB,
            38.2,
            "dumping shop, 3.1 of about 7.4 GiB (41 %), 118 MiB/s, about 38 s left",
        ),
        (
            Event("fetch", "a.sql.gz", 5, 10),
            2.0,
            2.4,
            "fetching a.sql.gz, 5 of 10 bytes (50 %), 2 bytes/s, about 2 s left",
        ),
        (Event("fetch", None, 0, GIB), None, None, "fetching, 0.0 of 1.0 GiB (0 %), 12 s so far"),
        (Event("verify", None, GIB - 1, GIB), MIB, 0.1, "verifying, 1.0 of 1.0 GiB (99 %), 1.0 MiB/s, about 0 s left"),
        # More than the last time.
        (Event("dump", "shop", 8 * GIB, 7 * GIB, True), MIB, None, "dumping shop, 8.0 GiB, 1.0 MiB/s"),
        (Event("dump", "shop", 9, 0, True), None, None, "dumping shop, 9 bytes, 12 s so far"),
        (Event("dump", "shop", number=3, count=7), None, None, "dumping shop (3 of 7), 12 s so far"),
        (Event("drill", usual_seconds=700), None, 601, "running the restore drill, about 10 min left"),
        (Event("drill", usual_seconds=700), None, 3725, "running the restore drill, about 1 h 2 min left"),
        (Event("drill", usual_seconds=700), None, 150, "running the restore drill, about 2 min 30 s left"),
        (
            Event("wait_pod", cause="Unschedulable: 0/1 nodes are available"),
            None,
            None,
            "waiting for the pod, 12 s so far: Unschedulable: 0/1 nodes are available",
        ),
        (Event("count", "shop"), None, None, "counting the rows of shop, 12 s so far"),
        (Event("count"), None, None, "counting the rows, 12 s so far"),
        # A step of a later version of the script.
        (Event("polish_all"), None, None, "polish all, 12 s so far"),
        # Nothing reaches the terminal that could control it.
        (Event("dump", "a\x1b[2J\r\nb\u202e"), None, None, "dumping a?[2J??b?, 12 s so far"),
        (Event("dump", "x" * 200), None, None, f"dumping {'x' * 79}…, 12 s so far"),
        (Event("x\x07"), None, None, "x?, 12 s so far"),
    ],
)
def test_line(event: Event, rate: float | None, left: float | None, text: str) -> None:
    assert line(WHERE, event, elapsed=12.4, rate=rate, left=left) == f"{WHERE}: {text}"


def test_every_activity_that_is_reported_has_words() -> None:
    sources = [path.read_text() for path in (ROOT / "plugins").rglob("*.py")]
    reported = {name for source in sources for name in re.findall(r'\bEvent\("(\w+)"|activity = "(\w+)"', source)}
    shell = "".join(path.read_text() for path in (ROOT / "roles" / "postgres_backup" / "files").glob("*.sh"))
    steps = re.findall(r"\b(?:begin_step|progress) ([a-z_]+)\b|\b(?:activity|step)=([a-z_]+)\b", shell)
    names = {first or second for first, second in [*reported, *steps]}
    assert len(names) > 25
    assert names <= set(WORDS)
