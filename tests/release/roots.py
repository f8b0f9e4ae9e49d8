# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Root filesystems with a Debian, its Python, ansible-core and kubernetes.core, in the cache of dev/cluster.

What is in one follows from this file and dev/requirements.txt.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from dev.buildkit import bootstrap, commands, debian
from dev.buildkit.cache import Cache, key

REQUIREMENTS = Path(__file__).resolve().parents[2] / "dev" / "requirements.txt"
VENV = "/opt/ansible"


@dataclass(frozen=True)
class Release:
    """A Debian, its Python, and the ansible-core that this Python gets from PyPI."""

    suite: str
    python: str
    core: str

    def __str__(self) -> str:
        return f"python{self.python}"


RELEASES = (Release("bookworm", "3.11", "2.19."), Release("trixie", "3.13", "2."))


def cache() -> Cache:
    return Cache()


def root_filesystem(release: Release) -> Path:
    """Its root filesystem; made where it is missing."""

    def make(folder: Path) -> None:
        debian.install(debian.TOOLS)
        root, wheels = folder / "root", folder / "wheels"
        bootstrap.make_root(root, release.suite, ["ca-certificates", "python3", "python3-venv"])
        _download(release, wheels)
        _install(root, wheels)
        shutil.rmtree(wheels)

    parts: list[str | Path] = [Path(__file__), Path(bootstrap.__file__), REQUIREMENTS, release.suite, release.python]
    return cache().entry(f"ansible-{release.suite}", key(parts), make) / "root"


def _download(release: Release, wheels: Path) -> None:
    """What that Python would get, by this machine's pip: its settings are those of this machine."""
    commands.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--python-version", release.python, "--only-binary=:all:", "--dest", wheels, "-r", REQUIREMENTS),
        ],
        advice="check that Python packages can be downloaded (pip download ansible)",
    )


def _install(root: Path, wheels: Path) -> None:
    """Everything but the package `ansible`: of its hundred collections only kubernetes.core is wanted."""
    (everything,) = wheels.glob("ansible-[0-9]*.whl")
    shutil.copytree(wheels, root / "opt/wheels", ignore=shutil.ignore_patterns(everything.name))
    names = [f"/opt/wheels/{wheel.name}" for wheel in (root / "opt/wheels").iterdir()]
    # Without this machine's settings of pip, which may name files that are not there.
    inside = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "chroot", root)
    commands.run([*inside, "python3", "-m", "venv", VENV])
    commands.run([*inside, f"{VENV}/bin/pip", "install", "--quiet", "--no-index", "--no-deps", *names])
    shutil.rmtree(root / "opt/wheels")
    (site,) = (root / VENV.lstrip("/")).glob("lib/python3.*/site-packages")
    with zipfile.ZipFile(everything) as archive:
        wanted = [name for name in archive.namelist() if name.startswith("ansible_collections/kubernetes/core/")]
        archive.extractall(site, wanted)
