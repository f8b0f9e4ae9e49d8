# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Root filesystems with a PostgreSQL server and client, made from Debian's packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dev.buildkit import bootstrap, debian
from dev.buildkit.cache import Cache, key
from dev.buildkit.errors import ReportedError
from dev.buildkit.progress import step

from . import oci

_SUITES = {"13": "bullseye", "15": "bookworm", "17": "trixie", "18": "sid", "19": "experimental"}
_EXTENSIONS = ("cron", "partman", "pgvector", "postgis-3", "timescaledb")
WITH_EXTENSIONS = "postgresql-18-extensions"
"""PostgreSQL 18 with the extensions of other projects that Debian has packages for."""
WITH_PATRONI = "postgresql-18-patroni"
"""PostgreSQL 18 and Patroni, which makes several servers a cluster with one leader."""
NAMES = (*(f"postgresql-{version}" for version in _SUITES), WITH_EXTENSIONS, WITH_PATRONI)

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
# The tests run these programs without chroot, where links by way of /etc/alternatives would lead out of the root.
for link in $(find "$root/usr/lib" "$root/usr/share/postgresql" -lname '/etc/alternatives/*'); do
    target=$(chroot "$root" readlink -f "${link#"$root"}") || continue
    ln -sfr "$root$target" "$link"
done
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
    return key([Path(__file__), Path(bootstrap.__file__), Path(oci.__file__), name])


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
                sources=_sources(suite),
                environment={"IGZIP": str(result.igzip)},
            )
            prepare.unlink()
            finish.unlink()
            oci.pack(result.root, result.layer)

    return RootFilesystem(cache.entry(name, rootfs_key(name), make))


def _suite(name: str) -> str:
    if name not in NAMES:
        raise ReportedError(f"expected one of {', '.join(NAMES)}, found {name!r}")
    return _SUITES[name.split("-")[1]]


def _packages(name: str) -> tuple[str, ...]:
    server = name.removesuffix("-extensions").removesuffix("-patroni")
    programs = [server]
    if _suite(name) == "experimental":
        # apt prefers other suites.
        version = server.removeprefix("postgresql-")
        programs = [f"{each}/experimental" for each in (server, f"postgresql-client-{version}", "libpq5")]
    elif name == WITH_EXTENSIONS:
        programs += [f"{server}-{extension}" for extension in _EXTENSIONS]
    elif name == WITH_PATRONI:
        programs.append("patroni")
    return (*programs, "libnss-wrapper", "locales", "mawk")


def _sources(suite: str) -> list[str]:
    """The lines of sources.list for a suite that is not complete; none for a release of Debian."""
    if suite != "experimental":
        return []
    address = debian.repository()
    if address is None:
        raise ReportedError("expected a repository of Debian in apt's sources, found none")
    return [f"deb {address} {each} main" for each in ("sid", "experimental")]
