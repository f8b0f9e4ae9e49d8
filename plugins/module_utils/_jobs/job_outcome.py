# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The end of a Job in words: a message, the last lines of its log, and a `check`. The only place that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BackupError
from ..script_output import FAILED_LOG_LINES, failed_databases, log_tail
from .pod_diagnosis import PodProblem
from .second_container import advice_for

COMPLETE, FAILED, GONE = "Complete", "Failed", "Gone"
# How many databases a message names.
_NAMED = 5


@dataclass(frozen=True)
class JobEnd:
    """How the Job `job` (namespace and name) ended: `state` is Complete, Failed or Gone.

    `reason` is Kubernetes' reason for a failure. `result` is the result that the script printed; None if it is not
    known, or another script ran. `log` has the lines of all attempts, pod after pod. `terminated_by` is what ended the
    newest pod from outside, `preparation` which of its init containers failed; None if nothing did.
    `running_containers` are the names of containers that continue after the script's end: the Job itself has not ended
    then. `duration_seconds` counts from the creation of the Job, or from attaching to it.
    """

    job: str
    state: str
    reason: str | None
    result: dict[str, Any] | None
    log: tuple[str, ...]
    terminated_by: PodProblem | None = None
    preparation: str | None = None
    running_containers: tuple[str, ...] = ()
    duration_seconds: float = 0.0


@dataclass(frozen=True)
class Operation:
    """What a Job does, for messages.

    `check` is the word for programs, `time_limit` what the user can raise, `advice` what to do if the cause of a
    failure is unknown, and `remains` what a killed pod leaves.
    """

    check: str
    name: str
    time_limit: str
    advice: str
    remains: str = ""


BACKUP = Operation(
    check="backup",
    name="backup",
    time_limit="the activeDeadlineSeconds of its Job",
    advice="Check which backups exist (backup_info), or run it again",
)
DRILL = Operation(check="drill", name="restore drill", time_limit="`timeout`", advice="Run it again")
RESTORE = Operation(
    check="restore",
    name="restore",
    time_limit="`timeout`",
    advice="Check the databases of the server, and run it again",
    remains="The next restore of this database drops the temporary database that may remain",
)
RESTORE_CLUSTER = Operation(
    check="restore",
    name="restore",
    time_limit="`timeout`",
    advice="Run it again: it continues with the databases that are not restored",
    remains="The next restore drops the temporary databases that may remain",
)
BACKUP_USER = Operation(
    check="backup_user",
    name="setup of the backup user",
    time_limit="its deadline of some minutes",
    advice="Run it again: it continues where it ended",
)
WATCH_TEST = Operation(
    check="watch",
    name="test of the channels",
    time_limit="its deadline of some minutes",
    advice="Read the log of its pod",
)
COPIES = Operation(
    check="copy",
    name="copy to other places",
    time_limit="the activeDeadlineSeconds of its Job",
    advice="Run it again: it continues where it ended",
)
RETRIEVAL = Operation(
    check="copy",
    name="retrieval",
    time_limit="`timeout`",
    advice="Run it again: it begins anew",
)


@dataclass(frozen=True)
class JobOutcome:
    """What a module reports of a Job: `message` and `check` are None if it succeeded; `log` is without JSON."""

    log: list[str]
    message: str | None = None
    check: str | None = None
    warnings: tuple[str, ...] = ()

    def failure(self) -> dict[str, Any]:
        """The keys of a failed module's result; none if the Job succeeded."""
        return {} if self.message is None else {"failed": True, "msg": self.message, "check": self.check}


def outcome_of(operation: Operation, end: JobEnd, volume_result: str = "") -> JobOutcome:
    """What the end of a Job means. Only the script's own result is a success: a Job can be Complete without one.

    `volume_result` describes the result that the volume has instead of the missing one, where somebody read it.
    """
    log = log_tail(end.log)
    if (end.result or {}).get("state") == "succeeded":
        return JobOutcome(log, warnings=tuple(_warnings(operation, end)))
    if end.state == COMPLETE:
        on_volume = f"; {volume_result}" if volume_result else ""
        message = (
            f"the Job '{end.job}' is complete, but its result is missing: expected that of the {operation.name} in its "
            f"log or its termination message, found none{on_volume}. {operation.advice}"
        )
        return JobOutcome(log, message, operation.check)
    # A drill and a restore may choose the backup themselves.
    backup = (end.result or {}).get("backup") if operation in (DRILL, RESTORE, RESTORE_CLUSTER) else None
    # After these lines, the script of the other operations prints what to do.
    repeated = _failure_lines(end.result or {}) if operation in (COPIES, RETRIEVAL) else ()
    tail = "\n".join(line for line in log_tail(end.log, FAILED_LOG_LINES) if not line.endswith(repeated))
    message = (
        f"the {operation.name}{f' of {backup}' if backup else ''} failed: expected the Job '{end.job}' to complete, "
        f"found {end.state.lower()} ({end.reason}). Reason: {_reason(operation, end)}"
        + (f"\nThe last lines of its log:\n{tail}" if tail else "")
    )
    return JobOutcome(log, message, operation.check)


def outcome_of_error(error: BackupError, advice: str = "") -> JobOutcome:
    """What an error means that ended the wait for a Job; its `partial` has the lines of the log so far."""
    log = log_tail(error.partial) if isinstance(error.partial, tuple) else []
    return JobOutcome(log, f"{error}{f'. {advice}' if advice else ''}", error.check)


def _warnings(operation: Operation, end: JobEnd) -> list[str]:
    warnings = []
    if end.running_containers:
        warnings.append(
            f"the {operation.name} succeeded, but the Job '{end.job}' continues until its deadline: the container "
            f"{', '.join(end.running_containers)} of its pod does not end. {advice_for(end.running_containers)}"
        )
    if end.state == FAILED:
        warnings.append(f"the {operation.name} succeeded, but its Job '{end.job}' failed afterwards: {end.reason}")
    return warnings


def _incomplete(result: Mapping[str, Any]) -> str:
    """Why a run that made an incomplete backup failed: each database with its error and what to do about it."""
    failures = failed_databases(result)
    if not failures:
        reason = str(result.get("reason")).rstrip(". ")
        return f"{reason}. The backup {result.get('backup')} has the other databases, and is incomplete"
    lines = [
        f"  database '{failure.name}': {failure.error}" + (f"\n    what to do: {failure.advice}" * bool(failure.advice))
        for failure in failures[:_NAMED]
    ]
    if len(failures) > _NAMED:
        lines.append(f"  and {len(failures) - _NAMED} more")
    number = "1 database" if len(failures) == 1 else f"{len(failures)} databases"
    return "\n".join(
        [f"{number} could not be dumped; the incomplete backup {result.get('backup')} has the others:", *lines]
    )


def _places(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    places = result.get("places")
    return [place for place in places if isinstance(place, Mapping)] if isinstance(places, list) else []


def _failure_lines(result: Mapping[str, Any]) -> tuple[str, ...]:
    """How the lines of the log end that have no more than the reasons in the result: nobody reads a reason twice."""
    errors = [f"{place.get('name')}: {place['error']}" for place in _places(result) if place.get("error")]
    return tuple(f" FAILED: {reason}" for reason in (result.get("reason"), *errors) if reason)


def _failed_places(result: Mapping[str, Any]) -> list[str]:
    """Each place that failed with its error, after a line with their number; empty if none is known."""
    places = _places(result)
    failed = [place for place in places if place.get("error")]
    if not failed:
        return []
    lines = [f"  the place {place.get('name')} ({place.get('kind')}): {place['error']}" for place in failed]
    return [f"{len(failed)} of {len(places)} places failed:", *lines]


def _reason(operation: Operation, end: JobEnd) -> str:
    """Why it failed: the reason of the script, and what only Kubernetes knows, such as who ended the pod."""
    result: Mapping[str, Any] = end.result or {}
    if result.get("backup_state") == "incomplete":
        return _incomplete(result)
    if operation is COPIES and _failed_places(result):
        return "\n".join(_failed_places(result))
    reason, last_reason = result.get("reason"), result.get("last_reason")
    reasons = []
    if reason:
        reasons.append(str(reason))
    # `reason` is that of the first attempt, which a volume that cannot be written does not record.
    if last_reason and last_reason != reason:
        reasons.append(f"The last attempt: {last_reason}")
    if end.terminated_by is not None:
        reasons.append(f"Kubernetes terminated its pod: {end.terminated_by}")
    if not reasons and end.preparation is not None:
        reasons.append(end.preparation)
    if end.reason is not None and end.reason.startswith("DeadlineExceeded"):
        reasons = [f"it took longer than {operation.time_limit}", *(reasons or ["Raise the limit"])]
    if not reasons:
        reasons += ["unknown: its pod has no result, and may have been killed", operation.advice]
    if end.running_containers:
        reasons.append(advice_for(end.running_containers))
    if not result and operation.remains:
        reasons.append(operation.remains)
    return ". ".join(text.rstrip(".") for text in reasons)
