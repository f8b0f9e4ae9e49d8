# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` with its backup on a read-only NFS mount."""

from __future__ import annotations

import time

import pytest

from dev.nfs.image import FILLER_ROWS
from tests.in_turn import weekly

from .shares import Guest, NfsShare

READ_ONLY = "ro,hard,nfsvers=4.2"
AWAY_SECONDS = 4


@pytest.fixture(scope="module")
def made(guest: Guest) -> NfsShare:
    """A share with one backup, which a run made."""
    share = guest.share(older=False)
    guest.run("run", share.mount())
    return share


@pytest.fixture
def share(guest: Guest, made: NfsShare) -> NfsShare:
    """A copy of the test's own."""
    own = guest.share(older=False)
    made.sh('cp -p -- * "$1"', own.path)
    return own


@pytest.mark.weekly
def test_server_restarted_during_a_drill(guest: Guest, share: NfsShare) -> None:
    volume = share.mount("two", READ_ONLY)
    assert guest.machine.result(guest.machine.start(["touch", f"{volume}/file"])).code != 0
    drill = guest.start("drill", volume, gate="initdb")
    drill.wait_for_gate()
    guest.nfs("stop", "nas")
    try:
        drill.open_gate()
        time.sleep(AWAY_SECONDS)
        assert not drill.ended
    finally:
        guest.nfs("start", "nas")
    outcome = drill.finish()
    assert outcome.result["state"] == "succeeded"
    assert outcome.result["rows"] == FILLER_ROWS + 3
    assert outcome.result["rows"] == outcome.result["copied_rows"]


@pytest.mark.weekly
@pytest.mark.parametrize("gate", [weekly("", id="before"), pytest.param("initdb", id="during")])
def test_backup_changed_on_the_server_fails_the_drill(guest: Guest, share: NfsShare, gate: str) -> None:
    volume = share.mount("two", READ_ONLY)
    # This client had it in its cache.
    guest.sh('setpriv --reuid=1001 --regid=1001 --clear-groups cat "$1"/*.gz >/dev/null', volume)
    change = 'printf XXXX | dd of="$1" bs=1 seek=1000000 conv=notrunc status=none'
    if not gate:
        share.sh(f"set -- *.gz; {change}")
    drill = guest.start("drill", volume, gate=gate)
    if gate:
        drill.wait_for_gate()
        share.sh(f"set -- *.gz; {change}")
        drill.open_gate()
    # A gzip error is permanent; a different checksum may be that of another backup at the next attempt.
    outcome = drill.finish(2 if gate else 1)
    assert outcome.result["state"] == "failed"
    assert outcome.result["can_heal"] is (not gate)
    assert ("cannot be decompressed" if gate else "the backup does not match its checksum file") in outcome.log
