# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is in the artifact: what users need, all of it, and nothing else."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import yaml

from .machines import CHECKOUT

SHIPPED = {"CHANGELOG.md", "LICENSE", "README.md", "changelogs", "docs", "meta", "playbooks", "plugins", "roles"}
MADE = {"FILES.json", "MANIFEST.json"}


def test_artifact_holds_only_what_is_shipped(artifact: Path) -> None:
    with tarfile.open(artifact) as archive:
        packed = {member.name for member in archive if not member.isdir()}
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(git, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = {name for name in known if name.split("/")[0] in SHIPPED and (CHECKOUT / name).is_file()}
    assert packed == files | MADE
    for folder in ("playbooks/*.yml", "plugins/modules/*.py", "roles/*/tasks/main.yml"):
        there = {str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob(folder)}
        assert there and there <= packed


def test_tracked_files_are_shipped_or_excluded_by_name() -> None:
    """A new folder of the checkout is a decision: here, or in galaxy.yml's build_ignore."""
    git = ["git", "ls-files", "-z"]
    known = subprocess.run(git, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.split("\0")
    ignored = set(yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["build_ignore"])
    assert {name.split("/")[0] for name in known if name} - ignored - {"galaxy.yml"} == SHIPPED


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_version_is_the_same_everywhere(artifact: Path) -> None:
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    assert artifact.name == f"homelab-postgres_backup-{version}.tar.gz"
    released = list(yaml.safe_load((CHECKOUT / "changelogs" / "changelog.yaml").read_text())["releases"])
    if any((CHECKOUT / "changelogs" / "fragments").glob("*.yml")):
        # Changes wait for their release: what is built is the version that will have them.
        assert version not in released
        assert numbers(version) > max(map(numbers, released))
    else:
        assert released[-1] == version
