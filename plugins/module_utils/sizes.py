# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Sizes as Kubernetes writes them."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from .errors import ExpectationError

_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,3})?)(?P<unit>[kMGTPE]|[KMGTPE]i)?")
_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)},
}


def parse_size(text: str) -> int:
    """Bytes, rounded up, of a Kubernetes quantity such as `10Gi` or `500M`; raises ExpectationError."""
    found = _SIZE.fullmatch(text)
    size = math.ceil(Decimal(found["number"]) * _UNITS[found["unit"] or ""]) if found else 0
    if size <= 0:
        raise ExpectationError(f"expected a size above 0, such as 10Gi or 500M, found '{text}'")
    return size
