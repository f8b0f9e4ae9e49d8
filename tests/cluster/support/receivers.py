# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The receivers (tests/receivers) as pods, each behind a service of its name in the namespace of the test.

They live until the namespace is deleted.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.cluster.support.certificates import make_certificates
from tests.cluster.support.kube import CHECKOUT, apply, kubectl
from tests.receivers import servers
from tests.receivers.servers import MailServer, Ntfy, Pushgateway, WebServer

PORT, STARTTLS_PORT = 8080, 8587
_TMP, _PROGRAMS = "/tmp", "/programs"
_GET = """
import json, sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers=json.loads(sys.argv[2]))
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=10).read())
"""


def ntfy(namespace: str) -> Ntfy:
    """ntfy at http://ntfy.NAMESPACE:8080, see servers.ntfy."""
    files = _start(namespace, "ntfy", servers.ntfy("", PORT, _TMP), {})
    return Ntfy(_host("ntfy", namespace), PORT, files, files.get)


def pushgateway(namespace: str) -> Pushgateway:
    """A Pushgateway at http://pushgateway.NAMESPACE:8080."""
    files = _start(namespace, "pushgateway", servers.pushgateway("", PORT), {})
    return Pushgateway(_host("pushgateway", namespace), PORT, files, files.get)


def web_server(namespace: str) -> WebServer:
    """A web server for webhooks and pings at http://web.NAMESPACE:8080."""
    programs = {"web_server.py": (servers.PROGRAMS / "web_server.py").read_text()}
    files = _start(namespace, "web", servers.web("0.0.0.0", PORT, _TMP, _PROGRAMS), programs)  # noqa: S104 - a pod
    return WebServer(_host("web", namespace), PORT, files)


def mail_server(namespace: str) -> MailServer:
    """A mail server at mail.NAMESPACE: TLS on port 8080, STARTTLS on 8587."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_certificates(Path(folder), namespace, ["mail"])
    programs = {name: made[name] for name in ("tls.crt", "tls.key")}
    programs["mail_server.py"] = (servers.PROGRAMS / "mail_server.py").read_text()
    command = servers.mail("0.0.0.0", PORT, STARTTLS_PORT, _TMP, _PROGRAMS)  # noqa: S104 - a pod
    files = _start(namespace, "mail", command, programs)
    return MailServer(_host("mail", namespace), PORT, files, STARTTLS_PORT, made["ca.crt"])


@dataclass(frozen=True)
class _Pod:
    """The folder of a receiver in its pod."""

    namespace: str
    name: str

    def read(self, name: str) -> str:
        return self._run("cat", f"{_TMP}/{name}")

    def write(self, name: str, text: str) -> None:
        path = f"{_TMP}/{name}"
        self._run("sh", "-c", 'cat >"$1.new" && mv "$1.new" "$1"', "sh", path, stdin=text)

    def get(self, path: str, headers: dict[str, str]) -> str:
        return self._run("python3", "-c", _GET, f"http://127.0.0.1:{PORT}{path}", json.dumps(headers))

    def _run(self, *words: str, stdin: str | None = None) -> str:
        return kubectl("exec", "-i", self.name, "-n", self.namespace, "--", *words, stdin=stdin)


@cache
def _image() -> str:
    program = str(CHECKOUT / "dev" / "cluster" / "image")
    return subprocess.run([program, "receivers"], check=True, capture_output=True, text=True).stdout.strip()


def _host(name: str, namespace: str) -> str:
    return f"{name}.{namespace}.svc.cluster.local"


def _start(namespace: str, name: str, command: list[str], programs: dict[str, str]) -> _Pod:
    metadata = {"name": name, "namespace": namespace, "labels": {"receiver": name}}
    ports = [{"name": "main", "port": PORT}, {"name": "starttls", "port": STARTTLS_PORT}]
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "programs", "configMap": {"name": f"receiver-{name}"}},
    ]
    container = {
        "name": name,
        "image": _image(),
        "command": command,
        "env": [{"name": key, "value": value} for key, value in servers.MAIL_ENVIRONMENT.items()],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": _TMP}, {"name": "programs", "mountPath": _PROGRAMS}],
    }
    apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**metadata, "name": f"receiver-{name}"},
            "data": programs,
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"receiver": name}, "ports": ports},
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
                "containers": [container],
                "volumes": volumes,
            },
        },
    )
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=120s")
    return _Pod(namespace, name)
