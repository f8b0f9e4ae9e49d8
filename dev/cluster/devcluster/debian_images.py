# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Images of Debian's packages and nothing else, for pods without PostgreSQL."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev.buildkit import bootstrap, debian
from dev.buildkit.cache import Cache, key
from dev.buildkit.errors import ReportedError
from dev.buildkit.progress import step

from . import oci
from .images import Images

PREFERENCES = "/etc/apt/preferences.d/other-suites"


@dataclass(frozen=True)
class DebianImage:
    """An image, and what it has more than the minimal system of a release of Debian.

    The minimal system has coreutils, findutils, gzip, sed and tar. A package such as `rclone/sid` is taken from that
    suite; what it depends on is not, unless the release of the image lacks it.
    """

    image: str
    suite: str
    packages: tuple[str, ...]
    user: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The hash of what it is made from."""
        return key([repr(self), Path(__file__), Path(bootstrap.__file__), Path(oci.__file__)])

    @property
    def other_suites(self) -> tuple[str, ...]:
        """The suites from which single packages are taken."""
        return tuple(sorted({suite for package in self.packages if (suite := package.partition("/")[2])}))

    @property
    def preferences(self) -> str:
        """What keeps apt from all other packages of these suites, although they are newer."""
        return "\n".join(f"Package: *\nPin: release n={suite}\nPin-Priority: 100\n" for suite in self.other_suites)

    @property
    def configuration(self) -> dict[str, object]:
        """Of the image, as OCI wants it."""
        environment = {"PATH": oci.SYSTEM_PATH, **self.environment}
        return {"User": self.user, "Env": [f"{name}={value}" for name, value in environment.items()], "Cmd": ["sh"]}


TOOLS = DebianImage(
    image="localhost/postgres-backup-tools:1",
    suite="trixie",
    packages=("age/sid", "apprise", "ca-certificates", "curl", "mawk", "python3", "rclone/sid", "restic/sid", "tzdata"),
    user="65532:65532",
    environment={"HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108 - in the image
)
"""The image of docs/tools-image.md: the same as its Containerfile builds."""

RECEIVERS = DebianImage(
    image="localhost/receivers:1",
    suite="sid",
    packages=("ntfy", "prometheus-pushgateway", "python3-aiosmtpd"),
    user="65532:65532",
    environment=TOOLS.environment,
)
"""Servers that receive messages and metrics, for tests."""

SFTP = DebianImage(
    image="localhost/sftp:1",
    suite="trixie",
    packages=("openssh-server",),
    # Debian's user `backup`: sshd that does not run as root accepts only the user that it runs as.
    user="34:34",
)
"""An OpenSSH server, for tests."""

BY_NAME = {"tools": TOOLS, "receivers": RECEIVERS, "sftp": SFTP}


def make_rootfs(cache: Cache, name: str) -> Path:
    """The folder of the unpacked root filesystem, for chroot; made if it is missing."""
    return _made(cache, name) / "root"


def make_image(cache: Cache, name: str) -> Images:
    """The image, made if it is missing."""
    folder = _made(cache, name)
    digests = json.loads((folder / "digests.json").read_text(encoding="utf-8"))
    return Images(folder / "images.tar", digests)


def _made(cache: Cache, name: str) -> Path:
    image = BY_NAME[name]

    def make(folder: Path) -> None:
        root, layer, preferences = folder / "root", folder / "layer.tar", folder / "preferences"
        preferences.write_text(image.preferences, encoding="utf-8")
        with step(f"making the image {image.image} from {image.suite} (half a minute the first time)"):
            bootstrap.make_root(
                root,
                image.suite,
                image.packages,
                *([f'--setup-hook=install -D -m 644 "{preferences}" "$1{PREFERENCES}"'] if image.other_suites else []),
                sources=_sources(image),
            )
            oci.pack(root, layer)
            with tarfile.open(folder / "images.tar", "w") as archive:
                layout = oci.Layout(archive)
                layout.add_image(image.image, image.configuration, [layout.add_file(layer)])
                (folder / "digests.json").write_text(json.dumps(layout.finish(), indent=1), encoding="utf-8")
            layer.unlink()
            preferences.unlink()

    return cache.entry(name, image.key, make)


def _sources(image: DebianImage) -> list[str]:
    """The lines of sources.list for an image with packages of several suites; none for an image of one."""
    if not image.other_suites:
        return []
    address = debian.repository()
    if address is None:
        raise ReportedError("expected a repository of Debian in apt's sources, found none")
    return [f"deb {address} {suite} main" for suite in (image.suite, *image.other_suites)]
