# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A proxy on this machine between a client and a server, with the faults of a network.

with minio_server() as store, FaultProxy(store.host, store.port) as proxy:
    proxy.cut("upload", after=100_000)
    store.through(proxy.port).rclone(...)
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

HOST = "127.0.0.1"
Direction = Literal["upload", "download"]
_CHUNK = 16384
_ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class _Cut:
    after: int
    times: int
    passed: int = 0


class FaultProxy:
    """Forwards connections to a server, without a fault until one is asked for.

    `delay_seconds` is waited for before each piece of at most 16 KiB. `connections` counts those that were accepted,
    `uploaded` and `downloaded` the bytes that were forwarded, `cuts` the connections that were cut.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._cuts: dict[Direction, _Cut] = {}
        self._open: set[socket.socket] = set()
        self._unavailable = 0
        self._stall: int | None = None
        self.delay_seconds = 0.0
        self.connections = self.cuts = self.uploaded = self.downloaded = 0
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop_listening()
        with self._lock:
            self._stall = None
        self.drop_connections()

    # Faults

    def cut(self, direction: Direction, after: int, times: int = 1) -> None:
        """Cut the connection that forwards the next byte after this number of bytes from now on, of all connections.

        The receiver gets exactly these bytes and then the end, the sender a reset. After each cut the count begins
        again, until there were so many cuts.
        """
        with self._lock:
            self._cuts[direction] = _Cut(after, times)

    def stall(self, after: int) -> None:
        """Forward no byte of an upload after this number of bytes, of each new connection; it remains open."""
        with self._lock:
            self._stall = after

    def answer_503(self, requests: int) -> None:
        """Answer the next HTTP requests (not of TLS) with 503, each on a new connection: open ones are dropped."""
        with self._lock:
            self._unavailable = requests
        self.drop_connections()

    @contextlib.contextmanager
    def refused(self) -> Iterator[None]:
        """Nobody listens on the port meanwhile, and open connections are dropped."""
        self._stop_listening()
        self.drop_connections()
        try:
            yield
        finally:
            self._listener = self._listen(self.port)

    def drop_connections(self) -> None:
        """End all open connections."""
        with self._lock:
            connections = [*self._open]
        for connection in connections:
            _end(connection)

    # Forwarding

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _stop_listening(self) -> None:
        # Wakes the thread that waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if not self._turned_away(client):
                self._connect(client)
        with self._lock:
            self._open.discard(client)

    def _turned_away(self, client: socket.socket) -> bool:
        with self._lock:
            if self._unavailable == 0:
                return False
            self._unavailable -= 1
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(_CHUNK)
            if not piece:
                with self._lock:
                    self._unavailable += 1  # closed without a request, which does not count
                return True
            head += piece
        client.sendall(_ANSWER)
        client.shutdown(socket.SHUT_WR)
        # What is left of the request: a reset would overtake the answer.
        client.settimeout(5)
        while client.recv(_CHUNK):
            pass
        return True

    def _connect(self, client: socket.socket) -> None:
        with socket.create_connection(self._target, timeout=10) as server:
            server.settimeout(None)
            with self._lock:
                self._open.add(server)
            download = threading.Thread(target=self._forward, args=(server, client, "download"), daemon=True)
            download.start()
            self._forward(client, server, "upload")
            download.join()
            with self._lock:
                self._open.discard(server)

    def _forward(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        passed = 0
        try:
            while piece := source.recv(_CHUNK):
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                while self._is_stalled(direction, passed):
                    time.sleep(0.05)
                allowed, cut = self._count(direction, len(piece))
                target.sendall(piece[:allowed])
                passed += allowed
                if cut:
                    _end(target)
                    _reset(source)
                    return
            target.shutdown(socket.SHUT_WR)
        except OSError:
            # The other direction ends too.
            _end(source)
            _end(target)

    def _is_stalled(self, direction: Direction, passed: int) -> bool:
        with self._lock:
            return direction == "upload" and self._stall is not None and passed >= self._stall

    def _count(self, direction: Direction, size: int) -> tuple[int, bool]:
        """How many bytes of a piece may pass, and whether that is the end."""
        with self._lock:
            cut = self._cuts.get(direction)
            is_cut = cut is not None and cut.passed + size > cut.after
            if cut is not None and is_cut:
                size = cut.after - cut.passed
                cut.passed, cut.times = 0, cut.times - 1
                self.cuts += 1
                if cut.times == 0:
                    del self._cuts[direction]
            elif cut is not None:
                cut.passed += size
            if direction == "upload":
                self.uploaded += size
            else:
                self.downloaded += size
        return size, is_cut


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    """The connection's other end gets a reset, also if this one is closed by another thread."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
