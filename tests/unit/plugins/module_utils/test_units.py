# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
from __future__ import annotations

from datetime import timedelta

import pytest

from plugins.module_utils.errors import ExpectationError
from plugins.module_utils.units import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90m", 5400), ("26h", 93600), ("7d", 604800), ("2w", 1209600), ("999999s", 999999)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "0h", "1 h", "1000000s", "1y", "1h30m", "\u0661h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ExpectationError, match="expected a duration such as 90m, 26h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (45, "45s"), (12_000, "3h 20m"), (93_600, "1d 2h"), (86_401, "1d 1s")]
)
def test_durations_for_people(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text
