# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Job watched through faults that a real cluster shows too rarely: a fake connection whose streams break."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from plugins.module_utils._cluster import job_run
from plugins.module_utils._cluster.job_run import JobRun
from plugins.module_utils._jobs.job_outcome import JobEnd
from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils._progress.reporter import SILENT, Reporter
from plugins.module_utils.errors import ClusterError, NotFoundError, StuckError, WaitTimeoutError

RUNNING: dict[str, Any] = {"running": {}}


def ended(message: str = "") -> dict[str, Any]:
    return {"terminated": {"message": message}}


def result(state: str) -> str:
    return json.dumps({"state": state}, separators=(",", ":"))


def pod(state: dict[str, Any], restarts: int = 0, last: dict[str, Any] | None = None) -> dict[str, Any]:
    container = {"name": "backup", "restartCount": restarts, "state": state, "lastState": last or {}}
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-11-22T02:00:00Z"},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


def job(kind: str | None = None) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": "True"}] if kind else []}}


class Log:
    """A log stream: its lines, and whether it breaks after them."""

    def __init__(self, *lines: str, breaks: bool = False) -> None:
        self._lines, self._breaks = lines, breaks

    def stream(self, _: int) -> Iterator[bytes]:
        for number, line in enumerate(self._lines):
            yield f"2026-11-22T02:00:{number:02d}Z {line}\n".encode()
        if self._breaks:
            raise OSError("connection reset")

    def close(self) -> None:
        pass


class Fake:
    """A connection that returns the next response; errors are raised. The last response is repeated."""

    reporter = SILENT

    def __init__(self, jobs: list[Any], pods: list[Any], logs: dict[bool, list[Any]]) -> None:
        self._answers = {"job": jobs, "pods": pods, "log": logs.get(False, []), "previous": logs.get(True, [])}

    def _next(self, name: str) -> Any:
        answers = self._answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def job(self, *_: str) -> Any:
        return self._next("job")

    def pods_of_job(self, *_: str) -> Any:
        return self._next("pods")

    def events(self, *_: str) -> Any:
        return []

    def log(self, *_: Any, previous: bool = False, **__: Any) -> Any:
        return self._next("previous" if previous else "log")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_run, "_POLL_SECONDS", 0.02)


def watched(fake: Fake) -> JobEnd:
    run: Any = JobRun(fake, "data", "j", "backup")  # type: ignore[arg-type]
    end: JobEnd = run.wait(20, 10)
    return end


def test_a_stream_that_breaks_is_taken_up_again() -> None:
    fake = Fake(
        [job(), job(), job(), job("Complete")],
        [[pod(RUNNING)], [pod(RUNNING)], [pod(RUNNING)], [pod(ended())]],
        {False: [Log("one", breaks=True), Log("one", "two", breaks=True), Log("one", "two", result("succeeded"))]},
    )
    end = watched(fake)
    assert (end.state, end.log) == ("Complete", ("one", "two", result("succeeded")))
    assert end.result == {"state": "succeeded"}


def test_progress_is_reported_and_is_not_in_the_log() -> None:
    """Before the script's first line, and for a script that prints none, the end of the Job is what is waited for."""
    shown: list[str] = []
    dumping = Event("dump", "shop", 5, 10)
    fake = Fake(
        [job(), job(), job("Complete")],
        [[pod(RUNNING)], [pod(RUNNING)], [pod(ended())]],
        {False: [Log("one", dumping.to_line(), '{"type":"progress"}', result("succeeded"))]},
    )
    fake.reporter = Reporter(shown.append, time.monotonic)
    assert watched(fake).log == ("one", result("succeeded"))
    events = [parse_event(line) for line in shown]
    assert dumping in events
    assert set(events) <= {dumping, Event("job", "j")}
    assert Event("job", "j") not in events[events.index(dumping) + 1 :]

    shown.clear()
    fake = Fake(
        [job(), job(), job("Complete")], [[pod(RUNNING)], [pod(RUNNING)], [pod(ended())]], {False: [Log("one")]}
    )
    fake.reporter = Reporter(shown.append, time.monotonic)
    watched(fake)
    assert [parse_event(line) for line in shown] == [Event("job", "j")]


def test_an_earlier_attempts_failure_is_not_the_result() -> None:
    fake = Fake(
        [job(), job("Complete")],
        [[pod(RUNNING)], [pod(ended(result("succeeded")), 1, ended(result("failed")))]],
        {False: [Log(result("failed")), Log("second", breaks=True)], True: [Log(result("failed"))]},
    )
    assert watched(fake).result == {"state": "succeeded"}


class Pods(Fake):
    """A Job with a pod for each attempt; the log of the first one arrives last."""

    def __init__(self, jobs: list[Any], pods: list[Any], logs: dict[str, Log]) -> None:
        super().__init__(jobs, pods, {})
        self._by_pod = logs

    def log(self, *arguments: Any, **_: Any) -> Any:
        if arguments[1] == "p1":
            time.sleep(0.3)
        return self._by_pod[arguments[1]]


def tries(*states: dict[str, Any]) -> list[dict[str, Any]]:
    pods = [pod(state) for state in states]
    for number, made in enumerate(pods, 1):
        made["metadata"]["name"] = f"p{number}"
        made["status"]["phase"] = "Failed" if "terminated" in states[number - 1] else "Running"
    return pods


FIRST, SECOND = '{"state":"failed","attempts":1}', '{"state":"failed","attempts":2}'


def test_the_newest_pod_is_the_last_one_in_the_log() -> None:
    """As seen by a caller that starts after the Job has ended."""
    fake = Pods([job("Failed")], [tries(ended(), ended())], {"p1": Log("one", FIRST), "p2": Log("two", SECOND)})
    end = watched(fake)
    assert end.log == ("one", FIRST, "two", SECOND)
    assert end.result == json.loads(SECOND)


def test_pods_that_come_one_after_the_other() -> None:
    """The second one succeeds; the first one was killed, which is no longer the reason for anything."""
    oom = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    fake = Pods(
        [job(), job(), job(), job("Complete")],
        [tries(RUNNING), tries(oom), tries(oom, RUNNING), tries(oom, ended())],
        {"p1": Log("one"), "p2": Log("two", result("succeeded"))},
    )
    end = watched(fake)
    assert (end.state, end.log, end.terminated_by) == ("Complete", ("one", "two", result("succeeded")), None)
    assert end.result == {"state": "succeeded"}


def test_newest_pod_was_killed() -> None:
    oom = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    fake = Pods([job("Failed")], [tries(ended(), oom)], {"p1": Log("one", FIRST), "p2": Log("two")})
    end = watched(fake)
    assert end.terminated_by is not None and end.terminated_by.reason == "OOMKilled"
    assert end.result == json.loads(FIRST)


def test_a_job_that_fails_behind_a_success() -> None:
    """By another container of the pod, or its deadline: an earlier try's failure is not the result."""
    fake = Pods([job("Failed")], [tries(ended(), ended())], {"p1": Log(FIRST), "p2": Log(result("succeeded"))})
    assert watched(fake).result == {"state": "succeeded"}


def test_result_contradicts_the_end_of_the_job() -> None:
    fake = Fake([job("Complete")], [[pod(ended())]], {False: [Log(result("failed"))]})
    assert watched(fake).result is None


def test_earlier_attempt_is_read_too() -> None:
    fake = Fake(
        [job("Failed")],
        [[pod(ended(), 1, ended())]],
        {False: [Log("second", result("failed"))], True: [Log("first")]},
    )
    assert set(watched(fake).log) == {"first", "second", result("failed")}


def test_an_api_server_that_is_away_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    away = ClusterError("the API server cannot be reached")
    fake = Fake([job(), away, away, job("Complete")], [[pod(ended())]], {False: [Log("one")]})
    assert watched(fake).state == "Complete"


def test_an_api_server_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_run, "_PATIENCE_SECONDS", 0)
    with pytest.raises(ClusterError, match="cannot be reached"):
        watched(Fake([ClusterError("the API server cannot be reached")], [[]], {}))


def test_a_job_that_is_gone() -> None:
    fake = Fake([job(), NotFoundError("gone")], [[pod(RUNNING)]], {False: [Log("one", result("failed"))]})
    end = watched(fake)
    assert (end.state, end.result) == ("Gone", {"state": "failed"})


def test_failing_init_container_is_reported() -> None:
    made = pod({"waiting": {"reason": "PodInitializing"}})
    first = {"name": "prepare", "restartCount": 0, "state": ended()}
    made["status"] |= {"phase": "Failed", "reason": "Evicted", "initContainerStatuses": [first]}
    fake = Fake([job("Failed")], [[made]], {False: [Log("no space", result("failed"))]})
    run: Any = JobRun(fake, "data", "j", "prepare", "backup")  # type: ignore[arg-type]
    end: JobEnd = run.wait(20, 10)
    assert (end.log[0], end.result) == ("no space", {"state": "failed"})
    assert end.terminated_by is not None and end.terminated_by.reason == "Evicted"


@pytest.mark.parametrize(("text", "expected"), [("FAILED: no age\n", "FAILED: no age"), ("", "exit status 1")])
def test_failing_init_container_that_is_not_followed(text: str, expected: str) -> None:
    """Its status has the last lines of its log; of an installation of an earlier role, only the exit status."""
    made = pod({"waiting": {"reason": "PodInitializing"}})
    first = {"name": "age", "restartCount": 0, "state": {"terminated": {"exitCode": 1, "message": text}}}
    made["status"] |= {"phase": "Failed", "initContainerStatuses": [first]}
    end = watched(Fake([job("Failed")], [[made]], {}))
    assert end.preparation == f"the container 'age', which prepares its pod, failed: {expected}"


def test_result_of_the_script_is_the_end() -> None:
    """The Job itself does not report it here."""
    word = '{"state":"succeeded","operation":"drill"}'
    fake = Fake([job()], [[pod(RUNNING)]], {False: [Log("one", '{"state":"failed","operation":"drill"}', word)]})
    run: Any = JobRun(fake, "data", "j", "backup")  # type: ignore[arg-type]
    end = run.wait(20, 10, trust_script_result=True)
    assert (end.state, end.log[0], end.result) == ("Complete", "one", json.loads(word))
    run = JobRun(fake, "data", "j", "backup")  # type: ignore[arg-type]
    with pytest.raises(WaitTimeoutError):
        run.wait(0.3, 10)


PUBLISHED = '{"state":"succeeded","job":"j"}'
GOES_ON = r"It continues: kubectl logs -f job/j -n data\. To cancel it: kubectl delete job j -n data"


def beside(state: dict[str, Any], exit_code: int = 0) -> dict[str, Any]:
    """A pod whose backup has ended, with another container in that state."""
    made = pod({"terminated": {"exitCode": exit_code}})
    made["status"]["containerStatuses"].append({"name": "proxy", "restartCount": 0, "state": state})
    return made


@pytest.mark.parametrize("patient", [True, False])
def test_second_container_that_continues(monkeypatch: pytest.MonkeyPatch, patient: bool) -> None:
    monkeypatch.setattr(job_run, "_OTHER_CONTAINERS_SECONDS", 0.1)
    fake = Fake([job()], [[pod(RUNNING)], [beside(RUNNING)]], {False: [Log("one", PUBLISHED)]})
    run: Any = JobRun(fake, "data", "j", "backup")  # type: ignore[arg-type]
    end = run.wait(20, 10, patient=patient)
    assert (end.state, end.running_containers, end.result) == ("Complete", ("proxy",), json.loads(PUBLISHED))


@pytest.mark.parametrize("patient", [True, False])
def test_failure_beside_a_container_that_continues(monkeypatch: pytest.MonkeyPatch, patient: bool) -> None:
    """Kubernetes starts no other attempt as long as the pod has not ended."""
    monkeypatch.setattr(job_run, "_OTHER_CONTAINERS_SECONDS", 0.1)
    stopped = {**beside(RUNNING, exit_code=1), "spec": {"restartPolicy": "Never"}}
    fake = Fake([job()], [[pod(RUNNING)], [stopped]], {False: [Log("one", result("failed"))]})
    run: Any = JobRun(fake, "data", "j", "backup")  # type: ignore[arg-type]
    end = run.wait(20, 10, patient=patient)
    assert (end.state, end.running_containers, end.result) == ("Failed", ("proxy",), {"state": "failed"})
    assert end.reason == "it does not end and is not tried again, since the container proxy of its pod continues"


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (beside(RUNNING, exit_code=1), result("failed")),  # it is started again
        (beside(RUNNING, exit_code=0), "no result"),
        (beside(ended()), PUBLISHED),
        (pod(RUNNING), PUBLISHED),
    ],
)
def test_line_that_is_not_a_result_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], word: str
) -> None:
    monkeypatch.setattr(job_run, "_OTHER_CONTAINERS_SECONDS", 0.1)
    run: Any = JobRun(Fake([job()], [[found]], {False: [Log(word)]}), "data", "j", "backup")  # type: ignore[arg-type]
    with pytest.raises(WaitTimeoutError, match=GOES_ON):
        run.wait(0.5, 10, patient=True)


NO_NODE = {
    "metadata": {"name": "p"},
    "status": {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}],
    },
}


def test_the_pod_waits_until_the_end() -> None:
    run: Any = JobRun(Fake([job()], [[NO_NODE]], {}), "data", "j", "backup")  # type: ignore[arg-type]
    with pytest.raises(WaitTimeoutError, match=r"has not started: Unschedulable: .*It continues: kubectl get pods -w"):
        run.wait(0.3, 0.01, patient=True)
    run = JobRun(Fake([job()], [[NO_NODE]], {}), "data", "j", "backup")  # type: ignore[arg-type]
    with pytest.raises(StuckError, match="does not start yet"):
        run.wait(5, 0.01)


def test_a_deadline_that_a_pod_waited_for() -> None:
    fake = Fake([job(), job(), job("Failed")], [[NO_NODE]], {})
    run: Any = JobRun(fake, "data", "j", "backup")  # type: ignore[arg-type]
    assert "Its pod had not started: Unschedulable: 0/1 nodes" in str(run.wait(5, 10, patient=True).reason)


def test_log_of_a_hundred_thousand_lines() -> None:
    lines = [f'{{"type":"table","schema_hex":"7075626c6963","name_hex":"{number:08x}"}}' for number in range(100_000)]
    fake = Fake([job(), job("Complete")], [[pod(RUNNING)], [pod(ended())]], {False: [Log(*lines, result("succeeded"))]})
    began = time.monotonic()
    end = watched(fake)
    assert end.log == (*lines, result("succeeded"))
    assert time.monotonic() - began < 10
