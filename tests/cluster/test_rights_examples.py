# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/examples/rbac: each manifest is enough for what it is for, and each of its rights is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import CHECKOUT, NAME, apply, kubectl, names, run_cronjob, wait_until
from tests.cluster.support.rights_proxy import Right, RightsProxy
from tests.cluster.support.servers import Server
from tests.cluster.support.tools_image import tools_image
from tests.script.support.encryption import make_key

EXAMPLES = CHECKOUT / "docs" / "examples" / "rbac"
GROUP = "rbac.authorization.k8s.io"
IMAGE = "localhost/postgresql:18-bitnami"
# What only another version of the role changes.
UPGRADE = {("", "configmaps", "patch"), ("", "serviceaccounts", "patch")}
# What only a server that is found needs, and a service without a selector.
NOT_FOR_A_SET_HOST = {("", "services", "list"), ("discovery.k8s.io", "endpointslices", "list")}
Env = dict[str, str]
User = Callable[..., tuple[Env, RightsProxy]]


def manifests(name: str) -> list[dict[str, Any]]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return list(found["items"]) if found["kind"] == "List" else [found]


def rights(name: str) -> set[Right]:
    return {
        (group, resource, verb)
        for manifest in manifests(name)
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(recorder: RightsProxy, example: str) -> str:
    there = rights(example)
    superfluous, refused = sorted(there - recorder.used), sorted(recorder.refused - there)
    return f"superfluous: {superfluous}; refused: {refused}; used, but not given: {sorted(recorder.used - there)}"


@pytest.fixture
def user(namespace: str, server: Server, tmp_path: Path) -> Iterator[User]:
    """Makes a user with the Roles and ClusterRoles of examples, whose requests are recorded."""
    recorders: list[RightsProxy] = []
    bound: list[list[str]] = []

    def make(*examples: str) -> tuple[Env, RightsProxy]:
        account = {"kind": "ServiceAccount", "name": "-".join(("user", *examples)), "namespace": namespace}
        about = {"name": account["name"], "namespace": namespace}
        apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
        for role in (role for example in examples for role in manifests(example)):
            kind, name = role["kind"], f"{role['metadata']['name']}-{len(recorders)}-{namespace}"
            place = server.namespace if name.startswith("postgres-backup-installer-server") else namespace
            where = {} if kind == "ClusterRole" else {"namespace": place}
            role["metadata"] = {"name": name, **where}
            binding = {
                "apiVersion": f"{GROUP}/v1",
                "kind": f"{kind}Binding",
                "metadata": {"name": name, **where},
                "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
                "subjects": [account],
            }
            apply(role, binding)
            if place != namespace or kind == "ClusterRole":  # what does not go with the namespace
                bound.append([f"{kind},{kind}Binding", name, "-n", place])
        own = Path(os.environ["KUBECONFIG"])
        config = yaml.safe_load(own.read_text())
        token = kubectl("create", "token", account["name"], "-n", namespace).strip()
        config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
        path = tmp_path / f"{account['name']}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        recorder = RightsProxy(own, tmp_path)
        recorders.append(recorder.__enter__())
        return {"K8S_AUTH_KUBECONFIG": str(recorder.kubeconfig(path)), "KUBECONFIG": "/nonexistent"}, recorder

    yield make
    for recorder in recorders:
        recorder.__exit__(None, None, None)
    for what in bound:
        kubectl("delete", *what, "--wait=false")


@pytest.mark.weekly
def test_installer_rights_are_all_used_and_enough(ansible: Ansible, role_variables: dict[str, Any], user: User) -> None:
    env, recorder = user("install")
    first = ansible.site(env=env, protect_volume=True, **role_variables)
    assert first.status == 0, first.output
    assert "Not checked" not in first.output, used(recorder, "install")
    # What changes later: a variable, and what is not asked for any more.
    second = ansible.site(env=env, protect_volume=True, keep_weekly=4, drill_schedule="0 4 * * 0", **role_variables)
    assert second.status == 0, second.output
    gone = ansible.site(env=env, state="absent", delete_data=True, **role_variables)
    assert gone.status == 0, gone.output
    assert recorder.used | NOT_FOR_A_SET_HOST == rights("install") - UPGRADE, used(recorder, "install")


@pytest.mark.weekly
def test_rights_to_discover_are_all_used_and_enough(ansible: Ansible, server: Server, user: User) -> None:
    env, recorder = user("discover")
    result = ansible.module("postgres_discover", env=env)
    assert not result["failed"] and result["unreadable"] == [], result
    assert server.namespace in {each["namespace"] for each in result["servers"]}
    assert recorder.used == rights("discover"), used(recorder, "discover")


def test_operator_and_reader_rights_are_all_used_and_enough(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, user: User, tmp_path: Path
) -> None:
    made = ansible.site(image=IMAGE, **role_variables)
    assert made.status == 0, made.output
    operator, recorder = user("operate")
    where = {"namespace": namespace}
    backup = ansible.module("backup_job", env=operator, **where)
    assert not backup["failed"], backup["msg"]
    fetched = ansible.module("backup_fetch", env=operator, dest=f"{tmp_path}/", verify=True, **where)
    assert not fetched["failed"], fetched["msg"]
    drill = ansible.module("restore_drill", env=operator, backup=fetched["backup"], **where)
    assert not drill["failed"], drill["msg"]
    # Why a Job has no pod is in its events, which nobody reads otherwise.
    kubectl("delete", "serviceaccount", NAME, "-n", namespace)
    stuck = ansible.module("backup_job", env=operator, startup_timeout="3s", **where)
    assert stuck["failed"] and "serviceaccount" in stuck["msg"], stuck["msg"]
    kubectl("create", "serviceaccount", NAME, "-n", namespace)
    assert recorder.used == rights("operate"), used(recorder, "operate")

    looker, recorder = user("look")
    found = ansible.module("backup_info", env=looker, **where)
    assert not found["failed"], found["msg"]
    assert found["healthy"], found["problems"]
    discovered = ansible.module("postgres_discover", env=looker, namespaces=[namespace])
    assert not discovered["failed"] and discovered["unreadable"] == [], discovered
    # The server is in another namespace, which this user may not read.
    (seen,) = discovered["servers"]
    assert (seen["installation"], seen["protected"], seen["kind"]) == (f"{namespace}/{NAME}", True, None)
    assert recorder.used == rights("look"), used(recorder, "look")
    everywhere = ansible.module("postgres_discover", env=looker)
    assert not everywhere["failed"] and everywhere["servers"] == []
    kinds = ("services", "pods", "EndpointSlices", "CronJobs", "Jobs")
    for kind, text in zip(kinds, everywhere["unreadable"], strict=True):
        assert f"the {kind} of all namespaces" in text
    refused = ansible.module("backup_fetch", env=looker, dest=f"{tmp_path}/other/", **where)
    assert refused["failed"] and not (tmp_path / "other").exists()
    # What this user could start and not follow is not started: a restore would continue unseen.
    there = names("job", namespace)
    for module, options in (("backup_job", {}), ("restore_database", {"database": "postgres", "new_name": "unseen"})):
        refused = ansible.module(module, env=looker, **where, **options)
        assert "found none. Nothing was started: this user may not use the Job" in refused["msg"], refused["msg"]
    assert {name for name in names("job", namespace) - there if "-reader-" not in name} == set()


@pytest.mark.weekly
def test_rights_to_decrypt_are_all_used_and_enough(
    ansible: Ansible, role_variables: dict[str, Any], namespace: str, user: User
) -> None:
    owner, spare = make_key(), make_key()
    recipients = [owner.recipient, spare.recipient]
    made = ansible.site(image=IMAGE, recipients=recipients, tools_image=tools_image(), **role_variables)
    assert made.status == 0, made.output
    backup = run_cronjob(namespace)["backup"]
    options = {"namespace": namespace, "database": "postgres", "new_name": f"postgres-{namespace}"}
    operator, recorder = user("operate")
    for name, more in (("restore_database", options), ("restore_drill", {"namespace": namespace})):
        refused = ansible.module(name, env=operator, identity=owner.identity, **more)
        assert refused["failed"]
        assert f"identity: expected the right to create Secrets in the namespace '{namespace}'" in refused["msg"]
        assert "docs/examples/rbac/decrypt.yaml" in refused["msg"]
        assert owner.identity not in str(refused)
    assert recorder.refused >= rights("decrypt")
    # The Jobs that could not get the identity are gone.
    wait_until(lambda: names("job", namespace) == {"manual-backup"}, "the Jobs are gone")

    decrypter, recorder = user("operate", "decrypt")
    check = ansible.module("restore_database", "--check", env=decrypter, identity=spare.identity, **options)
    assert not check["failed"], check["msg"]
    drill = ansible.module("restore_drill", env=decrypter, identity=owner.identity, namespace=namespace)
    assert not drill["failed"], drill["msg"]
    assert drill["backup"] == backup
    assert recorder.used >= rights("decrypt"), used(recorder, "decrypt")
    assert not recorder.refused & rights("decrypt")
