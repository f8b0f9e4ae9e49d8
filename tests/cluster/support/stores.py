# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The stores (tests/stores) as pods, each behind a service of its name in the namespace of the test.

They live until the namespace is deleted. The Secret `store-NAME` has what a client needs: access_key and secret_key
(with TLS also ca.crt), or user, private_key and known_hosts.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.cluster.support.certificates import make_certificates
from tests.cluster.support.kube import CHECKOUT, apply, kubectl
from tests.cluster.support.tools_image import tools_image
from tests.stores import loopback, servers
from tests.stores.servers import ACCESS_KEY, SECRET_KEY, SFTP_USER, S3Store, SftpStore

S3_PORT, SFTP_PORT = 9000, 2222
_DATA, _SERVER, _CLIENT = "/data", "/server", "/client"
_S3_USER, _SFTP_USER = 65532, 34
_REACH = """
import socket, sys, time
for _ in range(200):
    try:
        sys.exit(socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close())
    except OSError:
        time.sleep(0.1)
sys.exit("expected to reach " + sys.argv[1])
"""


def minio(namespace: str, name: str = "minio", *, tls: bool = False) -> S3Store:
    """minio at http(s)://NAME.NAMESPACE.svc.cluster.local:9000; see loopback.minio_server."""
    command = ["/minio", *servers.minio("", S3_PORT, _DATA, _SERVER if tls else None)]
    return _s3(namespace, name, "minio", command, "Minio", tls=tls)


def rclone_s3(namespace: str, name: str = "s3", *, tls: bool = False) -> S3Store:
    """rclone's S3 server at http(s)://NAME.NAMESPACE.svc.cluster.local:9000; see loopback.rclone_s3_server."""
    command = ["/rclone-s3", *servers.rclone_s3("", S3_PORT, _DATA, _SERVER if tls else None)]
    return _s3(namespace, name, "rclone-s3", command, "Rclone", tls=tls)


def sftp(namespace: str, name: str = "sftp") -> SftpStore:
    """OpenSSH's sshd at NAME.NAMESPACE.svc.cluster.local:2222; see loopback.sftp_server."""
    files = loopback.sftp_files()
    host_key = " ".join(files["host_key.pub"].split()[:2])
    run, known_hosts_file = _Tools(namespace, name), f"{_CLIENT}/known_hosts"
    store = SftpStore(_host(name, namespace), SFTP_PORT, run, files["client_key"], host_key, known_hosts_file)
    client = {"user": SFTP_USER, "private_key": store.private_key, "known_hosts": store.known_hosts}
    of_server = {key: files[key] for key in ("host_key", "host_ecdsa_key", "authorized_keys")}
    command = servers.sshd("0.0.0.0", SFTP_PORT, _DATA, _SERVER)  # noqa: S104 - a pod
    _start(namespace, name, _Server(_image("sftp"), command, SFTP_PORT, _SFTP_USER, of_server), client)
    return store


def secret_name(name: str) -> str:
    """The Secret with what a client of the store needs."""
    return f"store-{name}"


def _s3(namespace: str, name: str, image: str, command: list[str], provider: str, *, tls: bool) -> S3Store:
    client = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    files: dict[str, str] = {}
    ca = ca_file = ""
    if tls:
        with tempfile.TemporaryDirectory() as folder:
            made = make_certificates(Path(folder), namespace, [name])
        files = {"public.crt": made["tls.crt"], "private.key": made["tls.key"]}
        ca, ca_file = made["ca.crt"], f"{_CLIENT}/ca.crt"
        client["ca.crt"] = ca
    _start(namespace, name, _Server(_image(image), command, S3_PORT, _S3_USER, files), client)
    return S3Store(_host(name, namespace), S3_PORT, _Tools(namespace, name), provider, ca=ca, ca_file=ca_file)


@dataclass(frozen=True)
class _Server:
    """What runs in the pod; `files` are in the folder _SERVER."""

    image: str
    command: list[str]
    port: int
    user: int
    files: Mapping[str, str]


class _Tools:
    """Runs programs in the container of the tools image next to a store."""

    def __init__(self, namespace: str, pod: str) -> None:
        self._exec = ["kubectl", "exec", "-i", pod, "-c", "tools", "-n", namespace, "--"]

    def __call__(
        self, words: Sequence[str], environment: Mapping[str, str], stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        variables = [f"{name}={value}" for name, value in environment.items()]
        command = [*self._exec, "env", *variables, *words]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)


@cache
def _image(name: str) -> str:
    program = str(CHECKOUT / "dev" / "cluster" / "image")
    return subprocess.run([program, name], check=True, capture_output=True, text=True).stdout.strip()


def _host(name: str, namespace: str) -> str:
    return f"{name}.{namespace}.svc.cluster.local"


def _start(namespace: str, name: str, server: _Server, client: Mapping[str, str]) -> None:
    metadata = {"name": name, "namespace": namespace, "labels": {"store": name}}
    restrictions = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    secrets = {secret_name(name): client, f"{secret_name(name)}-server": server.files}
    containers: list[dict[str, Any]] = [
        {
            "name": "store",
            "image": server.image,
            "command": server.command,
            "env": [{"name": key, "value": value} for key, value in servers.MINIO_ENVIRONMENT.items()]
            + [{"name": "HOME", "value": "/tmp"}, {"name": "RCLONE_CONFIG", "value": "/dev/null"}],
            "readinessProbe": {"tcpSocket": {"port": server.port}, "periodSeconds": 1},
            "securityContext": {**restrictions, "runAsUser": server.user},
            "volumeMounts": [
                {"name": "data", "mountPath": _DATA},
                {"name": "tmp", "mountPath": "/tmp"},
                {"name": "server", "mountPath": _SERVER},
            ],
        },
        {
            "name": "tools",
            "image": tools_image(),
            "command": ["sleep", "infinity"],
            "securityContext": restrictions,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "client", "mountPath": _CLIENT}],
        },
    ]
    apply(
        *(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "name": secret}, "stringData": data}
            for secret, data in secrets.items()
        ),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"store": name}, "ports": [{"name": "main", "port": server.port}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": containers,
                "volumes": [
                    {"name": "data", "emptyDir": {}},
                    {"name": "tmp", "emptyDir": {}},
                    {"name": "client", "secret": {"secretName": secret_name(name)}},
                    {"name": "server", "secret": {"secretName": f"{secret_name(name)}-server"}},
                ],
            },
        },
    )
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=120s")
    # The node's rules for the service may follow a moment later.
    kubectl(
        "exec",
        name,
        "-c",
        "tools",
        "-n",
        namespace,
        "--",
        "python3",
        "-c",
        _REACH,
        _host(name, namespace),
        str(server.port),
    )
