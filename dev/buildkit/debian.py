# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Debian packages: installed on this machine, or only unpacked into a folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from . import commands
from .errors import ReportedError
from .progress import say

TOOLS = ("ca-certificates", "debian-archive-keyring", "mmdebstrap")
"""What bootstrap.py needs on this machine."""

_APT = ("apt-get", "--yes", "--quiet", "-o", "DPkg::Lock::Timeout=300")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


def check_machine() -> None:
    """Raises ReportedError on a machine that is not a Debian one, before anything is changed."""
    for program in ("apt-get", "dpkg-deb", "dpkg-query"):
        if shutil.which(program) is None:
            raise ReportedError(
                f"expected a Debian machine (12 or newer), but there is no {program}",
                "run this on Debian, for example in a virtual machine",
            )


def missing(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed."""
    result = commands.attempt(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages])
    installed = {line.split()[0] for line in result.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install(packages: Sequence[str]) -> None:
    """Installs those of the packages that are missing. Raises ReportedError."""
    wanted = missing(packages)
    if wanted:
        say(f"installing Debian packages: {' '.join(wanted)}")
        _apt(["install", "--no-install-recommends", *wanted])


def unpack(packages: Sequence[str], folder: Path) -> None:
    """Downloads packages and unpacks them below `folder`, as they would lie below /."""
    downloads = folder / "packages"
    downloads.mkdir()
    # apt downloads as a separate user, who cannot write into root's cache folder.
    _apt(["-o", "APT::Sandbox::User=root", "download", *packages], directory=downloads)
    for package in sorted(downloads.glob("*.deb")):
        commands.run(["dpkg-deb", "--extract", package, folder])
    shutil.rmtree(downloads)


def repository() -> str | None:
    """The address of the Debian repository that this machine installs from, if apt knows one.

    A source without package lists is unknown to apt-get indextargets: nothing that this machine needed may have
    refreshed them before.
    """
    address = _listed_repository()
    if address is None:
        _update()
        address = _listed_repository()
    return address


def _listed_repository() -> str | None:
    listing = commands.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL)/$(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    )
    for line in listing.splitlines():
        kind, address = line.split(" ", 1)
        if kind == "Debian/Debian/main":
            return address
    return None


def _apt(arguments: Sequence[str], directory: Path | None = None) -> None:
    """Runs apt-get; when it fails, once more with fresh package lists."""
    if commands.attempt([*_APT, *arguments], environment=_QUIET, directory=directory).returncode == 0:
        return
    _update()
    commands.run(
        [*_APT, *arguments],
        environment=_QUIET,
        directory=directory,
        advice="check that this machine's package sources can be reached (apt-get update)",
    )


def _update() -> None:
    """Refreshes the package lists as far as possible; what needs them reports the failure."""
    say("refreshing the package lists (apt-get update)")
    for _ in range(30):
        # The lists have a separate lock, which apt does not wait for.
        update = commands.attempt([*_APT, "update"], environment=_QUIET)
        if "Could not get lock" not in update.stderr:
            break
        time.sleep(2)
