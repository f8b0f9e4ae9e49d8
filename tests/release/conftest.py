# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The built artifact, and machines that have it and nothing else of this collection. They need root, for chroot."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.in_turn import weekly

from .machines import CHECKOUT, HOME, Machine
from .roots import RELEASES, Release, root_filesystem


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    subprocess.run([galaxy, "collection", "build", "--output-path", folder, CHECKOUT], check=True, capture_output=True)
    (built,) = folder.glob("homelab-postgres_backup-*.tar.gz")
    return built


@pytest.fixture(scope="session")
def unpacked(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of collections with the artifact's content and kubernetes.core."""
    collections = tmp_path_factory.mktemp("unpacked") / "ansible_collections"
    folder = collections / "homelab" / "postgres_backup"
    with tarfile.open(artifact) as archive:
        archive.extractall(folder, filter="data")
    (there,) = Path(sys.prefix).glob("lib/python3.*/site-packages/ansible_collections/kubernetes/core")
    shutil.copytree(there, collections / "kubernetes" / "core")
    return folder


# The oldest release has what the other parts run under on Debian 12; the newest one is the one to try every day.
@pytest.fixture(scope="session", params=[*map(weekly, RELEASES[:-1]), RELEASES[-1]], ids=str)
def machine(request: pytest.FixtureRequest, artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with the collection installed from the artifact, its dependency being there already."""
    release: Release = request.param
    work = tmp_path_factory.mktemp(str(release))
    made = Machine(release, root_filesystem(release), work)
    shutil.copy(artifact, work)
    # Without --no-deps: what galaxy.yml asks for must be what the package `ansible` has.
    made.must("ansible-galaxy", "collection", "install", "--offline", str(HOME / artifact.name))
    return made
