# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the role reads: no value of a Secret, a note for what this user may not read, an error for everything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.prerequisites import (
    LAST_APPLIED,
    Server,
    cronjobs_of_places,
    is_bound,
    read_claim,
    read_cronjob,
    read_existing,
    read_foreign,
    read_keys,
    read_served,
    read_server,
)
from plugins.module_utils._jobs.copy_job import MOUNTED_ANNOTATION
from plugins.module_utils._jobs.postgres_server import ServiceName
from plugins.module_utils.errors import ClusterError, ForbiddenError, NotFoundError, UnauthenticatedError

from ..cronjobs import SECRET, cronjob, plain

FORBIDDEN = ForbiddenError("this user may not use it")


class Api:
    """In place of the API server: objects, or errors, by kind and name."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects

    def _get(self, kind: str, name: str) -> Any:
        answer = self.objects.get(f"{kind}_{name}", NotFoundError("not there"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def secret(self, _: str, name: str) -> Any:
        return self._get("secret", name)

    def config_map(self, _: str, name: str) -> Any:
        return self._get("config_map", name)

    def service(self, _: str, name: str) -> Any:
        return self._get("service", name)

    def claim(self, _: str, name: str) -> Any:
        return self._get("claim", name)

    def volume(self, name: str) -> Any:
        return self._get("volume", name)

    def prometheus_rule(self, _: str, name: str) -> Any:
        return self._get("rule", name)

    def network_policy(self, _: str, name: str) -> Any:
        return self._get("policy", name)

    def serves(self, version: str, kind: str) -> bool:
        found: bool = self._get("kind", f"{version}/{kind}")
        return found

    def cronjob_if_any(self, _: str, name: str) -> Any:
        try:
            return self._get("cronjob", name)
        except NotFoundError:
            return None


def api(**objects: Any) -> Connection:
    return cast(Connection, Api(**objects))


def test_of_a_secret_only_its_keys_are_read() -> None:
    secret = {
        "metadata": {"name": "s"},
        "data": {"password": "c2VjcmV0", "other": "eA==", "line": "Cg==", "file": None},
    }
    answer = read_keys(api(secret_s=secret), "Secret", "data", "s")
    keys = ["file", "line", "other", "password"]
    assert answer == {"readable": True, "found": True, "keys": keys, "empty": ["file", "line"]}
    answer = read_keys(
        api(config_map_s={"metadata": {}, "data": {"ca": "Cg==", "none": "\n"}}), "ConfigMap", "data", "s"
    )
    assert (answer["keys"], answer["empty"]) == (["ca", "none"], ["none"])


def test_faults_of_values_are_found_and_the_values_are_not_passed_on() -> None:
    secret = {"metadata": {}, "data": {"good": "eA==", "bad": "c2VjcmV0/w==", "empty": "Cg==", "none": None}}
    seen = []

    def fault(text: str) -> str | None:
        seen.append(text)
        return "too long" if len(text) > 1 else None

    answer = read_keys(api(secret_s=secret), "Secret", "data", "s", {"faults": fault, "lengths": len})
    assert answer["faults"] == {"bad": "too long"} and answer["lengths"] == {"good": 1, "bad": 7}
    assert "secret" not in str(answer) and seen == ["x", "secret\ufffd"]


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_keys_of_objects_that_are_missing_empty_or_not_readable(kind: str) -> None:
    prefix = "secret" if kind == "Secret" else "config_map"
    empty = api(**{f"{prefix}_s": {"metadata": {}, "data": None}})
    assert read_keys(api(), kind, "data", "s") == {"readable": True, "found": False, "keys": [], "empty": []}
    assert read_keys(empty, kind, "data", "s") == {"readable": True, "found": True, "keys": [], "empty": []}
    answer = read_keys(api(**{f"{prefix}_s": FORBIDDEN}), kind, "data", "s")
    assert answer == {"readable": False, "error": str(FORBIDDEN), "found": False, "keys": [], "empty": []}


READS: list[Callable[[Connection], Any]] = [
    lambda connection: read_server(connection, Server(ServiceName("data", "x"), 5432)),
    lambda connection: read_keys(connection, "Secret", "data", "x"),
    lambda connection: read_claim(connection, "data", "x"),
    lambda connection: read_cronjob(connection, "data", "x"),
    lambda connection: read_existing(connection, [definition("CronJob", "x")]),
]


def definition(kind: str, name: str) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"namespace": "data", "name": name}}


@pytest.mark.parametrize("error", [UnauthenticatedError("401"), ClusterError("500")])
@pytest.mark.parametrize("read", READS)
def test_an_unknown_user_and_a_failing_server_are_errors(read: Callable[[Connection], Any], error: Exception) -> None:
    kinds = ("service", "secret", "claim", "cronjob")
    with pytest.raises(type(error), match=str(error)):
        read(api(**{f"{kind}_x": error for kind in kinds}))


def test_a_server_that_may_not_be_read() -> None:
    answer = read_server(api(service_x=FORBIDDEN), Server(ServiceName("data", "x"), 5432))
    assert answer == {"unreadable": True, "error": str(FORBIDDEN)}


def test_a_claim_with_its_volume() -> None:
    claim = {"metadata": {"managedFields": [1]}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}}
    volume = {"metadata": {"annotations": {LAST_APPLIED: "{}", "other": "x"}}}
    answers = read_claim(api(claim_c=claim, volume_v=volume), "data", "c")
    assert answers == (
        {"readable": True, "resources": [{**claim, "metadata": {}}]},
        {"readable": True, "resources": [{"metadata": {"annotations": {"other": "x"}}}]},
    )
    assert is_bound(answers[0])


def test_a_claim_without_a_volume_or_that_is_missing() -> None:
    pending = {"metadata": {}, "spec": {}, "status": {"phase": "Pending"}}
    claim, volume = read_claim(api(claim_c=pending), "data", "c")
    assert (claim["resources"], volume, is_bound(claim)) == ([pending], {}, False)
    claim, volume = read_claim(api(), "data", "c")
    assert (claim, volume, is_bound(claim)) == ({"readable": True, "resources": []}, {}, False)


def test_a_volume_that_may_not_be_read() -> None:
    claim = {"metadata": {}, "spec": {"volumeName": "v"}}
    _, volume = read_claim(api(claim_c=claim, volume_v=FORBIDDEN), "data", "c")
    assert volume == {"readable": False, "error": str(FORBIDDEN)}


def test_of_a_cronjob_no_environment_is_read() -> None:
    password = {"name": "PGPASSWORD", "value": "secret"}
    foreign = plain(("data", "/backups"))
    foreign["metadata"]["annotations"] = {LAST_APPLIED: "secret", "a": "b"}
    (container,) = foreign["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["env"] = [SECRET, password]
    answer = read_cronjob(api(cronjob_x=foreign), "data", "x")
    assert answer["resources"] == [{"labels": {}, "annotations": {"a": "b"}, "is_ours": False, "claims": ["nas"]}]
    assert "secret" not in json.dumps(answer)


def test_a_cronjob_of_ours_and_none() -> None:
    (ours,) = read_cronjob(api(cronjob_x=cronjob()), "data", "x")["resources"]
    assert (ours["is_ours"], ours["claims"]) == (True, ["postgres-backup"])
    assert read_cronjob(api(), "data", "x") == {"readable": True, "resources": []}


def test_only_objects_with_the_labels_of_their_definition() -> None:
    """An installation may have the name of the CronJob of another one's watch."""
    wanted = definition("CronJob", "x")
    wanted["metadata"]["labels"] = {"component": "watch"}
    own, other = cronjob(), cronjob()
    own["metadata"]["labels"] = {"component": "watch", "more": "x"}
    other["metadata"]["labels"] = {"component": "backup"}
    for found, is_own in ((own, True), (other, False)):
        connection = api(cronjob_x=found)
        assert read_existing(connection, [wanted])["resources"] == ([wanted] if is_own else [])
        assert read_foreign(connection, [wanted])["resources"] == ([] if is_own else [wanted])
    assert read_foreign(api(), [wanted]) == {"readable": True, "resources": []}
    assert read_foreign(api(cronjob_x=FORBIDDEN), [wanted]) == {"readable": False, "resources": []}


def test_the_cronjobs_of_mounted_places_that_are_recorded() -> None:
    found = cronjobs_of_places("data", "backup", {MOUNTED_ANNOTATION: '["nas", "usb"]'}, [])
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [
        ("CronJob", "backup-copy-nas"),
        ("CronJob", "backup-copy-usb"),
    ]
    # One with this name may be that of another installation.
    labels = {"app.kubernetes.io/instance": "backup", "app.kubernetes.io/component": "copy"}
    assert all(each["metadata"]["labels"] == labels for each in found)
    assert cronjobs_of_places("data", "backup", {}, []) == []
    reserved = [definition("CronJob", "backup-copy-nas"), definition("ConfigMap", "backup-copy-usb")]
    assert cronjobs_of_places("data", "backup", {MOUNTED_ANNOTATION: '["nas", "usb"]'}, reserved) == found[1:]


def test_which_objects_exist() -> None:
    job, policy, other = definition("CronJob", "x"), definition("NetworkPolicy", "x"), definition("NetworkPolicy", "y")
    objects = {"cronjob_x": cronjob(), "policy_y": {"metadata": {}}}
    assert read_existing(api(**objects), [job, policy, other]) == {"readable": True, "resources": [job, other]}
    answer = read_existing(api(**objects, policy_x=FORBIDDEN), [job, policy, other])
    assert answer == {"readable": False, "resources": [job, other], "error": str(FORBIDDEN)}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ConfigMap", "config_map"), ("CronJob", "cronjob"), ("NetworkPolicy", "policy"), ("PrometheusRule", "rule")],
)
def test_each_kind_of_object_that_is_not_wanted(kind: str, name: str) -> None:
    """Each is read as what it is."""
    there, gone = definition(kind, "there"), definition(kind, "gone")
    manifest = cronjob() if kind == "CronJob" else {"metadata": {}}
    assert read_existing(api(**{f"{name}_there": manifest}), [there, gone])["resources"] == [there]


@pytest.mark.parametrize(
    ("answer", "expected"), [(True, {"served": True}), (False, {"served": False}), (FORBIDDEN, {})]
)
def test_whether_a_kind_exists(answer: Any, expected: dict[str, bool]) -> None:
    assert read_served(api(**{"kind_x/v1/X": answer}), "x/v1", "X") == expected
