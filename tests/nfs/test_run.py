# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""backup.sh on a real NFS mount: successful runs, permissions, and a full share."""

from __future__ import annotations

import pytest

from tests.in_turn import weekly

from .shares import OLDER, Guest, backup_name


def test_run_list_and_prune(guest: Guest) -> None:
    share = guest.share()
    volume = share.mount()
    assert "vers=4.2" in guest.sh("cat /proc/mounts")
    outcome = guest.run("run", volume)
    share.check_older()
    share.check_whole()
    assert share.backups() == [outcome.result["backup"]]
    assert outcome.result["read_back"] == "direct"
    assert "read back from the server, bypassing this machine's cache" in outcome.log
    assert share.partials() == []
    listed = guest.run("list", volume).objects
    assert [line["state"] for line in listed if line["type"] == "backup"] == ["complete"] * 4
    assert listed[-1]["source"] == f"10.9.0.1:{share.path}"
    outcome = guest.run("prune", volume, env={"POSTGRES_BACKUP_KEEP_LAST": "2", "POSTGRES_BACKUP_KEEP_DAILY": "0"})
    assert sorted(outcome.result["deleted"]) == [backup_name(moment) for moment in OLDER[:2]]
    share.check_whole()
    assert share.sh("ls -1 | wc -l").strip() == "7"  # two backups, their checksum files, one manifest, the records


SQUASHED = 1024


@pytest.mark.parametrize(
    ("options", "user", "owner"),
    [
        pytest.param("all_squash,anonuid=1024,anongid=1024", 1001, SQUASHED, id="all_squash"),
        weekly("root_squash,anonuid=1024,anongid=1024", 0, SQUASHED, id="root_squash"),
    ],
)
def test_files_belong_to_the_squashed_user(guest: Guest, options: str, user: int, owner: int) -> None:
    share = guest.share(options=options, owner=owner, mode="0750")
    volume = share.mount()
    refused = guest.machine.result(guest.machine.start(["chown", "1001", volume]))
    assert refused.code != 0 and "Operation not permitted" in refused.log
    outcome = guest.run("run", volume, user=user)
    share.check_older()
    share.check_whole()
    assert share.backups() == [outcome.result["backup"]]
    assert outcome.result["warnings"] == []
    assert share.sh('stat -c "%u %a" "$1"', outcome.result["backup"]).split() == [str(owner), "640"]


@pytest.mark.weekly
def test_squashed_user_without_write_rights(guest: Guest) -> None:
    share = guest.share(options="all_squash,anonuid=1024,anongid=1024", owner=1001, mode="0755")
    before = share.names()
    run = guest.start("run", share.mount())
    outcome = run.finish(2)
    assert share.names() == before
    share.check_older()
    assert "the backup volume cannot be written" in outcome.log
    assert "squash" in outcome.log
    assert run.termination["reason"] == outcome.result["reason"]


@pytest.mark.parametrize("step", ["dump", weekly("read_back")])
def test_full_share_fails_the_run(guest: Guest, step: str) -> None:
    """The client accepts data for which the server has no space: the error is reported when the file is flushed.

    Filled before the read-back, the share has no space for the checksum file.
    """
    share = guest.share(size="4m")
    run = guest.start("run", share.mount(), gate=step)
    run.wait_for_gate()
    share.leave_free(512 if step == "dump" else 0)
    run.open_gate()
    outcome = run.finish(1)
    share.sh("rm filler")
    share.check_older()
    share.check_whole()
    assert share.backups() == [] and share.partials() == []
    assert not [name for name in share.names() if name.endswith(".sha256") and "2026-01-0" not in name]
    assert "the backup volume is full" in outcome.log
    assert "No space left on device" in run.termination["reason"]
