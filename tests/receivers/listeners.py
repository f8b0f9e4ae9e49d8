# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Servers on this machine that record what they receive, and answer as a test wants: HTTP, HTTPS and SMTP."""

from __future__ import annotations

import contextlib
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Received:
    """A request, as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """An HTTP server: `answers` has the status for a path, by default 200; `headers` are added to each answer."""

    port: int
    received: list[Received] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    scheme: str = "http"
    wait: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{HOST}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [request.path for request in self.received]


@contextlib.contextmanager
def web(context: ssl.SSLContext | None = None, *, silent: bool = False) -> Iterator[Web]:
    """A server; a `silent` one accepts requests and does not answer until the end of the test."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.received.append(Received(self.command, self.path, dict(self.headers), body))
            if silent:
                state.wait.wait(60)
            self.send_response(state.answers.get(self.path, 200))
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    state = Web(server.server_address[1])
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        state.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.wait.set()
        server.shutdown()
        server.server_close()


@dataclass
class Post:
    """A mail server: `mails` it accepted, `logins` and whether TLS was on; it refuses what a test names."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    used_tls: list[bool] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def post(context: ssl.SSLContext | None = None, *, implicit: bool = False) -> Iterator[Post]:
    """An SMTP server with STARTTLS if there is a context; with `implicit`, TLS from the beginning."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.has_tls = implicit
            if implicit:
                self.secure()
            self.say("220 test")
            while line := self.rfile.readline():
                word, _, rest = line.decode().strip().partition(" ")
                if word.upper() == "QUIT":
                    self.say("221 bye")
                    return
                self.command(word.upper(), rest)

        def secure(self) -> None:
            assert context is not None
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            self.has_tls = True

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def command(self, word: str, rest: str) -> None:
            if word in state.refuses:
                self.say(state.refuses[word])
            elif word == "EHLO":
                offers = ["test", *(["STARTTLS"] if context and not self.has_tls else []), "AUTH PLAIN", "SMTPUTF8"]
                for number, offer in enumerate(offers, 1):
                    self.say(f"250{'-' if number < len(offers) else ' '}{offer}")
            elif word == "STARTTLS":
                self.say("220 go")
                self.secure()
            elif word == "AUTH":
                state.logins.append(rest)
                self.say("235 welcome")
            elif word == "DATA":
                self.say("354 go")
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    lines.append(line.removeprefix(b"."))
                state.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
                state.used_tls.append(self.has_tls)
                self.say("250 accepted")
            else:
                self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, *_arguments: Any) -> None:
            pass  # a client that refuses the certificate

    server = Server((HOST, 0), Handler)
    state = Post(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def server_context(folder: Path) -> ssl.SSLContext:
    """TLS with a certificate for this machine that is its own authority, in `folder`/ca.crt."""
    certificate, key = folder / "ca.crt", folder / "tls.key"
    names = ["-subj", "/CN=test", "-addext", f"subjectAltName=IP:{HOST}"]
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *new, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
