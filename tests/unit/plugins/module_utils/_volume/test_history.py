# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The lines of the history, and the trend that the script computes from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils._volume.catalog import parse_listing
from plugins.module_utils._volume.history import Entry, Gap, Trend, parse_entry, parse_trend
from plugins.module_utils.errors import ListingError
from tests.processor_time import ratio

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
DAY = timedelta(days=1)
GIB = 1 << 30


def line(days_ago: float, **fields: Any) -> dict[str, Any]:
    started = NOW - timedelta(days=days_ago)
    return {
        "type": "history",
        "operation": "run",
        "started": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "finished": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "state": "succeeded",
        "backup": "b",
        "backup_state": "complete",
        "bytes": GIB,
        "free_bytes": 100 * GIB,
        "volume_bytes": 200 * GIB,
        **fields,
    }


def entry(days_ago: float, **fields: Any) -> Entry:
    parsed = parse_entry(line(days_ago, **fields))
    assert parsed is not None
    return parsed


def test_line_is_read() -> None:
    assert entry(1, seconds=3, deleted=True, rows=7, reason="x", job=None, later=[]) == Entry(
        operation="run",
        started=NOW - DAY,
        finished=NOW - DAY,
        state="succeeded",
        backup="b",
        backup_state="complete",
        size_bytes=GIB,
        free_bytes=100 * GIB,
        volume_bytes=200 * GIB,
        seconds=3,
        rows=7,
        reason="x",
    )
    assert entry(1, seconds=3).to_dict() == {
        "operation": "run",
        "started": "2026-11-21T03:00:00Z",
        "finished": "2026-11-21T03:00:00Z",
        "state": "succeeded",
        "backup": "b",
        "backup_state": "complete",
        "size_bytes": GIB,
        "free_bytes": 100 * GIB,
        "volume_bytes": 200 * GIB,
        "seconds": 3,
        **dict.fromkeys(("uncompressed_bytes", "deleted", "tables", "rows", "job", "reason")),
    }


@pytest.mark.parametrize("fields", [{"started": None}, {"finished": "soon"}, {"operation": 1}, {"state": None}])
def test_line_of_another_form_is_ignored(fields: dict[str, Any]) -> None:
    assert parse_entry(line(1, **fields)) is None


@pytest.mark.parametrize("value", [None, "7", 1.5, True, -1])
def test_value_of_another_form_is_not_known(value: Any) -> None:
    assert entry(1, free_bytes=value).free_bytes is None


# ------------------------------------------------------------------------------------------------------------- trend


def test_trend_of_the_script() -> None:
    trend = parse_trend(
        {
            "type": "trend",
            "growth": {"bytes_per_day": 10, "days_until_full": 2.344},
            "worst_gap": {"seconds": 345600, "start": "2026-11-17T03:00:00Z", "end": "2026-11-21T03:00:00Z"},
            "consecutive_failures": 3,
        }
    )
    gap = trend.gap(DAY)
    assert gap is not None and trend.growth is not None and trend.consecutive_failures == 3
    assert gap.to_dict() == {
        "seconds": 4 * 86400,
        "start": "2026-11-17T03:00:00Z",
        "end": "2026-11-21T03:00:00Z",
        "expected_seconds": 86400,
    }
    assert trend.growth.to_dict() == {"bytes_per_day": 10, "days_until_full": 2.3}


def test_trend_without_a_history() -> None:
    trend = parse_trend({"type": "trend", "growth": None, "worst_gap": None, "consecutive_failures": 0})
    assert trend == Trend() and trend.gap(DAY) is None


@pytest.mark.parametrize(("days", "is_too_long"), [(1.0, False), (1.4, False), (1.6, True), (2.0, True)])
def test_gap_is_too_long_if_a_run_is_missing(days: float, is_too_long: bool) -> None:
    trend = Trend(worst_gap=Gap(NOW - timedelta(days=days), None, timedelta(days=days), None))
    gap, unknown = trend.gap(DAY), trend.gap(None)
    assert gap is not None and gap.is_too_long is is_too_long
    assert unknown is not None and not unknown.is_too_long and unknown.to_dict()["expected_seconds"] is None


def test_listing_has_the_trend() -> None:
    ending = '{"type":"volume","path":"/b","source":null,"size_bytes":1,"free_bytes":1,"policy":{},"last_run":null}'
    of_the_script = '{"type":"trend","growth":null,"worst_gap":null,"consecutive_failures":2}'
    assert parse_listing([of_the_script, ending]).trend == Trend(consecutive_failures=2)
    assert parse_listing([ending]).trend == Trend()
    with pytest.raises(ListingError):
        parse_listing(['{"type":"trend","growth":null,"worst_gap":{}}', ending])


def test_reading_takes_little_more_than_its_json() -> None:
    """About 3 times as long; what is computed once for each line and not once for each history would show here."""
    ending = '{"type":"volume","path":"/b","source":null,"size_bytes":1,"free_bytes":1,"policy":{},"last_run":null}'
    lines = [*(json.dumps(line(number / 24)) for number in range(10_000)), ending]
    assert len(parse_listing(lines).history) == 10_000
    assert ratio(lambda: parse_listing(lines), lambda: [json.loads(each) for each in lines]) < 10
