# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The receivers on this machine's loopback address, in the root filesystem `receivers` of dev/cluster. Needs root."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.receivers import servers
from tests.receivers.servers import MailServer, Ntfy, Pushgateway, WebServer, get_directly
from tests.script.support.certificates import self_signed

HOST = "127.0.0.1"
_ROOTFS_COMMAND = Path(__file__).resolve().parents[2] / "dev" / "cluster" / "rootfs"
_START_SECONDS = 30


@cache
def _root() -> Path:
    made = subprocess.run([str(_ROOTFS_COMMAND), "receivers"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip())


@contextmanager
def ntfy() -> Iterator[Ntfy]:
    """ntfy, see servers.ntfy."""
    with _folder() as folder:
        port = _free_port()
        with _running(servers.ntfy(HOST, port, _inside(folder)), folder, port):
            yield Ntfy(HOST, port, _Folder(folder), get_directly(f"http://{HOST}:{port}"))


@contextmanager
def pushgateway() -> Iterator[Pushgateway]:
    """A Pushgateway."""
    with _folder() as folder:
        port = _free_port()
        with _running(servers.pushgateway(HOST, port), folder, port):
            yield Pushgateway(HOST, port, _Folder(folder), get_directly(f"http://{HOST}:{port}"))


@contextmanager
def web_server() -> Iterator[WebServer]:
    """A web server for webhooks and pings."""
    with _folder("web_server.py") as folder:
        port = _free_port()
        with _running(servers.web(HOST, port, _inside(folder), _inside(folder)), folder, port):
            yield WebServer(HOST, port, _Folder(folder))


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server with TLS (`port`) and STARTTLS (`starttls_port`)."""
    with _folder("mail_server.py") as folder:
        certificate = self_signed(folder, "tls")
        (folder / "tls.key").chmod(0o644)
        port, starttls_port = _free_port(), _free_port()
        with _running(servers.mail(HOST, port, starttls_port, _inside(folder), _inside(folder)), folder, port):
            _wait_for(starttls_port)
            ca = certificate.read_text()
            yield MailServer(HOST, port, _Folder(folder), starttls_port, ca)


@contextmanager
def _folder(*programs: str) -> Iterator[Path]:
    """A folder in the root filesystem that the receiver may write to, with these programs."""
    folder = Path(tempfile.mkdtemp(dir=_root() / "tmp", prefix="receiver-"))
    try:
        folder.chmod(0o777)
        for name in programs:
            shutil.copy(servers.PROGRAMS / name, folder)
        yield folder
    finally:
        shutil.rmtree(folder)


def _inside(folder: Path) -> str:
    return f"/tmp/{folder.name}"


@dataclass(frozen=True)
class _Folder:
    path: Path

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def write(self, name: str, text: str) -> None:
        (self.path / f"{name}.new").write_text(text)
        (self.path / f"{name}.new").rename(self.path / name)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": _inside(folder),
        "LANG": "C.UTF-8",
        **servers.MAIL_ENVIRONMENT,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["chroot", "--userspec=65532:65532", str(_root()), *command], stdout=log, stderr=log, env=environment
        )
    try:
        _wait_for(port, process, folder / "log")
        yield
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes] | None = None, log: Path | None = None) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            ended = process is not None and process.poll() is not None
            assert not ended and time.monotonic() < deadline, log.read_text() if log else f"port {port}"
            time.sleep(0.05)
        else:
            return
