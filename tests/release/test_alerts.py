# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The alerts that the role applies: Prometheus itself decides which of them fire after which nights."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils._role.alerts import alert_groups
from tests.prometheus import program

VARIABLES = {
    "postgres_backup_namespace": "data",
    "postgres_backup_name": "postgres-backup",
    "postgres_backup_schedule": "0 2 * * *",
    "postgres_backup_drill_schedule": "0 4 * * 0",
    "postgres_backup_alert_max_age": "",
}
HOURS = 24 * 9
HOUR, DAY = 3600, 86400
GIB = 1 << 30


def series(metric: str, **labels: str) -> str:
    """Of an installation, as one way to scrape it has it."""
    shown = {"name": "postgres-backup", "backup_namespace": "data", "instance": "nas:9100", "job": "node", **labels}
    conditions = ",".join(f'{name}="{text}"' for name, text in shown.items())
    return f"postgres_backup_{metric}{{{conditions}}}"


def nightly(values: Mapping[int, float], start: float) -> str:
    """A sample for each five minutes: `start`, and from those hours on the other values."""
    parts, current = [], start
    for hour in range(HOURS):
        current = values.get(hour, current)
        parts += [f"{current:.0f}"] * 12
    return " ".join(parts)


def good(**changed: str | None) -> dict[str, str]:
    """Nine good nights: a run each midnight, a drill each seventh night."""
    midnights = {24 * day: DAY * day for day in range(1, 9)}
    samples = {
        series("newest_timestamp_seconds"): nightly(midnights, 0),
        series("newest_size_bytes"): nightly({}, GIB),
        series("last_run_timestamp_seconds"): nightly(midnights, 0),
        series("last_run_state", state="succeeded"): nightly({}, 1),
        series("consecutive_failures"): nightly({}, 0),
        series("copies"): nightly({}, 0),
        series("databases"): nightly({}, 2),
        series("databases_missing"): nightly({}, 0),
        **{
            series("database_newest_timestamp_seconds", database=name): nightly(midnights, 0)
            for name in ("postgres", "shop")
        },
        **{series("backups", state=state): nightly({}, 0) for state in ("incomplete", "unchecked", "damaged")},
        series("backups", state="complete"): nightly({}, 7),
        series("last_drill_timestamp_seconds"): nightly({7 * 24: 7 * DAY}, 0),
        series("last_drill_state", state="succeeded"): nightly({}, 1),
        series("volume_free_bytes"): nightly({}, 100 * GIB),
        series("volume_full_timestamp_seconds"): nightly({}, 100 * DAY),
    }
    for name, values in changed.items():
        metric, _, label = name.partition("__")
        labels = dict([label.split("_", 1)]) if label else {}
        if values is None:
            del samples[series(metric, **labels)]
        else:
            samples[series(metric, **labels)] = values
    return samples


STOPPED_AFTER_A_NIGHT = nightly({24: DAY}, 0)
# The series, and the alerts that fire at each hour.
NIGHTS: dict[str, tuple[dict[str, str], dict[int, set[str]]]] = {
    "good nights": (good(), {1: set(), 25: set(), 47: set(), 100: set()}),
    "no run any more": (
        good(
            newest_timestamp_seconds=STOPPED_AFTER_A_NIGHT,
            database_newest_timestamp_seconds__database_shop=STOPPED_AFTER_A_NIGHT,
            database_newest_timestamp_seconds__database_postgres=STOPPED_AFTER_A_NIGHT,
        ),
        {49: set(), 51: {"NewestTooOld"}, 90: {"NewestTooOld"}},
    ),
    "a bad night, then a good one": (
        good(
            newest_timestamp_seconds=nightly({48: 2 * DAY, 96: 4 * DAY}, 0),
            consecutive_failures=nightly({72: 1, 96: 0}, 0),
        ),
        {47: {"NewestTooOld"}, 49: set(), 73: {"LastRunFailed"}, 75: {"LastRunFailed", "NewestTooOld"}, 97: set()},
    ),
    "one database fails": (
        good(
            databases_missing=nightly({24: 1, 120: 0}, 0),
            consecutive_failures=nightly({24: 1, 48: 2, 72: 3, 96: 4, 120: 0}, 0),
            backups__state_incomplete=nightly({24: 1, 120: 0}, 0),
            newest_timestamp_seconds=nightly({120: 5 * DAY}, 0),
            database_newest_timestamp_seconds__database_shop=nightly({120: 5 * DAY}, 0),
        ),
        {
            23: set(),
            25: {"LastRunFailed", "Incomplete"},
            27: {"LastRunFailed", "Incomplete", "NewestTooOld", "DatabaseTooOld"},
            121: set(),
        },
    ),
    "a database that no backup has": (
        good(
            databases_missing=nightly({}, 1),
            database_newest_timestamp_seconds__database_shop=nightly({}, 0),
        ),
        # In the hours of 1970, it is not old yet.
        {1: {"Incomplete"}, 30: {"Incomplete", "DatabaseTooOld"}},
    ),
    "nothing complete": (
        good(backups__state_complete=nightly({}, 0), newest_timestamp_seconds=None, newest_size_bytes=None),
        {1: {"None"}},
    ),
    "damaged": (good(backups__state_damaged=nightly({30: 2, 60: 0}, 0)), {29: set(), 31: {"Damaged"}, 61: set()}),
    "smaller by a third": (good(newest_size_bytes=nightly({24: 0.7 * GIB}, GIB)), {25: set()}),
    "much smaller": (
        good(newest_size_bytes=nightly({24: 0.4 * GIB}, GIB)),
        # After two days, that is the usual size.
        {23: set(), 25: {"Shrunk"}, 70: {"Shrunk"}, 80: set()},
    ),
    "the volume is full": (
        good(volume_free_bytes=nightly({24: GIB - 1, 48: GIB}, 100 * GIB)),
        {
            23: set(),
            25: {"NoSpace"},
            49: set(),
        },
    ),
    "the volume fills up": (
        good(volume_full_timestamp_seconds=nightly({48: 100 * DAY}, 8 * DAY)),
        {23: set(), 27: {"VolumeFillsUp"}, 49: set()},
    ),
    "the volume does not fill": (
        good(volume_full_timestamp_seconds=" ".join(["+Inf"] * 12 * HOURS)),
        {1: set(), 30: set()},
    ),
    "too few days to know": (good(volume_full_timestamp_seconds=None), {1: set(), 30: set()}),
    "a drill fails": (
        good(
            last_drill_state__state_succeeded=f"{' '.join(['1'] * 12 * 24)} stale",
            last_drill_state__state_failed=f"{' '.join(['_'] * 12 * 24)} {' '.join(['1'] * 12 * 24)} stale",
        ),
        {23: set(), 25: {"DrillFailed"}, 49: set()},
    ),
    "no drill any more": (
        good(last_drill_timestamp_seconds=nightly({}, 0)),
        {7 * 24: set(), 8 * 24 - 1: set(), 8 * 24 + 1: {"DrillTooOld"}},
    ),
    "not monitored": ({}, {1: set(), 3: {"MetricsMissing"}}),
    "another installation": (
        {name.replace('backup_namespace="data"', 'backup_namespace="other"'): "0" for name in good()},
        {1: set(), 3: {"MetricsMissing"}},
    ),
    # By node_exporter and from the Pushgateway, which has the file of some time ago.
    "scraped in two ways": (
        {
            **good(newest_timestamp_seconds=nightly({}, 0)),
            **{name.replace("nas:9100", "pushgateway:9091"): values for name, values in good().items()},
        },
        {1: set(), 49: set()},
    ),
}


def written(folder: Path, **variables: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": alert_groups({**VARIABLES, **variables})}))
    return path


def input_series(given: dict[str, str], last_hour: int) -> list[dict[str, str]]:
    """As long as they are needed: promtool reads them all."""
    return [
        {"series": name, "values": " ".join(values.split()[: 12 * (last_hour + 1)])} for name, values in given.items()
    ]


def promtool(folder: Path, *arguments: str) -> None:
    done = subprocess.run([program("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_after_nights(tmp_path: Path) -> None:
    written(tmp_path)
    tests = [
        {
            "name": night,
            "interval": "5m",
            "input_series": input_series(given, max(hours)),
            "promql_expr_test": [
                {
                    # Whatever fires, so that nothing else does.
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{hour}h30m",
                    "exp_samples": [
                        {"labels": f'{{alertname="PostgresBackup{alert}"}}', "value": 1} for alert in sorted(alerts)
                    ],
                }
                for hour, alerts in hours.items()
            ],
        }
        for night, (given, hours) in NIGHTS.items()
    ]
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "15m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(document))
    promtool(tmp_path, "check", "rules", "rules.yaml")
    promtool(tmp_path, "test", "rules", "tests.yaml")


def test_each_alert_has_a_night_in_which_it_fires() -> None:
    fired = {f"PostgresBackup{alert}" for _, hours in NIGHTS.values() for alerts in hours.values() for alert in alerts}
    assert fired == {rule["alert"] for group in alert_groups(VARIABLES) for rule in group["rules"]}


MESSAGES: list[tuple[dict[str, str], str, str, dict[str, str], str]] = [
    (
        good(newest_timestamp_seconds=nightly({}, 0)),
        "30h",
        "NewestTooOld",
        {"severity": "critical"},
        "Expected a complete backup younger than 1d 2h, found one that is 1d 6h 0m 0s old. Find out why: "
        "ansible-playbook homelab.postgres_backup.verify -e postgres_backup_namespace=data "
        "-e postgres_backup_name=postgres-backup",
    ),
]


@pytest.mark.parametrize(("given", "at", "alert", "labels", "description"), MESSAGES)
def test_messages(  # noqa: PLR0917  # as the table has them
    given: dict[str, str], at: str, alert: str, labels: dict[str, str], description: str, tmp_path: Path
) -> None:
    rules = {rule["alert"]: rule for group in alert_groups(VARIABLES) for rule in group["rules"]}
    written(tmp_path)
    summary = rules[f"PostgresBackup{alert}"]["annotations"]["summary"].replace(
        "{{ $value | humanizeDuration }}", "1d 6h 0m 0s"
    )
    test: dict[str, Any] = {
        "interval": "5m",
        "input_series": input_series(given, 30),
        "alert_rule_test": [
            {
                "eval_time": at,
                "alertname": f"PostgresBackup{alert}",
                "exp_alerts": [
                    {
                        "exp_labels": {"name": "postgres-backup", "backup_namespace": "data", **labels},
                        "exp_annotations": {"summary": summary, "description": description},
                    }
                ],
            }
        ],
    }
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "5m", "tests": [test]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(document))
    promtool(tmp_path, "test", "rules", "tests.yaml")


@pytest.mark.parametrize(
    ("variables", "present", "absent"),
    [
        ({}, ["> 93600", "> 691200"], []),
        ({"postgres_backup_alert_max_age": "3d"}, ["> 259200"], ["> 93600"]),
        ({"postgres_backup_schedule": "0 2 * * 0"}, ["> 612000"], ["> 93600"]),
        ({"postgres_backup_drill_schedule": ""}, ["> 93600"], ["drill"]),
    ],
)
def test_limits(variables: dict[str, str], present: list[str], absent: list[str], tmp_path: Path) -> None:
    text = written(tmp_path, **variables).read_text().replace("\n", " ")
    promtool(tmp_path, "check", "rules", "rules.yaml")
    assert all(part in text for part in present)
    assert not any(part in text for part in absent)
