# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Volumes of a fixed size: a tmpfs in the cluster's mount namespace, and a PersistentVolume for it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from dev.buildkit import commands
from dev.buildkit.errors import ReportedError

from . import machine
from .api import Api
from .objects import small_volume
from .settings import Settings

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SIZE = re.compile(r"([1-9][0-9]*)([KMG])i?")
_REMOVAL_SECONDS = 30.0


def quantity(size: str) -> str:
    """A size such as `16M` (mebibytes, as mount reads it) as a Kubernetes quantity in canonical form."""
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ReportedError(f"expected a size such as 512K, 16M or 1G, found {size!r}")
    number, unit = int(match[1]), match[2]
    while number % 1024 == 0 and unit != "G":
        number, unit = number // 1024, {"K": "M", "M": "G"}[unit]
    return f"{number}{unit}i"


def make_volume(settings: Settings, name: str, size: str) -> None:
    """Create an empty volume; an unused one of that name and size is left as it is."""
    if not _NAME.fullmatch(name):
        raise ReportedError(f"expected a name of lower-case letters, digits and dashes, found {name!r}")
    capacity = quantity(size)
    api = Api.of(settings)
    existing = _get(api, name)
    if existing is not None:
        same = existing["spec"]["capacity"]["storage"] == capacity
        if same and existing["status"].get("phase") in ("Pending", "Available", "Bound"):
            return
    # Also where only the PersistentVolume was deleted: what is on the mount is not wanted any more.
    remove_volume(settings, name)
    folder = settings.small_volumes / name
    folder.mkdir()
    # mount reads 16M as mebibytes.
    options = f"size={capacity.removesuffix('i')},mode=0777"
    commands.run(machine.inside(settings, ["mount", "-t", "tmpfs", "-o", options, f"volume-{name}", folder]))
    api.apply([small_volume(name, capacity, str(folder))])


def remove_volume(settings: Settings, name: str) -> None:
    """Remove a volume and what is on it; one that is not there is no error."""
    api = Api.of(settings)
    folder = settings.small_volumes / name
    existing = _get(api, name)
    if existing is not None:
        if existing["spec"].get("hostPath", {}).get("path") != str(folder):
            raise ReportedError(f"expected the volume {name} to be one that dev/cluster/volume made")
        api.delete(f"/api/v1/persistentvolumes/{name}")
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while (remaining := _get(api, name)) is not None:
            if time.monotonic() > deadline:
                claim = remaining["spec"].get("claimRef", {})
                user = f"{claim.get('namespace')}/{claim.get('name')}"
                raise ReportedError(
                    f"expected the volume {name} to go, but the claim {user} still uses it",
                    "delete the pods and the claim, then run this command again",
                )
            time.sleep(0.2)
    if _mounted(settings, folder):
        commands.run(machine.inside(settings, ["umount", folder]), advice="delete the pods that still use the volume")
    if folder.exists():
        folder.rmdir()


def _get(api: Api, name: str) -> dict[str, Any] | None:
    return api.get(f"/api/v1/persistentvolumes/{name}")


def _mounted(settings: Settings, folder: Path) -> bool:
    mounts = commands.run(machine.inside(settings, ["cat", "/proc/mounts"]))
    return any(line.split()[1] == str(folder) for line in mounts.splitlines())
