# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The end of a Job in words, for each operation."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._jobs.job_outcome import (
    BACKUP,
    COPIES,
    DRILL,
    RESTORE,
    RETRIEVAL,
    JobEnd,
    JobOutcome,
    Operation,
    outcome_of,
    outcome_of_error,
)
from plugins.module_utils._jobs.pod_diagnosis import PodProblem
from plugins.module_utils.errors import ClusterError, StuckError

EVICTED = PodProblem("Evicted", "Usage of EmptyDir volume exceeds the limit", "Give it more space (size_limit)")
LIMIT, DEADLINE = "BackoffLimitExceeded: x", "DeadlineExceeded: Job was active longer"
OPERATIONS = pytest.mark.parametrize("operation", [BACKUP, DRILL, RESTORE], ids=lambda operation: operation.check)


def end(state: str = "Failed", reason: str | None = LIMIT, result: Any = None, **more: Any) -> JobEnd:
    return JobEnd("data/j", state, reason, result, more.pop("log", ()), **more)


def message(operation: Operation, *arguments: Any, **more: Any) -> str:
    text = outcome_of(operation, end(*arguments, **more)).message
    assert text is not None
    return text


@OPERATIONS
@pytest.mark.parametrize("state", ["Complete", "Failed", "Gone"])
def test_result_of_the_script_is_the_only_success(operation: Operation, state: str) -> None:
    outcome = outcome_of(operation, end(state, result={"state": "succeeded"}))
    assert (outcome.message, outcome.check, outcome.failure()) == (None, None, {})
    failed = outcome_of(operation, end(state)).failure()
    assert failed["failed"] and failed["check"] == operation.check


@OPERATIONS
def test_complete_job_without_a_result(operation: Operation) -> None:
    text = message(operation, "Complete", None)
    assert text.startswith("the Job 'data/j' is complete, but its result is missing: ")
    assert text.endswith(f"found none. {operation.advice}")
    outcome = outcome_of(operation, end("Complete", None), "the volume could not be read: x")
    assert "found none; the volume could not be read: x. " in str(outcome.message)


@OPERATIONS
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("Failed", LIMIT, {"reason": "line 3: no such role"}),
            "failed (BackoffLimitExceeded: x). Reason: line 3: no ",
        ),
        (("Failed", LIMIT, {"reason": "one", "last_reason": "two"}), "Reason: one. The last attempt: two"),
        (("Failed", LIMIT, {"reason": "one", "last_reason": "one"}), "Reason: one"),
        (("Failed", LIMIT, {"reason": None}), "Reason: unknown: its pod has no result, and may have been killed. "),
        (("Failed", LIMIT), "Reason: unknown: its pod has no result, and may have been killed. "),
        (("Failed", DEADLINE), ". Raise the limit"),
        (("Gone", "the Job was deleted before its end was seen"), "found gone (the Job was deleted before its end was"),
    ],
)
def test_failed_job(operation: Operation, arguments: Any, words: str) -> None:
    text = message(operation, *arguments)
    assert text.startswith(f"the {operation.name} failed: expected the Job 'data/j' to complete, found ")
    assert words in text


INCOMPLETE = {
    "state": "failed",
    "reason": "the log has this reason",
    "backup": "b-2026-11-22-020000.sql.gz",
    "backup_state": "incomplete",
    "failed_databases": [
        {
            "database": "sick",
            "error": "invalid page in block 0.\npg_dump: detail: Query was: x",
            "advice": "Restore it from a backup.",
        },
        {"database": "locked", "error": "permission denied", "advice": ""},
    ],
}


def test_run_that_made_an_incomplete_backup() -> None:
    text = message(BACKUP, result=INCOMPLETE)
    assert text.partition("Reason: ")[2] == (
        "2 databases could not be dumped; the incomplete backup b-2026-11-22-020000.sql.gz has the others:\n"
        "  database 'sick': invalid page in block 0\n"
        "    what to do: Restore it from a backup\n"
        "  database 'locked': permission denied"
    )


def test_incomplete_backup_without_reasons() -> None:
    assert "Reason: the log has this reason. The backup b-" in message(
        BACKUP, result=INCOMPLETE | {"failed_databases": None}
    )


def test_message_names_few_of_many_databases() -> None:
    many = [{"database": f"d{number}", "error": "x", "advice": None} for number in range(100)]
    assert "  and 95 more" in message(BACKUP, result=INCOMPLETE | {"failed_databases": many})


@OPERATIONS
def test_deadline_names_the_limit(operation: Operation) -> None:
    limit = operation.time_limit
    assert f"Reason: it took longer than {limit}. SIGTERM" in message(
        operation, "Failed", DEADLINE, {"reason": "SIGTERM"}
    )


@OPERATIONS
def test_pod_terminated_from_outside(operation: Operation) -> None:
    assert "Reason: Kubernetes terminated its pod: Evicted: Usage of" in message(operation, terminated_by=EVICTED)
    interrupted = {"signal": "TERM", "reason": "in the step: restore."}
    text = message(operation, "Failed", LIMIT, interrupted, terminated_by=EVICTED)
    assert "in the step: restore. Kubernetes terminated its pod: Evicted: Usage of" in text


@OPERATIONS
def test_a_pod_that_could_not_be_prepared(operation: Operation) -> None:
    """Its script has never run, and so has no result."""
    assert "Reason: the container 'age' failed: no age" in message(
        operation, preparation="the container 'age' failed: no age"
    )
    assert "container 'age'" not in message(
        operation, "Failed", LIMIT, {"reason": "x"}, preparation="the container 'age'"
    )


@OPERATIONS
def test_same_reason_of_the_last_attempt_is_not_repeated(operation: Operation) -> None:
    assert message(operation, "Failed", LIMIT, {"reason": "one", "last_reason": "one"}).endswith("Reason: one")


def test_temporary_database_of_a_killed_restore() -> None:
    for more in ({}, {"terminated_by": EVICTED}):
        assert "drops the temporary database that may remain" in message(RESTORE, **more)
        assert "temporary database" not in message(DRILL, **more)
    assert "temporary database" not in message(RESTORE, "Failed", LIMIT, {"reason": "it is so"})


def test_drill_names_the_backup_that_it_chose() -> None:
    result = {"reason": "it is so", "backup": "b.sql.gz"}
    assert message(DRILL, "Failed", LIMIT, result).startswith("the restore drill of b.sql.gz failed: ")
    assert message(BACKUP, "Failed", LIMIT, result).startswith("the backup failed: ")


def test_log_of_a_failed_job() -> None:
    lines = ('{"type":"database"}', *(f"line {number}" for number in range(300)), '{"state":"failed"}')
    outcome = outcome_of(DRILL, end(log=lines))
    assert outcome.log == [f"line {number}" for number in range(100, 300)]
    tail = "\n".join(f"line {number}" for number in range(288, 300))
    assert str(outcome.message).endswith(f"\nThe last lines of its log:\n{tail}")
    assert "The last lines" not in message(DRILL, log=('{"state":"failed"}',))


def test_warnings_after_a_success() -> None:
    success = {"state": "succeeded"}
    assert outcome_of(BACKUP, end("Complete", None, success)).warnings == ()
    (warning,) = outcome_of(BACKUP, end("Failed", DEADLINE, success)).warnings
    assert warning == f"the backup succeeded, but its Job 'data/j' failed afterwards: {DEADLINE}"
    failed = message(BACKUP, "Failed", "it does not end", {"state": "failed"}, running_containers=("linkerd-proxy",))
    assert "Set postgres_backup_pod_annotations: {config.beta.linkerd.io/proxy-enable-native-sidecar: " in failed
    assert "(config.alpha before 2.19)" in failed
    (warning,) = outcome_of(BACKUP, end("Complete", None, success, running_containers=("proxy", "mesh"))).warnings
    assert "the container proxy, mesh of its pod does not end" in warning


def test_error_while_the_job_is_followed() -> None:
    error = StuckError("the pod does not start")
    assert outcome_of_error(error) == JobOutcome([], "the pod does not start", "pod")
    failed = ClusterError("away", ("one", '{"state":"failed"}'))
    assert outcome_of_error(failed, "It continues") == JobOutcome(["one"], "away. It continues", "cluster")


CLOUD = {"name": "cloud", "kind": "s3", "error": None}
FRIEND = {"name": "friend", "kind": "sftp", "error": "the server refused the key"}


def test_each_place_that_failed_is_named() -> None:
    result = {"state": "failed", "reason": "a place failed", "places": [CLOUD, FRIEND]}
    text = message(COPIES, result=result)
    assert "Reason: 1 of 2 places failed:\n  the place friend (sftp): the server refused the key" in text


@pytest.mark.parametrize("places", [None, "x", [], [CLOUD], [7]])
def test_copying_that_failed_as_a_unit(places: Any) -> None:
    text = message(COPIES, result={"state": "failed", "reason": "the volume is missing", "places": places})
    assert text.endswith("Reason: the volume is missing")


def test_a_reason_is_not_repeated_by_the_log() -> None:
    reason = "expected a copy of a.sql.gz at the place cloud, found none"
    log = ("2026-11-22T02:00:00Z connecting", f"2026-11-22T02:00:01Z FAILED: {reason}")
    text = message(RETRIEVAL, result={"state": "failed", "reason": reason}, log=log)
    assert text.count(reason) == 1 and text.endswith("The last lines of its log:\n2026-11-22T02:00:00Z connecting")
    assert outcome_of(RETRIEVAL, end(result={"state": "failed", "reason": reason}, log=log)).log == [*log]
    text = message(RETRIEVAL, result={"state": "failed", "reason": reason}, log=log[1:])
    assert text.endswith(f"Reason: {reason}")
    log = ("2026-11-22T02:00:00Z FAILED: friend: the server refused the key", "2026-11-22T02:00:01Z cloud: copied")
    text = message(COPIES, result={"state": "failed", "reason": "a place failed", "places": [CLOUD, FRIEND]}, log=log)
    assert text.count("the server refused the key") == 1 and text.endswith("cloud: copied")
    # The script prints what to do below.
    log = ("2026-11-22T02:00:00Z FAILED: the volume is full", "2026-11-22T02:00:00Z   what to do: Free disk space.")
    text = message(BACKUP, result={"state": "failed", "reason": "the volume is full"}, log=log)
    assert all(line in text for line in log)


def test_a_retrieval_that_failed_names_the_reason_of_its_program() -> None:
    reason = "expected a copy of a.sql.gz at the place cloud, found none"
    text = message(RETRIEVAL, result={"state": "failed", "backup": "a.sql.gz", "reason": reason})
    assert text.startswith("the retrieval failed: expected the Job ") and text.endswith(f"Reason: {reason}")
