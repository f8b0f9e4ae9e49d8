# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which keys are overdue, and the messages about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.key_health import key_problems
from plugins.module_utils._volume.key_record import parse_keys

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = 86400
RECORD: dict[str, Any] = {
    "recipient": "age1abc",
    "since": "2026-08-01T02:00:00Z",
    "opened": None,
    "backup": None,
    "by": None,
    "is_current": True,
    "limit_seconds": 90 * DAY,
}
OPENED = {"opened": "2026-11-01T04:00:00Z", "backup": "postgres-backup-2026-11-01-020000.sql.gz.age", "by": "drill"}


def parsed(**changes: Any) -> Any:
    (key,) = parse_keys([{"type": "key", "record": {**RECORD, **changes}}])
    return key


@pytest.mark.parametrize(
    ("changes", "is_overdue"),
    [
        ({}, True),
        (OPENED, False),
        ({**OPENED, "opened": "2026-08-24T12:00:00Z"}, False),
        ({**OPENED, "opened": "2026-08-24T11:59:59Z"}, True),
        ({"since": "2026-11-20T02:00:00Z"}, False),
        ({"is_current": False}, False),
        ({"limit_seconds": 0}, False),
        ({"opened": "2026-11-22T12:04:00Z"}, False),
        # The clock was wrong: for years, nobody would be asked to try it.
        ({**OPENED, "opened": "2036-01-01T00:00:00Z"}, True),
    ],
)
def test_when_a_key_is_overdue(changes: dict[str, Any], is_overdue: bool) -> None:
    key = parsed(**changes)
    assert key.is_overdue(NOW) is is_overdue is key.to_dict(NOW)["overdue"]
    assert bool([*key_problems([key], NOW)]) is is_overdue


def test_what_is_said() -> None:
    (problem,) = key_problems([parsed()], NOW)
    assert problem.check == "key"
    assert problem.message.startswith(
        "expected the identity of the recipient age1abc to have opened a backup within 90d, found never since "
        "2026-08-01, when the first backup was encrypted to it. Try it: ansible-playbook homelab.postgres_backup.drill "
        "-e postgres_backup_identity_file=IDENTITY-FILE"
    )
    (problem,) = key_problems([parsed(**{**OPENED, "opened": "2026-01-01T00:00:00Z"})], NOW)
    assert "found 2026-01-01, 325d 12h ago (postgres-backup-2026-11-01-020000.sql.gz.age)" in problem.message
    (problem,) = key_problems([parsed(**{**OPENED, "opened": "2036-01-01T00:00:00Z"})], NOW)
    assert "found 2036-01-01, which is in the future: a clock was wrong (postgres-backup-" in problem.message


@pytest.mark.parametrize(
    "record",
    [None, "x", [], {}, {**RECORD, "since": "x"}, {**RECORD, "recipient": 1}, {**RECORD, "limit_seconds": "90d"}],
)
def test_what_is_no_record_is_left_out(record: Any) -> None:
    assert parse_keys([{"type": "key", "record": record}]) == ()


def test_a_limit_that_is_too_large_is_none_that_ends() -> None:
    assert parsed(limit_seconds=10**12).limit > timedelta(days=36500)
