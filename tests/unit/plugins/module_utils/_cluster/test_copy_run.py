# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which Job copies, for which places, and what is refused before one is started."""

from __future__ import annotations

import json
import threading
from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.copies import PLACES_ANNOTATION, CopyCronjobs, copy_cronjobs, copy_schedules
from plugins.module_utils._cluster.copy_run import (
    chosen_copies,
    copies_of_installation,
    copying_in_progress,
    follow_copying,
    merged,
    without_result,
)
from plugins.module_utils._cluster.job import StartLimits
from plugins.module_utils._jobs.copy_job import MOUNTED_ANNOTATION, REACHED_ANNOTATION
from plugins.module_utils._jobs.job_outcome import COMPLETE, JobEnd
from plugins.module_utils._jobs.pod_diagnosis import PodProblem
from plugins.module_utils._volume.copy_health import ConfiguredPlace, CopySchedule
from plugins.module_utils.errors import BusyError, ExpectationError, ForbiddenError, NotInstalledError, StuckError

LABELS = {"app.kubernetes.io/component": "copy"}
CONFIGURED = {"kind": "nfs", "options": {}, "offsite": False, "max_delay_seconds": 60}
PLACES = json.dumps([{"name": name, **CONFIGURED} for name in ("cloud", "nas")])
COPIES: dict[str, Any] = {
    "metadata": {
        "name": "backup-copy",
        "namespace": "data",
        "uid": "1",
        "labels": LABELS,
        "annotations": {PLACES_ANNOTATION: PLACES},
    },
    "spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}},
}


def job(name: str, *arguments: str, ended: bool = False, owner: str = "1") -> dict[str, Any]:
    conditions = [{"type": "Complete", "status": "True"}] if ended else []
    return {
        "metadata": {"name": name, "creationTimestamp": name, "ownerReferences": [{"uid": owner}]},
        "spec": {"template": {"spec": {"containers": [{"name": "copy", "args": [*arguments]}]}}},
        "status": {"conditions": conditions},
    }


class Api:
    """In place of the API server."""

    def __init__(self, *jobs: dict[str, Any], cronjob: Any = None, pods: Any = None) -> None:
        self._jobs, self._cronjob, self._pods = jobs, cronjob, pods or {}

    def pods_of_job(self, namespace: str, job: str) -> list[dict[str, Any]]:
        assert namespace == "data"
        return [*self._pods.get(job, [])]

    def jobs(self, _namespace: str) -> list[dict[str, Any]]:
        return [*self._jobs]

    def cronjob_if_any(self, namespace: str, name: str) -> Any:
        assert (namespace, name) == ("data", "backup-copy")
        return self._cronjob


def connection(*jobs: dict[str, Any], **values: Any) -> Connection:
    return cast(Connection, Api(*jobs, **values))


@pytest.mark.parametrize(
    ("jobs", "places", "found"),
    [
        ([], [], None),
        ([job("1", "copy", ended=True), job("2", "copy", owner="2"), job("3", "retrieve", "nas")], [], None),
        ([job("2", "copy"), job("1", "copy")], [], "1"),
        ([job("1", "copy", "cloud"), job("2", "copy")], ["nas"], "2"),
        ([job("1", "copy", "cloud")], ["cloud"], "1"),
    ],
)
def test_the_job_in_progress(jobs: list[dict[str, Any]], places: list[str], found: str | None) -> None:
    assert copying_in_progress(connection(*jobs), COPIES, places) == found


def pod(exit_code: int | None) -> dict[str, Any]:
    """One with a container that does not end, next to that of the copies."""
    state = {"running": {}} if exit_code is None else {"terminated": {"exitCode": exit_code}}
    statuses = [{"name": "proxy", "state": {"running": {}}}, {"name": "copy", "state": state}]
    return {"spec": {"restartPolicy": "Never"}, "status": {"containerStatuses": statuses}}


@pytest.mark.parametrize(
    ("pods", "found"),
    [({"1": [pod(0)]}, "2"), ({"1": [pod(1)]}, "2"), ({"1": [pod(None)]}, "1"), ({"1": [pod(0)], "2": [pod(0)]}, None)],
)
def test_a_job_that_only_continues_for_another_container(pods: Any, found: str | None) -> None:
    api = connection(job("1", "copy"), job("2", "copy"), pods=pods)
    assert copying_in_progress(api, COPIES, []) == found


@pytest.mark.parametrize(
    ("places", "words"), [([], "copies to all places"), (["cloud", "nas"], "copies to cloud, nas")]
)
def test_a_job_for_other_places_is_waited_for(places: list[str], words: str) -> None:
    with pytest.raises(BusyError, match="copies to cloud only: expected none, or one that") as raised:
        copying_in_progress(connection(job("now", "copy", "cloud")), COPIES, places)
    assert words in str(raised.value) and "kubectl delete job now -n data" in str(raised.value)


def mounted(name: str, uid: str, **volume: Any) -> dict[str, Any]:
    """The CronJob of a place that is mounted."""
    annotations = {PLACES_ANNOTATION: json.dumps([{"name": name, **CONFIGURED}]), MOUNTED_ANNOTATION: f'["{name}"]'}
    pod = {"volumes": [{"name": "place-0", **volume}], "containers": [{"name": "copy"}]}
    metadata = {"name": f"backup-copy-{name}", "namespace": "data", "uid": uid, "labels": LABELS}
    return {
        "metadata": {**metadata, "annotations": annotations},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }


USB = mounted("usb", "2", persistentVolumeClaim={"claimName": "usb-disk"})
SHARE = mounted("share", "3", nfs={"server": "192.168.2.3", "path": "/copies"})


def test_places_that_are_not_configured() -> None:
    assert chosen_copies(CopyCronjobs([COPIES, USB], [], []), []) == [(COPIES, []), (USB, [])]
    assert chosen_copies(CopyCronjobs([COPIES, USB], [], []), ["nas", "cloud"]) == [(COPIES, ["nas", "cloud"])]
    with pytest.raises(ExpectationError, match=r"expected places of postgres_backup_copies \(cloud, nas\), found moon"):
        chosen_copies(CopyCronjobs([COPIES], [], []), ["nas", "moon"])
    with pytest.raises(ExpectationError, match=r"^place: expected"):
        chosen_copies(CopyCronjobs([COPIES], [], []), ["moon"], "place")


def test_a_place_whose_cronjob_was_deleted() -> None:
    missing = CopySchedule(False, None, None, (ConfiguredPlace("usb", ""),), "usb", is_missing=True)
    cronjobs = CopyCronjobs([COPIES], [missing], [])
    with pytest.raises(ExpectationError, match=r"^place: expected a CronJob of the copies to usb, found none: "):
        chosen_copies(cronjobs, ["usb"], "place")
    assert chosen_copies(cronjobs, ["nas"]) == [(COPIES, ["nas"])]
    with pytest.raises(ExpectationError, match="found moon"):
        chosen_copies(cronjobs, ["moon"])


def test_each_place_is_copied_to_by_its_cronjob() -> None:
    assert chosen_copies(CopyCronjobs([COPIES, USB, SHARE], [], []), ["usb", "nas"]) == [
        (COPIES, ["nas"]),
        (USB, ["usb"]),
    ]
    assert chosen_copies(CopyCronjobs([COPIES, USB, SHARE], [], []), ["share"]) == [(SHARE, ["share"])]


@pytest.mark.parametrize("annotations", [None, {}, {PLACES_ANNOTATION: "x"}])
def test_places_that_are_not_known_are_left_to_the_program(annotations: Any) -> None:
    copies = {**COPIES, "metadata": {**COPIES["metadata"], "annotations": annotations}}
    assert chosen_copies(CopyCronjobs([copies], [], []), ["moon"]) == [(copies, ["moon"])]


class FakeJob:
    """In place of a Job of the cluster, which would have to be stuck."""

    def __init__(self, name: str, end: Any, *, created: bool = True, before: threading.Barrier | None = None) -> None:
        self.name, self.namespace, self.is_attached, self.is_deleted = name, "data", False, True
        self.is_created, self._end, self._before = created, end, before
        self.patient: bool | None = None

    def __enter__(self) -> FakeJob:
        if not self.is_created:
            raise self._end
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def wait_for_end(self, *_containers: str, patient: bool, **_limits: Any) -> JobEnd:
        self.patient = patient
        if self._before is not None:
            self._before.wait(20)
        if isinstance(self._end, Exception):
            raise self._end
        return cast(JobEnd, self._end)


def ended(name: str, place: str) -> JobEnd:
    result = {"state": "succeeded", "reason": None, "places": [{"name": place, "kind": "s3", "state": "copied"}]}
    return JobEnd(f"data/{name}", COMPLETE, None, result, (f"{place}: copied",), duration_seconds=3)


MOUNT = PodProblem("FailedMount", "MountVolume.SetUp failed: connection refused", "Check the volume", may_pass=True)


def followed(*started: tuple[dict[str, Any], FakeJob]) -> Any:
    return merged(follow_copying(cast(Any, started), 60, StartLimits()))


def test_a_share_that_cannot_be_mounted_is_named_and_the_others_are_copied_to() -> None:
    at_once = threading.Barrier(3)
    works = FakeJob("a", ended("a", "cloud"), before=at_once)
    stuck = FakeJob("b", StuckError(f"the pod of the Job 'data/b' does not start yet: {MOUNT}", MOUNT), before=at_once)
    also = FakeJob("c", ended("c", "usb"), before=at_once)
    end = followed((COPIES, works), (SHARE, stuck), (USB, also))
    assert [(place["name"], place["state"]) for place in end.places] == [
        ("cloud", "copied"),
        ("share", "failed"),
        ("usb", "copied"),
    ]
    error = end.places[1]["error"]
    assert error.startswith("the place share (nfs 192.168.2.3:/copies): the pod of the Job 'data/b' does not start yet")
    assert "FailedMount: MountVolume.SetUp failed: connection refused" in error
    assert end.outcome.failure()["msg"] == error and end.outcome.check is not None
    assert (end.result["state"], end.result["reason"], end.seconds) == ("failed", error, 3)
    assert end.outcome.log == ["cloud: copied", "usb: copied"]
    # A pod that waits for a node may wait long; one that waits for a share is given up.
    assert (works.patient, stuck.patient) == (True, False)


def test_all_jobs_that_end_well() -> None:
    end = followed((COPIES, FakeJob("a", ended("a", "cloud"))), (USB, FakeJob("b", ended("b", "usb"))))
    assert end.outcome.failure() == {} and (end.result["state"], end.result["reason"]) == ("succeeded", None)
    one = followed((COPIES, FakeJob("a", ended("a", "cloud"))))
    assert one.result == ended("a", "cloud").result


def test_a_job_that_cannot_be_created() -> None:
    refused = FakeJob("b", ForbiddenError("no Jobs"), created=False)
    end = followed((COPIES, FakeJob("a", ended("a", "cloud"))), (USB, refused))
    assert end.outcome.message == "the place usb (claim usb-disk): no Jobs"
    with pytest.raises(ForbiddenError, match="no Jobs"):
        followed((COPIES, refused), (USB, refused))
    with pytest.raises(KeyError):
        followed((COPIES, FakeJob("a", ended("a", "cloud"))), (USB, FakeJob("b", KeyError("a defect"))))


def test_places_of_which_a_job_has_no_result() -> None:
    """It began before the place nas was added, or another Job copied to it."""
    chosen: list[tuple[Any, list[str]]] = [(COPIES, []), (SHARE, [])]
    assert without_result(chosen, [{"name": "cloud"}, {"name": "gone"}]) == ["nas", "share"]
    assert without_result([(COPIES, ["cloud"])], [{"name": "cloud"}]) == []
    assert without_result([({"metadata": {}}, [])], []) == []


@pytest.mark.parametrize("found", [None, {"metadata": {"name": "backup-copy", "labels": {}}}])
def test_an_installation_without_copies(found: Any) -> None:
    backup = {"metadata": {"name": "backup", "namespace": "data"}}
    with pytest.raises(NotInstalledError, match="expected copies of data/backup, found none"):
        copies_of_installation(connection(cronjob=found), backup)
    assert copies_of_installation(connection(cronjob=COPIES), backup).found == [COPIES]


def test_the_cronjobs_of_mounted_places_are_those_that_the_installation_records() -> None:
    class Cronjobs(Api):
        def cronjob_if_any(self, namespace: str, name: str) -> Any:
            assert namespace == "data"
            if name == "backup-copy-secret":
                raise ForbiddenError("this user may not read it")
            return {"backup-copy-usb": USB, "backup-copy-share": SHARE}.get(name)

    backup: dict[str, Any] = {"metadata": {"name": "backup", "namespace": "data"}}
    backup["metadata"]["annotations"] = {MOUNTED_ANNOTATION: '["usb", "gone", "secret", "share"]'}
    api = cast(Connection, Cronjobs())
    assert copies_of_installation(api, backup).found == [USB, SHARE]
    found = copy_cronjobs(api, backup)
    assert found.notes == ["this user may not read it"]
    assert [schedule.mounts for schedule in found.missing] == ["gone"]
    for text in ("", "x", "7", "{}", "[7]"):
        backup["metadata"]["annotations"] = {MOUNTED_ANNOTATION: text}
        assert copy_cronjobs(api, backup) == CopyCronjobs([], [], [])


@pytest.mark.parametrize("found", [None, {"metadata": {"name": "backup-copy", "labels": {}}}])
def test_a_cronjob_of_the_copies_that_somebody_has_deleted(found: Any) -> None:
    """Also if an installation took its name."""

    class Cronjobs(Api):
        def cronjob_if_any(self, namespace: str, name: str) -> Any:
            assert namespace == "data"
            return found if name == "backup-copy" else None

    annotations = {REACHED_ANNOTATION: '["cloud", "nas"]', MOUNTED_ANNOTATION: '["usb"]'}
    backup = {"metadata": {"name": "backup", "namespace": "data", "annotations": annotations}}
    api = cast(Connection, Cronjobs())
    schedules, notes = copy_schedules(api, copy_cronjobs(api, backup), lambda _text: None)
    shown = [(one.is_missing, one.mounts, [place.name for place in one.places or ()]) for one in schedules]
    assert (shown, notes) == ([(True, "", ["cloud", "nas"]), (True, "usb", ["usb"])], [])
