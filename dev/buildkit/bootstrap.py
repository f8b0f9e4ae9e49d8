# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Releases of Debian and its derivatives in folders, for chroot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from . import commands, debian

# Documentation, manuals and translations: a third of the size.
_LEFT_OUT = ("doc", "info", "locale", "man")


def make_root(
    root: Path,
    suite: str,
    packages: Sequence[str],
    *options: str,
    sources: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Makes a root filesystem with a release's minimal system and some packages.

    Temporary files go to its parent folder. `options` are mmdebstrap's, `environment` is for its hooks. `sources` are
    lines of sources.list, by default the release in the repository of this machine. Raises ReportedError.
    """
    address = debian.repository()
    commands.run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--quiet"),
            *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in _LEFT_OUT),
            # The repository's own machines may serve a list of unstable that is some days old.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            '--aptopt=Acquire::Retries "3"',
            f"--include={','.join(packages)}",
            *options,
            *(suite, root),
            *(sources or ([f"deb {address} {suite} main"] if address else [])),
        ],
        environment={"TMPDIR": str(root.parent), **(environment or {})},
        advice="check that this machine's package sources can be reached (apt-get update), and have that release",
    )
    # This machine's name server is no part of it.
    (root / "etc/resolv.conf").write_text("", encoding="utf-8")
    # In a container the kubelet writes its own.
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n", encoding="utf-8")
