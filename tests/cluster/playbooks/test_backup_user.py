# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work
"""playbooks/backup_user.yml with a separate server and installation, and a backup and a restore afterwards."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support.ansible_runs import Ansible, Play
from tests.cluster.support.kube import CHECKOUT, NAME, delete_namespace, get, kubectl, must_get, names
from tests.cluster.support.live_server import POD, LiveServer
from tests.cluster.support.namespaces import credentials as rights_of
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.pod_commands import PodShell
from tests.cluster.support.rights_proxy import RightsProxy
from tests.cluster.support.servers import bring_server_up

PLAYBOOK = "homelab.postgres_backup.backup_user"
ROLE, SECRET = "postgres_backup", f"{NAME}-user"


@pytest.fixture
def live(ansible: Ansible) -> Iterator[LiveServer]:
    """A server of this test's own with an installation, and a database whose CONNECT is revoked."""
    namespace = new_namespace("backup-user")
    server = bring_server_up(ansible, namespace)
    shell = PodShell(namespace, POD)
    running = LiveServer(server, shell, {})
    running.sql("CREATE DATABASE shop; REVOKE CONNECT ON DATABASE shop FROM PUBLIC;")
    running.sql(
        "CREATE TABLE orders AS SELECT generate_series(1, 10) AS a; ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
        "SELECT lo_create(0);",
        "shop",
    )
    installed = ansible.site(**site_variables(namespace))
    assert installed.status == 0, installed.output
    yield running
    shell.close()
    delete_namespace(namespace)


def site_variables(namespace: str) -> dict[str, Any]:
    return {"namespace": namespace, "manifest_dir": "", "runbook_dir": ""}


def play(ansible: Ansible, live: LiveServer, *arguments: str, **more: Any) -> Play:
    variables = {**site_variables(live.server.namespace), **more}
    return ansible(PLAYBOOK, *arguments, **{f"postgres_backup_{name}": value for name, value in variables.items()})


def password(namespace: str) -> str:
    data = must_get("secret", SECRET, namespace)["data"]
    assert data.keys() == {"password"}
    return base64.b64decode(data["password"]).decode()


def credentials(namespace: str) -> tuple[str, str]:
    """User and Secret of the CronJob."""
    (container,) = must_get("cronjob", NAME, namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    return env["POSTGRES_BACKUP_USER"]["value"], env["PGPASSWORD"]["valueFrom"]["secretKeyRef"]["name"]


def back_up(ansible: Ansible, namespace: str) -> None:
    done = ansible.module("backup_job", namespace=namespace)
    assert not done["failed"], done["msg"]


def printed_inventory(done: Play) -> dict[str, Any]:
    text = done.output.partition("so that the next site.yml keeps it:\n")[2]
    lines = [line.removesuffix(")") for line in text.splitlines()]
    found: dict[str, Any] = yaml.safe_load("\n".join(line for line in lines[:6]))
    return {name.removeprefix("postgres_backup_"): value for name, value in found.items()}


def test_created_used_kept_and_rotated(ansible: Ansible, live: LiveServer) -> None:
    namespace = live.server.namespace
    before = live.state()
    would = play(ansible, live, "--check", "--diff")
    assert would.status == 0, would.output
    assert would.changed == 1
    assert '"read_all_data": true' in would.output and f'+    "secret": "{namespace}/{SECRET}' in would.output
    assert "the CronJob would use this user" in would.output, would.output
    assert (live.state(), get("secret", SECRET, namespace)) == (before, None)
    assert credentials(namespace)[0] == "postgres"

    done = play(ansible, live, "--diff")
    assert done.status == 0, done.output
    first = password(namespace)
    assert first not in done.output and "SCRAM" not in done.output
    assert credentials(namespace) == (ROLE, SECRET)
    inventory = printed_inventory(done)
    assert inventory == {
        "user": ROLE,
        "secret_name": SECRET,
        "secret_key": "password",
        "restore_user": "postgres",
        "restore_secret_name": "postgres-postgresql",
        "restore_secret_key": "postgres-password",
    }
    assert live.sql(f"SELECT rolsuper, rolcanlogin, rolbypassrls FROM pg_roles WHERE rolname = '{ROLE}';") == "f|t|t"
    assert not [name for name in names("job", namespace) if "backup-user" in name]
    back_up(ansible, namespace)

    # With the inventory that it asked for, without it, and by site.yml: nothing changes.
    for again in (play(ansible, live), ansible_with(ansible, live, inventory)):
        assert (again.status, again.changed) == (0, 0), again.output
    site = ansible.site(**{**site_variables(namespace), **inventory})
    assert (site.status, site.changed) == (0, 0), site.output
    assert password(namespace) == first

    # A restore is the administrator's, without an option.
    options: dict[str, Any] = {"namespace": namespace}
    restored = ansible.module("restore_database", database="shop", new_name="shop_copy", **options)
    assert not restored["failed"], restored["msg"]
    assert live.sql("SELECT count(*) FROM orders;", "shop_copy") == "10"
    restored_as: dict[str, Any] = {
        "restore_user": ROLE,
        "restore_secret_name": SECRET,
        "restore_secret_key": "password",
    }
    refused = ansible.module("restore_database", database="shop", new_name="other", **options, **restored_as)
    assert refused["failed"] and "permission" in refused["msg"], refused["msg"]

    rotated = play(ansible, live, user_rotate=True)
    assert rotated.status == 0, rotated.output
    second = password(namespace)
    assert second not in (first, *rotated.output.split())
    back_up(ansible, namespace)

    # A Secret that was lost gets a new password.
    kubectl("delete", "secret", SECRET, "-n", namespace)
    healed = play(ansible, live)
    assert healed.status == 0, healed.output
    assert password(namespace) not in (first, second)
    back_up(ansible, namespace)


def ansible_with(ansible: Ansible, live: LiveServer, inventory: dict[str, Any]) -> Play:
    """As a person has them: not on the command line."""
    path = ansible.folder / "inventory.yml"
    variables = {f"postgres_backup_{name}": value for name, value in inventory.items()}
    host = {"localhost": {"ansible_connection": "local", **variables}}
    path.write_text(yaml.safe_dump({"all": {"hosts": host}}))
    return play(ansible, live, "-i", str(path))


@pytest.mark.weekly
def test_documented_rights_are_enough(ansible: Ansible, live: LiveServer, tmp_path: Path) -> None:
    namespace = live.server.namespace
    role = yaml.safe_load((CHECKOUT / "docs" / "examples" / "rbac" / "backup-user.yaml").read_text())
    role["metadata"]["namespace"] = namespace
    few = rights_of("creator", role, tmp_path)
    with RightsProxy(Path(os.environ["KUBECONFIG"]), tmp_path) as recorder:
        env = {**few, "K8S_AUTH_KUBECONFIG": str(recorder.kubeconfig(Path(few["K8S_AUTH_KUBECONFIG"])))}
        for rotate in (False, True):
            done = ansible.module("backup_user", env=env, namespace=namespace, rotate=rotate)
            assert not done["failed"], done["msg"]
        assert (done["password"], done["changed"]) == ("rotated", True)
    given = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    # None more, and none that was tried in vain.
    assert (recorder.used, recorder.refused - {("", "events", "list")}) == (given, set())


@pytest.mark.weekly
def test_what_fails_leaves_the_old_user(ansible: Ansible, live: LiveServer) -> None:
    namespace = live.server.namespace
    live.sql("CREATE ROLE app LOGIN;")
    for role, message in (
        ("app", "the role 'app' exists and is not a backup user"),
        ("postgres", "found that role itself"),
        ("pg_backup", "a name that PostgreSQL does not reserve"),
    ):
        refused = play(ansible, live, user_role=role)
        assert refused.status != 0 and message in refused.output, refused.output
    assert get("secret", SECRET, namespace) is None

    # pg_hba.conf that rejects the role, which the login after its creation finds out.
    hba = live.sql("SHOW hba_file;")
    line = f"host all {ROLE} all reject"
    live.sql(f"COPY (SELECT 1) TO PROGRAM $$sed -i '1i {line}' {hba}$$; SELECT pg_reload_conf();")
    rejected = play(ansible, live)
    assert rejected.status != 0, rejected.output
    assert (
        "pg_hba.conf rejects" in rejected.output and "The backups use the user that they used before" in rejected.output
    )
    assert credentials(namespace) == ("postgres", "postgres-postgresql")
    back_up(ansible, namespace)
    live.sql(f"COPY (SELECT 1) TO PROGRAM $$sed -i '1d' {hba}$$; SELECT pg_reload_conf();")

    # The next run continues, with the Secret that exists.
    made = password(namespace)
    done = play(ansible, live)
    assert done.status == 0, done.output
    assert (password(namespace), credentials(namespace)) == (made, (ROLE, SECRET))
    undone = play(ansible, live, user="postgres")
    assert undone.status != 0 and "postgres_backup_user: set on the command line" in undone.output, undone.output

    # Somebody else's Secret is used and not changed.
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine", "namespace": namespace}}
    kubectl("apply", "-f", "-", stdin=json.dumps({**other, "stringData": {"password": "chosen by $me 'x'\n"}}))
    used = play(ansible, live, user_secret_name="mine")  # noqa: S106 - a name
    assert used.status == 0, used.output
    assert credentials(namespace) == (ROLE, "mine")
    back_up(ansible, namespace)
    kept = play(ansible, live, user_secret_name="mine", user_rotate=True)  # noqa: S106 - a name
    assert kept.status != 0 and "was not created by this module" in kept.output, kept.output
