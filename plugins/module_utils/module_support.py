# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The options that the modules for a volume share, as values."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ._cluster.job import StartLimits
from .errors import ExpectationError
from .module_runner import run_module
from .units import parse_duration

__all__ = ["duration", "run_module", "seconds", "start_limits"]


def duration(parameters: dict[str, Any], name: str) -> timedelta:
    """The option `name`, a duration as users write it; raises ExpectationError, which names the option."""
    try:
        return parse_duration(parameters[name])
    except ExpectationError as error:
        raise ExpectationError(f"{name}: {error}") from error


def seconds(parameters: dict[str, Any], name: str) -> float:
    """The option `name`, a duration as users write it, in seconds; raises ExpectationError, which names the option."""
    return duration(parameters, name).total_seconds()


def start_limits(parameters: dict[str, Any]) -> StartLimits:
    return StartLimits(startup_seconds=seconds(parameters, "startup_timeout"))
