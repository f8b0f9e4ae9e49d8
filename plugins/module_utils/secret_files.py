# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Reads a Secret that is mounted into a pod: one file for each key, which the kubelet has written."""

from __future__ import annotations

from pathlib import Path

# A Secret may have 1 MiB (https://kubernetes.io/docs/concepts/configuration/secret/).
_BYTES = 1 << 20


def read_secrets(folder: str) -> dict[str, str]:
    """The values by their keys; empty without the folder. Raises OSError if a file cannot be read."""
    path = Path(folder)
    files = path.iterdir() if path.is_dir() else ()
    # The kubelet's own entries begin with a point.
    return {file.name: _read(file) for file in files if not file.name.startswith(".")}


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_BYTES).decode("utf-8", "replace")
