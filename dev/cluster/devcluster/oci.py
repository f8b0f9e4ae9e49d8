# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""An OCI image layout as a tar archive, which containerd imports."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.buildkit import commands

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of an image that is made from a Debian root filesystem."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def pack(root: Path, layer: Path) -> None:
    """Write a root filesystem as a layer: an uncompressed tar archive without devices."""
    commands.run(
        [
            *("tar", "--create", "--file", layer, "--directory", root),
            *("--sort=name", "--numeric-owner", "--xattrs", "--one-file-system", "--exclude=./dev/*", "."),
        ]
    )


@dataclass(frozen=True)
class Blob:
    """Content that has been written: its digest, and its size in bytes."""

    digest: str
    size: int

    def descriptor(self, kind: str) -> dict[str, Any]:
        """How a manifest or an index refers to it."""
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": self.digest, "size": self.size}


class Layout:
    """Writes an OCI image layout into a tar archive: blobs first, then images made of them, at last the index."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._manifests: list[dict[str, Any]] = []
        self._written: set[str] = set()

    def add(self, content: bytes) -> Blob:
        """Add a blob from memory."""
        blob = Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
        if blob.digest not in self._written:
            self._written.add(blob.digest)
            self._write(f"blobs/{blob.digest.replace(':', '/')}", content)
        return blob

    def add_file(self, path: Path) -> Blob:
        """Add a blob from a file."""
        with path.open("rb") as file:
            blob = Blob(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", path.stat().st_size)
            file.seek(0)
            entry = tarfile.TarInfo(f"blobs/{blob.digest.replace(':', '/')}")
            entry.size, entry.mode = blob.size, 0o644
            self._archive.addfile(entry, file)
        self._written.add(blob.digest)
        return blob

    def add_image(self, name: str, configuration: dict[str, Any], layers: Iterable[Blob]) -> None:
        """Add an image made of layers that were added before (uncompressed: their digest is their diff id)."""
        layers = list(layers)
        document = {
            "architecture": _architecture(),
            "os": "linux",
            "config": configuration,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
            "history": [{"created_by": f"layer {layer.digest[7:19]}"} for layer in layers],
        }
        manifest = self.add(
            _json(
                {
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.add(_json(document)).descriptor("config.v1+json"),
                    "layers": [layer.descriptor("layer.v1.tar") for layer in layers],
                }
            )
        )
        annotations = {"io.containerd.image.name": name}
        self._manifests.append({**manifest.descriptor("manifest.v1+json"), "annotations": annotations})

    def finish(self) -> dict[str, str]:
        """Write the index; return the digest of each image."""
        self._write("index.json", _json({"schemaVersion": 2, "manifests": self._manifests}))
        self._write("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        return {entry["annotations"]["io.containerd.image.name"]: entry["digest"] for entry in self._manifests}

    def _write(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        self._archive.addfile(entry, io.BytesIO(content))


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)
