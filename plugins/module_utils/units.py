# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Durations as users write them, and sizes as Kubernetes writes them."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal

from .errors import ExpectationError

_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,3})?)(?P<unit>[kMGTPE]|[KMGTPE]i)?")
_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)},
}


def parse_duration(text: str) -> timedelta:
    """A duration: one whole number of at most six digits and one unit of s m h d w, as in `26h`.

    Raises ExpectationError for anything else, as the script does.
    """
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ExpectationError(
            "expected a duration such as 90m, 26h or 7d (one whole number above 0 of at most six digits, "
            f"one unit of s m h d w), found '{text}'"
        )
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def format_duration(duration: timedelta) -> str:
    """A duration for people, to two units: `1d 2h`, `3h 20m`, `45s`."""
    left = int(duration.total_seconds())
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, _SECONDS[unit])
        if number or (unit == "s" and not parts):
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])


def parse_size(text: str) -> int:
    """Bytes, rounded up, of a Kubernetes quantity such as `10Gi` or `500M`; raises ExpectationError."""
    found = _SIZE.fullmatch(text)
    size = math.ceil(Decimal(found["number"]) * _UNITS[found["unit"] or ""]) if found else 0
    if size <= 0:
        raise ExpectationError(f"expected a size above 0, such as 10Gi or 500M, found '{text}'")
    return size
