# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A real cluster, one PostgreSQL for all tests, and a namespace for each.

Without a cluster the tests fail; they are not skipped.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from xdist.scheduler import LoadScopeScheduling

from dev.cluster.devcluster.cache import exclusive

from .kube import CHECKOUT, Ansible, apply, create, delete_namespace, kubectl, must_get
from .written import written_objects

SERVER_NAMESPACE = "role-tests-server"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True)
class Server:
    """The PostgreSQL that all tests share; none of them changes anything in it."""

    namespace: str
    password: str

    @property
    def host(self) -> str:
        return f"postgres-postgresql.{self.namespace}.svc.cluster.local"


def new_namespace(prefix: str = "role") -> str:
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})
    return name


def secret(namespace: str, password: str, name: str = "postgres-postgresql", key: str = "postgres-password") -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {key: password},
    }


def credentials(name: str, role: dict[str, Any], folder: Path) -> dict[str, str]:
    """A user with this Role and no more, in kubernetes.core's own environment variables."""
    namespace = role["metadata"]["namespace"]
    group = "rbac.authorization.k8s.io"
    apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        role,
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": role["metadata"]["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    )
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    token = kubectl("create", "token", name, "-n", namespace).strip()
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path = folder / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return {"K8S_AUTH_KUBECONFIG": str(path), "KUBECONFIG": "/nonexistent"}


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.fail(
            "expected KUBECONFIG to name a cluster, found nothing: `. dev/env` after dev/cluster/up", pytrace=False
        )
    kubectl("get", "--raw", "/readyz")


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("collections")
    (path / "ansible_collections" / "homelab").mkdir(parents=True)
    (path / "ansible_collections" / "homelab" / "postgres_backup").symlink_to(CHECKOUT)
    return path


def bring_server_up(ansible: Ansible, namespace: str) -> Server:
    play = ansible(str(CHECKOUT / "dev" / "postgresql.yml"), postgresql_namespace=namespace)
    assert play.status == 0, play.output
    data = must_get("secret", "postgres-postgresql", namespace)["data"]
    return Server(namespace, base64.b64decode(data["postgres-password"]).decode())


def bring_shared_server_up(ansible: Ansible) -> Server:
    """One at a time: the release's tests want it too, and run beside these."""
    with exclusive(Path(tempfile.gettempdir()) / f"homelab-{SERVER_NAMESPACE}.lock"):
        return bring_server_up(ansible, SERVER_NAMESPACE)


# What shares something dear goes to one worker, as one chain: the beginning of the tests' ids → the chain's name.
# The first that fits counts.
CHAINS = {
    # As long as the others of its file together: it has a server of its own.
    "test_restore.py::test_every_database_beside_the_live_one": "restore beside",
    "test_restore.py": "restore",
    "test_run_faults.py": "run faults",
}


class Chains(LoadScopeScheduling):  # type: ignore[misc]
    """Chains first, long ones before short ones; each other test by itself.

    Not `--dist loadgroup`: pytest-xdist 3.8 and pytest 9.2 together ignore it.
    """

    def _split_scope(self, nodeid: str) -> str:
        _, _, test = nodeid.rpartition("tests/cluster/")
        return next((name for beginning, name in CHAINS.items() if test.startswith(beginning)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Chains:
    return Chains(config, log)


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
def written(server: Server, collections: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
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
def home_with_files(namespace: str, server: Server) -> dict[str, Any]:
    """The variables that every installation here has: its own namespace, and the shared server."""
    return {"namespace": namespace, "host": server.host}


@pytest.fixture
def home(home_with_files: dict[str, Any]) -> dict[str, Any]:
    """The same for what does not look at the files for people: to write them takes a fourth of the role's time."""
    return {**home_with_files, "manifest_dir": "", "runbook_dir": ""}
