# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The images in containerd's store.

Importing them means to hash and to write half a gigabyte. It is done once, into a store in the cache; a new
cluster begins with a copy of that store whose files are hard links: layers are never written to.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from dev.buildkit import commands
from dev.buildkit.cache import Cache, key
from dev.buildkit.errors import ReportedError
from dev.buildkit.progress import say, step

from . import machine
from .components import CONTAINERD_SOCKET
from .images import Images
from .settings import Settings

_ANSWER_SECONDS = 60.0
_STORE = "root"


def make_store(cache: Cache, debian: Path, images: Images) -> Path:
    """A containerd store that holds the images, made if it is missing."""

    def make(folder: Path) -> None:
        with step("importing the images into containerd (a few seconds the first time)"):
            socket, configuration, log = folder / "socket", folder / "containerd.toml", folder / "log"
            configuration.write_text(
                f'version = 2\nroot = "{folder / _STORE}"\nstate = "{folder / "state"}"\n'
                f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n',
                encoding="utf-8",
            )
            with log.open("w", encoding="utf-8") as output:
                # In namespaces of its own, so that neither a process nor a mount can be left over.
                process = subprocess.Popen(
                    [
                        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                        *(debian / "usr/bin/containerd", "--config", configuration),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            try:
                command: list[str | Path] = [debian / "usr/bin/ctr", "--address", socket, "--namespace", "k8s.io"]
                _wait(command, log)
                commands.run([*command, "images", "import", images.archive])
            finally:
                # containerd closes its database when it is asked to end; unshare passes no signal on.
                for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGTERM)
                process.wait()
            for path in (socket, configuration, log):
                path.unlink(missing_ok=True)
            shutil.rmtree(folder / "state", ignore_errors=True)

    return cache.entry("containerd-store", key([Path(__file__), debian.name, *images.digests.values()]), make) / _STORE


def provide(settings: Settings, store: Path) -> None:
    """Give a new cluster its copy of the store."""
    target = settings.containerd
    target.parent.mkdir(parents=True, exist_ok=True)
    result = commands.attempt(["cp", "--archive", "--link", store, target])
    if result.returncode != 0:
        # Hard links do not cross file systems: the images are imported instead.
        say("  the cache and the state are on different file systems: the images have to be imported")
        shutil.rmtree(target, ignore_errors=True)
        return
    for database in target.glob("*/*.db"):
        database.unlink()
        shutil.copy2(store / database.relative_to(target), database)


def loaded(settings: Settings, debian: Path) -> dict[str, str]:
    """The images that the cluster's containerd has: name → digest."""
    listing = commands.run([*_ctr(settings, debian), "images", "list"])
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if not row[0].startswith("sha256:")}


def load(settings: Settings, debian: Path, images: Images) -> bool:
    """Import the images where the cluster's containerd does not have them; return whether that was needed."""
    command = _ctr(settings, debian)
    _wait(command, settings.logs / "containerd.log")
    have = loaded(settings, debian)
    if all(have.get(name) == digest for name, digest in images.digests.items()):
        return False
    commands.run([*command, "images", "import", images.archive])
    have = loaded(settings, debian)
    for name, digest in images.digests.items():
        if have.get(name) != digest:
            raise ReportedError(f"expected containerd to have the image {name} ({digest}), found {have.get(name)}")
    return True


def _wait(command: Sequence[str | Path], log: Path) -> None:
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        result = commands.attempt([*command, "version"])
        if result.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise ReportedError(
                f"expected containerd to answer within {_ANSWER_SECONDS:.0f} s",
                detail=commands.tail_of_file(log) or result.stderr,
            )
        time.sleep(0.1)


def _ctr(settings: Settings, debian: Path) -> list[str]:
    program = debian / "usr/bin/ctr"
    return machine.inside(settings, [program, "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"])
