# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The guest that has what this machine's kernel may lack: an NFS server and client, made from Debian's packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dev.buildkit import bootstrap, cache, debian
from dev.buildkit.progress import step

from .cpio import Writer

NAME = "nfs-guest"
SUITE = "sid"  # the one with PostgreSQL 18
PACKAGES = ("iproute2", "kmod", "nfs-common", "nfs-kernel-server", "postgresql-18", "python3-minimal")
MODULES = ("bridge", "nfsd", "nfsv4", "veth")
PASSWORD = "the password"  # noqa: S105 - of a server that only the guest can reach
FILLER_ROWS = 40_000
"""Rows of the table filler in the database app."""

_FINISH = Path(__file__).with_name("finish.sh")
_SAMPLE = Path(__file__).with_name("sample.sql")
# What no program in the guest needs, and what each start would have to unpack again.
_LEFT_OUT = frozenset(
    {
        *("dev", "proc", "sys", "var/cache", "var/lib/apt", "var/lib/dpkg", "usr/lib/systemd", "usr/share/i18n"),
        *("usr/share/perl", "usr/share/perl5", "usr/share/zoneinfo/right", "usr/lib/x86_64-linux-gnu/perl"),
        *("usr/lib/x86_64-linux-gnu/perl-base", "usr/lib/x86_64-linux-gnu/systemd", "usr/lib/udev", "usr/lib/apt"),
    }
)


@dataclass(frozen=True)
class Image:
    """A kernel, and an initramfs with everything but /init and what the tests add."""

    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        return self.folder / "initramfs.cpio"


def image_key() -> str:
    """The hash of what the image is made from."""
    return cache.key([Path(__file__), Path(bootstrap.__file__), Path(__file__).with_name("cpio.py"), _FINISH, _SAMPLE])


def make_image() -> Image:
    """The image in the cache, made if it is missing."""
    return Image(cache.Cache().entry(NAME, image_key(), _make))


def _make(folder: Path) -> None:
    debian.check_machine()
    debian.install(debian.TOOLS)
    image, root = Image(folder), folder / "root"
    with step(f"making the NFS guest from Debian {SUITE} (a minute or two the first time)"):
        bootstrap.make_root(
            root,
            SUITE,
            PACKAGES,
            # The package must not make a database cluster while it is installed.
            '--essential-hook=mkdir -p "$1/etc/postgresql-common"',
            '--essential-hook=echo create_main_cluster = false >"$1/etc/postgresql-common/createcluster.conf"',
            f'--customize-hook=sh "{_FINISH}" "$1"',
            environment={
                "KERNEL": str(image.kernel),
                "MODULES": " ".join(MODULES),
                "PASSWORD": PASSWORD,
                "SAMPLE": str(_SAMPLE),
            },
        )
        with image.initramfs.open("wb") as stream:
            archive = Writer(stream)
            archive.add_tree(root, _LEFT_OUT)
            archive.close()
        cache.remove(root)
