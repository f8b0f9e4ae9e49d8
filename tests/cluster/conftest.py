# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A real cluster, one PostgreSQL for all tests, and a namespace for each.

Without a cluster the tests fail; they are not skipped.

Which Python runs Ansible's modules: tests/warm_python.py for what `Ansible` (support/ansible_runs.py) runs to its end;
this halves the time. The plain one for what `Ansible.start` begins and a test then interrupts or kills, since the warm
one's processes are not Ansible's children, and for everything with TESTS_PLAIN_PYTHON=1 (the weekly run).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.chains import Chains
from tests.cluster.support.ansible_runs import Ansible, link_collection
from tests.cluster.support.installed_objects import written_objects
from tests.cluster.support.kube import create, delete_namespace, kubectl
from tests.cluster.support.namespaces import new_namespace, secret
from tests.cluster.support.servers import Server, bring_shared_server_up


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail(
            "expected KUBECONFIG to name a cluster, found nothing: `. dev/env` after dev/cluster/up", pytrace=False
        )
    kubectl("get", "--raw", "/readyz")


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_collection(tmp_path_factory.mktemp("collections"))


# What shares something dear goes to one worker, as one chain: the beginning of the tests' ids → the chain's name.
# The first that fits counts.
CHAINS = {
    # It takes as long as the other tests of its file together, because it has a separate server.
    "modules/test_restore.py::test_every_database_beside_the_live_one": "restore next to",
    "modules/test_restore.py": "restore",
    "servers/test_cloudnativepg.py": "CloudNativePG",
    "servers/test_patroni.py": "Patroni",
    "test_run_faults.py": "run faults",
}


def chain_of(nodeid: str) -> str | None:
    _, _, test = nodeid.rpartition("tests/cluster/")
    return next((name for beginning, name in CHAINS.items() if test.startswith(beginning)), None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Chains:
    return Chains(config, log, chain_of)


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Any]) -> Any:
    """What one worker makes for all of a run; they wait for it. It is given as JSON."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    # This folder is one run's.
    shared = factory.getbasetemp().parent / f"{name}.json"
    with shared.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.seek(0)
        known = held.read()
        if known:
            return json.loads(known)
        made = make()
        held.write(json.dumps(made))
        return made


@pytest.fixture(scope="session")
def server(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    def make() -> dict[str, str]:
        ansible = Ansible(tmp_path_factory.mktemp("server"), collections)
        return asdict(bring_shared_server_up(ansible))

    return Server(**once(tmp_path_factory, "server", make))


@pytest.fixture(scope="session")
def site_objects(server: Server, collections: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The objects of an installation as site.yml writes them."""

    def make() -> list[dict[str, Any]]:
        namespace = new_namespace("written")
        create(secret(namespace, server.password))
        ansible = Ansible(tmp_path_factory.mktemp("written"), collections)
        play = ansible.site(namespace=namespace, host=server.host)
        assert play.status == 0, play.output
        delete_namespace(namespace)
        return written_objects(ansible.folder)

    found: list[dict[str, Any]] = once(tmp_path_factory, "written", make)
    return found


@pytest.fixture
def ansible(tmp_path: Path, collections: Path) -> Ansible:
    return Ansible(tmp_path, collections)


@pytest.fixture
def namespace(server: Server) -> Iterator[str]:
    """An empty namespace that enforces `restricted`, with the shared server's password."""
    name = new_namespace()
    create(secret(name, server.password))
    yield name
    delete_namespace(name)


@pytest.fixture
def role_variables_with_files(namespace: str, server: Server) -> dict[str, Any]:
    """The variables that every installation here has: its own namespace, and the shared server."""
    return {"namespace": namespace, "host": server.host}


@pytest.fixture
def role_variables(role_variables_with_files: dict[str, Any]) -> dict[str, Any]:
    """Variables without the files for users, which take a quarter of the role's time to write."""
    return {**role_variables_with_files, "manifest_dir": "", "runbook_dir": ""}
