# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Certificates of the cluster, made anew for each cluster with openssl."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev.buildkit import commands

from .settings import API_PORT, DOMAIN, NODE_NAME, Settings

_KEY = ("-pkeyopt", "ec_paramgen_curve:P-256")
_NEW = ("openssl", "req", "-x509", "-newkey", "ec", *_KEY, "-noenc", "-days", "3650")


@dataclass(frozen=True)
class Certificate:
    """One certificate: a file name, who it names, and what it is for."""

    name: str
    user: str
    group: str = ""
    server_names: Sequence[str] = ()
    """Subject alternative names; a certificate without them is only a client's."""

    @property
    def subject(self) -> str:
        """The subject as openssl takes it: Kubernetes reads O as a group and CN as the user."""
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.user}"


ADMINISTRATOR = Certificate("admin", "kubernetes-admin", "system:masters")
API_SERVER_TO_KUBELET = Certificate("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
COMPONENTS = (
    Certificate("kube-controller-manager", "system:kube-controller-manager"),
    Certificate("kube-scheduler", "system:kube-scheduler"),
    Certificate("kube-proxy", "system:kube-proxy"),
    Certificate("coredns", "system:coredns"),
    Certificate("provisioner", "system:provisioner"),
)
"""Components that are only clients of the API server, each with a separate kubeconfig."""


def make_pki(settings: Settings) -> None:
    """Make the certificate authority, every certificate, and the kubeconfigs."""
    folder = settings.pki
    folder.mkdir(mode=0o700)
    _make_authority(folder, "ca")
    # For API servers behind the API server. There are none, but every component that asks who a request is from
    # wants to know this authority, and fills its log when there is none.
    _make_authority(folder, "front-proxy-ca")
    (folder / "front-proxy-ca.key").unlink()
    private = folder / "service-accounts.key"
    commands.run(["openssl", "genpkey", "-algorithm", "EC", *_KEY, "-out", private])
    commands.run(["openssl", "pkey", "-in", private, "-pubout", "-out", folder / "service-accounts.pub"])
    api_server = Certificate(
        "apiserver",
        "kube-apiserver",
        server_names=(
            f"IP:{settings.node_address}",
            f"IP:{settings.api_service_address}",
            "IP:127.0.0.1",
            "DNS:localhost",
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            f"DNS:kubernetes.default.svc.{DOMAIN}",
        ),
    )
    kubelet = Certificate(
        "kubelet",
        f"system:node:{NODE_NAME}",
        "system:nodes",
        server_names=(f"IP:{settings.node_address}", f"DNS:{NODE_NAME}"),
    )
    certificates = (ADMINISTRATOR, API_SERVER_TO_KUBELET, api_server, kubelet, *COMPONENTS)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda certificate: _sign(folder, certificate), certificates))
    for certificate in (kubelet, *COMPONENTS):
        _write_kubeconfig(settings, certificate, folder / f"{certificate.name}.kubeconfig")
    _write_kubeconfig(settings, ADMINISTRATOR, settings.kubeconfig)


def _make_authority(folder: Path, name: str) -> None:
    commands.run(
        [
            *(*_NEW, "-subj", f"/CN=homelab-postgres-backup-cluster {name}"),
            # Python's ssl module is strict about keyUsage from 3.13 on.
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
        ]
    )


def _sign(folder: Path, certificate: Certificate) -> None:
    purposes = ["clientAuth"]
    extensions = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature"]
    if certificate.server_names:
        purposes.append("serverAuth")
        extensions += ["-addext", f"subjectAltName={','.join(certificate.server_names)}"]
    commands.run(
        [
            *(*_NEW, "-subj", certificate.subject, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"),
            *(*extensions, "-addext", f"extendedKeyUsage={','.join(purposes)}"),
            *("-keyout", folder / f"{certificate.name}.key", "-out", folder / f"{certificate.name}.crt"),
        ]
    )


def _write_kubeconfig(settings: Settings, certificate: Certificate, path: Path) -> None:
    def data(name: str) -> str:
        return base64.b64encode((settings.pki / name).read_bytes()).decode()

    name = settings.full_name
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": certificate.user}}],
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": f"https://{settings.node_address}:{API_PORT}",
                    "certificate-authority-data": data("ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": certificate.user,
                "user": {
                    "client-certificate-data": data(f"{certificate.name}.crt"),
                    "client-key-data": data(f"{certificate.name}.key"),
                },
            }
        ],
    }
    path.touch(mode=0o600)
    # JSON is YAML, and Python's standard library writes JSON.
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
