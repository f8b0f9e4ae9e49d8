# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Certificates for servers in the cluster, as their operators make them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_certificates(folder: Path, namespace: str, services: Iterable[str]) -> dict[str, str]:
    """A CA and a certificate for these services, by file name: ca.crt, ca.key, tls.crt and tls.key."""
    suffixes = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    names = [f"{service}{suffix}" for service in services for suffix in suffixes]
    alternatives = ",".join(f"DNS:{name}" for name in names)
    subject = ("-subj", f"/CN={names[0]}")
    # Python 3.13 wants both extensions.
    authority = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    (folder / "extensions").write_text(f"subjectAltName={alternatives}\nauthorityKeyIdentifier=keyid\n")
    ca = ("-keyout", "ca.key", "-out", "ca.crt")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-extfile", "extensions", "-days", "2", "-out", "tls.crt")
    for words in (
        ("req", "-x509", *_NEW_KEY, *authority, "-days", "2", "-subj", f"/CN={namespace}", *ca),
        ("req", *_NEW_KEY, *subject, "-keyout", "tls.key", "-out", "tls.csr"),
        ("x509", "-req", "-in", "tls.csr", *signed),
    ):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    return {name: (folder / name).read_text() for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")}
