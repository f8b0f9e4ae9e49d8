# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How each receiver is started, and what it has received."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROGRAMS = Path(__file__).parent
TOPIC = "backups"
NTFY_TOKEN = "tk_thetokenofthewatch01234567890"
_NTFY_USER = "watch:$2a$10$oYSl2uK8bs93sJMIc6C/0eJlQVshGylJ9Ad3lgWlyUGF6pANc7eoS:user"
MAIL_USER, MAIL_PASSWORD = "watch@example.com", 'the $mail "password"'
MAIL_ENVIRONMENT = {"MAIL_USER": MAIL_USER, "MAIL_PASSWORD": MAIL_PASSWORD}


def ntfy(host: str, port: int, folder: str) -> list[str]:
    """ntfy: nobody may anything but the owner of NTFY_TOKEN, who may write to and read the topic TOPIC."""
    return [
        *("ntfy", "serve", "--listen-http", f"{host}:{port}", "--base-url", f"http://{host or 'receivers'}:{port}"),
        *("--cache-file", f"{folder}/cache.db", "--auth-file", f"{folder}/auth.db"),
        *("--auth-default-access", "deny-all", "--auth-users", _NTFY_USER),
        *("--auth-access", f"watch:{TOPIC}:rw", "--auth-tokens", f"watch:{NTFY_TOKEN}"),
        *("--visitor-request-limit-burst", "100000", "--attachment-cache-dir", ""),
    ]


def pushgateway(host: str, port: int) -> list[str]:
    """A Pushgateway that forgets everything when it ends."""
    return ["prometheus-pushgateway", f"--web.listen-address={host}:{port}", "--persistence.file="]


def web(host: str, port: int, folder: str, programs: str) -> list[str]:
    """The web server of web_server.py, which is in the folder `programs`."""
    return ["python3", f"{programs}/web_server.py", host, str(port), folder]


def mail(host: str, port: int, starttls_port: int, folder: str, programs: str) -> list[str]:
    """The mail server of mail_server.py, which is in the folder `programs` with tls.crt and tls.key."""
    return ["python3", f"{programs}/mail_server.py", host, str(port), str(starttls_port), folder, programs]


class Files(Protocol):
    """The folder of a server."""

    def read(self, name: str) -> str:
        """The text of a file."""

    def write(self, name: str, text: str) -> None:
        """Write a file that the server may read at the same time."""


@dataclass(frozen=True)
class Receiver:
    """A running server: where it is for those who send, and its folder."""

    host: str
    port: int
    files: Files

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def lines(self, name: str) -> list[dict[str, Any]]:
        """What is in a file of JSON lines, in the order of arrival."""
        return [json.loads(line) for line in self.files.read(name).splitlines()]


class WebServer(Receiver):
    """Receives webhooks and pings."""

    def requests(self) -> list[dict[str, Any]]:
        """Each request: time, method, path, headers (names in lower case), body."""
        return self.lines("requests.jsonl")

    def answer(self, status: int) -> None:
        """Answer with this status from now on."""
        self.files.write("status", str(status))


@dataclass(frozen=True)
class MailServer(Receiver):
    """Receives mail, with TLS and a login."""

    starttls_port: int
    ca: str
    """The certificate that clients have to trust, as PEM."""

    def mails(self) -> list[dict[str, Any]]:
        """Each mail: time, sender, recipients, headers (names in lower case), body."""
        return self.lines("mails.jsonl")


@dataclass(frozen=True)
class HttpServer(Receiver):
    """A server that is asked what it has received, through `get`: path and headers → text."""

    get: Callable[[str, dict[str, str]], str]


class Ntfy(HttpServer):
    """Receives messages for phones."""

    def messages(self) -> list[dict[str, Any]]:
        """Each message of TOPIC as ntfy shows it to subscribers: title, message, priority, tags, time …"""
        text = self.get(f"/{TOPIC}/json?poll=1&since=all", {"Authorization": f"Bearer {NTFY_TOKEN}"})
        return [message for line in text.splitlines() if (message := json.loads(line))["event"] == "message"]


class Pushgateway(HttpServer):
    """Receives metrics."""

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        return self.get("/metrics", {})


def get_directly(url: str) -> Callable[[str, dict[str, str]], str]:
    """`get` of a server that this machine can reach."""

    def get(path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(url + path, headers=headers)  # noqa: S310 - its address is the test's own
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return str(answer.read().decode())

    return get
