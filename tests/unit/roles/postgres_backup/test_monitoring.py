# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Metrics, alerts and the dashboard: what each variable adds to the objects, and takes away again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .rendering import environment, evaluate, objects, render

METRICS = {"postgres_backup_metrics": True}
SERVED: dict[str, Any] = {"__postgres_backup_prerequisites": {"rules": {"served": True}}}
NOT_SERVED: dict[str, Any] = {"__postgres_backup_prerequisites": {"rules": {"served": False}}}
RULE, BOARD = ("PrometheusRule", "postgres-backup"), ("ConfigMap", "postgres-backup-dashboard")


def monitoring(**variables: Any) -> list[dict[str, Any]]:
    names = [RULE, BOARD]
    return [made for made in objects(**variables) if (made["kind"], made["metadata"]["name"]) in names]


def kinds(**variables: Any) -> set[tuple[str, str]]:
    return {(made["kind"], made["metadata"]["name"]) for made in monitoring(**variables)}


def containers(**variables: Any) -> dict[str, dict[str, Any]]:
    """The environment of each container of the CronJobs, by its name."""
    pods = [
        made["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for made in objects(**variables)
        if made["kind"] == "CronJob"
    ]
    return {
        container["name"]: {entry["name"]: entry.get("value") for entry in container.get("env", [])}
        for pod in pods
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    }


def test_nothing_changes_without_metrics() -> None:
    """Also where the cluster has the kind."""
    assert objects(**SERVED) == objects()
    assert not {"POSTGRES_BACKUP_METRICS", "POSTGRES_BACKUP_NAMESPACE", "POSTGRES_BACKUP_SCHEDULE_SECONDS"} & set(
        environment(**SERVED)
    )


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("0 2 * * *", 86400),
        ("@hourly", 3600),
        ("0 2 * * 0", 7 * 86400),
        ("0 2 1 * *", 31 * 86400),
        ("@every 90m", 5400),
    ],
)
def test_what_writes_metrics(schedule: str, seconds: int) -> None:
    expected = {
        "POSTGRES_BACKUP_METRICS": "1",
        "POSTGRES_BACKUP_NAMESPACE": "shop",
        "POSTGRES_BACKUP_SCHEDULE_SECONDS": str(seconds),
    }
    made = containers(
        postgres_backup_namespace="shop",
        postgres_backup_schedule=schedule,
        postgres_backup_drill_schedule="@weekly",
        **METRICS,
    )
    for name in ("backup", "record"):
        assert expected.items() <= made[name].items()
    # Neither the server of the drill, which mounts the volume read-only.
    for name in ("prepare", "drill"):
        assert not expected.keys() & made[name].keys()


def test_what_writes_metrics_knows_where_the_copies_lie() -> None:
    """As their program records it: a path with a dollar sign is not replaced by Kubernetes."""
    places = [
        {"name": "cloud", "kind": "s3", "endpoint": "https://s3.example.com", "bucket": "backups", "folder": "of/data"},
        {"name": "nas", "kind": "nfs", "server": "192.168.2.3", "path": "/volume1/$(copies)"},
    ]
    for name in ("backup", "record"):
        made = containers(postgres_backup_copies=places, postgres_backup_drill_schedule="@weekly", **METRICS)[name]
        assert made["POSTGRES_BACKUP_COPY_LOCATIONS"].splitlines() == [
            'cloud "s3 https://s3.example.com:443 backups of/data"',
            'nas "nfs 192.168.2.3 /volume1/$$(copies)"',
        ]
    assert "POSTGRES_BACKUP_COPY_LOCATIONS" not in {
        *environment(**METRICS),
        *environment(postgres_backup_copies=places),
    }


@pytest.mark.parametrize("alerts", ["auto", True, False])
@pytest.mark.parametrize(("prerequisites", "is_served"), [(SERVED, True), (NOT_SERVED, False), ({}, False)])
def test_alerts_where_their_kind_exists(alerts: Any, prerequisites: dict[str, Any], is_served: bool) -> None:
    made = kinds(postgres_backup_alerts=alerts, **METRICS, **prerequisites)
    assert made == ({RULE} if is_served and alerts is not False else set())


@pytest.mark.parametrize("alerts", [True, False])
def test_rendered_alerts(alerts: bool) -> None:
    assert kinds(postgres_backup_state="rendered", postgres_backup_alerts=alerts, **METRICS) == (
        {RULE} if alerts else set()
    )


def test_labels_and_annotations() -> None:
    rule, board = monitoring(
        postgres_backup_dashboard=True,
        postgres_backup_alert_labels={"release": "kps", "app.kubernetes.io/instance": "not-this"},
        postgres_backup_applied_by="flux",
        **METRICS,
        **SERVED,
    )
    own = {"app.kubernetes.io/instance": "postgres-backup", "app.kubernetes.io/component": "backup"}
    assert {**own, "release": "kps"}.items() <= rule["metadata"]["labels"].items()
    assert {**own, "grafana_dashboard": "1"}.items() <= board["metadata"]["labels"].items()
    # Flux would replace ${datasource}.
    for made in (rule, board):
        assert made["metadata"]["annotations"] == {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}


def test_two_installations_have_two_dashboards() -> None:
    """Grafana's container writes all files into one folder, and Grafana refuses a uid or a title that it has."""
    files, texts = [], []
    for namespace, name in (("data", "postgres-backup"), ("shop", "postgres-backup"), ("data", "other")):
        made = objects(
            postgres_backup_namespace=namespace, postgres_backup_name=name, postgres_backup_dashboard=True, **METRICS
        )
        (board,) = (each for each in made if each["metadata"]["name"] == f"{name}-dashboard")
        ((file, text),) = board["data"].items()
        files.append(file)
        texts.append(json.loads(text))
    for values in (files, [text["uid"] for text in texts], [text["title"] for text in texts]):
        assert len(set(values)) == 3


def unwanted(**variables: Any) -> set[tuple[str, str]]:
    found = evaluate("{{ __postgres_backup_unwanted }}", **variables)
    return {(each["kind"], each["metadata"]["name"]) for each in found} & {RULE, BOARD}


def test_what_is_not_wanted_any_more() -> None:
    assert unwanted() == {RULE, BOARD}
    assert unwanted(**METRICS) == {BOARD}
    assert unwanted(postgres_backup_alerts=False, **METRICS) == {RULE, BOARD}
    assert unwanted(postgres_backup_alerts=False, postgres_backup_dashboard=True, **METRICS) == {RULE}


def test_cronjob_records_the_alerts() -> None:
    def annotations(**variables: Any) -> dict[str, str]:
        found: dict[str, str] = objects(**variables)[-1]["metadata"].get("annotations", {})
        return found

    assert annotations(**METRICS, **SERVED) == {"postgres-backup.homelab/alerts": "applied"}
    assert annotations(**METRICS) == {}


@pytest.mark.parametrize(("rules", "is_noted"), [({}, False), ({"served": True}, False), ({"served": False}, True)])
def test_note_that_the_cluster_has_no_alerts(rules: dict[str, bool], is_noted: bool) -> None:
    """Whether it has them is only read if they are wanted."""
    prerequisites = {"unwanted": {"readable": True}, "rules": rules}
    text = render(
        "notes.txt.j2", __postgres_backup_prerequisites=prerequisites, __postgres_backup_reclaim_policy="Retain",
        __postgres_backup_secret={"readable": True}, __postgres_backup_class_info={}, __postgres_backup_volume_info={},
        __postgres_backup_policy_info={}, __postgres_backup_claims_now=[], __postgres_backup_removed={},
        __postgres_backup_objects=[], __postgres_backup_check={"result": {"results": []}},
    )  # fmt: skip
    assert ("No alerts: the cluster has no objects of the kind PrometheusRule." in text) is is_noted
