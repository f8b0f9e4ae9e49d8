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

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def self_signed(folder: Path, name: str) -> Path:
    """A certificate for this machine that is its own CA, and its key."""
    certificate = folder / f"{name}.crt"
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{HOST}"]
    files: list[str | Path] = ["-keyout", folder / f"{name}.key", "-out", certificate]
    _openssl("req", "-x509", *_NEW_KEY, "-days", "2", *names, *files)
    return certificate


def client_certificate(folder: Path, name: str, user: str, owner: int) -> dict[str, str]:
    """A certificate for a user of a server, and its key, by a CA with the files `folder`/ca.*; returns the variables.

    The key has the mode and the owner that Kubernetes gives it: root's, for the group `owner`.
    """
    if not (folder / "ca.crt").exists():
        _openssl(
            "req",
            "-x509",
            *_NEW_KEY,
            "-days",
            "2",
            "-subj",
            f"/CN={folder.name}",
            "-keyout",
            folder / "ca.key",
            "-out",
            folder / "ca.crt",
        )
    key, request, certificate = (folder / f"{name}.{ending}" for ending in ("key", "csr", "crt"))
    _openssl("req", *_NEW_KEY, "-subj", f"/CN={user}", "-keyout", key, "-out", request)
    signing: list[str | Path] = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2"]
    _openssl("x509", "-req", "-in", request, *signing, "-out", certificate)
    os.chown(key, 0, owner)
    key.chmod(0o440)
    return {"POSTGRES_BACKUP_SSLCERT": str(certificate), "POSTGRES_BACKUP_SSLKEY": str(key)}


def _openssl(*arguments: str | Path) -> None:
    subprocess.run([program("openssl"), *arguments], check=True, capture_output=True)


def offer_tls(server: Server) -> None:
    """Make a certificate for a server that is not running, and let it use that."""
    certificate = self_signed(server.directory, "server")
    key = server.directory / "server.key"
    os.chown(key, SERVER_UID, SERVER_UID)
    server.configure("ssl = on", f"ssl_cert_file = '{certificate}'", f"ssl_key_file = '{key}'")
