# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The health of an installation: every problem that an operator should know of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..findings import Failure
from ..script_output import FailedDatabase, failed_databases
from ..units import CLOCK_TOLERANCE, format_duration
from .backup_names import TIME_FORMAT, parse_time
from .catalog import COMPLETE, DAMAGED, INCOMPLETE, UNCHECKED, Backup, Catalog
from .copy_health import CopySchedule, copy_problems
from .drill_record import drill_notes, other_errors
from .history import GAP_WINDOW, Gap, Growth
from .key_health import key_problems
from .watch_record import WatchSchedule, watch_problems

# A backup that is smaller than this share of the previous one has probably lost data.
SHRUNK = 0.5
_NAMED = 5
# How many days before a volume will be full this is a problem.
FULL_DAYS = 7


@dataclass(frozen=True)
class DrillSchedule:
    """The CronJob of the drills: `last_time` is when it last started one (UTC), `is_active` whether one is running.

    `last_success` is when the last successful Job ended.
    """

    is_suspended: bool
    last_time: datetime | None
    is_active: bool
    last_success: datetime | None = None


@dataclass(frozen=True)
class ContinuingJob:
    """A Job of the CronJob whose script has ended, while these other `containers` of its pod continue.

    It ends at its deadline (`until`, UTC; None without one). `delays_runs` is whether a run is due before. `advice` is
    for the user.
    """

    job: str
    containers: tuple[str, ...]
    until: datetime | None
    delays_runs: bool
    advice: str

    def __str__(self) -> str:
        until = f"until {self.until:%Y-%m-%d %H:%M} UTC, its deadline" if self.until else "without a deadline"
        return (
            f"the script of the Job {self.job} has ended, but the Job continues {until}: the container "
            f"{', '.join(self.containers)} of its pod does not end"
        )


@dataclass(frozen=True)
class Installation:
    """The state of a CronJob in the cluster.

    `image` is the CronJob's, `server_image` that of the server's pods and `script_version` the version of the script
    that it runs: None where they are not known. `drill` is None where no drills are scheduled. `is_ours` where it runs
    this collection's script: another one checks nothing. `continuing_job` is None if the script runs in all active
    Jobs. `watch` is None where there is no watch, and `copies` is empty where there are no copies.
    """

    is_suspended: bool
    image: str
    server_image: str | None
    script_version: str | None
    drill: DrillSchedule | None = None
    is_ours: bool = True
    continuing_job: ContinuingJob | None = None
    watch: WatchSchedule | None = None
    copies: tuple[CopySchedule, ...] = ()


def problems(
    installation: Installation,
    catalog: Catalog,
    now: datetime,
    max_age: timedelta,
    own_version: str,
    *,
    growth: Growth | None = None,
) -> list[Failure]:
    """Every problem, the most serious first; `own_version` is the version of the script that the modules contain."""
    return [
        *_backups(catalog, now, max_age, installation.is_ours),
        *_incomplete(catalog),
        *_last_run(catalog),
        *_drill(installation.drill, catalog),
        *_schedule(installation, own_version),
        *watch_problems(installation.watch, catalog.last_watch, now),
        *copy_problems(installation.copies, catalog, now),
        *key_problems(catalog.keys, now),
        *_space(catalog, growth),
        *_server(catalog.last_run),
        *_files(catalog, installation.is_ours),
    ]


def notes(catalog: Catalog, gap: Gap | None, installation: Installation | None = None) -> list[str]:
    """What an operator may want to know, although nothing is wrong now."""
    return [
        *_changed_databases(catalog),
        *_long_gap(gap),
        *drill_notes(catalog.last_drill or {}),
        *_continuing(installation.continuing_job if installation else None),
    ]


def _continuing(job: ContinuingJob | None) -> Iterator[str]:
    if job is not None and not job.delays_runs:
        yield f"{job}. {job.advice}"


def databases(catalog: Catalog, now: datetime) -> list[dict[str, Any]]:
    """Each database that a manifest names, with the newest backup that contains it, as modules return them."""
    newest = catalog.newest_with_manifest(1)
    missing = newest[0].missing or () if newest else ()
    return [
        {
            "name": name,
            "newest": backup.name if backup else None,
            "created": backup.created.strftime(TIME_FORMAT) if backup else None,
            "age_seconds": int((now - backup.created).total_seconds()) if backup else None,
            "missing": name in missing,
        }
        for name, backup in catalog.databases().items()
    ]


def _changed_databases(catalog: Catalog) -> Iterator[str]:
    pair = catalog.newest_with_manifest(2)
    if len(pair) < len(("newest", "previous")):
        return
    newest, previous = (_known_databases(backup) for backup in pair)
    for names, change in ((newest - previous, "in {0} and not in {1}"), (previous - newest, "in {1} and not in {0}")):
        if names:
            yield f"databases {change.format(pair[0].name, pair[1].name)}: {_some(sorted(names))}"


def _known_databases(backup: Backup) -> set[str]:
    """Those that the backup holds or should hold."""
    return {*(backup.dumped or ()), *(backup.missing or ())}


def _long_gap(gap: Gap | None) -> Iterator[str]:
    if gap is not None and gap.expected is not None and gap.is_too_long:
        until = f"until {gap.end:%Y-%m-%d %H:%M}" if gap.end else "and since"
        yield (
            f"no complete backup was started for {format_duration(gap.duration)}, after {gap.start:%Y-%m-%d %H:%M} "
            f"{until} UTC: the longest time between two runs in {GAP_WINDOW.days} days; that of the schedule is "
            f"{format_duration(gap.expected)}"
        )


def _backups(catalog: Catalog, now: datetime, max_age: timedelta, is_ours: bool) -> Iterator[Failure]:
    newest = catalog.newest()
    if newest is None:
        yield Failure(
            "backup",
            f"expected a complete backup, found none among {len(catalog.backups)} files. "
            f"{_RUN_ONE if is_ours else _NOT_OURS}",
        )
        return
    age = now - newest.created
    if age > max_age:
        yield Failure(
            "age",
            f"expected a complete backup younger than {format_duration(max_age)}, found {newest.name}, which is "
            f"{format_duration(age)} old. Check the last run and the schedule",
        )
    complete = [backup for backup in catalog.backups if backup.state == COMPLETE and not backup.is_future]
    if len(complete) > 1 and newest.size_bytes < SHRUNK * complete[1].size_bytes:
        yield Failure(
            "size",
            f"expected about the size of the previous backup, found {newest.name} with {newest.size_bytes} bytes after "
            f"{complete[1].name} with {complete[1].size_bytes} bytes. Verify it (backup_verify with compare_to)",
        )


_RUN_ONE = "Run one: ansible-playbook homelab.postgres_backup.backup_now"
_NOT_OURS = (
    "This CronJob does not run this collection's script, so none of its backups will be complete: let site.yml take it "
    "over, and its next run checks them (docs/migrating.md). Until then, verify the newest one (backup_fetch with "
    "verify)"
)


def _newest_incomplete(catalog: Catalog) -> Backup | None:
    """The newest backup, if it is incomplete: of an older one, a complete backup has been made since."""
    newest = catalog.newest(COMPLETE, INCOMPLETE)
    return newest if newest is not None and newest.state == INCOMPLETE else None


def _incomplete(catalog: Catalog) -> Iterator[Failure]:
    backup = _newest_incomplete(catalog)
    if backup is None:
        return
    failures = {}
    if _is_of(catalog.last_run, backup):
        failures = {failure.name: failure for failure in failed_databases(catalog.last_run or {})}
    missing = backup.missing if backup.missing is not None else tuple(failures)
    sentences = [_missing_database(name, failures.get(name), catalog) for name in missing[:_NAMED]]
    if len(missing) > _NAMED:
        sentences.append(f"And {len(missing) - _NAMED} more")
    yield Failure(
        "incomplete",
        f"expected all databases in the newest backup, found {backup.name} without {_some([*missing])}. "
        f"{'. '.join(sentences) or 'Read the log of the last run'}",
    )


def _missing_database(name: str, failure: FailedDatabase | None, catalog: Catalog) -> str:
    """Why a database is missing, where it is, and what to do."""
    holder = catalog.newest_with(name)
    place = f"the newest backup with it is {holder.name}" if holder else "no other backup is known to have it"
    if failure is None:
        return f"{name}: {place}"
    return f"{name}: {failure.error}; {place}" + (f". {failure.advice}" if failure.advice else "")


def _is_of(last_run: dict[str, Any] | None, backup: Backup) -> bool:
    """Whether the last run made this incomplete backup."""
    run = last_run or {}
    return run.get("backup_state") == INCOMPLETE and run.get("backup") == backup.name


def _last_run(catalog: Catalog) -> Iterator[Failure]:
    last_run, incomplete = catalog.last_run, _newest_incomplete(catalog)
    if last_run is None:
        return
    state = last_run.get("state")
    if state in _ENDED and not (incomplete is not None and _is_of(last_run, incomplete)):
        reason = last_run.get("reason") or "it ended before it could write its result"
        yield Failure("last_run", f"the last run, started {last_run.get('started')}, {_ENDED[state]}: {reason}")
    # Runs of earlier versions do not distinguish the two.
    invalid = last_run.get("invalid_databases") or []
    skipped = [name for name in last_run.get("skipped_databases") or [] if name not in invalid]
    if invalid:
        drop = " ".join('DROP DATABASE "{}";'.format(name.replace('"', '""')) for name in invalid[:_NAMED])
        yield Failure(
            "databases",
            "databases that are not in the backup, since an interrupted DROP DATABASE has left them invalid: "
            f"{_some(invalid)}. Nothing can connect to them any more: {drop}",
        )
    if skipped:
        yield Failure(
            "databases",
            f"databases that are not in the backup, since they do not allow connections: {_some(skipped)}. Allow "
            "connections (ALTER DATABASE … ALLOW_CONNECTIONS true), or drop the databases",
        )


_ENDED = {"failed": "failed", "interrupted": "was interrupted"}


def _drill(scheduled: DrillSchedule | None, catalog: Catalog) -> Iterator[Failure]:
    """The problems of the restore drills.

    One that was started manually is a problem only while the backup that it failed for is the newest: no other is due.
    """
    last = catalog.last_drill or {}
    state, newest = last.get("state"), catalog.newest()
    is_of_newest = newest is not None and last.get("backup") == newest.name
    if state in _ENDED and (scheduled is not None or (state == "failed" and is_of_newest)):
        reason = last.get("reason") or "it ended before it could write its result"
        of = f" of {last['backup']}" if last.get("backup") else ""
        others = "; ".join(other_errors(last))
        yield Failure(
            "drill",
            f"the last restore drill{of}, started {last.get('started')}, {_ENDED[state]}: {reason}"
            f"{f'. Other errors: {others}' if others else ''}",
        )
    if scheduled is None:
        return
    if scheduled.is_suspended:
        yield Failure(
            "drill",
            "the drill's CronJob is suspended: no restore drill will run until postgres_backup_suspend is false",
        )
    due = scheduled.last_time
    if due is None or scheduled.is_active:
        return
    started = parse_time(str(last.get("started")))
    if started is None or started < due - CLOCK_TOLERANCE:
        yield Failure(
            "drill",
            f"a restore drill was due at {due:%Y-%m-%d %H:%M} UTC: expected its result on the volume, found "
            f"{f'that of {started:%Y-%m-%d %H:%M} UTC' if started else 'none'}. Check the drill's Job and its pod",
        )
    elif state == "running" and (scheduled.last_success is None or scheduled.last_success < due):
        yield Failure(
            "drill",
            f"the restore drill of {due:%Y-%m-%d %H:%M} UTC ended without a result, and its Job failed. Was its pod "
            "out of memory (postgres_backup_resources), or evicted?",
        )


def _schedule(installation: Installation, own_version: str) -> Iterator[Failure]:
    if installation.is_suspended:
        yield Failure(
            "schedule", "the CronJob is suspended: no backup will be made until postgres_backup_suspend is false"
        )
    job = installation.continuing_job
    if job is not None and job.delays_runs:
        yield Failure("schedule", f"{job}. No other run starts before. {job.advice}")
    server = installation.server_image
    if server is not None and server != installation.image:
        yield Failure(
            "image",
            f"expected the server's image {server}, found {installation.image}. Run site.yml again, or set "
            "postgres_backup_image if that is intended",
        )
    if installation.script_version is not None and _older(installation.script_version, own_version):
        yield Failure(
            "script",
            f"expected the script of version {own_version} in the cluster, found {installation.script_version}. Run "
            "site.yml again",
        )


def _older(version: str, than: str) -> bool:
    try:
        return [int(part) for part in version.split(".")] < [int(part) for part in than.split(".")]
    except ValueError:
        return True


def _space(catalog: Catalog, growth: Growth | None) -> Iterator[Failure]:
    newest = catalog.newest()
    if newest is not None and catalog.free_bytes < newest.size_bytes:
        yield Failure(
            "space",
            f"expected free space for another backup of {newest.size_bytes} bytes, found {catalog.free_bytes} bytes. "
            "Free some space, enlarge the volume, or keep fewer backups",
        )
    elif growth is not None and growth.days_until_full is not None and growth.days_until_full < FULL_DAYS:
        yield Failure(
            "space",
            f"expected free space for at least {FULL_DAYS} days, found {catalog.free_bytes} bytes, which are "
            f"enough for {growth.days_until_full:.1f} days if the volume fills as before, by {growth.bytes_per_day} "
            "bytes a day. Free some space, enlarge the volume, or keep fewer backups",
        )


def _server(last_run: dict[str, Any] | None) -> Iterator[Failure]:
    """What the last run found out about the server's own health."""
    for warning in (last_run or {}).get("server_warnings") or []:
        yield Failure("server", str(warning))


def _files(catalog: Catalog, is_ours: bool) -> Iterator[Failure]:
    kinds = (
        (
            "unchecked",
            [backup.name for backup in catalog.backups if backup.state == UNCHECKED],
            _UNCHECKED if is_ours else _NEVER_CHECKED,
        ),
        ("damaged", [backup.name for backup in catalog.backups if backup.state == DAMAGED], _DAMAGED),
        ("future", [backup.name for backup in catalog.backups if backup.is_future], _FUTURE),
    )
    for check, names, advice in kinds:
        if names:
            yield Failure(check, f"expected only complete backups, found {check}: {_some(names)}. {advice}")


_UNCHECKED = "The next run checks them once they have not changed for an hour"
_NEVER_CHECKED = "No run of this CronJob checks them: verify what you need (backup_fetch with verify)"
_DAMAGED = "Do not rely on them; the file whose name has .damaged added contains the reason"
_FUTURE = (
    "The times in their names are in the future, so they are ignored and never deleted. Correct the clocks; then "
    "delete each with its .sha256, or rename it to its true time and delete its .sha256: the next run checks it. The "
    "runbook has a pod for working with the files"
)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
