# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""restore_database and playbooks/restore.yml against a live server with hostile databases, on a real cluster."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support.ansible_runs import Ansible, signal_all
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import CHECKOUT, delete_namespace, kubectl, must_get, names, wait_until
from tests.cluster.support.live_server import POD, LiveServer
from tests.cluster.support.namespaces import credentials, new_namespace
from tests.cluster.support.pod_commands import PodShell
from tests.cluster.support.servers import bring_server_up
from tests.dump import hostile
from tests.in_turn import weekly
from tests.script.support.sample import quoted


def module(ansible: Ansible, live: LiveServer, *arguments: str, **more: Any) -> dict[str, Any]:
    """The module's result, from the volume alone."""
    env = more.pop("env", None)
    return ansible.module("restore_database", *arguments, env=env, **live.options(**more))


def proven(live: LiveServer) -> dict[str, Any]:
    """The options of a backup that was fetched and verified."""
    return {name: live.fetched[name] for name in ("backup", "sha256", "contents")}


def restores(namespace: str) -> set[str]:
    return {name for name in names("job", namespace) if "-restore-" in name}


def pods_of_restores(namespace: str) -> list[str]:
    return [name for name in names("pod", namespace) if "-restore-" in name]


@pytest.fixture(scope="module")
def live(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server of these tests' own, its installation, and a fetched backup."""
    folder = tmp_path_factory.mktemp("restore")
    ansible = Ansible(folder, collections)
    namespace = new_namespace("restore")
    server = bring_server_up(ansible, namespace)
    shell = PodShell(namespace, POD)
    empty = LiveServer(server, shell, {})
    spaces = folder / "spaces"
    spaces.mkdir()
    hostile.fill(empty, spaces)  # type: ignore[arg-type]
    empty.sql(
        'GRANT CREATE ON DATABASE app TO "role;"; REVOKE ALL ON DATABASE app FROM PUBLIC;'
        "ALTER DATABASE app CONNECTION LIMIT 7;"
    )
    play = ansible.site(namespace=namespace)
    assert play.status == 0, play.output
    made = ansible.module("backup_job", namespace=namespace)
    assert not made["failed"], made["msg"]
    dest = folder / "here"
    dest.mkdir()
    fetched = ansible.module("backup_fetch", namespace=namespace, dest=f"{dest}/", verify=True)
    assert not fetched["failed"], fetched["msg"]
    yield LiveServer(server, shell, fetched)
    shell.close()
    delete_namespace(namespace)


@pytest.fixture
def untouched(live: LiveServer) -> Iterator[LiveServer]:
    """The server, whose databases are the same ones afterwards."""
    before = live.state()
    yield live
    assert live.state() == before
    assert not restores(live.server.namespace)


def test_restored_next_to_the_live_databases(ansible: Ansible, untouched: LiveServer) -> None:
    for number, database in enumerate(untouched.fetched["contents"]["databases"]):
        name, new = database["name"], f'other {number} "q" $(x) $HOME'
        done = module(ansible, untouched, database=name, new_name=new, **(proven(untouched) if number % 2 else {}))
        assert not done["failed"], done["msg"]
        assert (done["backup"], done["sha256"]) == (untouched.fetched["backup"], untouched.fetched["sha256"])
        assert (done["changed"], done["rows"], done["replaced"]) == (True, database["rows"], None)
        assert untouched.text_of(new) == untouched.text_of(name), name
        if name not in ("postgres", "template1"):
            assert untouched.shape(new) == untouched.shape(name)
        untouched.drop(new)


@pytest.mark.parametrize("name", [weekly("app"), 'sp ace "q" \\ b', weekly("ünï"), weekly("d" * 63), weekly("latin1")])
def test_restored_in_place_of_the_live_database(ansible: Ansible, live: LiveServer, name: str) -> None:
    text, shape = live.text_of(name), live.shape(name)
    live.sql("CREATE TABLE added_since (a int);", name)
    changed = live.text_of(name)
    would = module(ansible, live, "--check", "--diff", database=name, replace=True)
    assert not would["failed"], would["msg"]
    assert "_before_restore_20" in would["replaced"]
    assert f"+{would['replaced']}" in would["shown"]
    assert live.text_of(name) == changed

    done = module(ansible, live, database=name, replace=True)
    assert not done["failed"], done["msg"]
    assert (live.text_of(name), live.shape(name)) == (text, shape)
    assert live.text_of(done["replaced"]) == changed
    live.drop(done["replaced"])


@pytest.mark.weekly
def test_existing_database_name_is_refused(ansible: Ansible, untouched: LiveServer) -> None:
    for check in ([], ["--check"]):
        found = module(ansible, untouched, *check, database="app")
        assert found["failed"]
        assert "the database already exists: 'app'" in found["msg"]


@pytest.mark.weekly
def test_backup_changed_since_the_fetch_is_refused(ansible: Ansible, untouched: LiveServer) -> None:
    path = volume_folder(untouched.server.namespace) / untouched.fetched["backup"]
    data = path.read_bytes()
    for other in (data[:-100], data[:500] + bytes([data[500] ^ 4]) + data[501:]):
        path.write_bytes(other)
        try:
            found = module(ansible, untouched, database="app", new_name="x", **proven(untouched))
            alone = module(ansible, untouched, database="app", new_name="x")
        finally:
            path.write_bytes(data)
        assert found["failed"] and alone["failed"]
        assert "is not the one that was verified" in found["msg"]
        assert "does not match its checksum file" in alone["msg"]


def test_missing_roles_are_named_then_created(ansible: Ansible, live: LiveServer) -> None:
    live.sql('ALTER ROLE "role;" RENAME TO other; ALTER ROLE "user" RENAME TO another;')
    before = live.state()
    try:
        found = module(ansible, live, database="app", new_name="x")
        assert live.state() == before
        made = module(ansible, live, database="app", new_name="x", create_roles=True)
        live.drop("x")
        live.sql('DROP ROLE "role;", "user";')
    finally:
        live.sql('ALTER ROLE other RENAME TO "role;"; ALTER ROLE another RENAME TO "user";')
    assert found["failed"]
    assert "roles are missing on the server" in found["msg"] and "role;" in found["msg"] and "user" in found["msg"]
    assert not made["failed"], made["msg"]
    assert made["created_roles"] == ["role;", "user"]


def test_database_that_no_backup_holds(ansible: Ansible, untouched: LiveServer) -> None:
    refused = module(ansible, untouched, database="none", new_name="x")
    assert refused["failed"] and "no backup holds the database" in refused["msg"]
    assert refused["backup"] is None


@pytest.mark.weekly
def test_open_connection_to_the_database_is_refused(ansible: Ansible, untouched: LiveServer) -> None:
    with untouched.session("app"):
        found = module(ansible, untouched, database="app", replace=True, connections_timeout="3s")
    assert found["failed"]
    assert "the database to be replaced is still in use" in found["msg"] and "the pool" in found["msg"]


def test_open_connection_is_ended_on_request(ansible: Ansible, live: LiveServer) -> None:
    with live.session("app"):
        done = module(ansible, live, database="app", replace=True, terminate_connections=True)
    assert not done["failed"], done["msg"]
    live.drop(done["replaced"])


@contextlib.contextmanager
def waiting(ansible: Ansible, live: LiveServer, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A restore that is filled and waits for somebody to leave."""
    options = live.options(**{"database": "app", "replace": True, "connections_timeout": "10m", **more})
    with live.session("app"):
        process = ansible.start("restore_database", **options)
        try:
            wait_until(lambda: process.poll() is not None or live.waits(), "the restore waits", 90)
            assert process.poll() is None, process.communicate()[0]
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.weekly
def test_second_restore_to_the_same_name_is_refused(ansible: Ansible, untouched: LiveServer) -> None:
    with waiting(ansible, untouched) as process:
        found = module(ansible, untouched, database="empty", new_name="app", replace=True)
        assert found["failed"]
        assert "another restore to 'app' is running" in found["msg"]
        # A check is not a restore.
        would = module(ansible, untouched, "--check", database="app", replace=True)
        assert not would["failed"], would["msg"]
        for job in restores(untouched.server.namespace):
            kubectl("delete", "job", job, "-n", untouched.server.namespace)
        output, _ = process.communicate(timeout=120)
        assert "SIGTERM" in output or "deleted" in output, output
    wait_until(lambda: not untouched.waits(), "the restore is gone", 90)


def interrupt(process: subprocess.Popen[str], live: LiveServer, sent: signal.Signals) -> None:
    """The Job is deleted, and its pod drops what it made.

    Seen while a client is still connected: a pod that does not know it yet may rename a database without connections.
    """
    signal_all(process, sent, children_first=True)
    process.communicate(timeout=60)
    wait_until(lambda: not restores(live.server.namespace), "its Job is gone", 90)
    wait_until(lambda: not live.waits(), "the restore is gone", 90)


@pytest.mark.parametrize("sent", [signal.SIGTERM, weekly(signal.SIGINT)], ids=lambda sent: sent.name)
def test_ansible_interrupted_leaves_nothing(ansible: Ansible, untouched: LiveServer, sent: signal.Signals) -> None:
    with waiting(ansible, untouched) as process:
        interrupt(process, untouched, sent)


@pytest.mark.weekly
def test_ansible_killed_lets_the_job_finish(ansible: Ansible, live: LiveServer) -> None:
    """The Job continues to its end, or to its deadline."""
    with waiting(ansible, live) as process:
        signal_all(process, signal.SIGKILL)
        (job,) = restores(live.server.namespace)
        assert must_get("job", job, live.server.namespace)["spec"]["activeDeadlineSeconds"] == 6 * 3600
    kubectl("wait", "--for=condition=complete", f"job/{job}", "-n", live.server.namespace, "--timeout=90s")
    old = live.sql("SELECT datname FROM pg_database WHERE datname LIKE 'app\\_before\\_restore\\_%';")
    assert live.text_of("app") == live.text_of(old)
    live.drop(old)
    kubectl("delete", "job", job, "-n", live.server.namespace)


@pytest.mark.weekly
def test_pod_killed_leaves_nothing(ansible: Ansible, untouched: LiveServer) -> None:
    """Nobody can clean up: the next restore does."""
    namespace = untouched.server.namespace
    with waiting(ansible, untouched) as process:
        kubectl("delete", "pod", "-n", namespace, *pods_of_restores(namespace), "--grace-period=0", "--force")
        output, _ = process.communicate(timeout=150)
        assert re.search(r"the restore( of \S+)? failed", output), output
    if untouched.waits():  # the kubelet may have let it end by itself
        done = module(ansible, untouched, database="app", replace=True)
        assert not done["failed"], done["msg"]
        assert "dropped the temporary database of an earlier restore" in json.dumps(done["warnings"])
        # As it was: the databases' ids are compared.
        untouched.drop("app")
        untouched.sql(f"ALTER DATABASE {quoted(done['replaced'])} RENAME TO app;")


def elsewhere(live: LiveServer) -> dict[str, Any]:
    """The options for another server: the same one by another name, which the restore cannot know."""
    host = f"postgres-postgresql.{live.server.namespace}"
    secret = {"restore_secret_name": "postgres-postgresql", "restore_secret_key": "postgres-password"}
    return {"restore_host": host, "restore_user": "postgres", **secret}


def test_transformed_into_another_server(ansible: Ansible, untouched: LiveServer) -> None:
    options = {"database": "app", "new_name": "masked", **elsewhere(untouched)}
    change = {"transform_sql": "CREATE SCHEMA masked", "assert_sql": "SELECT 1 WHERE to_regnamespace('masked') IS NULL"}
    done = module(ansible, untouched, **options, **change)
    assert not done["failed"], done["msg"]
    assert f"server {options['restore_host']}:5432" in "\n".join(done["log"])
    assert untouched.sql("SELECT to_regnamespace('masked');", "masked") == "masked"
    untouched.drop("masked")
    refused = module(ansible, untouched, **options, transform_sql="", assert_sql="SELECT 1")
    assert refused["failed"]
    assert "assert_sql returned rows: expected none, found 1" in refused["msg"]
    del options["restore_user"]
    refused = module(ansible, untouched, **options)
    assert "restore_host: expected restore_user" in refused["msg"], refused["msg"]


@pytest.mark.weekly
def test_pod_killed_while_it_transforms_leaves_nothing(ansible: Ansible, untouched: LiveServer) -> None:
    """The module starts another one, which drops the database."""
    namespace = untouched.server.namespace
    closed = "SELECT count(*) FROM pg_database WHERE datname LIKE 'masked\\_restoring\\_%' AND NOT datallowconn;"
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'masked\\_%' AND query LIKE '%pg_sleep(300)%';"
    options = untouched.options(database="app", new_name="masked", transform_sql="SELECT pg_sleep(300)")
    process = ansible.start("restore_database", **options)
    wait_until(lambda: process.poll() is not None or untouched.sql(sleeping) == "1", "the transformation", 90)
    assert process.poll() is None, process.communicate()[0]
    assert untouched.sql(closed) == "1"
    kubectl("delete", "pod", "-n", namespace, *pods_of_restores(namespace), "--grace-period=0", "--force")
    output, _ = process.communicate(timeout=200)
    assert re.search(r"the restore( of \S+)? failed", output), output
    assert untouched.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'masked%';") == "0", output
    assert restores(namespace) == set()


@pytest.mark.weekly
def test_timeout_ends_the_restore(ansible: Ansible, untouched: LiveServer) -> None:
    with untouched.session("app"):
        given: dict[str, Any] = {"connections_timeout": "10m", "timeout": "20s"}
        found = module(ansible, untouched, database="app", replace=True, **given)
    assert found["failed"]
    assert "it took longer than `timeout`" in found["msg"], found["msg"]
    wait_until(lambda: not untouched.waits(), "the restore is gone", 90)


@pytest.mark.weekly
def test_documented_rights_are_enough(ansible: Ansible, untouched: LiveServer, tmp_path: Path) -> None:
    role = yaml.safe_load((CHECKOUT / "docs" / "examples" / "rbac" / "operate.yaml").read_text())
    role["metadata"]["namespace"] = untouched.server.namespace
    few = credentials("operator", role, tmp_path)
    done = module(ansible, untouched, env=few, database="empty", new_name="beside")
    assert not done["failed"], done["msg"]
    untouched.drop("beside")


def test_job_holds_no_secret(ansible: Ansible, untouched: LiveServer) -> None:
    with waiting(ansible, untouched) as process:
        (job,) = restores(untouched.server.namespace)
        made = json.dumps(must_get("job", job, untouched.server.namespace))
        log = kubectl("logs", f"job/{job}", "-n", untouched.server.namespace)
        password = untouched.sql("SELECT rolpassword FROM pg_authid WHERE rolname = '-r';")
        assert len(password) > 30
        assert password not in made + log
        assert untouched.server.password not in made + log
        assert "tab\there" not in log
        interrupt(process, untouched, signal.SIGTERM)


def test_playbook_restores_beside_and_in_place(ansible: Ansible, live: LiveServer) -> None:
    given: dict[str, Any] = {
        "postgres_backup_namespace": live.server.namespace,
        "postgres_backup_restore_database": "app",
    }
    given |= {"postgres_backup_restore_new_name": "", "postgres_backup_restore_replace": "yes"}
    before = live.state()
    stopped = ansible("homelab.postgres_backup.restore", **given)
    assert stopped.status != 0
    assert "Nothing was done" in stopped.output, stopped.output
    would = ansible("homelab.postgres_backup.restore", "--check", **given)
    assert would.status == 0, would.output
    assert live.state() == before

    done = ansible("homelab.postgres_backup.restore", postgres_backup_restore_confirmed=True, **given)
    assert done.status == 0, done.output
    assert done.changed == 1
    steps = [line.strip() for line in done.output.splitlines() if "ALTER DATABASE" in line]
    assert len(steps) == 2, done.output
    live.sql("".join(steps))
    live.drop("app_restored")
    assert live.state() == before


@pytest.mark.weekly
def test_documented_call_without_a_terminal(ansible: Ansible, live: LiveServer) -> None:
    before = live.state()
    given: dict[str, Any] = {
        "postgres_backup_namespace": live.server.namespace,
        "postgres_backup_restore_confirmed": True,
    }
    there = ansible("homelab.postgres_backup.restore", postgres_backup_restore_database="app", **given)
    assert there.status != 0
    assert "Set new_name, or replace to have the old one renamed." in there.output, there.output
    for option in ("new_name", "replace"):
        assert re.search(rf'"{option} +postgres_backup_restore_{option}"', there.output), there.output
    assert live.state() == before
    # A name that is also what an unanswered question would give, and one that needs quotes.
    for name in ("None", 'my "odd"-app'):
        new: dict[str, Any] = {
            "postgres_backup_restore_database": "empty",
            "postgres_backup_restore_new_name": name,
            **given,
        }
        done = ansible("homelab.postgres_backup.restore", **new)
        assert done.status == 0, done.output
        (drop,) = re.findall(r"^  (DROP DATABASE .*;)$", done.output, re.MULTILINE)
    again = ansible("homelab.postgres_backup.restore", postgres_backup_restore_replace="y", **new)
    assert again.status == 0, again.output
    first, second, last = re.findall(r"^  ((?:ALTER|DROP) DATABASE .*;)$", again.output, re.MULTILINE)
    live.sql(first + second)
    live.sql('DROP DATABASE "None"')
    live.sql(drop)
    live.drop('my "odd"-app_restored')
    assert last.startswith('DROP DATABASE "my ""odd""-app_before_restore_')
    assert live.state() == before
