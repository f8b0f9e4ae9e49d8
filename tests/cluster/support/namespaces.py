# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Namespaces for tests, their Secret, and users with few rights."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.support.kube import apply, create, kubectl

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


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
