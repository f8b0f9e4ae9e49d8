# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What a run prints for a module that shows its progress, and that it prints nothing for anybody else."""

from __future__ import annotations

import time

from ..support.progress import SHOWN, events, steps
from ..support.sandbox import Sandbox
from ..support.volume import give, put_backup

LAST = "postgres-backup-2026-11-20-020000.sql.gz"


def test_the_steps_and_the_database_that_is_dumped(sandbox: Sandbox) -> None:
    """The database is locked, so that its dump lasts. The size of the last backup is the estimate."""
    assert sandbox.server is not None
    last = put_backup(sandbox.volume, LAST)
    give(sandbox.volume, sandbox.uid)
    with sandbox.server.locked("users", "app"):
        process = sandbox.start("run", env=SHOWN)
        sandbox.wait_until(lambda: bool(sandbox.partials()), "the partial file", process)
        time.sleep(6)
    outcome = sandbox.finish(process).check()
    assert steps(outcome) == ["prepare", "dump", "read_back", "publish", "check_unchecked", "retention"]
    dumping = [event for event in events(outcome) if event.subject == "app"]
    assert len(dumping) >= 2, outcome.log
    assert all(event.done_bytes and event.is_estimate for event in dumping)
    assert {event.total_bytes for event in dumping} == {last.stat().st_size}
    assert all(event.number and event.count and event.number <= event.count for event in dumping)


def test_other_logs_have_no_such_lines(sandbox: Sandbox) -> None:
    assert events(sandbox.run("run").check()) == []
