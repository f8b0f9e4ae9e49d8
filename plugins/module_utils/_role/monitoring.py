# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The objects for monitoring: a PrometheusRule with the alerts, and a ConfigMap with the dashboard.

The dashboard is a ConfigMap, not an object of the Grafana operator: Grafana's Helm charts load it with their defaults,
and the operator can refer to it, while its own objects must name the instance of Grafana.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .alerts import alert_groups
from .checks import Variables, is_true
from .dashboard import dashboard
from .variables import AUTO

RULE_VERSION, RULE_KIND = "monitoring.coreos.com/v1", "PrometheusRule"
DASHBOARD_SUFFIX = "-dashboard"


def wants_alerts(variables: Variables) -> bool:
    """Whether alerts are applied where the cluster has objects of their kind."""
    alerts = variables["postgres_backup_alerts"]
    return is_true(variables["postgres_backup_metrics"]) and (alerts == AUTO or is_true(alerts))


def wants_dashboard(variables: Variables) -> bool:
    return is_true(variables["postgres_backup_metrics"]) and is_true(variables["postgres_backup_dashboard"])


def monitoring_objects(
    variables: Variables, *, labels: Mapping[str, str], annotations: Mapping[str, str], has_rules: bool
) -> list[dict[str, Any]]:
    """The objects that are wanted, with the labels of the installation's objects and annotations for their texts.

    `variables` holds the role's variables by their full names; `has_rules` is whether the cluster has PrometheusRules.
    """

    def metadata(name: str, own_labels: str) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": str(variables["postgres_backup_namespace"]),
            "labels": {**variables[own_labels], **labels},
            **({"annotations": dict(annotations)} if annotations else {}),
        }

    objects: list[dict[str, Any]] = []
    name = str(variables["postgres_backup_name"])
    if has_rules and wants_alerts(variables):
        objects.append(
            {
                "apiVersion": RULE_VERSION,
                "kind": RULE_KIND,
                "metadata": metadata(name, "postgres_backup_alert_labels"),
                "spec": {"groups": alert_groups(variables)},
            }
        )
    if wants_dashboard(variables):
        # Grafana's container writes the files of all namespaces into one folder.
        file = f"postgres-backup-{variables['postgres_backup_namespace']}-{name}.json"
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": metadata(f"{name}{DASHBOARD_SUFFIX}", "postgres_backup_dashboard_labels"),
                "data": {file: f"{json.dumps(dashboard(variables), indent=1)}\n"},
            }
        )
    return objects


def unwanted_monitoring(variables: Variables) -> list[dict[str, Any]]:
    """The objects that an earlier run may have applied, and that are not wanted, without their content."""
    name, namespace = str(variables["postgres_backup_name"]), str(variables["postgres_backup_namespace"])
    rule = {"apiVersion": RULE_VERSION, "kind": RULE_KIND, "metadata": {"name": name, "namespace": namespace}}
    board = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}{DASHBOARD_SUFFIX}", "namespace": namespace},
    }
    return [
        *([] if wants_alerts(variables) else [rule]),
        *([] if wants_dashboard(variables) else [board]),
    ]
