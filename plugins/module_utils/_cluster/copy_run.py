# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Jobs that copy to the places of an installation: those in progress or new ones, all followed at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from .._jobs.component_job import PREPARE
from .._jobs.copy_job import copy_job, covers, places_of_job
from .._jobs.job_outcome import COPIES, JobEnd, JobOutcome, outcome_of, outcome_of_error
from .._jobs.volume_jobs import COPY
from .._volume.copy_health import missing_cronjob
from ..errors import BusyError, ClusterError, ExpectationError, NotInstalledError
from .backup_run import advice_on, script_has_ended, unfinished_jobs
from .connection import Connection, Object
from .copies import UNKNOWN_PLACES, CopyCronjobs, copy_cronjobs, mounted_place, names_of_places
from .job import Deletion, Job, StartLimits


@dataclass(frozen=True)
class CopyEnd:
    """How a Job ended: `result` is that of its program, empty if it is not known; `seconds` is None after an error."""

    outcome: JobOutcome
    result: Mapping[str, Any]
    seconds: float | None = None

    @property
    def places(self) -> list[dict[str, Any]]:
        """What became of each place."""
        return [*(self.result.get("places") or [])]


def copies_of_installation(connection: Connection, cronjob: Object) -> CopyCronjobs:
    """The CronJobs of the copies, as `copy_cronjobs` has them; raises NotInstalledError if there is none."""
    cronjobs = copy_cronjobs(connection, cronjob)
    if not cronjobs.found:
        metadata, notes = cronjob["metadata"], "; ".join(cronjobs.notes)
        raise NotInstalledError(
            f"expected copies of {metadata['namespace']}/{metadata['name']}, found {notes or 'none'}. "
            "Set postgres_backup_copies, and run site.yml"
        )
    return cronjobs


def chosen_copies(
    cronjobs: CopyCronjobs, places: Sequence[str], option: str = "places"
) -> list[tuple[Object, list[str]]]:
    """The CronJobs that copy to these places, each with those of them that are its own; without places, all.

    Raises ExpectationError if one of the places is not configured, as far as the CronJobs show that, or if its CronJob
    was deleted. `option` is that of the module.
    """
    if not places:
        return [(cronjob, []) for cronjob in cronjobs.found]
    try:
        known = [names_of_places(cronjob) for cronjob in cronjobs.found]
    except UNKNOWN_PLACES:
        return [(cronjobs.found[0], [*places])]  # the program checks it, too
    names = [name for each in known for name in each]
    unknown = [place for place in places if place not in names]
    for missing in cronjobs.missing:
        if any(place.name in unknown for place in missing.places or ()):
            raise ExpectationError(f"{option}: {missing_cronjob(missing)}")
    if unknown:
        raise ExpectationError(
            f"{option}: expected places of postgres_backup_copies ({', '.join(names)}), found {', '.join(unknown)}"
        )
    wanted = [(cronjob, [place for place in places if place in each]) for cronjob, each in zip(cronjobs.found, known)]
    return [(cronjob, own) for cronjob, own in wanted if own]


def without_result(chosen: Iterable[tuple[Object, Sequence[str]]], results: Iterable[Mapping[str, Any]]) -> list[str]:
    """The chosen places of which the Jobs that ended have no result.

    A Job that was in progress may have begun before a place was added, and another Job may copy to a place.
    """
    names: list[str] = []
    for cronjob, own in chosen:
        with suppress(*UNKNOWN_PLACES):
            names += own or names_of_places(cronjob)
    found = {result.get("name") for result in results}
    return [name for name in names if name not in found]


def copying_in_progress(connection: Connection, copies: Object, places: Sequence[str]) -> str | None:
    """The Job in progress that copies to these places, or to all if there are none; None if nothing is copied.

    Raises BusyError if a Job copies to other places: two at once would share their bandwidth, and may meet at a place.
    """
    namespace = copies["metadata"]["namespace"]
    jobs = [
        job
        for job in unfinished_jobs(connection, copies)
        if places_of_job(job) is not None and not script_has_ended(connection, namespace, job["metadata"]["name"], COPY)
    ]
    for job in jobs:
        if covers(job, places):
            return str(job["metadata"]["name"])
    if jobs:
        name = jobs[0]["metadata"]["name"]
        raise BusyError(
            f"the Job '{namespace}/{name}' copies to {', '.join(places_of_job(jobs[0]) or [])} only: expected none, or "
            f"one that copies to {', '.join(places) or 'all places'}. Wait for its end, or delete it: "
            f"kubectl delete job {name} -n {namespace}"
        )
    return None


def copying(
    connection: Connection, copies: Object, name: str, places: Sequence[str], *, attach: bool, followed: bool
) -> Job:
    """The Job of that name, which is created on entering it; with `attach`, one that exists already."""
    if attach:
        return Job.attached(connection, copies["metadata"]["namespace"], name)
    return Job(connection, copy_job(copies, name, places), Deletion.IF_STUCK, followed=followed)


def follow_copying(started: Sequence[tuple[Object, Job]], timeout_seconds: float, limits: StartLimits) -> list[CopyEnd]:
    """The ends of the Jobs, each with its CronJob, in their order; they are entered at once, and left.

    An error while a Job is followed is its outcome: what one of them waits for does not delay the others. Raises
    ClusterError if none of them can be created.
    """
    ends: dict[int, CopyEnd | Exception] = {}

    def follow(number: int, cronjob: Object, job: Job) -> None:
        try:
            ends[number] = _follow(cronjob, job, timeout_seconds, limits)
        except Exception as error:
            ends[number] = error

    threads = [
        threading.Thread(target=follow, args=(number, *each), daemon=True) for number, each in enumerate(started)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [end for end in ends.values() if isinstance(end, Exception)]
    if len(errors) == len(started) or any(not isinstance(error, ClusterError) for error in errors):
        raise errors[0]
    return [_named(cronjob, ends[number]) for number, (cronjob, _job) in enumerate(started)]


def _follow(cronjob: Object, job: Job, timeout_seconds: float, limits: StartLimits) -> CopyEnd:
    try:
        with job:
            end: JobEnd = job.wait_for_end(
                PREPARE,
                COPY,
                timeout_seconds=timeout_seconds,
                startup_seconds=limits.startup_seconds,
                # A user who copies now wants to know that a share is away. The next Job of the schedule tries again.
                patient=mounted_place(cronjob) is None,
            )
    except ClusterError as error:
        if not job.is_created:
            raise
        return CopyEnd(outcome_of_error(error, advice_on(error, job)), {})
    return CopyEnd(outcome_of(COPIES, end), end.result or {}, end.duration_seconds)


def _named(cronjob: Object, end: CopyEnd | Exception) -> CopyEnd:
    """The end; that of a Job without a result, whose CronJob mounts a place, names the place as one that failed."""
    if isinstance(end, Exception):
        end = CopyEnd(outcome_of_error(cast("ClusterError", end)), {})
    place = mounted_place(cronjob)
    if end.outcome.message is None or end.places or place is None:
        return end
    message = f"the place {place.name} ({place.kind} {place.share}): {end.outcome.message}"
    failed = {
        "name": place.name,
        "kind": place.kind,
        "state": "failed",
        "copied": [],
        "deleted": [],
        "findings": [],
        "bytes": 0,
        "seconds": 0,
        "error": message,
    }
    result = {**end.result, "state": "failed", "reason": message, "places": [failed]}
    return replace(end, outcome=replace(end.outcome, message=message), result=result)


def merged(ends: Sequence[CopyEnd]) -> CopyEnd:
    """The ends of several Jobs as one."""
    if len(ends) == 1:
        return ends[0]
    results = [end.result for end in ends]
    # A Job that gave no result is not a success.
    states = [result.get("state") for result in results]
    state = None if None in states else "failed" if "failed" in states else "succeeded"
    seconds = [end.seconds for end in ends if end.seconds is not None]
    outcome = JobOutcome(
        [line for end in ends for line in end.outcome.log],
        "\n".join(_texts(end.outcome.message for end in ends)) or None,
        next(iter(_texts(end.outcome.check for end in ends)), None),
        tuple(warning for end in ends for warning in end.outcome.warnings),
    )
    result = {
        "state": state,
        "reason": "; ".join(_texts(result.get("reason") for result in results)) or None,
        "places": [place for end in ends for place in end.places],
    }
    return CopyEnd(outcome, result, max(seconds, default=None))


def _texts(texts: Iterable[str | None]) -> list[str]:
    return [text for text in texts if text]
