# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""restore_cluster into a server that a chart has prepared, and which is not empty, on a real cluster."""

from __future__ import annotations

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

SHOP = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT n, 'note ' || n FROM generate_series(1, 1000) AS n;
ALTER TABLE orders OWNER TO shop;
"""
DATABASES = ("shop", "my wiki")


@pytest.fixture(scope="module")
def live(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server, its installation, and a backup."""
    ansible = Ansible(tmp_path_factory.mktemp("restore-cluster"), collections)
    namespace = new_namespace("restore-cluster")
    server = bring_server_up(ansible, namespace)
    shell = PodShell(namespace, POD)
    running = LiveServer(server, shell, {})
    running.sql("CREATE ROLE shop LOGIN PASSWORD 'of the backup'; CREATE ROLE reader; GRANT reader TO shop;")
    for name in DATABASES:
        running.sql(f'CREATE DATABASE "{name}" OWNER shop;')
        running.sql(SHOP, name)
    play = ansible.site(namespace=namespace)
    assert play.status == 0, play.output
    job = ansible.module("backup_job", namespace=namespace)
    assert not job["failed"], job["msg"]
    yield running
    shell.close()
    delete_namespace(namespace)


def module(ansible: Ansible, live: LiveServer, *arguments: str, **more: Any) -> dict[str, Any]:
    result = ansible.module("restore_cluster", *arguments, **live.options(**more))
    assert not {name for name in names("job", live.server.namespace) if "-restore-" in name}
    return result


def states(result: dict[str, Any]) -> dict[str, str]:
    return {database["name"]: database["state"] for database in result["databases"]}


def password_of(live: LiveServer, role: str) -> str:
    return live.sql(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{role}';")  # noqa: S608


def test_databases_with_rows_are_refused_then_renamed(ansible: Ansible, live: LiveServer) -> None:
    texts = {name: live.text_of(name) for name in DATABASES}
    state = live.state()
    refused = module(ansible, live)
    assert refused["failed"] and not refused["changed"]
    for name in DATABASES:
        assert f"the database '{name}' is on the server and has objects" in refused["msg"]
    would = module(ansible, live, "--check", replace=True)
    assert not would["failed"], would["msg"]
    assert {states(would)[name] for name in DATABASES} == {"would_be_restored"}
    assert live.state() == state

    done = module(ansible, live, replace=True)
    assert not done["failed"], done["msg"]
    assert (done["changed"], done["rows"], done["tables"]) == (True, 2000, 2)
    assert {"shop", "reader"} <= set(done["kept_roles"]) and not done["created_roles"]
    replaced = {entry["name"]: entry["replaced"] for entry in done["databases"] if entry["name"] in DATABASES}
    for name in DATABASES:
        assert live.text_of(name) == live.text_of(replaced[name]) == texts[name]
        live.drop(replaced[name])


def test_into_a_server_that_a_chart_has_prepared(ansible: Ansible, live: LiveServer) -> None:
    texts = {name: live.text_of(name) for name in DATABASES}
    live.drop(*DATABASES)
    live.sql(
        "DROP ROLE reader; DROP ROLE shop; CREATE ROLE shop LOGIN PASSWORD 'of the chart';"
        "CREATE DATABASE shop OWNER shop; CREATE DATABASE other;"
    )
    password = password_of(live, "shop")
    state = live.state()
    would = module(ansible, live, "--check")
    assert not would["failed"], would["msg"]
    assert (would["created_roles"], would["other_databases"]) == (["reader"], ["other"])
    assert live.state() == state

    done = module(ansible, live, alter_roles=True)
    assert not done["failed"], done["msg"]
    assert (done["created_roles"], done["other_databases"]) == (["reader"], ["other"])
    assert {entry["name"]: entry["dropped"] for entry in done["databases"] if entry["state"] == "restored"} == {
        "shop": True,
        "my wiki": False,
    }
    assert password_of(live, "shop") == password
    assert live.sql("SELECT pg_has_role('shop', 'reader', 'MEMBER');") == "t"
    for name in DATABASES:
        assert live.text_of(name) == texts[name]
    assert live.sql("SELECT count(*) FROM pg_database WHERE datname ~ '_(restoring|before_restore)_';") == "0"
    live.drop("other")
