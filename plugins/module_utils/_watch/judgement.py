# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is wrong with an installation, as far as its volume shows it: the rules are those of backup_info."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .._role.schedules import last_time
from .._volume.backup_names import parse_time
from .._volume.catalog import Backup, Catalog
from .._volume.health import DrillSchedule, Installation, problems
from .._volume.history import Growth
from ..findings import Failure
from .configuration import Configuration

with contextlib.suppress(ImportError):
    from zoneinfo import ZoneInfo

VOLUME = "volume"
# A drill may start late: its pod has to wait for a node, for images, or for a run.
_DRILL_GRACE = timedelta(hours=2)
# Where the image has no time zones, a schedule is read as UTC, from which a zone differs by at most this.
_UNKNOWN_ZONE = timedelta(hours=14)
# After this time, Kubernetes has started the next attempt of a run that failed (kubernetes pkg/controller/job,
# MaxJobPodFailureBackOff): without one, none will follow.
_BACKOFF = timedelta(minutes=10)
# What an active run leaves open: its record has no result yet, and its partial file takes space that may be returned.
_OPEN_DURING_RUN = frozenset({"last_run", "databases", "server", "space"})


@dataclass(frozen=True)
class Facts:
    """What a digest and the series contain; None where it is not known."""

    newest: Backup | None
    backups: int
    free_bytes: int
    volume_bytes: int
    growth: Growth | None
    runs: int
    failed_runs: int
    last_drill: Mapping[str, Any] | None


@dataclass(frozen=True)
class Judgement:
    """The result of one look.

    `problems` has the sentences of each check. Those of `undecided` can be neither confirmed nor refuted at this time;
    it is None if the volume cannot be read, when only that is known. Those of `certain` need no second look. `facts` is
    None if the volume cannot be read.
    """

    problems: Mapping[str, tuple[str, ...]]
    undecided: frozenset[str] | None = frozenset()
    certain: frozenset[str] = frozenset()
    facts: Facts | None = None

    def leaves_open(self, check: str) -> bool:
        """Whether this look decides nothing about the check, which remains as it was."""
        return check != VOLUME if self.undecided is None else check in self.undecided


def judge(configuration: Configuration, catalog: Catalog, now: datetime, *, drill_since: datetime | None) -> Judgement:
    """The judgement of a volume; `drill_since` is when the watch first saw the schedule of the drills (UTC)."""
    last_run, last_drill = catalog.last_run or {}, catalog.last_drill or {}
    installation = Installation(
        is_suspended=configuration.is_suspended,
        image="",
        server_image=None,
        script_version=None,
        drill=_drill_schedule(configuration, now, drill_since, is_active=last_drill.get("state") == "running"),
        copies=configuration.copies,
    )
    undecided: set[str] = set()
    if last_run.get("state") == "running":
        undecided |= _OPEN_DURING_RUN
    if last_drill.get("state") == "running":
        undecided.add("drill")
    failures = problems(installation, catalog, now, configuration.max_age, "", growth=catalog.trend.growth)
    return Judgement(
        problems=_by_check(failures),
        undecided=frozenset(undecided),
        certain=frozenset({"last_run"} if _has_finally_failed(last_run, now) else ()),
        facts=_facts(configuration, catalog, now),
    )


def unreadable(message: str) -> Judgement:
    """The judgement of a volume that cannot be listed: nothing else is known."""
    return Judgement({VOLUME: (message,)}, undecided=None)


def _by_check(failures: list[Failure]) -> dict[str, tuple[str, ...]]:
    result: dict[str, tuple[str, ...]] = {}
    for failure in failures:
        result[failure.check] = (*result.get(failure.check, ()), failure.message)
    return result


def _has_finally_failed(last_run: Mapping[str, Any], now: datetime) -> bool:
    """Whether the last run failed, and no other attempt of its Job has followed."""
    finished = parse_time(str(last_run.get("finished")))
    return last_run.get("state") == "failed" and finished is not None and now - finished > _BACKOFF


def _drill_schedule(
    configuration: Configuration, now: datetime, since: datetime | None, *, is_active: bool
) -> DrillSchedule | None:
    if not configuration.drill_schedule:
        return None
    due = _last_due(configuration.drill_schedule, configuration.time_zone, now)
    if due is not None and (since is None or due < since):
        due = None  # the schedule did not exist at that time
    return DrillSchedule(is_suspended=configuration.is_suspended, last_time=due, is_active=is_active)


def _last_due(schedule: str, zone: str, now: datetime) -> datetime | None:
    """The last time (UTC) at which a drill was due so long ago that its result must exist."""
    grace, clock = _DRILL_GRACE, _clock(zone)
    if clock is None:
        grace, clock = grace + _UNKNOWN_ZONE, timezone.utc
    local = (now - grace).astimezone(clock).replace(tzinfo=None)
    due = last_time(schedule, local)
    return due.replace(tzinfo=clock).astimezone(timezone.utc) if due is not None else None


def _clock(zone: str) -> Any:
    """The zone's rules; None where this Python or its image does not have them."""
    if zone in ("UTC", "Etc/UTC"):
        return timezone.utc
    try:
        return ZoneInfo(zone)
    except (NameError, KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None


def _facts(configuration: Configuration, catalog: Catalog, now: datetime) -> Facts:
    window = configuration.digest or timedelta(days=7)
    runs = [entry for entry in catalog.history if entry.operation == "run" and now - window < entry.finished <= now]
    return Facts(
        newest=catalog.newest(),
        backups=len(catalog.backups),
        free_bytes=catalog.free_bytes,
        volume_bytes=catalog.size_bytes,
        growth=catalog.trend.growth,
        runs=len(runs),
        failed_runs=sum(run.state != "succeeded" for run in runs),
        last_drill=catalog.last_drill,
    )
