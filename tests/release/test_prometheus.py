# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/examples/prometheus: Prometheus itself evaluates which alerts fire after which night."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus import program

from .machines import CHECKOUT

EXAMPLES = CHECKOUT / "docs" / "examples" / "prometheus"
SCRIPT = EXAMPLES / "postgres-backup-metrics.sh"
CRONJOB = 'namespace="data",cronjob="postgres-backup"'
JOB = 'namespace="data",job_name="postgres-backup-1"'
KNOWN = {
    f"kube_cronjob_info{{{CRONJOB}}}": "1*80",
    f"kube_cronjob_created{{{CRONJOB}}}": "0*80",
    f"kube_cronjob_spec_suspend{{{CRONJOB}}}": "0*80",
}
FAILED_AT_24H = {
    f'kube_job_owner{{{JOB},owner_kind="CronJob",owner_name="postgres-backup"}}': "_*24 1*24",
    f"kube_job_status_start_time{{{JOB}}}": "_*24 86400*24",
    f'kube_job_failed{{{JOB},condition="true"}}': "_*24 1*24",
    f'kube_job_failed{{{JOB},condition="false"}}': "_*24 0*24",
}
SUCCESS = f"kube_cronjob_status_last_successful_time{{{CRONJOB}}}"
FOLDER = {'postgres_backup_folder_readable{name="postgres-backup"}': "1*80"}
LAST = 'postgres_backup_last_run_timestamp_seconds{name="postgres-backup"}'
NEWEST = 'postgres_backup_newest_timestamp_seconds{name="postgres-backup"}'
STATE = 'postgres_backup_last_run_state{name="postgres-backup",state="%s"}'
GOOD_VOLUME = {**FOLDER, LAST: "0*24 86400*50", NEWEST: "0*24 86400*50", STATE % "succeeded": "1*80"}
# The samples (VALUE*HOURS …, from the epoch on; `_` for none), and which alerts fire at which hour.
NIGHTS: dict[str, tuple[str, dict[str, str], dict[int, set[str]]]] = {
    "a good night": ("cronjob", {**KNOWN, SUCCESS: "0*24 86400*50"}, {25: set(), 47: set(), 51: {"TooOld"}}),
    "a bad night, then a good one": (
        "cronjob",
        {**KNOWN, **FAILED_AT_24H, SUCCESS: "0*47 169200*50"},
        {23: set(), 25: {"Failed"}, 28: {"Failed", "TooOld"}, 48: set()},
    ),
    "it never worked": (
        "cronjob",
        {**KNOWN, **FAILED_AT_24H},
        {23: set(), 25: {"Failed"}, 28: {"Failed", "NeverSucceeded"}},
    ),
    "suspended": (
        "cronjob",
        {**KNOWN, f"kube_cronjob_spec_suspend{{{CRONJOB}}}": "0*4 1*50", SUCCESS: "0*80"},
        {3: set(), 10: {"Suspended"}},
    ),
    "the CronJob is gone": ("cronjob", {}, {3: {"CronJobMissing"}}),
    "another CronJob": (
        "cronjob",
        {**KNOWN, SUCCESS: "0*24 86400*50", SUCCESS.replace("data", "other"): "0*80"},
        {40: set()},
    ),
    "a good night on the volume": ("last-run", GOOD_VOLUME, {23: set(), 25: set(), 47: set()}),
    "no night on the volume": (
        "last-run",
        {**GOOD_VOLUME, LAST: "0*80", NEWEST: "0*80"},
        {25: set(), 28: {"LastRunTooOld", "NewestTooOld"}},
    ),
    "a bad night on the volume": (
        "last-run",
        {**FOLDER, LAST: "0*24 86400*50", NEWEST: "0*80", STATE % "succeeded": "1*24", STATE % "failed": "_*24 1*50"},
        {23: set(), 25: {"LastRunFailed"}, 28: {"LastRunFailed", "NewestTooOld"}},
    ),
    "killed": (
        "last-run",
        {**FOLDER, LAST: "3600*50", NEWEST: "0*50", STATE % "running": "1*50"},
        {1: set(), 3: {"LastRunInterrupted"}},
    ),
    "not mounted": ("last-run", dict.fromkeys(FOLDER, "0*50"), {3: {"NotWatched"}}),
    "the script stopped": (
        "last-run",
        {**GOOD_VOLUME, 'node_textfile_mtime_seconds{file="/var/lib/node_exporter/postgres-backup.prom"}': "7200*80"},
        {3: set(), 5: {"NotWatched"}},
    ),
}


@pytest.fixture(scope="module")
def promtool() -> Path:
    return program("promtool")


def groups(name: str) -> list[dict[str, Any]]:
    rule = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert set(rule) == {"apiVersion", "kind", "metadata", "spec"} and set(rule["spec"]) == {"groups"}
    found: list[dict[str, Any]] = rule["spec"]["groups"]
    return found


def samples(values: str) -> str:
    """One for each five minutes: Prometheus takes a series without one for so long as gone."""
    parts = (part.split("*") for part in values.split())
    return " ".join(" ".join([value] * 12 * int(hours)) for value, hours in parts)


@pytest.mark.parametrize("name", ["cronjob", "last-run"])
def test_alert_rules_pass_promtool(name: str, promtool: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups(name)}))
    nights = {night: what for night, what in NIGHTS.items() if what[0] == name}
    tests = [
        {
            "name": night,
            "interval": "5m",
            "input_series": [{"series": series, "values": samples(values)} for series, values in there.items()],
            "promql_expr_test": [
                {
                    # Whatever fires, so that nothing else does.
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{hour}h",
                    "exp_samples": [
                        {"labels": f'{{alertname="PostgresBackup{alert}"}}', "value": 1} for alert in sorted(alerts)
                    ],
                }
                for hour, alerts in hours.items()
            ],
        }
        for night, (_, there, hours) in nights.items()
    ]
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "5m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(document))
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    # Each alert has a night in which it fires.
    fired = {
        f"PostgresBackup{alert}" for _, _, hours in nights.values() for alerts in hours.values() for alert in alerts
    }
    assert fired == {rule["alert"] for group in groups(name) for rule in group["rules"]}


@pytest.mark.parametrize("shell", [["sh"], ["busybox", "sh"]], ids=" ".join)
def test_textfile_script_reports_the_volume(shell: list[str], promtool: Path, tmp_path: Path) -> None:
    volume, file = tmp_path / "a volume", tmp_path / "postgres-backup.prom"
    volume.mkdir()

    def metrics() -> dict[str, str]:
        subprocess.run([*shell, SCRIPT, "postgres-backup", volume, file], check=True, env={"PATH": os.environ["PATH"]})
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=file.read_bytes(), capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        assert list(tmp_path.glob("*.prom*")) == [file] and file.stat().st_mode & 0o777 == 0o644
        lines = (line for line in file.read_text().splitlines() if not line.startswith("#"))
        return dict(line.rsplit(" ", 1) for line in lines)

    unread = metrics()
    assert unread == {'postgres_backup_folder_readable{name="postgres-backup"}': "0"}
    record = volume / "postgres-backup.last-run.json"
    record.write_text('{"state":"failed","job":null,"reason":"{\\"state\\":\\"succeeded\\",","backup":null}\n')
    os.utime(record, (5000, 5000))
    backup = "postgres-backup-2026-11-2%d-020000.sql.gz"
    for day, has_checksum_file in ((0, True), (1, True), (2, False)):
        (volume / (backup % day)).write_text("x" * (10 + day))
        os.utime(volume / (backup % day), (1000 + day, 1000 + day))
        if has_checksum_file:
            (volume / f"{backup % day}.sha256").touch()
    for suffix, text in (("", "x"), (".sha256", "x"), (".json", '{"format":1,"backup":"x","state":"incomplete",\n')):
        (volume / f"{backup % 3}{suffix}").write_text(text)
    (volume / f"{backup.replace('backup-', 'backup-other-') % 4}").touch()
    record.rename(volume / "last-run.json")  # as version 1.0 named it
    assert metrics()[LAST] == "5000"
    (volume / "last-run.json").rename(record)
    (volume / "last-run.json").write_text("{}")
    said = metrics()
    assert said == {
        'postgres_backup_folder_readable{name="postgres-backup"}': "1",
        LAST: "5000",
        STATE % "failed": "1",
        NEWEST: "1001",
        'postgres_backup_newest_size_bytes{name="postgres-backup"}': "11",
    }
    # An encrypted backup, and later a plain one again.
    for day, ending in ((5, ".age"), (6, "")):
        (volume / f"{backup % day}{ending}").write_text("x")
        os.utime(volume / f"{backup % day}{ending}", (1000 + day, 1000 + day))
        (volume / f"{backup % day}{ending}.sha256").touch()
        assert metrics()[NEWEST] == str(1000 + day)
    # The rules ask for nothing that the script does not say.
    text = (EXAMPLES / "last-run.yaml").read_text()
    asked = set(re.findall(r"\bpostgres_backup_\w+", text))
    assert asked and asked <= {series.split("{")[0] for series in said}
