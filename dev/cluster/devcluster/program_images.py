# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Images of a single static program, built with Go when a test needs it: the cluster itself does not."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from dev.buildkit.cache import Cache, key
from dev.buildkit.progress import step

from . import oci
from .golang import Program
from .images import Images


@dataclass(frozen=True)
class ProgramImage:
    """An image, and the program that is all it has."""

    image: str
    program: Program


MINIO = ProgramImage("localhost/minio:1", Program("minio", "minio", duration="5 minutes on 2 cores"))
"""An S3 server with Object Lock, for tests."""

RCLONE_S3 = ProgramImage("localhost/rclone-s3:1", Program("rclone-s3", "rclone-s3", duration="a minute on 2 cores"))
"""An S3 server without Object Lock, for tests: rclone's, which Debian's package lacks."""

BY_NAME = {"minio": MINIO, "rclone-s3": RCLONE_S3}


def make_rootfs(cache: Cache, name: str) -> Path:
    """The folder with the program, which also runs outside of a container; built if it is missing."""
    return BY_NAME[name].program.build(cache).parent


def make_image(cache: Cache, name: str) -> Images:
    """The image, made if it is missing."""
    made = BY_NAME[name]

    def make(folder: Path) -> None:
        program = made.program.build(cache)
        with step(f"making the image {made.image}"):
            layer = folder / "layer.tar"
            with tarfile.open(layer, "w") as archive, program.open("rb") as file:
                entry = tarfile.TarInfo(program.name)
                entry.size, entry.mode = program.stat().st_size, 0o755
                archive.addfile(entry, file)
            with tarfile.open(folder / "images.tar", "w") as archive:
                layout = oci.Layout(archive)
                configuration = {"User": "65532:65532", "Entrypoint": [f"/{program.name}"]}
                layout.add_image(made.image, configuration, [layout.add_file(layer)])
                (folder / "digests.json").write_text(json.dumps(layout.finish(), indent=1), encoding="utf-8")
            layer.unlink()

    sources = [Path(__file__), Path(oci.__file__)]
    folder = cache.entry(f"image-{name}", key([made.image, made.program.key, *sources]), make)
    return Images(folder / "images.tar", json.loads((folder / "digests.json").read_text(encoding="utf-8")))
