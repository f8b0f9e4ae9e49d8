# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A small client of the API server, with the administrator's certificate and the standard library only."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from dev.buildkit.errors import ReportedError

from .settings import API_PORT, Settings

_TIMEOUT_SECONDS = 10.0
_PATHS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
}


class Api:
    """Requests to one cluster's API server."""

    def __init__(self, address: str, pki: Path) -> None:
        self._address = address
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    @classmethod
    def of(cls, settings: Settings) -> Api:
        """The client for a cluster.

        Raises ReportedError when the cluster's certificates are not there (it was never started).
        """
        try:
            return cls(str(settings.node_address), settings.pki)
        except (FileNotFoundError, ssl.SSLError) as error:
            raise ReportedError(
                f"expected the cluster's certificates in {settings.pki} ({error})", "run dev/cluster/up"
            ) from error

    def ready(self) -> str:
        """Why the API server is not ready; empty when it is."""
        try:
            status, body = self._exchange("GET", "/readyz?verbose")
        except (OSError, HTTPException) as error:
            return f"the API server does not answer ({error})"
        if status == 200:
            return ""
        lines = body.decode(errors="replace").splitlines()
        failing = [line.removeprefix("[-]").split()[0] for line in lines if line.startswith("[-]")]
        return (
            f"the API server is not ready (status {status}; {len(failing)} checks fail: {', '.join(failing[:3])} ...)"
        )

    def get(self, path: str) -> dict[str, Any] | None:
        """An object or a list; None where there is none."""
        status, body = self._request("GET", path)
        return None if status == 404 else _object(body)

    def check(self, path: str) -> None:
        """Ask for something that is not an object.

        Raises ReportedError when the answer is not a good one.
        """
        self._request("GET", path)

    def delete(self, path: str) -> None:
        """Delete an object; one that is not there is no error."""
        self._request("DELETE", path)

    def apply(self, objects: Iterable[dict[str, Any]]) -> None:
        """Create objects, or change them to what is given (server-side apply)."""
        for item in objects:
            metadata = item["metadata"]
            folder = _PATHS[item["kind"]].format(namespace=metadata.get("namespace", ""))
            path = f"{folder}/{metadata['name']}?fieldManager=dev-cluster&force=true"
            self._request("PATCH", path, json.dumps(item).encode(), "application/apply-patch+yaml")

    def _request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        try:
            status, answer = self._exchange(method, path, body, kind)
        except (OSError, HTTPException) as error:
            raise ReportedError(f"expected the API server to answer {method} {path}, but: {error}") from error
        if status >= 400 and (status != 404 or method == "PATCH"):
            detail = answer.decode(errors="replace")
            raise ReportedError(f"expected {method} {path} to succeed, but its status was {status}", detail=detail)
        return status, answer

    def _exchange(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        connection = HTTPSConnection(self._address, API_PORT, timeout=_TIMEOUT_SECONDS, context=self._context)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _object(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ReportedError("expected the API server to return an object")
    return document
