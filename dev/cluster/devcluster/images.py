# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The container images, as one archive that containerd imports: no registry, no engine.

The images share the layer of the root filesystem.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.buildkit.cache import Cache, key
from dev.buildkit.progress import step

from . import golang, oci
from .oci import SYSTEM_PATH, Layout
from .rootfs import RootFilesystem, make_rootfs, rootfs_key
from .settings import SOURCES

PAUSE = "localhost/pause:1"
BITNAMI = "localhost/postgresql:18-bitnami"
BITNAMI_IGZIP = "localhost/postgresql:18-bitnami-igzip"
DEBIAN = "localhost/postgresql:18-debian"

_VERSION = "18"
_ROOTFS = f"postgresql-{_VERSION}"
_SCRIPTS = SOURCES / "images"
_SOURCES = (Path(__file__), Path(oci.__file__), _SCRIPTS)
_SERVER_PROGRAMS = f"usr/lib/postgresql/{_VERSION}/bin"


@dataclass(frozen=True)
class Images:
    """The archive, and which image (name → digest of its manifest) it holds."""

    archive: Path
    digests: dict[str, str]


def images_key(pause: golang.Program) -> str:
    """The hash of everything that the images are made from."""
    return key([*_SOURCES, rootfs_key(_ROOTFS), pause.key])


def make_images(cache: Cache, pause: golang.Program) -> Images:
    """The images, made if they are missing."""

    def make(folder: Path) -> None:
        rootfs = make_rootfs(cache, _ROOTFS)
        program = pause.build(cache)
        with step("making the container images (a few seconds the first time)"):
            with tarfile.open(folder / "images.tar", "w") as archive:
                digests = _write_images(Layout(archive), rootfs, program)
            (folder / "digests.json").write_text(json.dumps(digests, indent=1), encoding="utf-8")

    folder = cache.entry("images", images_key(pause), make)
    digests = json.loads((folder / "digests.json").read_text(encoding="utf-8"))
    return Images(folder / "images.tar", digests)


def make_image(cache: Cache, name: str) -> Images:
    """The image of a root filesystem, modelled on the PostgreSQL project's; made if it is missing.

    `name` is one of rootfs.NAMES, such as postgresql-17: its image is localhost/postgresql:17-debian.
    """
    version = name.removeprefix("postgresql-")
    image = f"localhost/postgresql:{version}-debian"

    def make(folder: Path) -> None:
        rootfs = make_rootfs(cache, name)
        with step(f"making the image {image}"), tarfile.open(folder / "images.tar", "w") as archive:
            layout = Layout(archive)
            layers = [layout.add_file(rootfs.layer), layout.add(_debian_layer(rootfs, version))]
            layout.add_image(image, _debian_configuration(version), layers)
            (folder / "digests.json").write_text(json.dumps(layout.finish(), indent=1), encoding="utf-8")

    folder = cache.entry(f"image-{version}", key([*_SOURCES, rootfs_key(name)]), make)
    return Images(folder / "images.tar", json.loads((folder / "digests.json").read_text(encoding="utf-8")))


def _major(version: str) -> str:
    """Of `18`, or of `18-` with what it has more."""
    return version.partition("-")[0]


def _debian_configuration(version: str) -> dict[str, Any]:
    major = _major(version)
    volume = "/var/lib/postgresql"
    data = f"{volume}/{major}/docker" if int(major) >= 18 else f"{volume}/data"
    return {
        "Env": [
            f"PATH={SYSTEM_PATH}:/usr/lib/postgresql/{major}/bin",
            "LANG=en_US.utf8",
            f"PG_MAJOR={major}",
            f"PGDATA={data}",
        ],
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres"],
        "ExposedPorts": {"5432/tcp": {}},
        "StopSignal": "SIGINT",
        "Volumes": {volume if int(major) >= 18 else data: {}},
    }


def _write_images(layout: Layout, rootfs: RootFilesystem, pause: Path) -> dict[str, str]:
    base = layout.add_file(rootfs.layer)
    bitnami = layout.add(_bitnami_layer(rootfs))
    bitnami_configuration = {
        "User": "1001",
        "Env": [
            f"PATH=/opt/bitnami/postgresql/bin:{SYSTEM_PATH}",
            "HOME=/",
            "LANG=en_US.UTF-8",
            "LANGUAGE=en_US:en",
            "NSS_WRAPPER_LIB=/opt/bitnami/common/lib/libnss_wrapper.so",
        ],
        "Entrypoint": ["/opt/bitnami/scripts/postgresql/entrypoint.sh"],
        "Cmd": ["/opt/bitnami/scripts/postgresql/run.sh"],
        "ExposedPorts": {"5432/tcp": {}},
        "Volumes": {"/bitnami/postgresql": {}},
    }
    images = (
        (PAUSE, {"User": "65535:65535", "Entrypoint": ["/pause"]}, [layout.add(_pause_layer(pause))]),
        (BITNAMI, bitnami_configuration, [base, bitnami]),
        (BITNAMI_IGZIP, bitnami_configuration, [base, bitnami, layout.add(_folder_layer(rootfs.igzip))]),
        (DEBIAN, _debian_configuration(_VERSION), [base, layout.add(_debian_layer(rootfs, _VERSION))]),
    )
    for name, configuration, layers in images:
        layout.add_image(name, configuration, layers)
    return layout.finish()


# Layers


class _Layer:
    """A tar archive in memory that is the same whenever it is made of the same things."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w")

    def folder(self, name: str, mode: int = 0o755, owner: int = 0, group: int = 0) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, group
        self._tar.addfile(entry)

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def file(self, name: str, content: bytes, mode: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), mode
        self._tar.addfile(entry, io.BytesIO(content))

    def content(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


def _pause_layer(pause: Path) -> bytes:
    layer = _Layer()
    layer.file("pause", pause.read_bytes(), 0o755)
    return layer.content()


def _bitnami_layer(rootfs: RootFilesystem) -> bytes:
    layer = _Layer()
    for folder in ("opt/bitnami", "opt/bitnami/common", "opt/bitnami/common/lib", "opt/bitnami/postgresql"):
        layer.folder(folder)
    (wrapper,) = rootfs.root.glob("usr/lib/*/libnss_wrapper.so")
    layer.link("opt/bitnami/common/lib/libnss_wrapper.so", f"/{wrapper.relative_to(rootfs.root)}")
    layer.folder("opt/bitnami/postgresql/bin")
    for program in sorted((rootfs.root / _SERVER_PROGRAMS).iterdir()):
        layer.link(f"opt/bitnami/postgresql/bin/{program.name}", f"/{_SERVER_PROGRAMS}/{program.name}")
    layer.folder("opt/bitnami/scripts")
    layer.folder("opt/bitnami/scripts/postgresql")
    for script in ("entrypoint.sh", "run.sh"):
        layer.file(f"opt/bitnami/scripts/postgresql/{script}", (_SCRIPTS / "bitnami" / script).read_bytes(), 0o755)
    layer.folder("bitnami")
    layer.folder("bitnami/postgresql", 0o775, owner=1001)
    # Bitnami's own build of PostgreSQL has its sockets in /tmp.
    layer.link("run/postgresql", "/tmp")  # noqa: S108 - a path inside of the image
    return layer.content()


def _debian_layer(rootfs: RootFilesystem, version: str) -> bytes:
    layer = _Layer()
    # What initdb makes a data folder's configuration from; the server in a container listens to all.
    sample = rootfs.root / f"usr/share/postgresql/{_major(version)}/postgresql.conf.sample"
    text = re.sub(r"(?m)^#?listen_addresses = '\w+'", "listen_addresses = '*'", sample.read_text(encoding="utf-8"))
    layer.file(sample.relative_to(rootfs.root).as_posix(), text.encode(), 0o644)
    script = (_SCRIPTS / "debian/docker-entrypoint.sh").read_bytes()
    layer.file("usr/local/bin/docker-entrypoint.sh", script, 0o755)
    layer.folder("run/postgresql", 0o3777, 999, 999)
    layer.folder("var/lib/postgresql", 0o1777, 999, 999)
    return layer.content()


def _folder_layer(folder: Path) -> bytes:
    layer = _Layer()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            layer.link(name, str(path.readlink()))
        elif path.is_dir():
            # A link in the root filesystem (/lib) must not be replaced: only folders below /usr are there.
            layer.folder(name)
        else:
            layer.file(name, path.read_bytes(), path.stat().st_mode & 0o777)
    return layer.content()
