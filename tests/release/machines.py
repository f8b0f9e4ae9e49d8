# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Machines that hold a Debian, its Python, Ansible and kubernetes.core, and nothing of this checkout.

Each is a root filesystem in the cache of dev/cluster, entered read-only by chroot in a separate mount namespace; the
only folder that can be written is the test's. The network is this machine's, so that the cluster can be reached.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .roots import VENV, Release

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = Path("/root")
# The mounts are this shell's own, and gone with it.
_ENTER = """
set -eu
root=$1 work=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$work" "$root/root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Machine:
    """A release's root filesystem, and the folder that a test works in: there it is HOME."""

    release: Release
    root: Path
    work: Path

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """What becomes of a command; output and errors are one text."""
        environment = {
            "PATH": f"{VENV}/bin:/usr/bin:/bin",
            "HOME": str(HOME),
            "LANG": "C.UTF-8",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            **(env or {}),
        }
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "enter"]
        inside = ["/usr/bin/env", f"--chdir={HOME}", *command]
        return subprocess.run(
            [*enter, self.root, self.work, *inside],
            env=environment | {"PATH": f"{environment['PATH']}:/usr/sbin:/sbin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def must(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        done = self.run(*command, env=env)
        assert done.returncode == 0, f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}"
        return done.stdout
