# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/monitoring.md has each metric and each alert, with its severity."""

from __future__ import annotations

import re

from plugins.module_utils._role.alerts import alert_groups

from .metrics import metrics
from .pages import rows, spans

PAGE = "docs/monitoring.md"
INSTALLATION = {
    "postgres_backup_namespace": "data",
    "postgres_backup_name": "postgres-backup",
    "postgres_backup_schedule": "0 2 * * *",
    "postgres_backup_drill_schedule": "0 4 * * 0",
    "postgres_backup_alert_max_age": "",
}


def test_each_metric_is_in_the_table() -> None:
    cells = [row["metric"] for row in rows(PAGE) if "metric" in row]
    documented = {re.sub(r"\{.*", "", name) for cell in cells for name in spans(cell)}
    assert len(documented) > 15
    assert documented == metrics()


def test_each_alert_is_in_the_table() -> None:
    documented = {(name, row["severity"]) for row in rows(PAGE) if "alert" in row for name in spans(row["alert"])}
    rules = [rule for group in alert_groups(INSTALLATION) for rule in group["rules"]]
    assert documented == {(rule["alert"], rule["labels"]["severity"]) for rule in rules}
