# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The objects of an installation as site.yml writes them for people: made once, put into a namespace when needed.

To run the role takes ten times as long as to create what it made.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.support.kube import NAME, create, must_get, wait_until

PVC, CRONJOB = Path("applications/postgres/backup-pvc.yaml"), Path("applications/postgres/backup-cronjob.yaml")


def written_objects(folder: Path) -> list[dict[str, Any]]:
    return [made for path in (PVC, CRONJOB) for made in yaml.safe_load_all((folder / path).read_text()) if made]


def in_namespace(site_objects: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    objects = copy.deepcopy(site_objects)
    for made in objects:
        made["metadata"]["namespace"] = namespace
    return objects


def create_in(site_objects: list[dict[str, Any]], namespace: str) -> None:
    """With its volume."""
    create(*in_namespace(site_objects, namespace))
    wait_until_bound(namespace)


def wait_until_bound(namespace: str) -> None:
    wait_until(lambda: must_get("pvc", NAME, namespace)["status"].get("phase") == "Bound", "the claim is bound")


def volume_folder(namespace: str, name: str = NAME) -> Path:
    """Where dev/cluster keeps the claim's volume."""
    volume = must_get("pvc", name, namespace)["spec"]["volumeName"]
    return Path(os.environ["KUBECONFIG"]).parent / "volumes" / f"{namespace}-{name}-{volume}"
