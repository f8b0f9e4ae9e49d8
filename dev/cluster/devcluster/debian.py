# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Debian packages: installed on the machine, or only unpacked into the cache.

containerd, etcd and their like are unpacked, not installed: installing them would start their services,
and remove a Docker engine that brought a containerd of its own.
"""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from . import commands
from .cache import Cache, key
from .errors import ClusterError
from .progress import say

TOOLS = (
    "ca-certificates",
    "debian-archive-keyring",
    "iproute2",
    "libseccomp2",
    "mmdebstrap",
    "nftables",
    "openssl",
    "util-linux",
)
UNPACKED_NAME = "debian-programs"
UNPACKED = ("containerd", "containernetworking-plugins", "etcd-server", "runc")

_APT = ("apt-get", "--yes", "--quiet", "-o", "DPkg::Lock::Timeout=300")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


def check_machine() -> None:
    """Refuse a machine that this cannot work on, before anything is changed."""
    for program in ("apt-get", "dpkg-deb", "dpkg-query"):
        if shutil.which(program) is None:
            raise ClusterError(
                f"expected a Debian machine (12 or newer), but there is no {program}",
                "run this on Debian, for example in a virtual machine",
            )


def missing(packages: Sequence[str]) -> list[str]:
    """Return those packages that are not installed."""
    result = commands.attempt(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages])
    installed = {line.split()[0] for line in result.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install(packages: Sequence[str]) -> None:
    """Install those packages that are missing."""
    wanted = missing(packages)
    if wanted:
        say(f"installing Debian packages: {' '.join(wanted)}")
        _apt(["install", "--no-install-recommends", *wanted])


def unpacked_key() -> str:
    """Return the hash that the unpacked programs lie under: which packages, of which release."""
    return key([Path("/etc/os-release"), platform.machine(), *UNPACKED])


def unpacked(cache: Cache) -> Path:
    """Return a folder with the programs of ``UNPACKED`` below it, as they would lie below /."""

    def make(folder: Path) -> None:
        packages = folder / "packages"
        packages.mkdir()
        # apt downloads as a user of its own, who cannot write into root's cache folder.
        _apt(["-o", "APT::Sandbox::User=root", "download", *UNPACKED], directory=packages)
        for package in sorted(packages.glob("*.deb")):
            commands.run(["dpkg-deb", "--extract", package, folder])
        shutil.rmtree(packages)

    return cache.entry(UNPACKED_NAME, unpacked_key(), make)


def repository() -> str | None:
    """Return the address of the Debian repository that this machine installs from."""
    listing = commands.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL)/$(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    )
    for line in listing.splitlines():
        kind, address = line.split(" ", 1)
        if kind == "Debian/Debian/main":
            return address
    return None


def _apt(arguments: Sequence[str], directory: Path | None = None) -> None:
    """Run apt-get; where it fails, once more with fresh package lists."""
    if commands.attempt([*_APT, *arguments], environment=_QUIET, directory=directory).returncode == 0:
        return
    say("refreshing the package lists (apt-get update)")
    for _ in range(30):
        # The lists have a lock of their own, which apt does not wait for.
        update = commands.attempt([*_APT, "update"], environment=_QUIET)
        if "Could not get lock" not in update.stderr:
            break
        time.sleep(2)
    commands.run(
        [*_APT, *arguments],
        environment=_QUIET,
        directory=directory,
        advice="check that this machine's package sources can be reached (apt-get update)",
    )
