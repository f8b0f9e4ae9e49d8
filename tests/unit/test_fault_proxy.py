# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The proxy with the faults of a network (tests/stores/fault_proxy.py) makes exactly the fault that a test asks for."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.receivers.listeners import web
from tests.stores.fault_proxy import HOST, FaultProxy

SIZE = 200_000


class Peer:
    """A server that sends SIZE bytes to each client that asks for them, and counts what it gets."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.ended = threading.Condition()
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection: socket.socket) -> None:
        count = 0
        with connection:
            try:
                while piece := connection.recv(65536):
                    if piece == b"send":
                        connection.sendall(bytes(SIZE))
                        connection.shutdown(socket.SHUT_WR)
                    count += len(piece)
            except OSError:
                pass
        with self.ended:
            self.received.append(count)
            self.ended.notify_all()

    def counts(self, number: int) -> list[int]:
        """The bytes of each connection that ended, once there are so many of them."""
        with self.ended:
            assert self.ended.wait_for(lambda: len(self.received) >= number, 10)
            return self.received


@contextmanager
def peer_behind_proxy() -> Iterator[tuple[Peer, FaultProxy]]:
    peer = Peer()
    threading.Thread(target=peer.serve, daemon=True).start()
    try:
        with FaultProxy(HOST, peer.port) as proxy:
            yield peer, proxy
    finally:
        peer.listener.shutdown(socket.SHUT_RDWR)
        peer.listener.close()


def upload(proxy: FaultProxy, size: int = SIZE) -> bool:
    """Whether the connection lasts until everything is sent and the server has ended it too."""
    with socket.create_connection((HOST, proxy.port), timeout=10) as client:
        try:
            client.sendall(bytes(size))
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        except OSError:
            return False
    return True


def download(proxy: FaultProxy) -> int:
    """How many bytes are received."""
    count = 0
    with socket.create_connection((HOST, proxy.port), timeout=10) as client:
        client.sendall(b"send")
        while piece := client.recv(65536):
            count += len(piece)
    return count


def accepted(proxy: FaultProxy) -> socket.socket:
    """A connection that does nothing yet."""
    client = socket.create_connection((HOST, proxy.port), timeout=10)
    deadline = time.monotonic() + 10
    while proxy.connections == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return client


def test_everything_passes_without_a_fault() -> None:
    with peer_behind_proxy() as (peer, proxy):
        assert upload(proxy)
        assert download(proxy) == SIZE
        assert peer.counts(2) == [SIZE, 4]
        assert (proxy.connections, proxy.uploaded, proxy.downloaded, proxy.cuts) == (2, SIZE + 4, SIZE, 0)


@pytest.mark.parametrize("after", [0, 1, 99_999])
def test_upload_is_cut_at_the_byte(after: int) -> None:
    with peer_behind_proxy() as (peer, proxy):
        proxy.cut("upload", after)
        assert not upload(proxy, 20_000_000)
        assert peer.counts(1) == [after]
        assert upload(proxy), "one cut only"
        assert (proxy.cuts, proxy.connections) == (1, 2)


@pytest.mark.parametrize("after", [0, 1, 99_999])
def test_download_is_cut_at_the_byte(after: int) -> None:
    with peer_behind_proxy() as (_peer, proxy):
        proxy.cut("download", after, times=2)
        assert [download(proxy), download(proxy), download(proxy)] == [after, after, SIZE]
        assert proxy.cuts == 2


def test_bytes_are_counted_over_all_connections() -> None:
    with peer_behind_proxy() as (peer, proxy):
        proxy.cut("upload", SIZE + 10)
        assert upload(proxy)
        assert not upload(proxy, 20_000_000)
        assert peer.counts(2) == [SIZE, 10]


def test_refused_connections() -> None:
    with peer_behind_proxy() as (_peer, proxy):
        with accepted(proxy) as open_before, proxy.refused():
            assert open_before.recv(1) == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((HOST, proxy.port), timeout=10)
        assert download(proxy) == SIZE


def test_delay() -> None:
    with peer_behind_proxy() as (_peer, proxy):
        proxy.delay_seconds = 0.02
        started = time.monotonic()
        assert download(proxy) == SIZE
        # At least one piece for each 16 KiB, and one for the request.
        assert time.monotonic() - started > 0.2


def test_an_upload_that_stalls() -> None:
    """The connection remains open."""
    with peer_behind_proxy() as (_peer, proxy):
        proxy.stall(after=SIZE)
        with accepted(proxy) as client:
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.sendall(bytes(20_000_000))
        assert SIZE <= proxy.uploaded < 20_000_000


def test_503_for_the_first_requests() -> None:
    with web() as server, FaultProxy(HOST, server.port) as proxy:
        proxy.answer_503(2)
        statuses = []
        for _ in range(3):
            client = http.client.HTTPConnection(HOST, proxy.port, timeout=10)
            client.request("PUT", "/object", bytes(SIZE))
            statuses.append(client.getresponse().status)
            client.close()
        assert statuses == [503, 503, 200]
        assert [len(request.body) for request in server.received] == [SIZE]


def test_nothing_listens_at_the_end() -> None:
    with peer_behind_proxy() as (_peer, proxy):
        open_before = accepted(proxy)
        assert download(proxy) == SIZE
    with open_before:
        assert open_before.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), timeout=10)
