# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The retention policy in words. The verdicts and their reasons are the script's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .facts import number

_UNITS = {"daily": "days", "weekly": "weeks", "monthly": "months", "yearly": "years"}


def policy_in_words(policy: Mapping[str, Any]) -> str:
    """The rules of a policy, such as `the newest 7, and the newest of each of the latest 7 days and 4 weeks`."""
    rules = []
    last = number(policy, "keep_last")
    if last:
        rules.append(f"the newest {last}")
    periods = [f"{count} {unit}" for key, unit in _UNITS.items() if (count := number(policy, f"keep_{key}"))]
    if periods:
        listed = periods[0] if len(periods) == 1 else f"{', '.join(periods[:-1])} and {periods[-1]}"
        rules.append(f"the newest of each of the latest {listed}")
    within = policy.get("keep_within")
    if within:
        rules.append(f"all within {within} of the newest")
    return ", and ".join(rules) or "only the newest complete backup"
