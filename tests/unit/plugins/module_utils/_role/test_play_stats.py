# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._role.play_stats import (
    LONGEST_LIST,
    LONGEST_TEXT,
    STATS,
    play_stats,
)

CHECKOUT = Path(__file__).resolve().parents[5]
ALL = ("failed", "message", "changed", "check_mode")
PROBLEM = {"check": "age", "message": "too old"}
# Playbook, results, and what is among the statistics; the playbook has failed if there is a message.
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("backup_now", {}, {"backup": None, "changed": None, "seconds": None, "failed_databases": None}),
    ("backup_now", {"job": {"failed": True, "msg": "no server"}}, {"message": "no server", "job": None}),
    ("backup_now", {"job": {"failed": True, "msg": ""}}, {"backup": None}),
    (
        "backup_now",
        {"job": {"changed": False, "newest": {"name": "n", "size_bytes": 3, "state": "complete"}, "result": None}},
        {"backup": "n", "size_bytes": 3, "state": "complete", "changed": False},
    ),
    (
        "backup_now",
        {
            "job": {
                "failed": True,
                "changed": True,
                "msg": "shop failed",
                "result": {
                    "backup": "b",
                    "backup_state": "incomplete",
                    "seconds": {"dump": 1.25, "verify": 2},
                    "failed_databases": [{"database": "shop", "error": "e", "advice": "a"}],
                },
            }
        },
        {"message": "shop failed", "state": "incomplete", "seconds": 3.25, "failed_databases": ["shop"]},
    ),
    (
        "verify",
        {"info": {"healthy": False, "problems": [PROBLEM], "backups": [1, 2]}, "job": {"changed": True}},
        {"message": "too old", "problems": ["too old"], "complete": None, "backups": 2, "changed": True},
    ),
    (
        "verify",
        {"verify": {"failures": [PROBLEM, PROBLEM], "contents": None, "path": "/b"}, "info": {"problems": []}},
        {"message": "too old\ntoo old", "complete": False, "backup": "/b", "rows": None},
    ),
    ("verify", {"verify": {"failures": [], "contents": {"databases": [1], "rows": 7}}}, {"complete": True, "rows": 7}),
    ("drill", {"drill": {"failures": [PROBLEM], "databases": []}}, {"message": "too old", "differences": 1}),
    ("unprotected", {"discovered": {"servers": [{"host": "a", "protected": False}, {"host": "b", "protected": True}]}},
     {"servers": 2, "unprotected": ["a"]}),
    (
        "restore_table",
        {"plan": {"backup": "p"}, "result": {"tables": [{"rows": 2, "inserted": None}, {"rows": 3, "inserted": 1}]}},
        {"backup": "p", "rows": 5, "inserted": 1, "tables": 2},
    ),
    (
        "upgrade_rehearsal",
        {
            "drill": {
                "server_version": "19",
                "failures": [],
                "errors": [{"number": 1, "database": "a", "object": "view v", "message": "gone", "follows": None,
                            "sqlstate": "42883", "advice": ""}],
                "upgrade": {"live_version": "18.1"},
                "backup": "b",
            }
        },
        {"ready": False, "to_version": "19", "from_version": "18.1", "blocking": ["gone"], "message": "gone"},
    ),
    ("upgrade_rehearsal", {"drill": {"server_version": None, "changed": False}}, {"ready": None, "blocking": None}),
]  # fmt: skip


@pytest.mark.parametrize(("playbook", "results", "expected"), CASES)
def test_values(playbook: str, results: dict[str, Any], expected: dict[str, Any]) -> None:
    stats = play_stats(results, playbook, failed="message" in expected)
    assert {**stats, **expected} == stats
    assert list(stats) == [*ALL, *STATS[playbook]]


@pytest.mark.parametrize("playbook", STATS)
@pytest.mark.parametrize("broken", [{}, {"failed": True}, {"failed": True, "msg": "m", "changed": False}, None, "text"])
def test_results_of_a_failure(playbook: str, broken: Any) -> None:
    """A module that fails early returns few fields, or none."""
    names = ("job", "user", "upload", "plan", "result", "drill", "prune", "created", "role", "discovered")
    stats = play_stats(dict.fromkeys((*names, "fetch", "verify", "info"), broken), playbook, failed=True)
    assert list(stats) == [*ALL, *STATS[playbook]]
    assert stats["failed"] is True


def test_texts_and_lists_are_bounded() -> None:
    many = [{"check": "c", "message": "x" * 5000}] * 500
    stats = play_stats({"info": {"problems": many}}, "verify", failed=True)
    assert (len(stats["message"]), len(stats["problems"]), len(stats["problems"][0])) == (
        LONGEST_TEXT,
        LONGEST_LIST,
        LONGEST_TEXT,
    )


def test_a_success_has_no_message() -> None:
    """verify --check may end well although the installation has a problem that the backup would solve."""
    assert play_stats({"info": {"problems": [PROBLEM]}}, "verify", failed=False)["message"] is None


def test_every_playbook_has_its_keys() -> None:
    assert set(STATS) == {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}


def test_the_page_lists_the_keys() -> None:
    page = (CHECKOUT / "docs" / "consoles.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    listed = {name: tuple(re.findall(r"`(\w+)`", rows.get(name, ""))) for name in STATS}
    assert listed == {name: tuple(keys) for name, keys in STATS.items()}
