# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Whether a quota that refuses a pod can ever admit it, from the API server's message."""

from __future__ import annotations

import re

from ..errors import ExpectationError
from ..units import parse_quantity

# k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go, CheckRequest: quantities as `name=quantity,…`.
_EXCEEDED = re.compile(r"exceeded quota: .*?, requested: (?P<requested>.*), used: .*, limited: (?P<limited>[^'\"\\]*)")


def is_quota_exceeded(message: str) -> bool:
    """Whether the message is that of a quota whose share is used up, or too small."""
    return _EXCEEDED.search(message) is not None


def quota_is_too_small(message: str) -> bool:
    """Whether the pod requests more than all of the quota, so that it never fits in."""
    match = _EXCEEDED.search(message)
    if match is None:
        return False
    requested, limited = _amounts(match["requested"]), _amounts(match["limited"])
    return any(amount > limited[name] for name, amount in requested.items() if name in limited)


def _amounts(text: str) -> dict[str, int]:
    """Thousandths by the resource's name; parse_quantity does not accept 0."""
    amounts = {}
    for part in text.split(","):
        name, _equals, quantity = part.strip().rstrip(".").rpartition("=")
        try:
            amounts[name] = parse_quantity(quantity)
        except ExpectationError:
            amounts[name] = 0
    return amounts
