# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""An API server's stand-in on loopback that passes everything on and remembers which rights were used.

It ends each connection after one request, so that it needs to read nothing but the first lines.
"""

from __future__ import annotations

import base64
import re
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# What every user who is somebody may do (the ClusterRole system:basic-user).
_EVERYBODYS = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
Right = tuple[str, str, str]


def rights(method: str, url: str, websocket: bool = False) -> set[Right]:
    """API group, resource and verb of a request, as RBAC sees it; none for what everybody may do."""
    parts = urlsplit(url)
    found = _PATH.fullmatch(parts.path)
    if found is None or found["resource"] in _EVERYBODYS:
        return set()
    resource = f"{found['resource']}/{found['sub']}" if found["sub"] else found["resource"]
    verb = _VERBS.get(method, "get" if found["name"] else "list")
    if verb == "list" and "true" in parse_qs(parts.query).get("watch", []):
        verb = "watch"
    # From Kubernetes 1.35 on, a websocket into a pod needs the right to create too.
    verbs = {verb, "create"} if websocket else {verb}
    return {(found["group"] or "", resource, verb) for verb in verbs}


class RightsProxy:
    """Serves while it is entered; `used` holds each right that was asked for and granted, `refused` the others."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._folder = folder
        self._config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
        cluster = self._config["clusters"][0]["cluster"]
        address = urlsplit(cluster["server"])
        self._address = (str(address.hostname), address.port or 443)
        self._upstream = ssl.create_default_context(
            cafile=cluster.get("certificate-authority"),
            cadata=base64.b64decode(cluster.get("certificate-authority-data", "")).decode() or None,
        )
        self._certificate, key = folder / "recorder.crt", folder / "recorder.key"
        subject = ["-subj", "/CN=recorder", "-addext", "subjectAltName=IP:127.0.0.1"]
        usage = ["-addext", "keyUsage=digitalSignature,keyCertSign"]
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *usage]
        subprocess.run([*new, "-keyout", key, "-out", self._certificate], check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self._certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.used: set[Right] = set()
        self.refused: set[Right] = set()

    def kubeconfig(self, original: Path) -> Path:
        """A user's kubeconfig that goes through here."""
        config = yaml.safe_load(original.read_text())
        server = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        config["clusters"][0]["cluster"] = {"server": server, "certificate-authority": str(self._certificate)}
        path = self._folder / f"recorded-{original.name}"
        path.write_text(yaml.safe_dump(config))
        return path

    def __enter__(self) -> RightsProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        # A close alone does not wake the thread that waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), self._context.wrap_socket(connection, server_side=True) as client:
            head, body = _head(client)
            if not head:
                return
            method, url, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
            websocket = b"upgrade: websocket" in head.lower()
            if not websocket:
                head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head) + b"\r\nConnection: close"
            raw = socket.create_connection(self._address)
            with self._upstream.wrap_socket(raw, server_hostname=self._address[0]) as server:
                server.sendall(head + b"\r\n\r\n" + body)

                def answered(first: bytes) -> None:
                    status = int(first.split(b" ", 2)[1])
                    (self.refused if status == 403 else self.used).update(rights(method, url, websocket))

                _relay(client, server, answered)


def _head(client: ssl.SSLSocket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return b"", b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def _relay(client: ssl.SSLSocket, server: ssl.SSLSocket, answered: Callable[[bytes], None]) -> None:
    """Forwards data both ways until one side ends; in one thread, because OpenSSL does not allow two for one socket.

    `answered` gets the server's first words before the client does.
    """
    silent = True
    other = {client: server, server: client}
    while True:
        ready = [side for side in other if side.pending()] or select.select([*other], [], [])[0]
        for side in ready:
            side.settimeout(0)
            try:
                data = side.recv(65536)
            except ssl.SSLWantReadError:  # not a word of theirs, but one of TLS
                continue
            finally:
                side.settimeout(60)
            if not data:
                return
            if side is server and silent:
                silent = False
                answered(data)
            other[side].sendall(data)
