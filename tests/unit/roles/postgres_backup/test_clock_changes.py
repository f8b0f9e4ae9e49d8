# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The notes of the summary about summer time."""

from __future__ import annotations

import re
from typing import Any

from .rendering import render

PREREQUISITES = {"unwanted": {"readable": True}}


def notes(**variables: Any) -> list[str]:
    text = render(
        "notes.txt.j2", __postgres_backup_prerequisites=PREREQUISITES, __postgres_backup_reclaim_policy="Retain",
        __postgres_backup_secret={"readable": True}, __postgres_backup_class_info={}, __postgres_backup_volume_info={},
        __postgres_backup_policy_info={}, __postgres_backup_claims_now=[], __postgres_backup_removed={},
        __postgres_backup_objects=[], __postgres_backup_check={"result": {"results": []}}, **variables,
    )  # fmt: skip
    return [line for line in text.splitlines() if "clocks" in line]


def test_both_schedules_are_checked() -> None:
    found = notes(
        postgres_backup_time_zone="Europe/Berlin",
        postgres_backup_schedule="30 2 * * *",
        postgres_backup_drill_schedule="0 2 * * 0",
    )
    pattern = (
        r"WARNING: postgres_backup_(\w+): the clocks of Europe/Berlin (leave out|repeat) 02:[03]0 on 20..-..-.., so "
    )
    assert [re.match(pattern, line) is not None for line in found] == [True] * 4
    assert [line.split(": ")[1] for line in found] == [
        *["postgres_backup_schedule"] * 2,
        *["postgres_backup_drill_schedule"] * 2,
    ]


def test_the_default_has_no_summer_time() -> None:
    assert notes() == []
    assert notes(postgres_backup_time_zone="Europe/Berlin", postgres_backup_schedule="30 4 * * *") == []
