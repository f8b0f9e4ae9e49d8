# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""PostgreSQL's programs out of an unpacked root filesystem, run on this machine without entering it.

Each becomes a small wrapper that starts it with its own dynamic loader and libraries. The wrappers lie in a tree
laid out like the original, since PostgreSQL's programs find each other, and their files, relative to themselves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from dev.buildkit.cache import exclusive

REPOSITORY = Path(__file__).resolve().parents[3]
ROOTFS_COMMAND = REPOSITORY / "dev" / "cluster" / "rootfs"
DEFAULT_VERSION = "18"


@dataclass(frozen=True)
class Programs:
    """A directory of wrappers, one for each of PostgreSQL's programs."""

    bin: Path
    major: str

    def path(self, name: str) -> Path:
        found = self.bin / name
        assert found.exists(), f"PostgreSQL {self.major} has no program {name}"
        return found


def root_filesystem(version: str) -> Path:
    """The unpacked root filesystem with this major version, or `18-extensions`; made when it is not there yet."""
    override = os.environ.get("SCRIPT_TESTS_ROOTFS")
    if override:
        return Path(override)
    with exclusive(Path(tempfile.gettempdir()) / "postgres-backup-script-tests.lock"):
        made = subprocess.run([ROOTFS_COMMAND, f"postgresql-{version}"], stdout=subprocess.PIPE, text=True, check=False)
    assert made.returncode == 0, f"{ROOTFS_COMMAND} postgresql-{version} failed: see above"
    return Path(made.stdout.strip().splitlines()[-1])


def _one(root: Path, pattern: str) -> Path:
    found = [path for path in sorted(root.glob(pattern)) if not path.is_symlink()]
    assert found, f"{root} holds no {pattern}: is it a root filesystem with PostgreSQL?"
    return found[-1]


def wrap(root: Path, version: str, into: Path) -> Programs:
    """Make the tree of wrappers for the PostgreSQL in `root`, which every user must be able to enter."""
    # Debian 11's has another name, and may be outside /usr.
    loader = _one(root, "lib/*/ld-[l0-9]*.so*")
    # Some libraries of extensions are directly in usr/lib.
    libraries = f"{root}/usr/lib/{loader.parent.name}:{loader.parent}:{root}/usr/lib"
    knows_argv0 = b"--argv0" in loader.read_bytes()
    original = root / "usr/lib/postgresql" / version
    home = into / "usr/lib/postgresql" / version
    (home / "bin").mkdir(parents=True)
    (into / "usr/share").mkdir()
    (home / "lib").symlink_to(original / "lib")
    (into / "usr/share/postgresql").symlink_to(root / "usr/share/postgresql")
    # PostGIS's libraries expect the database of coordinate systems in /usr/share.
    proj = root / "usr/share/proj"
    projections = f"export PROJ_DATA={quote(str(proj))}\n" if proj.exists() else ""
    for binary in sorted((original / "bin").iterdir()):
        wrapper = home / "bin" / binary.name
        command = [loader, "--library-path", libraries, "--argv0", wrapper, binary]
        if not knows_argv0:
            # PostgreSQL's programs search for each other in their own folder.
            copy = Path(shutil.copy(binary, f"{wrapper}.bin"))
            command = [loader, "--library-path", libraries, copy]
        wrapper.write_text(f'#!/bin/sh\n{projections}exec {" ".join(quote(str(word)) for word in command)} "$@"\n')
        wrapper.chmod(0o755)
    return Programs(bin=home / "bin", major=version)
