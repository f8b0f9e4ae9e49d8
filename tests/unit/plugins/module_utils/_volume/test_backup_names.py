# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._volume.backup_names import backup_name, parse_time, prefix_in_name, time_in_name

MOMENT = datetime(2026, 11, 22, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("postgres-backup-2026-11-22-020304.sql.gz", MOMENT),
        ("a-2026-11-22-020304.sql.gz", MOMENT),
        ("postgres-backup-2026-02-30-020304.sql.gz", None),
        ("postgres-backup-2026-11-22-250304.sql.gz", None),
        ("postgres-backup-2026-11-22.sql.gz", None),
        ("postgres-backup-2026-11-22-020304.sql.gz.sha256", None),
        ("-2026-11-22-020304.sql.gz", None),
        ("", None),
    ],
)
def test_time_in_name(name: str, time: datetime | None) -> None:
    assert time_in_name(name) == time


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)), st.from_regex("[a-z][a-z0-9-]{0,9}", fullmatch=True))
def test_a_name_holds_its_time(moment: datetime, prefix: str) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert time_in_name(backup_name(prefix, moment)) == moment


def test_names_are_in_utc() -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert backup_name("p", local) == "p-2026-11-22-020304.sql.gz"


@pytest.mark.parametrize(("text", "time"), [("2026-11-22T02:03:04Z", MOMENT), ("2026-11-22", None), ("", None)])
def test_parse_time(text: str, time: datetime | None) -> None:
    assert parse_time(text) == time


def test_the_prefix_is_what_stands_before_the_time() -> None:
    assert prefix_in_name("postgres-backup-2026-11-22-020000.sql.gz") == "postgres-backup"
    assert prefix_in_name("a-2026-11-22-020000-2026-11-23-020000.sql.gz") == "a-2026-11-22-020000"
    assert prefix_in_name("postgres-backup.sql.gz") is None
