# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Two clients use one share, each with a separate mount and name."""

from __future__ import annotations

import pytest

from .shares import Guest, backup_name

NOON = "2026-06-01-120000"
# Both runs take their name in one second.
_CLOCK = f"""#!/bin/sh
case "$*" in "-u +%Y-%m-%d-%H%M%S") echo {NOON} ;; *) exec /usr/bin/date "$@" ;; esac
"""


@pytest.mark.weekly
def test_runs_of_two_clients_in_one_second(guest: Guest) -> None:
    share = guest.share()
    runs = [
        guest.start("run", share.mount(client), gate="checksum_file", shims={"date": _CLOCK})
        for client in ("node", "two")
    ]
    for run in runs:
        run.wait_for_gate()
    guest.open_gates(*runs)
    outcomes = [run.finish() for run in runs]
    names = sorted(outcome.result["backup"] for outcome in outcomes)
    assert names == [backup_name(NOON), backup_name("2026-06-01-120001")]
    assert share.backups() == names
    for outcome in outcomes:
        found = share.sh('sha256sum "$1"', outcome.result["backup"]).split()[0]
        assert found == outcome.result["sha256"]
    assert share.partials() == []
    share.check_older()
    share.check_whole()


@pytest.mark.weekly
def test_run_and_prune_of_two_clients(guest: Guest) -> None:
    share = guest.share()
    run = guest.start("run", share.mount("node"), gate="publish")
    run.wait_for_gate()
    policy = {"POSTGRES_BACKUP_KEEP_LAST": "1", "POSTGRES_BACKUP_KEEP_DAILY": "0"}
    pruned = guest.run("prune", share.mount("two"), env=policy).result["deleted"]
    assert len(pruned) == 2
    run.open_gate()
    outcome = run.finish()
    assert share.backups() == [outcome.result["backup"]]
    assert len([name for name in share.names() if name.endswith(".sql.gz")]) == 2
    share.check_whole()
