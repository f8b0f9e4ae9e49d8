# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Every problem that there can be, alone and together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils.catalog import Backup, Catalog
from plugins.module_utils.health import Installation, problems

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
SOUND = Installation(is_suspended=False, image="pg:18", server_image="pg:18", script_version="1.2.0")


def backup(hours: float = 1, state: str = "complete", size: int = 100, reasons: tuple[str, ...] = ("last",)) -> Backup:
    created = NOW - timedelta(hours=hours)
    return Backup(f"b-{hours}", created, size, "a" * 64 if state == "complete" else None, state, "keep", reasons)


def catalog(*backups: Backup, free: int = 1000, last_run: dict[str, Any] | None = None) -> Catalog:
    return Catalog(backups, "/backups", None, 10_000, free, {}, last_run)


def checks(installation: Installation, found: Catalog) -> list[str]:
    return [problem.check for problem in problems(installation, found, NOW, timedelta(hours=26), "1.2.0")]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (catalog(backup()), []),
        (catalog(backup(), backup(25)), []),
        (catalog(backup(26)), []),
        (catalog(), ["backup"]),
        (catalog(backup(state="unchecked")), ["backup", "unchecked"]),
        (catalog(backup(26.1)), ["age"]),
        (catalog(backup(1, size=49), backup(25)), ["size"]),
        (catalog(backup(1, size=50), backup(25)), []),
        (catalog(backup(1, size=1, reasons=("dated in the future",)), backup(2), backup(25)), ["future"]),
        (catalog(backup(), free=99), ["space"]),
        (catalog(backup(), backup(2, "damaged")), ["damaged"]),
        (catalog(backup(), last_run={"state": "succeeded", "skipped_databases": []}), []),
        (catalog(backup(), last_run={"state": "running"}), []),
        (catalog(backup(), last_run={"state": "failed", "reason": "the server does not answer"}), ["last_run"]),
        (catalog(backup(), last_run={"state": "interrupted", "reason": None}), ["last_run"]),
        (catalog(backup(), last_run={"state": "succeeded", "skipped_databases": ["old"]}), ["databases"]),
    ],
)
def test_the_volume(found: Catalog, expected: list[str]) -> None:
    assert checks(SOUND, found) == expected


@pytest.mark.parametrize(
    ("installation", "expected"),
    [
        (SOUND, []),
        (replace(SOUND, is_suspended=True), ["schedule"]),
        (replace(SOUND, server_image="pg:19"), ["image"]),
        (replace(SOUND, server_image=None), []),
        (replace(SOUND, script_version="1.1.9"), ["script"]),
        (replace(SOUND, script_version="1.10.0"), []),
        (replace(SOUND, script_version="odd"), ["script"]),
        (replace(SOUND, script_version=None), []),
    ],
)
def test_the_installation(installation: Installation, expected: list[str]) -> None:
    assert checks(installation, catalog(backup())) == expected


def test_all_at_once_the_gravest_first() -> None:
    worst = catalog(
        backup(30, size=10), backup(40), backup(50, "unchecked"), free=1, last_run={"state": "failed", "reason": "x"}
    )
    assert checks(replace(SOUND, is_suspended=True), worst) == [
        "age",
        "size",
        "last_run",
        "schedule",
        "space",
        "unchecked",
    ]


def test_a_message_names_few_of_many() -> None:
    many = catalog(backup(), *(backup(10 + number, "unchecked") for number in range(30)))
    (problem,) = problems(SOUND, many, NOW, timedelta(hours=26), "1.2.0")
    assert "and 25 more" in problem.message
