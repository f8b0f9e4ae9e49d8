# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a person sees who runs site.yml with wrong variables: no cluster is needed, or touched, for that."""

from __future__ import annotations

from typing import Any


def test_play_names_each_wrong_variable_and_stops(site: Any) -> None:
    done = site(postgres_backup_schedule="at night", postgres_backup_keep_last=-1)
    assert done.returncode != 0
    assert "postgres_backup_schedule: expected five cron fields" in done.stderr + done.stdout
    assert "postgres_backup_keep_last: expected a number from 0" in done.stderr + done.stdout
    assert "kube-config" not in done.stderr + done.stdout


WRONG_TYPES = {
    "postgres_backup_keep_daily": "many",
    "postgres_backup_compressor": "zstd",
    "postgres_backup_state": "gone",
    "postgres_backup_suspend": "perhaps",
    "postgres_backup_sslmode": "on",
    "postgres_backup_access_mode": "ReadOnlyMany",
    "postgres_backup_nfs": {"host": "nas"},
}


def test_play_names_a_wrong_type_or_choice(site: Any) -> None:
    done = site(**WRONG_TYPES)
    assert done.returncode != 0
    message = (done.stderr + done.stdout).partition("argument_spec_data")[0]
    for name in WRONG_TYPES:
        assert name in message


def test_play_with_good_variables_continues_to_the_cluster(site: Any) -> None:
    done = site()
    assert done.returncode != 0
    assert "kube-config" in done.stderr + done.stdout
