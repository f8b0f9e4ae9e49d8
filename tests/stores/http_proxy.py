# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A proxy on this machine between an S3 client and a server, with faults of single requests (not of TLS).

fault_proxy.py is for those of bytes and connections.

with minio_server() as store, HttpProxy(store.host, store.port) as proxy:
    proxy.rules.append(Rule(answer(503, "SlowDown"), method="PUT"))
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
_SECONDS = 60


@dataclass
class Request:
    """A request that may be changed before it is forwarded. `path` has the query."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def set_header(self, name: str, value: str) -> None:
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        self.headers.append((name, value))


@dataclass(frozen=True)
class Answer:
    """An answer that no server gave."""

    status: int
    body: bytes
    content_type: str = "application/xml"


# Returns the answer, None to forward the request, or CUT to end the connection after half of the body.
Fault = Callable[[Request], "Answer | str | None"]
CUT = "cut"


@dataclass
class Rule:
    """A fault of the requests of one method, whose path has a match of `path`: of the first `times`, or of all."""

    fault: Fault
    method: str = ""
    path: str = ""
    times: int | None = None
    used: int = 0

    def fits(self, request: Request) -> bool:
        return (
            (not self.method or request.method == self.method)
            and bool(re.search(self.path, request.path))
            and (self.times is None or self.used < self.times)
        )


def answer(status: int, code: str, message: str = "made by a proxy") -> Fault:
    """The error of the S3 protocol with this status and code."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return lambda _request: Answer(status, body.encode())


def answer_page(status: int) -> Fault:
    """The page of a web server."""
    return lambda _request: Answer(status, b"<html><body><h1>A page</h1></body></html>", "text/html")


def cut(_request: Request) -> str:
    return CUT


class HttpProxy:
    """Forwards requests to a server; the first of `rules` that fits decides. `faults` counts those it has made."""

    def __init__(self, host: str, port: int) -> None:
        self.rules: list[Rule] = []
        self.faults = 0
        self._target = (host, port)
        self._lock = threading.Lock()
        self._server = _Server((HOST, 0), _Handler)
        self._server.owner = self
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> HttpProxy:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def decide(self, request: Request) -> Answer | str | None:
        with self._lock:
            rule = next((rule for rule in self.rules if rule.fits(request)), None)
            if rule is None:
                return None
            rule.used += 1
            self.faults += 1
        return rule.fault(request)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._target, timeout=_SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: HttpProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, format: str, *_arguments: object) -> None:
        """Nothing is logged."""

    def _handle(self) -> None:
        # A client may end the connection at any time.
        with contextlib.suppress(OSError, http.client.HTTPException):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, list(self.headers.items()), body)
            found = self.server.owner.decide(request)
            if found == CUT:
                self._send_half(request)
            elif isinstance(found, Answer):
                self._respond(found.status, [("Content-Type", found.content_type)], found.body)
            else:
                self._forward(request)
            return
        self.close_connection = True

    def _forward(self, request: Request) -> None:
        connection = self.server.owner.connect()
        with contextlib.closing(connection):
            self._send(connection, request, request.body)
            response = connection.getresponse()
            content = response.read()
            self._respond(response.status, response.getheaders(), content)

    @staticmethod
    def _send(connection: http.client.HTTPConnection, request: Request, body: bytes) -> None:
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for key, value in request.headers:
            if key.lower() not in ("connection", "expect"):
                connection.putheader(key, value)
        connection.putheader("Connection", "close")
        connection.endheaders(body or None)

    def _send_half(self, request: Request) -> None:
        connection = self.server.owner.connect()
        with contextlib.closing(connection):
            self._send(connection, request, request.body[: len(request.body) // 2])
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        is_head = self.command == "HEAD"
        for key, value in headers:
            if key.lower() not in ("connection", "transfer-encoding", "content-length") or (
                is_head and key.lower() == "content-length"
            ):
                self.send_header(key, value)
        if not is_head and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not is_head:
            self.wfile.write(body)
