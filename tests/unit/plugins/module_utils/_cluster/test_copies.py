# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server knows of the copies: since when, for which places, and on which servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.copies import PLACES_ANNOTATION, copy_schedule, storage_of
from plugins.module_utils._volume.copy_health import ConfiguredPlace, CopySchedule
from plugins.module_utils.errors import ForbiddenError

OF_ALL = {"offsite": False, "max_delay_seconds": 3600}
PLACES: list[dict[str, Any]] = [
    {
        "name": "cloud",
        "kind": "s3",
        "options": {"endpoint": "https://s3.example.com:9000/x"},
        **OF_ALL,
        "offsite": True,
        "location": "s3 https://s3.example.com:9000/x backups ",
    },
    {"name": "friend", "kind": "sftp", "options": {"host": "nas.example.com"}, **OF_ALL},
    {"name": "nas", "kind": "nfs", "options": {}, **OF_ALL},
    {"name": "other", "kind": "claim", "options": {}, **OF_ALL},
    {"name": "local", "kind": "claim", "options": {}, **OF_ALL},
]
VOLUMES = [
    {"name": "place-2", "nfs": {"server": "192.168.2.3", "path": "/x"}},
    {"name": "place-3", "persistentVolumeClaim": {"claimName": "bound"}},
    {"name": "place-4", "persistentVolumeClaim": {"claimName": "pending"}},
]
CRONJOB: dict[str, Any] = {
    "metadata": {
        "name": "backup-copy",
        "namespace": "data",
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "managedFields": [
            {"manager": "ansible", "time": "2026-11-20T10:00:00Z"},
            {"manager": "kube-controller-manager", "time": "2026-11-22T10:00:00Z", "subresource": "status"},
        ],
    },
    "spec": {"jobTemplate": {"spec": {"template": {"spec": {"volumes": VOLUMES}}}}},
}
CLAIMS = {
    "bound": {"spec": {"storageClassName": "nfs-client", "volumeName": "pv-1"}},
    "pending": {"spec": {"storageClassName": "local-path"}},
}

MADE = {PLACES_ANNOTATION: json.dumps(PLACES)}


class Api:
    """In place of the API server."""

    def __init__(self, claims: Any = CLAIMS) -> None:
        self._claims = claims

    def claim(self, _namespace: str, name: str) -> Any:
        if isinstance(self._claims, Exception):
            raise self._claims
        return self._claims[name]

    def volume(self, name: str) -> Any:
        assert name == "pv-1"
        return {"spec": {"nfs": {"server": "192.168.2.4"}}}


def read(api: Api, annotations: Any = MADE, **values: Any) -> tuple[CopySchedule, list[str]]:
    metadata = {**CRONJOB["metadata"], "annotations": annotations, **values.pop("metadata", {})}
    cronjob = {"metadata": metadata, "spec": {**CRONJOB["spec"], **values}}
    return copy_schedule(cast(Connection, api), cronjob, timedelta(minutes=30))


def test_the_places_and_their_servers() -> None:
    schedule, notes = read(Api())
    assert (schedule.is_suspended, schedule.interval, notes) == (False, timedelta(minutes=30), [])
    # Not the change of its status.
    assert schedule.since == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert schedule.places is not None
    assert schedule.places[0] == ConfiguredPlace(
        "cloud", "s3", True, timedelta(hours=1), "s3.example.com", "s3 https://s3.example.com:9000/x backups "
    )
    assert schedule.places[1].location == ""
    assert [place.storage for place in schedule.places[1:]] == [
        "nas.example.com",
        "192.168.2.3",
        "192.168.2.4",
        "local-path",
    ]


@pytest.mark.parametrize(
    "annotations", [None, {}, *({PLACES_ANNOTATION: text} for text in ["", "x", "7", "[7]", '[{"name":"cloud"}]'])]
)
def test_places_that_are_not_known_are_noted(annotations: Any) -> None:
    schedule, (note,) = read(Api(), annotations)
    assert schedule.places is None and "the configuration of the copies is not of this version" in note


def test_a_claim_that_may_not_be_read_is_noted() -> None:
    schedule, notes = read(Api(ForbiddenError("no claims")))
    assert [place.storage for place in schedule.places or ()][3:] == ["", ""]
    assert notes == ["no claims", "no claims"]


def test_a_cronjob_without_times() -> None:
    schedule, _notes = read(Api(), metadata={"creationTimestamp": None, "managedFields": None}, suspend=True)
    assert (schedule.since, schedule.is_suspended) == (None, True)


def test_the_storage_of_a_volume() -> None:
    assert storage_of({"nfs_server": "nas", "class": "x", "claim": "y"}) == "nas"
    assert storage_of({"nfs_server": None, "class": "x", "claim": "y"}) == "x"
    assert storage_of({"nfs_server": None, "class": None, "claim": None}) == ""
