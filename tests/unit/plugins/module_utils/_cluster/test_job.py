# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The life cycle of a Job: when it is created and deleted, whatever happens between."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

import pytest

from plugins.module_utils._cluster.backup_run import backup_run, follow_run
from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.job import Deletion, Job, StartLimits
from plugins.module_utils._jobs.identity import Identity
from plugins.module_utils._progress.reporter import SILENT
from plugins.module_utils.errors import (
    ClusterError,
    ConcurrentRestoreError,
    ForbiddenError,
    NotFoundError,
    StuckError,
    WaitTimeoutError,
)
from plugins.module_utils.interruption import InterruptedBySignal, signals_raise

from ..cronjobs import cronjob

MANIFEST = {"metadata": {"namespace": "data", "name": "j"}}
UNREACHABLE = ClusterError("the API server cannot be reached")
NO_SECRET: dict[str, Any] = {
    "metadata": {"name": "p"},
    "status": {
        "containerStatuses": [
            {"name": "backup", "restartCount": 0, "state": {"waiting": {"reason": "CreateContainerConfigError"}}}
        ]
    },
}


class Cluster:
    """A Connection that records what it creates and deletes; `errors` are raised by the methods of these names."""

    reporter = SILENT

    def __init__(self, pod: dict[str, Any] | None = None, **errors: BaseException) -> None:
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.errors = errors
        self._pods = [pod] if pod is not None else []

    def create_job(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.created.append(manifest["metadata"]["name"])
        self._fail("create")
        return {**manifest, "status": {}}

    def delete_job(self, _namespace: str, name: str) -> None:
        self._fail("delete")
        self.deleted.append(name)

    def _fail(self, name: str) -> None:
        if name in self.errors:
            raise self.errors[name]

    def job(self, *_: str) -> dict[str, Any]:
        self._fail("job")
        return {"status": {}}

    def pods_of_job(self, *_: str) -> list[dict[str, Any]]:
        self._fail("pods")
        return self._pods

    def events(self, *_: str) -> list[Any]:
        return []


def job_of(cluster: Any, deletion: Deletion = Deletion.ALWAYS) -> Job:
    connection: Connection = cluster
    return Job(connection, MANIFEST, deletion)


LEFT_AND_INTERRUPTED = (Deletion.ALWAYS, Deletion.UNLESS_UNREACHABLE)


@pytest.mark.parametrize(
    ("error", "deletions"),
    [
        pytest.param(None, LEFT_AND_INTERRUPTED, id="no error"),
        pytest.param(KeyboardInterrupt(), LEFT_AND_INTERRUPTED, id="Ctrl-C"),
        pytest.param(InterruptedBySignal(signal.SIGTERM), LEFT_AND_INTERRUPTED, id="signal"),
        pytest.param(WaitTimeoutError("late"), LEFT_AND_INTERRUPTED, id="late"),
        pytest.param(ConcurrentRestoreError("two"), LEFT_AND_INTERRUPTED, id="concurrent"),
        pytest.param(StuckError("stuck"), (*LEFT_AND_INTERRUPTED, Deletion.IF_STUCK), id="stuck"),
        pytest.param(UNREACHABLE, (Deletion.ALWAYS,), id="unreachable"),
    ],
)
@pytest.mark.parametrize("deletion", Deletion, ids=lambda deletion: deletion.value)
def test_deletion_on_leaving(deletion: Deletion, error: BaseException | None, deletions: tuple[Deletion, ...]) -> None:
    cluster = Cluster()
    job = job_of(cluster, deletion)
    with contextlib.ExitStack() as stack:
        if error is not None:
            stack.enter_context(pytest.raises(type(error)))
        stack.enter_context(job)
        if error is not None:
            raise error
    assert cluster.created == ["j"]
    assert cluster.deleted == (["j"] if deletion in deletions else [])
    assert job.is_deleted == (deletion in deletions)


@pytest.mark.parametrize("unreadable", ["job", "pods"])
def test_job_that_nobody_could_follow_is_not_created(unreadable: str) -> None:
    cluster: Any = Cluster()
    cluster.errors[unreadable] = ForbiddenError("this user may not use it")
    words = "expected the right to read Jobs and pods in the namespace 'data', found none. Nothing was started: this"
    with pytest.raises(ForbiddenError, match=words), Job(cluster, MANIFEST):
        pytest.fail("it was entered")
    assert not cluster.created and not cluster.deleted
    with Job(cluster, MANIFEST, followed=False):
        assert cluster.created == ["j"]


def test_rights_are_known_before_the_job_exists() -> None:
    cluster: Any = Cluster(job=NotFoundError("there is none yet"))
    with Job(cluster, MANIFEST):
        assert cluster.created == ["j"]


def test_attached_job_is_neither_created_nor_deleted() -> None:
    cluster: Any = Cluster()
    with pytest.raises(StuckError), Job.attached(cluster, "data", "j") as job:
        raise StuckError("stuck")
    assert not cluster.created and not cluster.deleted and job.is_attached


@pytest.mark.parametrize(("deletion", "deleted"), [(Deletion.ALWAYS, ["j"]), (Deletion.UNLESS_UNREACHABLE, [])])
def test_lost_response_to_the_creation(deletion: Deletion, deleted: list[str]) -> None:
    cluster = Cluster(create=UNREACHABLE)
    with pytest.raises(ClusterError, match="cannot be reached"), job_of(cluster, deletion):
        pytest.fail("it was entered")
    assert cluster.deleted == deleted


@pytest.mark.parametrize("deletion", [Deletion.ALWAYS, Deletion.UNLESS_UNREACHABLE])
def test_signal_during_creation_and_deletion(deletion: Deletion) -> None:
    """The request may have been sent when the signal arrives."""
    for method in ("create", "delete"):
        cluster = Cluster()

        def interrupted(name: str, method: str = method, cluster: Cluster = cluster) -> None:
            if name == method:
                cluster._fail = lambda name: None  # type: ignore[method-assign]  # noqa: ARG005  # as mypy wants it
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)

        cluster._fail = interrupted  # type: ignore[method-assign]
        with pytest.raises(InterruptedBySignal), signals_raise(), job_of(cluster, deletion):
            pass
        assert cluster.deleted == ["j"], method


def test_deletion_that_fails_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    for deletion, error, tries in (
        (Deletion.ALWAYS, UNREACHABLE, 1),
        (Deletion.UNLESS_UNREACHABLE, UNREACHABLE, 3),
        (Deletion.UNLESS_UNREACHABLE, ForbiddenError("no"), 1),
    ):
        waits.clear()
        with job_of(Cluster(delete=error), deletion) as job:
            pass
        assert not job.is_deleted
        assert len(waits) == tries - 1
        with pytest.raises(StuckError), job_of(Cluster(delete=error), deletion):
            raise StuckError("stuck")


def test_pod_that_does_not_start_in_time() -> None:
    cluster = Cluster()
    message = r"the pod of the Job 'data/j' did not start: .* within 0 s\. Check"
    with pytest.raises(WaitTimeoutError, match=message), job_of(cluster) as job:
        job.wait_for_pod(StartLimits(30, 0.1))
    assert cluster.deleted == ["j"]


def follow(cluster: Any, *, attach: bool, startup_seconds: float = 0.1) -> Any:
    job = backup_run(cluster, cronjob(), "j", attach=attach)
    return follow_run(
        cluster, cronjob(), job, "backup", directory=None, timeout_seconds=0.5, limits=StartLimits(startup_seconds)
    )


def test_backup_that_cannot_start() -> None:
    cluster = Cluster(NO_SECRET)
    end = follow(cluster, attach=False)
    assert (cluster.created, cluster.deleted, end.outcome.check) == (["j"], ["j"], "pod")
    assert end.outcome.message.endswith(". The Job that was created for this run is deleted")
    end = follow(Cluster(NO_SECRET, delete=UNREACHABLE), attach=False)
    assert "is deleted" not in end.outcome.message
    cluster = Cluster(NO_SECRET)
    end = follow(cluster, attach=True)
    assert not cluster.created and not cluster.deleted
    assert end.outcome.message.endswith("existed before. To cancel it: kubectl delete job j -n data")


def test_backup_that_takes_longer_continues() -> None:
    for attach in (True, False):
        cluster = Cluster()
        end = follow(cluster, attach=attach, startup_seconds=10)
        assert not cluster.deleted
        assert end.outcome.check == "timeout" and "It continues: " in end.outcome.message


def test_backup_that_cannot_be_created() -> None:
    with pytest.raises(ForbiddenError):
        follow(Cluster(create=ForbiddenError("no")), attach=False)


class SecretCluster(Cluster):
    """With Secrets, each of which it keeps."""

    def __init__(self, **errors: BaseException) -> None:
        super().__init__(None, **errors)
        self.secrets: list[dict[str, Any]] = []

    def create_job(self, manifest: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = super().create_job(manifest)
        return {**made, "metadata": {**made["metadata"], "uid": "u-9"}}

    def write_secret(self, secret: dict[str, Any]) -> None:
        self._fail("write_secret")
        self.secrets.append(secret)


@pytest.mark.parametrize("identity", [None, Identity(secret_name="of-drills")])  # noqa: S106 - a name
def test_without_a_text_no_secret_is_created(identity: Identity | None) -> None:
    cluster: Any = SecretCluster()
    with Job(cluster, MANIFEST, identity=identity):
        assert cluster.secrets == []


def test_the_secret_of_an_identity_belongs_to_the_job() -> None:
    cluster: Any = SecretCluster()
    with Job(cluster, MANIFEST, identity=Identity(text="AGE-SECRET-KEY-1X")):
        (secret,) = cluster.secrets
        assert secret["metadata"]["ownerReferences"][0]["uid"] == "u-9"
    assert cluster.deleted == ["j"]


@pytest.mark.parametrize("deletion", [Deletion.ALWAYS, Deletion.UNLESS_UNREACHABLE])
def test_a_job_without_the_secret_that_it_needs_is_deleted(deletion: Deletion) -> None:
    cluster: Any = SecretCluster(write_secret=ForbiddenError("this user may not use the Secret"))
    expected = r"^identity: expected the right to create Secrets in the namespace 'data', .*decrypt\.yaml$"
    with (
        pytest.raises(ForbiddenError, match=expected),
        Job(cluster, MANIFEST, deletion, Identity(text="AGE-SECRET-KEY-1X")),
    ):
        pytest.fail("the Job must not be used")
    assert cluster.deleted == ["j"]
