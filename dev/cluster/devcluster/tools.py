# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The image with the tools that need no PostgreSQL, from the packages of docs/examples/tools-image/Containerfile."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from dev.buildkit import bootstrap
from dev.buildkit.cache import Cache, key
from dev.buildkit.progress import step

from . import oci
from .images import Images

NAME = "tools"
IMAGE = "localhost/postgres-backup-tools:1"
SUITE = "trixie"
PACKAGES = ("apprise", "ca-certificates", "curl", "mawk", "python3")
"""What it has more than Debian's minimal system, which brings coreutils, findutils, gzip, sed and tar."""

USER = "65532:65532"
ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: S108 - a path in the image


def make_rootfs(cache: Cache) -> Path:
    """The folder of the unpacked root filesystem, for chroot; made if it is missing."""
    return _made(cache) / "root"


def make_image(cache: Cache) -> Images:
    """The image, made if it is missing."""
    folder = _made(cache)
    digests = json.loads((folder / "digests.json").read_text(encoding="utf-8"))
    return Images(folder / "images.tar", digests)


def _made(cache: Cache) -> Path:
    def make(folder: Path) -> None:
        root, layer = folder / "root", folder / "layer.tar"
        with step(f"making the image {IMAGE} from {SUITE} (half a minute the first time)"):
            bootstrap.make_root(root, SUITE, PACKAGES)
            oci.pack(root, layer)
            with tarfile.open(folder / "images.tar", "w") as archive:
                layout = oci.Layout(archive)
                layout.add_image(IMAGE, _configuration(), [layout.add_file(layer)])
                (folder / "digests.json").write_text(json.dumps(layout.finish(), indent=1), encoding="utf-8")
            layer.unlink()

    return cache.entry(NAME, key([Path(__file__), Path(bootstrap.__file__), Path(oci.__file__)]), make)


def _configuration() -> dict[str, object]:
    environment = {"PATH": oci.SYSTEM_PATH, **ENVIRONMENT}
    return {"User": USER, "Env": [f"{name}={value}" for name, value in environment.items()], "Cmd": ["sh"]}
