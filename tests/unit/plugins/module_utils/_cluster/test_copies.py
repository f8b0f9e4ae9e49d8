# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server knows of the copies: since when, for which places, and on which servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.copies import copy_schedule, storage_of
from plugins.module_utils._volume.copy_health import ConfiguredPlace, CopySchedule
from plugins.module_utils.errors import ForbiddenError, NotFoundError

OF_ALL = {"offsite": False, "max_delay_seconds": 3600}
PLACES: list[dict[str, Any]] = [
    {
        "name": "cloud",
        "kind": "s3",
        "options": {"endpoint": "https://s3.example.com:9000/x"},
        **OF_ALL,
        "offsite": True,
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


class Api:
    """In place of the API server."""

    def __init__(self, config_map: Any, claims: Any = None) -> None:
        self._config_map, self._claims = config_map, CLAIMS if claims is None else claims

    def config_map(self, namespace: str, name: str) -> Any:
        assert (namespace, name) == ("data", "backup-copy")
        if isinstance(self._config_map, Exception):
            raise self._config_map
        return self._config_map

    def claim(self, _namespace: str, name: str) -> Any:
        if isinstance(self._claims, Exception):
            raise self._claims
        return self._claims[name]

    def volume(self, name: str) -> Any:
        assert name == "pv-1"
        return {"spec": {"nfs": {"server": "192.168.2.4"}}}


def read(api: Api, cronjob: dict[str, Any] | None = None) -> tuple[CopySchedule, list[str]]:
    return copy_schedule(cast(Connection, api), cronjob or CRONJOB, timedelta(minutes=30))


CONFIG_MAP = {"data": {"copy.json": json.dumps({"places": PLACES})}}


def test_the_places_and_their_servers() -> None:
    schedule, notes = read(Api(CONFIG_MAP))
    assert (schedule.is_suspended, schedule.interval, notes) == (False, timedelta(minutes=30), [])
    # Not the change of its status.
    assert schedule.since == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert schedule.places is not None
    assert schedule.places[0] == ConfiguredPlace("cloud", "s3", True, timedelta(hours=1), "s3.example.com")
    assert [place.storage for place in schedule.places[1:]] == [
        "nas.example.com",
        "192.168.2.3",
        "192.168.2.4",
        "local-path",
    ]


@pytest.mark.parametrize(
    ("config_map", "note"),
    [
        (ForbiddenError("you may not"), "you may not"),
        (NotFoundError("not there"), "not there"),
        ({}, "not of this version"),
        ({"data": {"copy.json": "x"}}, "not of this version"),
        ({"data": {"copy.json": "[]"}}, "not of this version"),
        ({"data": {"copy.json": '{"places":[7]}'}}, "not of this version"),
    ],
)
def test_places_that_cannot_be_read_are_noted(config_map: Any, note: str) -> None:
    schedule, notes = read(Api(config_map))
    assert schedule.places is None
    assert len(notes) == 1 and note in notes[0]


def test_a_claim_that_may_not_be_read_is_noted() -> None:
    schedule, notes = read(Api(CONFIG_MAP, ForbiddenError("no claims")))
    assert [place.storage for place in schedule.places or ()][3:] == ["", ""]
    assert notes == ["no claims", "no claims"]


def test_a_cronjob_without_times() -> None:
    cronjob = {
        **CRONJOB,
        "metadata": {"name": "backup-copy", "namespace": "data"},
        "spec": {**CRONJOB["spec"], "suspend": True},
    }
    schedule, _notes = read(Api(CONFIG_MAP), cronjob)
    assert (schedule.since, schedule.is_suspended) == (None, True)


def test_the_storage_of_a_volume() -> None:
    assert storage_of({"nfs_server": "nas", "class": "x", "claim": "y"}) == "nas"
    assert storage_of({"nfs_server": None, "class": "x", "claim": "y"}) == "x"
    assert storage_of({"nfs_server": None, "class": None, "claim": None}) == ""
