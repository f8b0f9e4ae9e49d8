# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""PostgreSQL servers in the cluster."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dev.buildkit.cache import exclusive
from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import CHECKOUT, must_get

SERVER_NAMESPACE = "role-tests-server"


@dataclass(frozen=True)
class Server:
    """The PostgreSQL that all tests share; none of them changes anything in it."""

    namespace: str
    password: str

    @property
    def host(self) -> str:
        return f"postgres-postgresql.{self.namespace}.svc.cluster.local"


def bring_server_up(ansible: Ansible, namespace: str) -> Server:
    play = ansible(str(CHECKOUT / "dev" / "postgresql.yml"), postgresql_namespace=namespace)
    assert play.status == 0, play.output
    data = must_get("secret", "postgres-postgresql", namespace)["data"]
    return Server(namespace, base64.b64decode(data["postgres-password"]).decode())


def bring_shared_server_up(ansible: Ansible) -> Server:
    """One at a time: the tests of the release, which run in parallel, use it too."""
    with exclusive(Path(tempfile.gettempdir()) / f"homelab-{SERVER_NAMESPACE}.lock"):
        return bring_server_up(ansible, SERVER_NAMESPACE)
