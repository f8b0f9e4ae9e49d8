# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""One installation on the report page: its section, and its row in the summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from .._volume.advice import heading
from .._volume.backup_names import parse_time
from .._volume.history import Entry
from ..units import format_size
from .charts import Chart, Series, chart
from .commands import Command, Target, command_for, commands
from .days import SHOWN_DAYS, Calendar, calendar, day_states
from .facts import Facts, number
from .key_facts import KeyFact, day_when_full, newest_backup, time_to_restore, worst_gap
from .missing import location, missing
from .places import PlaceRow, place_rows, rule_in_words
from .retention import policy_in_words
from .text import counted, format_age, format_number, format_seconds, format_short_time, format_time, printable

HEALTHY, UNHEALTHY, UNREADABLE = "healthy", "unhealthy", "unreadable"
_NOT_PROTECTING = ("backup", "age", "incomplete", "last_run")
_SHORT_REASON = 300


@dataclass(frozen=True)
class Detail:
    """How much of an installation is shown: one of many has less of everything."""

    chart_values: int
    failures: int
    databases: int
    backups: int
    charts: int
    places: int


FULL = Detail(chart_values=SHOWN_DAYS, failures=10, databases=200, backups=60, charts=4, places=20)
COMPACT = Detail(chart_values=40, failures=3, databases=0, backups=0, charts=3, places=0)


@dataclass(frozen=True)
class Problem:
    """A problem with a few words for it, and the command that answers it, if there is one that no other one has."""

    heading: str
    message: str
    command: Command | None


@dataclass(frozen=True)
class FailedRuns:
    """Runs that followed each other and failed for the same reason."""

    when: str
    what: str
    reason: str


@dataclass(frozen=True)
class DatabaseRow:
    name: str
    newest: str
    age: str
    is_missing: bool


@dataclass(frozen=True)
class BackupRow:
    name: str
    when: str
    size: str
    state: str
    verdict: str
    reasons: str


@dataclass(frozen=True)
class Section:
    """What the page shows of one installation.

    `anchor` is the id of the section. `since` is a sentence, empty where nothing is known of that. `summary` is one
    line for the list of all installations. The remaining members are empty for an installation that is unreadable.
    """

    anchor: str
    title: str
    subtitle: str
    state: str
    verdict: str
    since: str
    summary: str
    problems: tuple[Problem, ...] = ()
    key_facts: tuple[KeyFact, ...] = ()
    calendar: Calendar | None = None
    failed_runs: tuple[FailedRuns, ...] = ()
    charts: tuple[Chart, ...] = ()
    space_chart: Chart | None = None
    missing: tuple[str, ...] = ()
    databases: tuple[DatabaseRow, ...] = ()
    more_databases: int = 0
    databases_in_words: str = ""
    policy: str = ""
    backups: tuple[BackupRow, ...] = ()
    more_backups: int = 0
    kept: str = ""
    schedule: str = ""
    location: str = ""
    used_percent: int | None = None
    space: str = ""
    places: tuple[PlaceRow, ...] = ()
    more_places: int = 0
    rule: str = ""
    notes: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()


def unreadable(anchor: str, message: str, target: Target) -> Section:
    """The section of an installation that backup_info could not read; `message` is its error."""
    return Section(
        anchor=anchor,
        title=target.host,
        subtitle="",
        state=UNREADABLE,
        verdict="Not readable: whether it is safe is not known",
        since="",
        summary=message,
        problems=(Problem("not readable", message, None),),
        commands=tuple(commands(target, (), True)[:1]),
    )


def section(anchor: str, facts: Facts, target: Target, now: datetime, detail: Detail) -> Section:
    """The section of an installation."""
    title = f"{facts.namespace}/{facts.name}"
    shown = facts.databases[: detail.databases]
    backups = facts.backups[: detail.backups]
    kept = sum(backup.verdict == "keep" for backup in facts.backups)
    size, free = number(facts.volume, "size_bytes"), number(facts.volume, "free_bytes")
    problems = tuple(_problems(facts, target))
    places = place_rows(facts)
    checks = [check for check, _problem in facts.problems]
    return Section(
        anchor=anchor,
        title=title if target.host == "localhost" else target.host,
        subtitle="" if target.host == "localhost" else title,
        state=HEALTHY if facts.is_healthy else UNHEALTHY,
        verdict="Healthy" if facts.is_healthy else f"Not healthy: {counted(len(problems), 'problem')}",
        since=_since(facts, now, checks),
        summary=", ".join(dict.fromkeys(problem.heading for problem in problems)),
        problems=problems,
        key_facts=(newest_backup(facts, now), time_to_restore(facts), day_when_full(facts, now), worst_gap(facts)),
        calendar=calendar(_days(facts, now), now.date()),
        failed_runs=tuple(_failed_runs(facts, now)[: detail.failures]),
        charts=tuple(_charts(facts, now, detail)),
        space_chart=_space_chart(facts, now, detail),
        missing=tuple(missing(facts)),
        databases=tuple(_database(item) for item in shown),
        more_databases=len(facts.databases) - len(shown) if shown else 0,
        databases_in_words=_databases_in_words(facts),
        policy=policy_in_words(facts.policy),
        backups=tuple(
            BackupRow(
                backup.name,
                format_short_time(backup.created),
                format_size(backup.size_bytes),
                backup.state,
                backup.verdict,
                ", ".join(backup.reasons),
            )
            for backup in backups
        ),
        more_backups=len(facts.backups) - len(backups) if backups else 0,
        kept=f"{kept} of {counted(len(facts.backups), 'backup')}",
        schedule=_schedule(facts.schedule),
        location=location(facts),
        used_percent=round(100 * (size - free) / size) if size and free is not None and free <= size else None,
        space=f"{format_size(free)} of {format_size(size)} free" if size and free is not None else "",
        places=tuple(places[: detail.places]),
        more_places=max(len(places) - detail.places, 0),
        rule=rule_in_words(facts),
        notes=tuple(facts.notes),
        commands=tuple(commands(target, checks, facts.drill is not None)),
    )


def _problems(facts: Facts, target: Target) -> Iterator[Problem]:
    shown: set[str] = set()
    for check, message in facts.problems:
        command = command_for(target, check)
        is_new = command is not None and command.line not in shown
        if command is not None:
            shown.add(command.line)
        yield Problem(heading(check), message, command if is_new else None)


def _since(facts: Facts, now: datetime, checks: Iterable[str]) -> str:
    """Since when an installation is not healthy, or up to when its data is in a complete backup."""
    newest = facts.newest
    safe = f"the newest complete backup was started on {format_time(newest.created)}" if newest else ""
    if facts.is_healthy:
        return f"{safe[:1].upper()}{safe[1:]}, {format_age(now - newest.created)}." if newest else ""
    if not any(check in _NOT_PROTECTING for check in checks):
        seen = f"Not healthy since {format_time(facts.unhealthy_since)}. " if facts.unhealthy_since else ""
        return f"{seen}Backups are made: {safe}." if newest else seen.rstrip()
    if newest is None:
        return "No complete backup exists: nothing can be restored with certainty."
    failing = facts.failing_since
    runs = f"Runs have failed since {format_time(failing)}. " if failing else ""
    return f"{runs}Not safe since {format_time(newest.created)}: later changes are in no complete backup."


def _schedule(schedule: Mapping[str, Any]) -> str:
    suspended = ", suspended" if schedule.get("suspended") else ""
    return f"{schedule.get('cron')} ({schedule.get('time_zone') or 'the time zone of the cluster'}){suspended}"


def _days(facts: Facts, now: datetime) -> dict[date, str]:
    backups = [(backup.created, backup.state) for backup in facts.backups if not backup.is_future]
    return day_states(facts.runs, backups, facts.schedule, now)


def _failed_runs(facts: Facts, now: datetime) -> list[FailedRuns]:
    """The newest first, of the days that the calendar shows."""
    since = now - timedelta(days=SHOWN_DAYS)
    groups: list[list[Entry]] = []
    previous: Entry | None = None
    for run in facts.runs:
        if not run.made_complete_backup and run.started >= since:
            if previous is not None and groups and previous is groups[-1][-1] and previous.reason == run.reason:
                groups[-1].append(run)
            else:
                groups.append([run])
        previous = run
    return [_failed(group, facts.reason(group[0])) for group in reversed(groups)]


def _failed(runs: Sequence[Entry], reason: str) -> FailedRuns:
    first, last = runs[0], runs[-1]
    if first is last:
        return FailedRuns(format_time(first.started), str(printable(first.state)), _short(reason))
    when = f"{format_time(first.started)} to {format_time(last.started)}"
    return FailedRuns(when, f"{len(runs)} runs failed", _short(reason))


def _short(text: str) -> str:
    return text if len(text) <= _SHORT_REASON else f"{text[:_SHORT_REASON]}…"


def _database(item: Mapping[str, Any]) -> DatabaseRow:
    created = parse_time(str(item["created"]))
    return DatabaseRow(
        name=str(item["name"]),
        newest=format_short_time(created) if created else "in no backup",
        age=format_age(timedelta(seconds=item["age_seconds"])) if created else "",
        is_missing=bool(item["missing"]),
    )


def _databases_in_words(facts: Facts) -> str:
    if not facts.databases:
        return "no manifest names a database"
    absent = sum(bool(item["missing"]) for item in facts.databases)
    newest = facts.newest
    current = sum(newest is not None and item["newest"] == newest.name for item in facts.databases)
    words = f"{current} of {counted(len(facts.databases), 'database')} in the newest complete backup"
    return f"{words}, {absent} could not be dumped" if absent else words


def _charts(facts: Facts, now: datetime, detail: Detail) -> list[Chart]:
    made = [run for run in facts.runs if run.made_complete_backup]
    drills = [entry for entry in facts.history if entry.operation == "drill" and entry.state == "succeeded"]
    all_series = (
        Series("Size of a backup", _values(made, "size_bytes"), _as_size),
        Series("Duration of a run", _values(made, "seconds"), _as_duration),
        Series("Rows counted by drills", _values(drills, "rows"), _as_number),
        Series("Duration of a drill", _values(drills, "seconds"), _as_duration),
    )
    charts = (chart(series, _first_day(now), detail.chart_values) for series in all_series[: detail.charts])
    return [each for each in charts if each is not None]


def _space_chart(facts: Facts, now: datetime, detail: Detail) -> Chart | None:
    """The used space of the volume, until it is full, if that is within a year."""
    used = [
        (run.started.date(), run.volume_bytes - run.free_bytes)
        for run in facts.runs
        if run.volume_bytes is not None and run.free_bytes is not None
    ]
    size = number(facts.volume, "size_bytes")
    days = (facts.result["growth"] or {}).get("days_until_full")
    full = now.date() + timedelta(days=days) if days is not None and days <= SHOWN_DAYS else None
    limit = float(size) if size else None
    return chart(Series("Used space", used, _as_size, limit, full), _first_day(now), detail.chart_values)


def _first_day(now: datetime) -> date:
    return now.date() - timedelta(days=SHOWN_DAYS - 1)


def _values(entries: Iterable[Entry], member: str) -> list[tuple[date, float]]:
    return [(entry.started.date(), value) for entry in entries if (value := getattr(entry, member)) is not None]


def _as_size(value: float) -> str:
    return format_size(round(value))


def _as_duration(value: float) -> str:
    return format_seconds(round(value))


def _as_number(value: float) -> str:
    return format_number(round(value))
