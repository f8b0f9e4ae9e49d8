# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The dashboard keeps the rules of Grafana's JSON model, and which objects of an earlier run are read."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from plugins.module_utils._role.dashboard import dashboard
from plugins.module_utils._role.monitoring import ALERTS_ANNOTATION, recorded

VARIABLES = {
    "postgres_backup_namespace": "data",
    "postgres_backup_name": "postgres-backup",
    "postgres_backup_schedule": "0 2 * * *",
    "postgres_backup_drill_schedule": "0 4 * * 0",
    "postgres_backup_alert_max_age": "",
}
# Some of the ids of units and panels that Grafana has.
UNITS = {"s", "bytes", "none", "short"}
PANELS = {"stat", "table", "timeseries"}
# What each member of the model must be (grafana.com/docs: dashboard JSON model).
MEMBERS: dict[str, type] = {
    "uid": str,
    "title": str,
    "tags": list,
    "timezone": str,
    "editable": bool,
    "graphTooltip": int,
    "panels": list,
    "time": dict,
    "timepicker": dict,
    "templating": dict,
    "annotations": dict,
    "refresh": str,
    "schemaVersion": int,
    "version": int,
    "links": list,
}


@pytest.fixture(params=["0 4 * * 0", ""], ids=["with drills", "without drills"])
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dashboard({**VARIABLES, "postgres_backup_drill_schedule": request.param})


def test_members_of_the_model(board: dict[str, Any]) -> None:
    assert {name: type(board[name]) for name in MEMBERS} == MEMBERS
    # Grafana gives the id of its database; a uid has at most 40 letters, digits, dashes and underscores.
    assert "id" not in board
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", board["uid"])
    assert json.loads(json.dumps(board)) == board
    assert board["time"].keys() == {"from", "to"}


def test_variable_of_the_data_source(board: dict[str, Any]) -> None:
    (variable,) = board["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    sources = [part["datasource"] for panel in board["panels"] for part in (panel, *panel["targets"])]
    assert all(source == {"type": "prometheus", "uid": f"${{{variable['name']}}}"} for source in sources)


def test_panels(board: dict[str, Any]) -> None:
    panels = board["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in PANELS and panel["description"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS and panel["fieldConfig"]["overrides"] == []
        steps = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert steps[0] is None and steps[1:] == sorted(steps[1:])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) >= 1
        for target in panel["targets"]:
            assert target["instant"] is not target["range"]
            assert 'name="postgres-backup",backup_namespace="data"' in target["expr"]


def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["h"] > 0
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells


def test_alerts_are_read_if_the_cronjob_records_them() -> None:
    definitions = [{"kind": "ConfigMap"}, {"kind": "PrometheusRule"}]
    assert recorded(definitions, {}) == [{"kind": "ConfigMap"}]
    assert recorded(definitions, {ALERTS_ANNOTATION: "applied"}) == definitions
