# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The metrics of a real run, through node_exporter and Prometheus: every query of the dashboard and of the alerts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._role.alerts import alert_groups
from plugins.module_utils._role.dashboard import dashboard
from tests.prometheus import program

from ..support.combinations import under_one
from ..support.metrics import METRICS, drill_record
from ..support.sandbox import Sandbox
from ..support.server import free_port
from ..support.volume import HISTORY, give, put
from ..support.workspace import as_user

VARIABLES = {
    "postgres_backup_namespace": "data",
    "postgres_backup_name": "postgres-backup",
    "postgres_backup_schedule": "0 2 * * *",
    "postgres_backup_drill_schedule": "0 4 * * 0",
    "postgres_backup_alert_max_age": "",
}
# Not the user of the script, and not root.
NODE_EXPORTER_UID = 65534


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - on loopback
        return json.load(response)


class Prometheus:
    """One that scrapes node_exporter each second."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = get(f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert answer["status"] == "success"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 60
        while True:
            try:
                if found := self.query(expression):
                    return found
            except OSError:
                pass
            assert time.monotonic() < deadline, f"waited a minute for {expression}: {self.log.read_text()[-2000:]}"
            time.sleep(0.2)

    def alerts_that_fire(self, rules: list[dict[str, Any]]) -> list[str]:
        """Those that fire at each of ten looks: a scrape that takes too long makes series stale."""
        firing: list[str] = []
        for _look in range(10):
            firing = [str(rule["alert"]) for rule in rules if self.query(rule["expr"])]
            if not firing:
                break
            time.sleep(1)
        return firing


@contextmanager
def prometheus(folder: Path, exporter_program: Path, textfiles: str) -> Iterator[Prometheus]:
    """It listens on loopback only, as its node_exporter does; `textfiles` is a folder or a pattern of folders."""
    port, exporter_port = free_port(), free_port()
    configuration = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "nas", "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    exporter = [
        *as_user(NODE_EXPORTER_UID),
        str(exporter_program),
        f"--web.listen-address=127.0.0.1:{exporter_port}",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={textfiles}",
    ]
    server = [
        str(program("prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with running(exporter, folder / "exporter.log"), running(server, folder / "prometheus.log"):
        yield Prometheus(port, folder / "prometheus.log")


def put_history(sandbox: Sandbox) -> None:
    """A month of runs on a volume that fills."""
    now = datetime.now(UTC)
    lines = [
        {
            "operation": "run",
            "started": f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}",
            "finished": f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}",
            "state": "succeeded",
            "bytes": 1000,
            "free_bytes": (20 << 30) + (days << 20),
        }
        for days in range(30, 0, -1)
    ]
    put(sandbox.volume / HISTORY, "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    give(sandbox.volume, sandbox.uid)


def selectors(expression: str) -> set[str]:
    """The selectors of series in an expression, without the conditions that hold for a fault only."""
    return {
        found.replace(',state!="succeeded"', "") for found in re.findall(r"postgres_backup_\w+\{[^}]*\}", expression)
    }


@under_one
@pytest.mark.parametrize("as_pattern", [False, True], ids=["folder", "pattern"])
def test_every_query_returns_something(
    sandbox: Sandbox, as_pattern: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    put_history(sandbox)
    sandbox.run("_drill_record", env=drill_record(sandbox, "succeeded", datetime.now(UTC))).check()
    sandbox.run("run", env=METRICS).check()
    folder = tmp_path_factory.mktemp("prometheus")
    # Another user cannot enter the cache.
    exporter = Path(shutil.copy(program("prometheus-node-exporter"), sandbox.workspace.directory("node-exporter")))
    # A pattern that no other folder matches: the volumes of other tests lie next to this one.
    textfiles = f"{sandbox.volume.parent}/?{sandbox.volume.name[1:]}" if as_pattern else str(sandbox.volume)
    with prometheus(folder, exporter, textfiles) as server:
        (found,) = server.wait_for("postgres_backup_copies")
        assert {name: found["metric"][name] for name in ("name", "backup_namespace", "job")} == {
            "name": "postgres-backup",
            "backup_namespace": "data",
            "job": "nas",
        }
        assert server.query("node_textfile_scrape_error")[0]["value"][1] == "0"
        # The server may have databases of other tests.
        others = '__name__!="postgres_backup_database_newest_timestamp_seconds"'
        assert 20 <= len(server.query(f'{{__name__=~"postgres_backup_.*",{others}}}')) <= 30
        targets = [target for panel in dashboard(VARIABLES)["panels"] for target in panel["targets"]]
        assert len(targets) >= 14
        assert [target["expr"] for target in targets if not server.query(target["expr"])] == []
        rules = [rule for group in alert_groups(VARIABLES) for rule in group["rules"]]
        asked = set().union(*(selectors(rule["expr"]) for rule in rules))
        assert len(asked) >= 10
        assert [selector for selector in asked if not server.query(selector)] == []
        # No alert fires after a successful run.
        assert server.alerts_that_fire(rules) == []


def test_labels_are_in_each_legend() -> None:
    """A label in a legend or a message that the query does not return would be shown as empty."""
    shown: list[tuple[str, str]] = [
        (target["expr"], target["legendFormat"])
        for panel in dashboard(VARIABLES)["panels"]
        for target in panel["targets"]
    ]
    for group in alert_groups(VARIABLES):
        shown += [(rule["expr"], " ".join(rule["annotations"].values())) for rule in group["rules"]]
    found = 0
    for expression, text in shown:
        for label in re.findall(r"\{\{(?: \$labels\.)?(\w+) ?\}\}", text):
            found += 1
            assert re.search(rf"by \([^)]*\b{label}\b[^)]*\)", expression), (label, expression)
    assert found >= 3
