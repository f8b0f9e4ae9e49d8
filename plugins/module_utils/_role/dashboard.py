# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The dashboard of an installation, in Grafana's JSON model, which shows its metrics (docs/monitoring.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .._volume.health import FULL_DAYS
from .alerts import Installation
from .checks import Variables
from .metrics import max_age, max_drill_age

# The version of the JSON model: Grafana migrates dashboards of earlier ones. 36 is that of Grafana 9.
SCHEMA_VERSION = 36
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
_GREEN, _RED, _BLUE = "green", "red", "blue"


@dataclass(frozen=True)
class Query:
    """An expression, and the name of its series: a text with labels as `{{state}}`."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel; `steps` are pairs of a colour and the value from which it counts, None for the first one."""

    kind: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    height: int
    steps: tuple[tuple[str, float | None], ...] = ((_BLUE, None),)
    no_value: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def dashboard(variables: Variables) -> dict[str, Any]:
    """The dashboard; `variables` holds the role's variables by their full names."""
    namespace, name = (str(variables[f"postgres_backup_{part}"]) for part in ("namespace", "name"))
    where = Installation(namespace, name)
    digest = hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()
    return {
        "uid": f"postgres-backup-{digest[:12]}",
        "title": f"PostgreSQL backup {namespace}/{name}",
        "description": "Made by homelab.postgres_backup. The role replaces it: save changes under another name.",
        "tags": ["postgresql", "backup"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "5m",
        "time": {"from": "now-30d", "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "type": "datasource",
                    "label": "Prometheus",
                    "query": "prometheus",
                    "hide": 0,
                    "includeAll": False,
                    "multi": False,
                    "refresh": 1,
                    "regex": "",
                    "options": [],
                    "current": {},
                }
            ]
        },
        "panels": [*_placed([*_panels(where, variables)])],
    }


def _panels(where: Installation, variables: Variables) -> Iterator[Panel]:
    yield from _state_panels(where, variables)
    yield from _restore_panels(where, variables)
    yield from _history_panels(where)


def _state_panels(where: Installation, variables: Variables) -> Iterator[Panel]:
    limit = max_age(variables).total_seconds()
    yield _number(
        "Age of the newest complete backup",
        "Everything that was written since its run started is not in it.",
        "s",
        f"time() - {where.newest('newest_timestamp_seconds')}",
        ((_GREEN, None), (_RED, limit)),
        "no complete backup",
    )
    yield _number(
        "Failed runs since the last success",
        "How many Jobs have failed in a row.",
        "none",
        where.newest("consecutive_failures"),
        ((_GREEN, None), (_RED, 1)),
    )
    yield _number(
        "Missing databases",
        "How many databases could not be dumped into the newest backup.",
        "none",
        where.newest("databases_missing"),
        ((_GREEN, None), (_RED, 1)),
    )
    yield _number(
        "Until the volume is full",
        "If the volume fills as before. Whatever else is written to it counts, too.",
        "s",
        f"{where.newest('volume_full_timestamp_seconds')} - time()",
        ((_RED, None), (_GREEN, FULL_DAYS * 86400)),
        "fewer than 7 days with a run",
    )


def _restore_panels(where: Installation, variables: Variables) -> Iterator[Panel]:
    drill_limit = max_drill_age(variables)
    steps = ((_GREEN, None), (_RED, drill_limit.total_seconds())) if drill_limit else ((_BLUE, None),)
    yield _number(
        "Time to restore",
        "How long the last restore drill that succeeded took.",
        "s",
        where.newest("restore_seconds"),
        no_value="no restore drill yet",
    )
    yield _number(
        "Rows restored",
        "How many rows the last restore drill that succeeded has counted.",
        "short",
        where.newest("restore_rows"),
        no_value="no restore drill yet",
    )
    yield _number(
        "Last restore drill",
        "How long ago the last scheduled restore drill ended.",
        "s",
        f"time() - {where.newest('last_drill_timestamp_seconds')}",
        steps,
        "no restore drill yet",
    )
    yield _number(
        "Copies of the newest backup",
        "At how many places beyond the volume it is proven.",
        "none",
        where.newest("copies"),
    )


def _history_panels(where: Installation) -> Iterator[Panel]:
    yield Panel(
        "table",
        "Age of the newest backup of each database",
        "At most eight databases, the oldest ones. A database without any backup has the age of 1970.",
        "s",
        (Query(f"time() - {where.newest('database_newest_timestamp_seconds', by='database')}", "{{database}}"),),
        width=12,
        height=8,
    )
    yield _graph(
        "Backups on the volume",
        "By state.",
        "none",
        Query(where.newest("backups", by="state"), "{{state}}"),
    )
    yield _graph(
        "Size",
        "That of the newest complete backup.",
        "bytes",
        Query(where.newest("newest_size_bytes"), "newest complete backup"),
    )
    yield _graph(
        "Duration",
        "That of the last run, and of the last restore drill that succeeded.",
        "s",
        Query(where.newest("last_run_duration_seconds"), "run"),
        Query(where.newest("restore_seconds"), "restore drill"),
    )
    yield _graph(
        "Space on the volume",
        "After the last run.",
        "bytes",
        Query(where.newest("volume_free_bytes"), "free"),
        Query(where.newest("volume_size_bytes"), "size"),
    )
    yield _graph(
        "Longest time between two runs",
        "In 30 days, and by the schedule.",
        "s",
        Query(where.newest("worst_gap_seconds"), "found"),
        Query(where.newest("schedule_interval_seconds"), "by the schedule"),
    )


def _number(  # noqa: PLR0917  # as a panel has them
    title: str,
    description: str,
    unit: str,
    expression: str,
    steps: tuple[tuple[str, float | None], ...] = ((_BLUE, None),),
    no_value: str = "not known",
) -> Panel:
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }
    return Panel("stat", title, description, unit, (Query(expression, title),), 6, 4, steps, no_value, options)


def _graph(title: str, description: str, unit: str, *queries: Query) -> Panel:
    options = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return Panel("timeseries", title, description, unit, queries, 12, 8, options=options)


def _placed(panels: list[Panel]) -> Iterator[dict[str, Any]]:
    """The panels in rows from the left to the right, as Grafana's model has them."""
    x = y = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _COLUMNS:
            x, y = 0, y + panels[number - 2].height
        yield {
            "id": number,
            "type": panel.kind,
            "title": panel.title,
            "description": panel.description,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
            "targets": [_target(panel, query, "ABCDEF"[i]) for i, query in enumerate(panel.queries)],
            "fieldConfig": {"defaults": _field_defaults(panel), "overrides": []},
            "options": panel.options,
            **({"transformations": [_ONLY_DATABASES]} if panel.kind == "table" else {}),
        }
        x += panel.width


# Without the time of the query, and the labels that are the same in each row.
_ONLY_DATABASES = {
    "id": "organize",
    "options": {
        "excludeByName": {"Time": True, "name": True, "backup_namespace": True},
        "indexByName": {},
        "renameByName": {"database": "Database", "Value": "Age"},
    },
}


def _target(panel: Panel, query: Query, letter: str) -> dict[str, Any]:
    is_instant = panel.kind != "timeseries"
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": is_instant,
        "range": not is_instant,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _field_defaults(panel: Panel) -> dict[str, Any]:
    return {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": color, "value": at} for color, at in panel.steps]},
        **({"noValue": panel.no_value} if panel.no_value else {}),
    }
