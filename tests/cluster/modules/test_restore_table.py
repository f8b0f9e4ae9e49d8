# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""restore_table and playbooks/restore_table.yml against a live server, on a real cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import delete_namespace, names
from tests.cluster.support.live_server import POD, LiveServer
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.pod_commands import PodShell
from tests.cluster.support.servers import bring_server_up

TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE "my orders" (id serial PRIMARY KEY, customer int REFERENCES customers, note text);
INSERT INTO customers SELECT n, 'secret value ' || n FROM generate_series(1, 100) AS n;
INSERT INTO "my orders" (customer, note) SELECT n % 100 + 1, 'note ' || n FROM generate_series(1, 1000) AS n;
"""
# A mistake, and what was written afterwards.
CHANGE = """
DELETE FROM "my orders" WHERE id <= 300;
DELETE FROM customers WHERE id = 100 AND NOT EXISTS (SELECT FROM "my orders" WHERE customer = 100);
UPDATE "my orders" SET note = 'changed' WHERE id = 500;
INSERT INTO "my orders" (customer, note) VALUES (1, 'new');
"""


@pytest.fixture(scope="module")
def live(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server, its installation, and a backup."""
    ansible = Ansible(tmp_path_factory.mktemp("restore-table"), collections)
    namespace = new_namespace("restore-table")
    server = bring_server_up(ansible, namespace)
    shell = PodShell(namespace, POD)
    running = LiveServer(server, shell, {})
    running.sql("CREATE DATABASE shop;")
    running.sql(TABLES, "shop")
    play = ansible.site(namespace=namespace)
    assert play.status == 0, play.output
    job = ansible.module("backup_job", namespace=namespace)
    assert not job["failed"], job["msg"]
    running.sql(CHANGE, "shop")
    yield running
    shell.close()
    delete_namespace(namespace)


def module(ansible: Ansible, live: LiveServer, *arguments: str, **more: Any) -> dict[str, Any]:
    options = {"database": "shop", "tables": ['"my orders"', "customers"], **more}
    return ansible.module("restore_table", *arguments, **live.options(**options))


def assert_nothing_left(live: LiveServer) -> None:
    assert live.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%restoring%';") == "0"
    assert not {name for name in names("job", live.server.namespace) if "-restore-" in name}


def schemas(live: LiveServer) -> list[str]:
    return live.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '^restored_' ORDER BY 1;", "shop").split()


def test_compared_in_check_mode_then_restored(ansible: Ansible, live: LiveServer) -> None:
    text = live.text_of("shop")
    would = module(ansible, live, "--check", keys=2)
    assert not would["failed"], would["msg"]
    assert would["schema"] is None
    assert live.text_of("shop") == text
    done = module(ansible, live, keys=2)
    assert not done["failed"], done["msg"]
    assert done["tables"] == would["tables"]
    orders = next(table for table in done["tables"] if table["name"] == "my orders")
    assert {name: orders[name] for name in ("rows", "only_in_backup", "only_in_live", "changed", "same")} == {
        "rows": 1000,
        "only_in_backup": 300,
        "only_in_live": 1,
        "changed": 1,
        "same": 699,
    }
    assert orders["keys"] == {
        "only_in_backup": [{"id": 1}, {"id": 2}],
        "only_in_live": [{"id": 1001}],
        "changed": [{"id": 500}],
    }
    assert schemas(live) == [done["schema"]]
    count = f'SELECT count(*) FROM {done["schema"]}."my orders";'  # noqa: S608
    assert live.sql(count, "shop") == "1000"
    # Neither values nor keys are in what Ansible prints of the log.
    assert "secret value" not in json.dumps(done)
    assert "1001" not in "\n".join(done["log"])
    live.sql(f"DROP SCHEMA {done['schema']} CASCADE;", "shop")
    assert live.text_of("shop") == text
    assert_nothing_left(live)


@pytest.mark.weekly
def test_what_cannot_be_restored_is_named(ansible: Ansible, live: LiveServer) -> None:
    refused = module(ansible, live, tables=["none"])
    assert refused["failed"]
    assert "the backup's database has no table none" in refused["msg"]
    assert refused["changed"] is False
    refused = module(ansible, live, target="nowhere")
    assert refused["failed"]
    assert "the database is not on the server" in refused["msg"]
    assert_nothing_left(live)


@pytest.mark.weekly
def test_playbook_puts_lost_rows_back(ansible: Ansible, live: LiveServer) -> None:
    variables: dict[str, Any] = {
        "postgres_backup_namespace": live.server.namespace,
        "postgres_backup_restore_database": "shop",
        "postgres_backup_restore_tables": '"my orders", customers',
        "postgres_backup_restore_merge": "missing",
    }
    text = live.text_of("shop")
    stopped = ansible("homelab.postgres_backup.restore_table", **variables)
    assert stopped.status != 0
    assert "Nothing was done" in stopped.output, stopped.output
    assert live.text_of("shop") == text
    done = ansible("homelab.postgres_backup.restore_table", postgres_backup_restore_confirmed=True, **variables)
    assert done.status == 0, done.output
    assert done.changed == 1
    assert live.sql('SELECT count(*) FROM "my orders";', "shop") == "1001"
    assert live.sql("SELECT count(*) FROM \"my orders\" WHERE note = 'changed';", "shop") == "1"
    (removal,) = re.findall(r"^  (DROP SCHEMA .*;)$", done.output, re.MULTILINE)
    live.sql(removal, "shop")
    assert schemas(live) == []
    assert_nothing_left(live)
