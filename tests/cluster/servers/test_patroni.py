# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A real Patroni: everything by the service without a selector, and a switchover during a run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import CHECKOUT, NAME, delete_namespace, kubectl, listed, wait_until
from tests.cluster.support.namespaces import new_namespace

SHOP = """
CREATE TABLE items AS SELECT n AS id, 'item ' || n AS name FROM generate_series(1, 1000) AS n;
ALTER TABLE items ADD PRIMARY KEY (id);
"""


@dataclass(frozen=True)
class Patroni:
    """The cluster `shop` in its namespace."""

    namespace: str

    def pods(self) -> dict[str, str]:
        """The role of each ready pod."""
        ready = {}
        for pod in listed("pod", self.namespace, "application=patroni"):
            conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
            if conditions.get("Ready") == "True":
                ready[pod["metadata"]["name"]] = pod["metadata"]["labels"].get("role", "")
        return ready

    @property
    def leader(self) -> str:
        (leader,) = (name for name, role in self.pods().items() if role == "primary")
        return leader

    def is_up(self) -> bool:
        return sorted(self.pods().values()) == ["primary", "replica"]

    def sql(self, text: str, database: str = "postgres") -> str:
        words = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-")
        return kubectl("exec", "-i", self.leader, "-n", self.namespace, "--", *words, stdin=text).strip()

    def switch_over(self) -> None:
        before = self.leader
        words = ("patronictl", "-c", "/tmp/patroni.yml", "switchover", "shop", "--leader", before, "--force")
        kubectl("exec", before, "-n", self.namespace, "--", *words)
        wait_until(lambda: self.is_up() and self.leader != before, "another pod leads", 90)


@pytest.fixture(scope="module")
def patroni() -> Iterator[Patroni]:
    image = CHECKOUT / "dev" / "cluster" / "image"
    subprocess.run([image, "postgresql-18-patroni"], check=True, capture_output=True, text=True)
    namespace = new_namespace("patroni")
    objects = Path(__file__).with_name("patroni.yaml").read_text().replace("its-namespace", namespace)
    kubectl("apply", "-n", namespace, "-f", "-", stdin=objects)
    cluster = Patroni(namespace)
    wait_until(cluster.is_up, "Patroni has a leader and a replica", 180)
    cluster.sql("CREATE DATABASE shop;")
    cluster.sql(SHOP, "shop")
    yield cluster
    delete_namespace(namespace)


@pytest.fixture(scope="module")
def installed(patroni: Patroni, tmp_path_factory: pytest.TempPathFactory, collections: Path) -> Ansible:
    ansible = Ansible(tmp_path_factory.mktemp("patroni"), collections)
    play = ansible("homelab.postgres_backup.site", postgres_backup_namespace=patroni.namespace)
    assert play.status == 0, play.output
    assert "localhost/postgresql:18-patroni-debian" in play.output
    assert "Found: Patroni/shop" in play.output
    again = ansible("homelab.postgres_backup.site", postgres_backup_namespace=patroni.namespace)
    assert (again.status, again.changed) == (0, 0), again.output
    return ansible


@pytest.mark.weekly
def test_verify_drill_and_restore(patroni: Patroni, installed: Ansible) -> None:
    verified = installed("homelab.postgres_backup.verify", postgres_backup_namespace=patroni.namespace)
    assert verified.status == 0, verified.output
    drill = installed.module("restore_drill", namespace=patroni.namespace)
    assert not drill["failed"], drill["msg"]
    restored = installed.module("restore_database", namespace=patroni.namespace, database="shop", new_name="shop_again")
    assert (restored["failed"], restored["rows"]) == (False, 1000), restored["msg"]
    assert patroni.sql("SELECT count(*) FROM items;", "shop_again") == "1000"


@pytest.mark.weekly
def test_switchover_in_the_middle_of_a_run(patroni: Patroni, installed: Ansible) -> None:
    """The dump loses its connection, the Job tries again, and the new leader is backed up."""
    before = set(volume_folder(patroni.namespace).glob("*.sql.gz"))
    lock = "BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600);"
    words = ["kubectl", "exec", patroni.leader, "-n", patroni.namespace, "--", "psql", "-X", "-U", "postgres"]
    holder = subprocess.Popen([*words, "-d", "shop", "-c", lock], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'items'::regclass;"
    held = waiting.replace("NOT granted", "granted AND mode = 'AccessExclusiveLock'")
    wait_until(lambda: patroni.sql(held, "shop") == "1", "the table is locked")
    options: dict[str, Any] = {"namespace": patroni.namespace, "name": NAME}
    running = installed.start("backup_job", "--tree", str(installed.folder / "tree"), **options)
    wait_until(lambda: patroni.sql(waiting, "shop") == "1", "the dump waits for the lock")
    patroni.switch_over()
    output, _ = running.communicate(timeout=300)
    holder.kill()
    holder.communicate()
    result = json.loads((installed.folder / "tree" / "localhost").read_text())
    assert running.returncode == 0, output
    assert any("is tried again" in line for line in result["log"]), "\n".join(result["log"])
    assert result["result"]["backup_state"] == "complete"
    made = set(volume_folder(patroni.namespace).glob("*.sql.gz")) - before
    assert {path.name for path in made} == {result["result"]["backup"]}
    verified = installed("homelab.postgres_backup.verify", postgres_backup_namespace=patroni.namespace)
    assert verified.status == 0, verified.output
