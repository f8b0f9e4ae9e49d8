# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The images in the cluster's containerd."""

from __future__ import annotations

import time

from . import commands, machine
from .components import CONTAINERD_SOCKET, Built
from .errors import ClusterError
from .images import Images
from .settings import Settings

_START_SECONDS = 60.0


def loaded(settings: Settings, built: Built) -> dict[str, str]:
    """Return the images that containerd has: name → digest."""
    listing = _ctr(settings, built, "images", "list")
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if not row[0].startswith("sha256:")}


def load(settings: Settings, built: Built, images: Images) -> bool:
    """Import the images where containerd does not have them; return whether that was needed."""
    _wait(settings, built)
    have = loaded(settings, built)
    if all(have.get(name) == digest for name, digest in images.digests.items()):
        return False
    _ctr(settings, built, "images", "import", str(images.archive))
    have = loaded(settings, built)
    for name, digest in images.digests.items():
        if have.get(name) != digest:
            raise ClusterError(f"expected containerd to have the image {name} ({digest}), found {have.get(name)}")
    return True


def _wait(settings: Settings, built: Built) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        result = commands.attempt(_command(settings, built, "version"))
        if result.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise ClusterError(
                f"expected containerd to answer within {_START_SECONDS:.0f} s",
                detail=commands.tail_of_file(settings.logs / "containerd.log") or result.stderr,
            )
        time.sleep(0.1)


def _ctr(settings: Settings, built: Built, *arguments: str) -> str:
    return commands.run(_command(settings, built, *arguments))


def _command(settings: Settings, built: Built, *arguments: str) -> list[str]:
    program = str(built.debian / "usr/bin/ctr")
    return machine.inside(settings, [program, "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", *arguments])
