# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The metrics on a volume of the cluster, and the objects for monitoring, which are removed with their variables."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugins.module_utils._role.alerts import alert_groups
from plugins.module_utils._role.monitoring import ALERTS_ANNOTATION
from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import NAME, apply, get, kubectl, must_get, names, run_cronjob, run_in_volume
from tests.prometheus import check_metrics, program, value

RULES = "prometheusrules.monitoring.coreos.com"
# The kind of the Prometheus operator, without its schema. No other test has objects of it.
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": RULES},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {"kind": "PrometheusRule", "plural": "prometheusrules", "singular": "prometheusrule"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@contextmanager
def prometheus_rules() -> Iterator[None]:
    """The cluster has the kind PrometheusRule."""
    try:
        apply(DEFINITION)
        kubectl("wait", "--for=condition=established", f"crd/{RULES}", "--timeout=60s")
        yield
    finally:
        kubectl("delete", "crd", RULES, "--ignore-not-found", "--wait", "--timeout=60s")


def annotations_of(namespace: str) -> dict[str, str]:
    found: dict[str, str] = must_get("cronjob", NAME, namespace)["metadata"].get("annotations", {})
    return found


def check_commands(namespace: str, folder: Path) -> None:
    """The commands of docs/monitoring.md write files that Prometheus and Grafana read."""
    (folder / "rules.json").write_text(
        kubectl("get", "prometheusrule", "-n", namespace, NAME, "-o", "jsonpath={.spec}")
    )
    subprocess.run([program("promtool"), "check", "rules", folder / "rules.json"], check=True, capture_output=True)
    path = f"jsonpath={{.data.postgres-backup-{namespace}-{NAME}\\.json}}"
    board = json.loads(kubectl("get", "configmap", "-n", namespace, f"{NAME}-dashboard", "-o", path))
    assert board["panels"] and board["schemaVersion"]


def test_metrics_and_their_objects(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, tmp_path: Path
) -> None:
    refused = ansible.site(metrics=True, alerts=True, **role_variables)
    assert refused.status != 0
    assert "postgres_backup_alerts: expected a cluster with objects of the kind PrometheusRule" in refused.output

    # Without the kind, the alerts are left out.
    wanted = {"metrics": True, "dashboard": True, "alert_labels": {"release": "kps"}, **role_variables}
    first = ansible.site(**wanted)
    assert first.status == 0, first.output
    assert ALERTS_ANNOTATION not in annotations_of(namespace)
    board = must_get("configmap", f"{NAME}-dashboard", namespace)
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = board["data"].values()
    assert json.loads(text)["title"] == f"PostgreSQL backup {namespace}/{NAME}"

    with prometheus_rules():
        second = ansible.site(drill_schedule="0 4 * * 0", **wanted)
        assert second.status == 0, second.output
        rule = must_get("prometheusrule", NAME, namespace)
        assert rule["metadata"]["labels"]["release"] == "kps"
        assert rule["metadata"]["labels"]["app.kubernetes.io/instance"] == NAME
        installation = {
            "postgres_backup_namespace": namespace,
            "postgres_backup_name": NAME,
            "postgres_backup_schedule": must_get("cronjob", NAME, namespace)["spec"]["schedule"],
            "postgres_backup_drill_schedule": "0 4 * * 0",
            "postgres_backup_alert_max_age": "",
        }
        assert rule["spec"]["groups"] == alert_groups(installation)
        check_commands(namespace, tmp_path)
        again = ansible.site(drill_schedule="0 4 * * 0", **wanted)
        assert (again.status, again.changed) == (0, 0), again.output

        without = ansible.site(**{**wanted, "alerts": False, "dashboard": False})
        assert without.status == 0, without.output
        assert get("prometheusrule", NAME, namespace) is None
        assert names("configmap", namespace) & {f"{NAME}-dashboard", f"{NAME}-drill-script"} == set()
        assert ALERTS_ANNOTATION not in annotations_of(namespace)

        assert ansible.site(**wanted).status == 0
        assert get("prometheusrule", NAME, namespace) is not None
        run_cronjob(namespace)
        metrics = run_in_volume(namespace, f"cat /backups/{NAME}.prom")
        check_metrics(metrics)
        assert value(metrics, "postgres_backup_last_run_state", state="succeeded", backup_namespace=namespace) == 1
        assert value(metrics, "postgres_backup_schedule_interval_seconds") == 86400

        gone = ansible.site(state="absent", **role_variables)
        assert gone.status == 0, gone.output
        assert get("prometheusrule", NAME, namespace) is None
        assert f"{NAME}-dashboard" not in names("configmap", namespace)
