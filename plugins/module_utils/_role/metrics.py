# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The metrics that runs and scheduled drills write: their environment, and how old what they tell may become."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta, timezone
from typing import Any

from .checks import Variables, is_true, seconds
from .copy_places import location_text
from .schedules import longest_interval

# For a run with its retries, and for the change of the clock by an hour.
_ALLOWANCE = timedelta(hours=2)
# A drill takes hours where a backup is large.
_DRILL_ALLOWANCE = timedelta(days=1)
# A period of four years whose end is fixed: the interval of a schedule must not change from one play to the next.
_END, _PERIOD = datetime(2029, 1, 1, tzinfo=timezone.utc), timedelta(days=1461)


def metrics_environment(variables: Variables) -> dict[str, str]:
    """The environment variables of a run, and of a drill's record, for the metrics; none where they are not wanted.

    `variables` holds the role's variables by their full names.
    """
    if not is_true(variables["postgres_backup_metrics"]):
        return {}
    interval = schedule_interval(str(variables["postgres_backup_schedule"]))
    places = variables["postgres_backup_copies"]
    return {
        "POSTGRES_BACKUP_METRICS": "1",
        "POSTGRES_BACKUP_NAMESPACE": str(variables["postgres_backup_namespace"]),
        "POSTGRES_BACKUP_SCHEDULE_SECONDS": f"{interval.total_seconds():.0f}",
        **({"POSTGRES_BACKUP_COPY_LOCATIONS": "\n".join(map(_location, places))} if places else {}),
    }


def _location(place: Mapping[str, Any]) -> str:
    """The name of a place, and its location as a record has it (_copy/record.py)."""
    return f"{place['name']} {json.dumps(location_text(place))}"


def schedule_interval(schedule: str, counts: Callable[[time], bool] = lambda _moment: True) -> timedelta:
    """The longest time between two runs by a schedule, of those that count; a day for one that has no times."""
    return longest_interval(schedule, _END, _PERIOD, counts) or timedelta(days=1)


def max_age(variables: Variables) -> timedelta:
    """How old the newest backup may be: postgres_backup_alert_max_age, or what follows from the schedule."""
    chosen = seconds(variables["postgres_backup_alert_max_age"])
    if chosen is not None:
        return timedelta(seconds=chosen)
    return schedule_interval(str(variables["postgres_backup_schedule"])) + _ALLOWANCE


def max_drill_age(variables: Variables) -> timedelta | None:
    """How old the last scheduled drill may be; None where none is scheduled."""
    schedule = str(variables["postgres_backup_drill_schedule"])
    return schedule_interval(schedule) + _DRILL_ALLOWANCE if schedule else None
