# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Programs of Debian that the cluster runs.

containerd, etcd and their like are unpacked, not installed: installing them would start their services, and remove a
Docker engine that brought its own containerd.
"""

from __future__ import annotations

import platform
from pathlib import Path

from dev.buildkit import debian
from dev.buildkit.cache import Cache, key

TOOLS = (*debian.TOOLS, "iproute2", "libseccomp2", "nftables", "openssl", "util-linux")
"""What the cluster needs to be installed on this machine."""
NAME = "debian-programs"
UNPACKED = ("containerd", "containernetworking-plugins", "etcd-server", "runc")


def unpacked_key() -> str:
    """The key of the unpacked programs: which packages, of which release."""
    return key([Path("/etc/os-release"), platform.machine(), *UNPACKED])


def unpacked(cache: Cache) -> Path:
    """A folder with the programs of `UNPACKED` below it, as they would lie below /."""
    return cache.entry(NAME, unpacked_key(), lambda folder: debian.unpack(UNPACKED, folder))
