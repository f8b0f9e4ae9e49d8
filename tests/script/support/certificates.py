# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Certificates for servers on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .combinations import program
from .server import HOST


def self_signed(folder: Path, name: str) -> Path:
    """A certificate for this machine that is its own CA, and its key."""
    certificate = folder / f"{name}.crt"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    request += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{HOST}"]
    request += ["-keyout", str(folder / f"{name}.key"), "-out", str(certificate)]
    subprocess.run([program("openssl"), *request], check=True, capture_output=True)
    return certificate
