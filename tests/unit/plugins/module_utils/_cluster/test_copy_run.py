# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which Job copies, for which places, and what is refused before one is started."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.copies import PLACES_ANNOTATION
from plugins.module_utils._cluster.copy_run import check_places, copies_of_installation, copying_in_progress
from plugins.module_utils.errors import BusyError, ExpectationError, NotInstalledError

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

    def __init__(self, *jobs: dict[str, Any], cronjob: Any = None) -> None:
        self._jobs, self._cronjob = jobs, cronjob

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


@pytest.mark.parametrize(
    ("places", "words"), [([], "copies to all places"), (["cloud", "nas"], "copies to cloud, nas")]
)
def test_a_job_for_other_places_is_waited_for(places: list[str], words: str) -> None:
    with pytest.raises(BusyError, match="copies to cloud only: expected none, or one that") as raised:
        copying_in_progress(connection(job("now", "copy", "cloud")), COPIES, places)
    assert words in str(raised.value) and "kubectl delete job now -n data" in str(raised.value)


def test_places_that_are_not_configured() -> None:
    check_places(connection(), COPIES, [])
    check_places(connection(), COPIES, ["nas", "cloud"])
    with pytest.raises(ExpectationError, match=r"expected places of postgres_backup_copies \(cloud, nas\), found moon"):
        check_places(connection(), COPIES, ["nas", "moon"])
    with pytest.raises(ExpectationError, match=r"^place: expected"):
        check_places(connection(), COPIES, ["moon"], "place")


@pytest.mark.parametrize("annotations", [None, {}, {PLACES_ANNOTATION: "x"}])
def test_places_that_are_not_known_are_left_to_the_program(annotations: Any) -> None:
    check_places(connection(), {**COPIES, "metadata": {**COPIES["metadata"], "annotations": annotations}}, ["moon"])


@pytest.mark.parametrize("found", [None, {"metadata": {"name": "backup-copy", "labels": {}}}])
def test_an_installation_without_copies(found: Any) -> None:
    backup = {"metadata": {"name": "backup", "namespace": "data"}}
    with pytest.raises(NotInstalledError, match="expected copies of data/backup, found none"):
        copies_of_installation(connection(cronjob=found), backup)
    assert copies_of_installation(connection(cronjob=COPIES), backup) == COPIES
