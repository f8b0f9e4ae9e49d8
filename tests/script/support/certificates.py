# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Certificates for servers on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .combinations import program
from .server import HOST, Server
from .workspace import SERVER_UID


def self_signed(folder: Path, name: str) -> Path:
    """A certificate for this machine that is its own CA, and its key."""
    certificate = folder / f"{name}.crt"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    request += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{HOST}"]
    request += ["-keyout", str(folder / f"{name}.key"), "-out", str(certificate)]
    subprocess.run([program("openssl"), *request], check=True, capture_output=True)
    return certificate


def offer_tls(server: Server) -> None:
    """Make a certificate for a server that is not running, and let it use that."""
    certificate = self_signed(server.directory, "server")
    key = server.directory / "server.key"
    os.chown(key, SERVER_UID, SERVER_UID)
    server.configure("ssl = on", f"ssl_cert_file = '{certificate}'", f"ssl_key_file = '{key}'")
