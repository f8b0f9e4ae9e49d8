# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Root filesystems with a PostgreSQL server and client, made from Debian's packages."""

from __future__ import annotations

import hashlib
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from dev.buildkit import bootstrap, commands, debian
from dev.buildkit.cache import Cache, key
from dev.buildkit.errors import ReportedError
from dev.buildkit.progress import step

_SUITES = {"13": "bullseye", "14": "jammy", "15": "bookworm", "17": "trixie", "18": "sid", "19": "experimental"}
# No release of Debian has PostgreSQL 14: this one of Ubuntu has.
_UBUNTU = "jammy"
_UBUNTU_REPOSITORY = "http://archive.ubuntu.com/ubuntu"
# The keys of that repository: a package of Debian 13, which Debian 12 does not have.
_UBUNTU_KEYRING = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1-0.2_all.deb"
_UBUNTU_KEYRING_SHA256 = "b2e7ed48431bf9e7978ae810bbdaf253093570d6e3f864e575b7c13554b81174"
NAMES = tuple(f"postgresql-{version}" for version in _SUITES)

_PREPARE = r"""
set -eu
root=$1
# The same user id as in the PostgreSQL project's own image; the package keeps an existing user.
echo 'postgres:x:999:999:PostgreSQL administrator:/var/lib/postgresql:/bin/bash' >> "$root/etc/passwd"
echo 'postgres:x:999:' >> "$root/etc/group"
# The package must not make a database cluster while it is installed.
mkdir -p "$root/etc/postgresql-common"
echo 'create_main_cluster = false' > "$root/etc/postgresql-common/createcluster.conf"
"""

_FINISH = r"""
set -eu
root=$1
chroot "$root" localedef --inputfile=en_US --charmap=UTF-8 en_US.UTF-8
# igzip is kept apart from the root filesystem: some images have it and some do not.
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --download-only --no-install-recommends install isal
mkdir "$IGZIP"
for package in "$root"/var/cache/apt/archives/*isal*.deb; do
    dpkg-deb --extract "$package" "$IGZIP"
done
rm -rf "$IGZIP/usr/share"
"""


@dataclass(frozen=True)
class RootFilesystem:
    """One root filesystem in the cache."""

    folder: Path

    @property
    def root(self) -> Path:
        """The unpacked root filesystem, for chroot."""
        return self.folder / "root"

    @property
    def layer(self) -> Path:
        """The same as it was when it was made, as an uncompressed tar archive without devices."""
        return self.folder / "layer.tar"

    @property
    def igzip(self) -> Path:
        """The files of the packages that bring igzip, to lay over the root filesystem."""
        return self.folder / "igzip"


def rootfs_key(name: str) -> str:
    """The hash of what a root filesystem is made from."""
    return key([Path(__file__), Path(bootstrap.__file__), name])


def install_tools() -> None:
    """Install what `make_rootfs` needs on this machine."""
    debian.check_machine()
    debian.install(debian.TOOLS)


def make_rootfs(cache: Cache, name: str) -> RootFilesystem:
    """A root filesystem, made if it is missing."""
    suite = _suite(name)

    def make(folder: Path) -> None:
        result = RootFilesystem(folder)
        with step(f"making the root filesystem {name} from {suite} (half a minute the first time)"):
            prepare, finish = folder / "prepare.sh", folder / "finish.sh"
            prepare.write_text(_PREPARE, encoding="utf-8")
            finish.write_text(_FINISH, encoding="utf-8")
            bootstrap.make_root(
                result.root,
                "sid" if suite == "experimental" else suite,
                _packages(name),
                # Part of the package libc-bin, and read by localedef.
                "--dpkgopt=path-include=/usr/share/locale/locale.alias",
                f'--essential-hook=sh "{prepare}" "$1"',
                f'--customize-hook=sh "{finish}" "$1"',
                sources=_sources(suite, folder),
                environment={"IGZIP": str(result.igzip)},
            )
            prepare.unlink()
            finish.unlink()
            shutil.rmtree(folder / "keyring", ignore_errors=True)
            commands.run(
                [
                    *("tar", "--create", "--file", result.layer, "--directory", result.root),
                    *("--sort=name", "--numeric-owner", "--xattrs", "--one-file-system", "--exclude=./dev/*", "."),
                ]
            )

    return RootFilesystem(cache.entry(name, rootfs_key(name), make))


def _suite(name: str) -> str:
    version = name.removeprefix("postgresql-")
    if name not in NAMES:
        raise ReportedError(f"expected one of {', '.join(NAMES)}, found {name!r}")
    return _SUITES[version]


def _packages(name: str) -> tuple[str, ...]:
    programs: tuple[str, ...] = (name,)
    if _suite(name) == "experimental":
        # apt prefers other suites.
        version = name.removeprefix("postgresql-")
        programs = tuple(f"{each}/experimental" for each in (name, f"postgresql-client-{version}", "libpq5"))
    return (*programs, "libnss-wrapper", "locales", "mawk")


def _sources(suite: str, folder: Path) -> list[str]:
    """The lines of sources.list for a suite that is not a release of Debian; keys are unpacked into `folder`."""
    address = debian.repository() or "http://deb.debian.org/debian"
    if suite == "experimental":
        return [f"deb {address} {each} main" for each in ("sid", "experimental")]
    if suite != _UBUNTU:
        return []
    package, keyring = folder / "keyring.deb", folder / "keyring"
    address = f"{address.rstrip('/')}/{_UBUNTU_KEYRING}"
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - apt's own address
        package.write_bytes(answer.read())
    sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
    if sha256 != _UBUNTU_KEYRING_SHA256:
        raise ReportedError(f"expected {_UBUNTU_KEYRING} with the sha256 {_UBUNTU_KEYRING_SHA256}, found {sha256}")
    commands.run(["dpkg-deb", "--extract", package, keyring])
    package.unlink()
    keys = keyring / "usr/share/keyrings/ubuntu-archive-keyring.gpg"
    return [f"deb [signed-by={keys}] {_UBUNTU_REPOSITORY} {each} main universe" for each in (suite, f"{suite}-updates")]
