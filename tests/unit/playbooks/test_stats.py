# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What playbooks leave for the next step of a workflow; after failures of modules: test_bad_input.py."""

from __future__ import annotations

import pytest

from tests.in_turn import weekly

from .recorded import BACKUP, PREFIX, Recorded


@pytest.mark.parametrize("playbook", ["site", weekly("unprotected"), weekly("sample_data")])
def test_without_a_cluster(recorded: Recorded, playbook: str) -> None:
    """What uses the role, or reads the entire cluster, has failed."""
    done = recorded(playbook)
    assert done.status == 2, done.output
    assert done.stats(playbook)["localhost"]["failed"] is True


@pytest.mark.weekly
def test_two_playbooks_of_one_command(recorded: Recorded) -> None:
    """A failure is not taken for the success that was before it, and neither overwrites the other's results."""
    again = recorded.folder / "again.yml"
    again.write_text(
        f"- import_playbook: {PREFIX}drill\n"
        f"- import_playbook: {PREFIX}backup_now\n"
        f"- import_playbook: {PREFIX}backup_now\n"
        "  vars: {postgres_backup_namespace: sick}\n"
    )
    recorded.answers["sick"] = {"backup_job": {"failed": True, "changed": False, "msg": "no server"}}
    done = recorded.run([recorded.program("")[0], str(again)])
    assert done.stats("drill")["localhost"]["rows"] == 3, done.output
    left = done.stats("backup_now")["localhost"]
    assert (left["failed"], left["message"], left["backup"]) == (True, "no server", None)


def test_a_restore_that_is_not_confirmed(recorded: Recorded) -> None:
    done = recorded("restore", postgres_backup_restore_database="shop", postgres_backup_restore_new_name="other")
    left = done.stats("restore")["localhost"]
    assert (left["failed"], left["backup"], left["rows"]) == (True, BACKUP, None), done.output
