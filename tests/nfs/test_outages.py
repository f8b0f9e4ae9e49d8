# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The NFS server stops during a run and returns: on a hard mount the run continues."""

from __future__ import annotations

import time

import pytest

from tests.in_turn import weekly

from .shares import Guest, LongStop

# Beyond the script's own watch interval of a minute, and the time limit of one of the runs.
LONG_SECONDS = LongStop.LIMIT_SECONDS + 5
SHORT_SECONDS = 4
_PULL, _PLUG = 'ip link set "$1" down', 'ip link set "$1" up'
_STOP, _START = 'sh /nfs.sh stop "$1"', 'sh /nfs.sh start "$1"'


@pytest.mark.parametrize(
    ("step", "away", "back"),
    [
        weekly("dump", _STOP, _START, id="stopped while it is written"),
        pytest.param("read_back", _PULL, _PLUG, id="cable pulled before it is read back"),
    ],
)
def test_server_restarted_during_a_run(guest: Guest, step: str, away: str, back: str) -> None:
    share = guest.share()
    run = guest.start("run", share.mount(), gate=step)
    run.wait_for_gate()
    guest.sh(away, "nas")
    try:
        run.open_gate()
        time.sleep(SHORT_SECONDS)
        assert not run.ended
        assert share.backups() == []
    finally:
        guest.sh(back, "nas")
    outcome = run.finish()
    assert share.backups() == [outcome.result["backup"]]
    assert outcome.result["read_back"] == "direct"
    assert share.partials() == []
    share.check_older()
    share.check_whole()


@pytest.mark.weekly
def test_server_away_for_more_than_a_minute(guest: Guest, long_stop: LongStop) -> None:
    time.sleep(max(0, LONG_SECONDS - (time.monotonic() - long_stop.since)))
    share, run = long_stop.share, long_stop.run
    assert not run.ended
    assert share.backups() == []
    back = guest.sh("date -u +%FT%TZ").strip()
    guest.nfs("start", "far-nas")
    outcome = run.finish()
    assert share.backups() == [outcome.result["backup"]]
    assert outcome.result["seconds"]["dump"] >= LONG_SECONDS
    assert share.partials() == []
    share.check_older()
    share.check_whole()

    # Its time was over while the server was away; only then could it remove what it had written.
    share, outcome = long_stop.limited_share, long_stop.limited.finish(1)
    told, _, _ = next(line for line in outcome.log.splitlines() if "FAILED" in line).partition(" ")
    assert f"FAILED: the run took longer than its time limit of {LongStop.LIMIT_SECONDS}s" in outcome.log
    assert told < back
    assert share.backups() == share.partials() == []
    assert share.last_run["state"] == "failed"
    share.check_older()
