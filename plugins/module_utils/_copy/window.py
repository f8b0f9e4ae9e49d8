# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The hours of the day in which a place may be used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """From `begin` to `end`, both since midnight; it may reach past midnight."""

    begin: timedelta
    end: timedelta

    def __str__(self) -> str:
        return f"{_clock(self.begin)} to {_clock(self.end)}"

    def left(self, now: datetime) -> timedelta | None:
        """How long the window is open from now on; None if it is closed. `now` is the local time, with its zone."""
        since_midnight = timedelta(hours=now.hour, minutes=now.minute, seconds=now.second)
        length = (self.end - self.begin) % _DAY
        passed = (since_midnight - self.begin) % _DAY
        if passed >= length:
            return None
        # When the clocks change meanwhile, more or less time passes than they show.
        closes = (now + (length - passed)).replace(fold=now.fold)
        left = closes.astimezone(timezone.utc) - now.astimezone(timezone.utc)
        return left if left > timedelta(0) else None


def parse_window(text: str) -> Window:
    """A window such as `22:00-06:00`. Raises ValueError for another text, and for a window without length."""
    match = _WINDOW.fullmatch(text)
    if match is None or match.group(1, 2) == match.group(3, 4):
        raise ValueError(f"expected a window such as 22:00-06:00, found '{text}'")
    hours = [int(number) for number in match.groups()]
    return Window(timedelta(hours=hours[0], minutes=hours[1]), timedelta(hours=hours[2], minutes=hours[3]))


def _clock(since_midnight: timedelta) -> str:
    minutes = int(since_midnight.total_seconds()) // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
