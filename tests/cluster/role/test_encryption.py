# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Encrypted backups on a real cluster: which identities decrypt them, which do not, and that none is seen."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible, signal_all
from tests.cluster.support.kube import (
    NAME,
    create,
    delete_namespace,
    kubectl,
    must_get,
    names,
    run_cronjob,
    wait_until,
)
from tests.cluster.support.live_server import POD, LiveServer
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.pod_commands import PodShell
from tests.cluster.support.runbook import Runbook
from tests.cluster.support.servers import bring_server_up
from tests.cluster.support.tools_image import tools_image
from tests.script.support.encryption import Key, make_key

DRILL = f"{NAME}-drill"
TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT n, 'secret value ' || n FROM generate_series(1, 1000) AS n;
"""


@pytest.fixture(scope="module")
def live(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    namespace = new_namespace("encryption")
    server = bring_server_up(Ansible(tmp_path_factory.mktemp("encryption"), collections), namespace)
    shell = PodShell(namespace, POD)
    running = LiveServer(server, shell, {})
    running.sql("CREATE DATABASE shop;")
    running.sql(TABLES, "shop")
    yield running
    shell.close()
    delete_namespace(namespace)


def identity_file(ansible: Ansible, name: str, key: Key) -> Path:
    path = ansible.folder / name
    path.write_text(f"# created: today\n{key.identity}\n")
    path.chmod(0o600)
    return path


def assert_not_shown(keys: tuple[Key, ...], namespace: str, texts: list[str]) -> None:
    """No identity is in these texts, in an object of the namespace but its Secret, or in a log."""
    objects = kubectl("get", "cronjobs,jobs,pods,configmaps", "-n", namespace, "-o", "json")
    pods = names("pod", namespace)
    logs = [kubectl("logs", pod, "-n", namespace, "--all-containers", check=False) for pod in pods]
    for key in keys:
        assert not [text for text in (*texts, objects, *logs) if key.identity in text]


def install(ansible: Ansible, namespace: str, *keys: Key) -> None:
    """The role, without drills."""
    recipients = [key.recipient for key in keys]
    files: dict[str, Any] = {"manifest_dir": "", "runbook_dir": ""}
    play = ansible.site(namespace=namespace, recipients=recipients, tools_image=tools_image(), **files)
    assert play.status == 0, play.output


def refusals_of(
    ansible: Ansible, table: dict[str, Any], file: Path, stranger: Key, recipients: str
) -> list[dict[str, Any]]:
    """The results with the identity of somebody else, which is compared with the recipients in the pod and here."""
    wrong = ansible.module("restore_table", **table, identity_file=str(file))
    assert wrong["failed"] and "the backup cannot be decrypted" in wrong["msg"], wrong["msg"]
    assert f"one of its recipients, {recipients}, found that of {stranger.recipient}." in wrong["msg"], wrong["msg"]
    unread = ansible.module("backup_fetch", namespace=table["namespace"], verify=True, identity_file=str(file))
    expected = f", which are {recipients}, found that of {stranger.recipient}. Give the identity"
    assert unread["failed"] and expected in unread["msg"], unread["msg"]
    return [wrong, unread]


def make_identity_of_drills(ansible: Ansible, variables: dict[str, Any], drills: Key, stranger: Key) -> None:
    """The Secret, at first missing, then with a public key, then with another's: refused before anything is done."""
    namespace = variables["namespace"]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": variables["drill_identity_secret"], "namespace": namespace},
    }
    missing = ansible.site(**variables)
    assert missing.status != 0
    assert "expected the Secret " + namespace + "/drill-identity, found none" in missing.output
    create({**secret, "stringData": {"identity": drills.recipient}})
    public = ansible.site(**variables)
    assert public.status != 0
    assert "or one private key of OpenSSH, found a public key in line 1. Create the Secret again" in public.output
    kubectl("delete", "secret", "drill-identity", "-n", namespace)
    create({**secret, "stringData": {"identity": stranger.identity}})
    strange = ansible.site(**variables)
    assert strange.status != 0
    assert f"of one of postgres_backup_recipients, found that of {stranger.recipient}. Create" in strange.output
    assert NAME not in names("cronjob", namespace)
    kubectl("delete", "secret", "drill-identity", "-n", namespace)
    create({**secret, "stringData": {"identity": drills.identity}})


def test_an_installation_with_recipients(ansible: Ansible, live: LiveServer) -> None:
    namespace = live.server.namespace
    owner, spare, drills, stranger = (make_key() for _ in range(4))
    variables: dict[str, Any] = {
        "namespace": namespace,
        "manifest_dir": "",
        "runbook_dir": "",
        "recipients": [key.recipient for key in (owner, spare, drills)],
        "tools_image": tools_image(),
        "drill_schedule": "0 0 1 1 *",
        "drill_identity_secret": "drill-identity",
    }
    make_identity_of_drills(ansible, variables, drills, stranger)
    installed = ansible.site(**variables)
    assert installed.status == 0, installed.output
    assert ansible.site(**variables).changed == 0

    backup = run_cronjob(namespace)["backup"]
    assert backup.endswith(".sql.gz.age")
    live.sql("DELETE FROM orders WHERE id <= 10;", "shop")

    # The scheduled drill has its own key.
    drilled = run_cronjob(namespace, DRILL, "manual-drill")
    assert (drilled["backup"], drilled["state"]) == (backup, "succeeded"), drilled
    info = ansible.module("backup_info", namespace=namespace)
    assert [(entry["name"], entry["encrypted"]) for entry in info["backups"]] == [(backup, True)]
    assert info["last_drill"]["state"] == "succeeded"

    opened = {key["recipient"]: (key["backup"], key["by"]) for key in info["keys"]}
    assert opened == {owner.recipient: (None, None), spare.recipient: (None, None), drills.recipient: (backup, "drill")}
    assert [key["overdue"] for key in info["keys"]] == [False] * 3

    table: dict[str, Any] = {"namespace": namespace, "database": "shop", "tables": ["orders"]}
    files = {key: identity_file(ansible, str(number), key) for number, key in enumerate((owner, spare, stranger))}
    without = ansible.module("restore_table", **table)
    assert without["failed"] and "the backup is encrypted" in without["msg"]
    assert "-e postgres_backup_identity_file=PATH" in without["msg"]
    refusals = [without, *refusals_of(ansible, table, files[stranger], stranger, ", ".join(variables["recipients"]))]
    # One of the keys is lost.
    merged = ansible(
        "homelab.postgres_backup.restore_table",
        postgres_backup_namespace=namespace,
        postgres_backup_restore_database="shop",
        postgres_backup_restore_tables="orders",
        postgres_backup_restore_merge="missing",
        postgres_backup_restore_confirmed=True,
        postgres_backup_identity_file=files[spare].name,
    )
    assert merged.status == 0, merged.output
    assert live.sql("SELECT count(*) FROM orders;", "shop") == "1000"
    restored = ansible.module(
        "restore_database", namespace=namespace, database="shop", new_name="shop_again", identity=owner.identity
    )
    assert not restored["failed"], restored["msg"]
    assert live.sql("SELECT count(*) FROM orders;", "shop_again") == "1000"
    # With the key of the drills, which the module takes by itself.
    by_module = ansible("homelab.postgres_backup.drill", postgres_backup_namespace=namespace)
    assert by_module.status == 0, by_module.output
    verified = ansible(
        "homelab.postgres_backup.verify",
        postgres_backup_namespace=namespace,
        postgres_backup_dest=str(ansible.folder / "fetched"),
        postgres_backup_identity_file=str(files[owner]),
    )
    assert verified.status == 0, verified.output

    info = ansible.module("backup_info", namespace=namespace)
    openers = {key["recipient"]: key["by"] for key in info["keys"]}
    assert openers == {owner.recipient: "restore", spare.recipient: "restore", drills.recipient: "drill"}
    shown = [merged.output, by_module.output, verified.output]
    shown += [json.dumps(each) for each in (*refusals, restored, info)]
    assert_not_shown((owner, spare, drills, stranger), namespace, shown)
    assert names("secret", namespace) == {"drill-identity", "postgres-postgresql"}
    mounts = must_get("cronjob", DRILL, namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    containers = [*mounts["initContainers"], *mounts["containers"]]
    assert [one["name"] for one in containers if any(mount["name"] == "identity" for mount in one["volumeMounts"])] == [
        "drill"
    ]


def restores(namespace: str) -> set[str]:
    return {name for name in names("job", namespace) if "-restore-" in name}


@pytest.mark.weekly
def test_ansible_killed_during_a_restore_leaves_no_identity(ansible: Ansible, live: LiveServer) -> None:
    """The Job continues to its end. Kubernetes deletes it after its time to live, and the Secret with it."""
    namespace, (owner, spare) = live.server.namespace, (make_key(), make_key())
    install(ansible, namespace, owner, spare)
    secrets = names("secret", namespace)
    live.sql("CREATE DATABASE archive;")
    live.sql(TABLES, "archive")
    made = ansible.module("backup_job", namespace=namespace)
    assert not made["failed"], made["msg"]
    given = str(identity_file(ansible, "spare", spare))
    options = live.options(replace=True, connections_timeout="10m", identity_file=given)
    with live.session("archive"):
        process = ansible.start("restore_cluster", **options)
        wait_until(lambda: process.poll() is not None or live.waits(), "the restore waits", 120)
        assert process.poll() is None, process.communicate()[0]
        (job,) = restores(namespace)
        assert names("secret", namespace) - secrets == {f"{job}-identity"}
        signal_all(process, signal.SIGKILL)
        process.communicate()
        assert_not_shown((owner, spare), namespace, [])
    kubectl("wait", "--for=condition=complete", f"job/{job}", "-n", namespace, "--timeout=180s")
    assert_not_shown((owner, spare), namespace, [])
    wait_until(lambda: not restores(namespace), "its time to live is over", 200)
    wait_until(lambda: names("secret", namespace) == secrets, "the Secret is gone", 60)


@pytest.mark.weekly
def test_an_identity_without_recipients(ansible: Ansible, live: LiveServer) -> None:
    """The recipients were removed: the pods have no age, and the volume has an encrypted backup and a plain one."""
    namespace, key = live.server.namespace, make_key()
    secrets = names("secret", namespace)
    install(ansible, namespace, key)
    encrypted = run_cronjob(namespace, job="encrypted")["backup"]
    install(ansible, namespace)
    plain = run_cronjob(namespace, job="plain")["backup"]
    assert (encrypted.endswith(".age"), plain.endswith(".age")) == (True, False)
    given: dict[str, Any] = {"namespace": namespace, "identity": key.identity}
    database: dict[str, Any] = {"database": "shop", "new_name": "shop_from_plain"}
    for name, more in (("restore_drill", {}), ("restore_database", database)):
        refused = ansible.module(name, **given, backup=encrypted, **more)
        assert refused["failed"] and "the program age is missing" in refused["msg"], refused["msg"]
        assert "set postgres_backup_recipients and postgres_backup_tools_image" in refused["msg"], refused["msg"]
        done = ansible.module(name, **given, backup=plain, **more)
        assert not done["failed"], done["msg"]
    assert live.sql("SELECT count(*) FROM orders;", "shop_from_plain") == "1000"
    # An identity that is not needed is secret, too.
    assert_not_shown((key,), namespace, [])
    wait_until(lambda: names("secret", namespace) == secrets, "the Secrets are gone")


def test_the_runbook_of_encrypted_backups(ansible: Ansible, live: LiveServer) -> None:
    """Its commands find, read and restore them with an identity, of which nothing is left."""
    namespace = live.server.namespace
    owner, spare = make_key(), make_key()
    identity_file(ansible, "identity.txt", owner)
    recipients = [owner.recipient, spare.recipient]
    installed = ansible.site(name="nightly", namespace=namespace, recipients=recipients, tools_image=tools_image())
    assert installed.status == 0, installed.output
    assert "Encryption: to 2 recipients. Verify, drill and restore need the identity" in installed.output
    assert "encrypted with age" in (ansible.folder / "applications/postgres/README.md").read_text()
    page = Runbook(ansible.folder / "docs/runbooks/postgres-backup.md", ansible.folder)
    assert "Complete" in page.run("Run a backup now")
    in_pod = "Work with the files inside the cluster"
    backup = re.search(r"\S+\.sql\.gz\.age\b", page.run(in_pod, 0))
    assert backup is not None and page.run(in_pod, 1).strip() == backup[0]
    page.run(in_pod, 2)
    verified = page.run("Verify by hand", 0)
    assert f"{backup[0]}: OK" in verified and "-- PostgreSQL database cluster dump complete" in verified
    assert "postgres" in page.run("Verify by hand", 1, is_cut=True)
    page.blocks["Restore one database by hand"][0] = page.blocks["Restore one database by hand"][0].replace(
        "database=backup_test", "database=shop"
    )
    page.run("Restore one database by hand", 0)
    assert live.sql("SELECT count(*) FROM orders;", "shop_restored").strip() == "1000"
    live.sql("DROP DATABASE shop_restored;")
    page.run("Run a restore drill")
    page.run("Undo the replacement", 1)
    assert_not_shown((owner, spare), namespace, [])
