# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A command's stream over a real socket: what the server may send, and where it may break off."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException
from websocket import WebSocket, WebSocketBadStatusException

from plugins.module_utils._cluster import exec_stream
from plugins.module_utils._cluster.exec_stream import Container
from plugins.module_utils.errors import CommandFailedError, CommandRefusedError, LostError

from .frames import frame

BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
SUCCESS = json.dumps({"metadata": {}, "status": "Success"}).encode()
READY = re.compile("ready")
GOODBYE = frame(CLOSE, b"\x03\xe8")


def failure(code: int) -> bytes:
    return json.dumps(
        {
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    ).encode()


Server = Callable[..., Container]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A container whose commands receive a server's output in pieces; it then closes the connection or stalls."""
    open_sockets: list[socket.socket] = []

    def serve(*pieces: bytes, then: str = "close", silence_seconds: float = 60.0) -> Container:
        def connect(_container: Container, _command: list[str]) -> Any:
            server, client = socket.socketpair()
            open_sockets.extend((server, client))
            websocket = WebSocket()
            websocket.sock, websocket.connected = client, True
            threading.Thread(target=talk, args=(server, pieces, then), daemon=True).start()
            return websocket

        monkeypatch.setattr(exec_stream, "_connect", connect)
        return Container(None, "data", "reader-x", "reader", silence_seconds)

    yield serve
    for each in open_sockets:
        each.close()


def talk(server: socket.socket, pieces: tuple[bytes, ...], then: str) -> None:
    try:
        for piece in pieces:
            server.sendall(piece)
        if then == "close":
            server.shutdown(socket.SHUT_WR)
        while then == "pong" and (header := server.recv(2)):
            server.recv(header[1] & 0x7F)
            if header[0] & 15 == PING:
                server.recv(4)
                server.sendall(frame(PONG, b""))
    except OSError:
        pass


def read(container: Container) -> bytes:
    return b"".join(bytes(piece) for piece in container.output(["cat", "/backups/x"]))


WHOLE = (
    frame(BINARY, b"\x01")
    + frame(BINARY, b"\x02")
    + frame(BINARY, b"\x03")
    + frame(BINARY, b"\x01one ")
    + frame(PING, b"here?")
    + frame(BINARY, b"\x01tw", final=False)
    + frame(0, b"o ")
    + frame(BINARY, b"\x02cat: careful\n")
    + frame(BINARY, b"\x01three")
    + frame(BINARY, b"\x03" + SUCCESS)
)


def test_complete_stream(served: Server) -> None:
    assert read(served(WHOLE, GOODBYE)) == b"one two three"
    assert read(served(WHOLE)) == b"one two three"
    assert served(WHOLE, GOODBYE).answer(["cat", "x"]) == b"one two three"


def test_the_status_may_come_in_pieces_and_before_the_last_bytes(served: Server) -> None:
    stream = (
        frame(BINARY, b"\x01one "),
        frame(BINARY, b"\x03" + SUCCESS[:10]),
        frame(BINARY, b"\x03" + SUCCESS[10:]),
        frame(BINARY, b"\x01two"),
        GOODBYE,
    )
    assert read(served(*stream)) == b"one two"


def test_stream_without_a_close_frame(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_stream, "_GOODBYE_SECONDS", 0.1)
    assert read(served(WHOLE, then="silence")) == b"one two three"


def test_a_cut_after_every_byte_is_a_lost_stream(served: Server) -> None:
    """The bytes received before are returned: they are not fetched again."""
    begin = len(WHOLE) - len(SUCCESS)
    for at in range(begin):
        got: list[bytes] = []
        with pytest.raises(LostError, match="the stream from the pod data/reader-x was interrupted"):
            got.extend(bytes(piece) for piece in served(WHOLE[:at]).output(["cat", "x"]))
        assert b"one two three".startswith(b"".join(got))
        with pytest.raises(LostError):
            read(served(WHOLE[:at], GOODBYE))
    for at in range(begin, len(WHOLE)):
        with pytest.raises(LostError):
            read(served(WHOLE[:at]))


def test_a_broken_connection(served: Server) -> None:
    for at in (0, 5, 30, len(WHOLE) - 3):
        container = served(WHOLE[:at], b"\xff\xff")
        with pytest.raises(LostError):
            read(container)


def test_exit_statuses_are_returned(served: Server) -> None:
    said = frame(BINARY, b"\x02cat: x: No such file\n")
    with pytest.raises(
        CommandFailedError, match="'cat' in the pod data/reader-x ended with 1: cat: x: No such"
    ) as caught:
        read(served(said, frame(BINARY, b"\x03" + failure(1)), GOODBYE))
    assert (caught.value.status, caught.value.stderr) == (1, "cat: x: No such file")
    for code in (137, 143):
        with pytest.raises(LostError, match=f"exit status {code}"):
            read(served(frame(BINARY, b"\x03" + failure(code)), GOODBYE))
    gone = json.dumps({"status": "Failure", "reason": "InternalError", "message": "container not found"}).encode()
    with pytest.raises(LostError, match="container not found"):
        read(served(frame(BINARY, b"\x03" + gone), GOODBYE))
    for nonsense in (b"", b"{", b"[]", b"{}", b'"x"'):
        with pytest.raises(LostError, match=r"did not send a valid exit status|closed the connection before"):
            read(served(frame(BINARY, b"\x03" + nonsense), GOODBYE))


def test_much_standard_error_is_not_kept(served: Server) -> None:
    said = [frame(BINARY, b"\x02" + b"e" * 60_000)] * 20
    with pytest.raises(CommandFailedError) as caught:
        read(served(*said, frame(BINARY, b"\x03" + failure(2)), GOODBYE))
    assert len(caught.value.stderr) == 1 << 14


def test_endless_output_is_refused(served: Server) -> None:
    with pytest.raises(LostError, match="printed more than 100 bytes"):
        served(frame(BINARY, b"\x01" + b"x" * 200), frame(BINARY, b"\x03" + SUCCESS), GOODBYE).answer(["cat"], 100)


def test_a_silent_server_is_lost(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_stream, "_PING_SECONDS", 0.05)
    began = time.monotonic()
    with pytest.raises(LostError, match=r"silent for 0\.3 seconds"):
        read(served(frame(BINARY, b"\x01one"), then="silence", silence_seconds=0.3))
    assert 0.2 < time.monotonic() - began < 5


def test_a_server_that_answers_while_the_command_says_nothing(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_stream, "_PING_SECONDS", 0.05)
    with pytest.raises(LostError, match=r"the command printed nothing for 0\.3 seconds"):
        read(served(frame(BINARY, b"\x01one"), then="pong", silence_seconds=0.3))
    result: list[Any] = []

    def ask() -> None:
        try:
            result.append(served(then="pong", silence_seconds=0.3).answer(["sha256sum"]))
        except LostError as error:
            result.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(1.5)
    assert thread.is_alive() and not result


def test_a_ping_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = socket.socketpair()
    websocket = WebSocket()
    websocket.sock, websocket.connected = client, True
    monkeypatch.setattr(exec_stream, "_connect", lambda *_: websocket)
    server.sendall(WHOLE + GOODBYE)
    assert read(Container(None, "data", "x", "y")) == b"one two three"
    answer = server.recv(100)
    assert answer[0] == 0x80 | PONG
    key, masked = answer[2:6], answer[6:11]
    assert bytes(byte ^ key[index % 4] for index, byte in enumerate(masked)) == b"here?"


class Refusing:
    """A CoreV1Api whose exec fails as kubernetes.stream lets it fail."""

    def __init__(self, client: Any) -> None:
        self.api_client = client

    def connect_get_namespaced_pod_exec(self, *_: Any, **__: Any) -> None:
        error = self.api_client.error
        try:
            raise error
        except Exception as caught:
            raise ApiException(status=0, reason=str(caught))  # noqa: B904  # as the client does


def refused(error: Exception) -> Container:
    client = SimpleNamespace(default_headers={}, configuration=None, call_api=None, request=None, error=error)
    return Container(Refusing(client), "data", "reader-x", "reader", 5.0)


def status_error(status: int, body: bytes) -> Exception:
    return WebSocketBadStatusException(f"Handshake status {status} -+-+- {{}} -+-+- {body!r}", status, "", {}, body)


def test_rejected_exec_requests() -> None:
    forbidden = json.dumps({"message": 'pods "reader-x" is forbidden: User "u" cannot create pods/exec'}).encode()
    with pytest.raises(
        CommandRefusedError, match=r"refused \(403\): pods .* The user needs the right to get and create pods/exec"
    ) as caught:
        read(refused(status_error(403, forbidden)))
    assert caught.value.status == 403
    with pytest.raises(LostError, match='pods "reader-x" not found'):
        read(refused(status_error(404, b'{"message": "pods \\"reader-x\\" not found"}')))
    with pytest.raises(LostError, match="container not found"):
        read(refused(status_error(500, b'{"message": "container not found"}')))
    with pytest.raises(LostError, match="Connection refused"):
        read(refused(ConnectionRefusedError(111, "Connection refused")))
    with pytest.raises(LostError, match="certificate verify failed"):
        read(refused(ssl.SSLCertVerificationError("certificate verify failed")))


def test_endless_handshake_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(exec_stream, "_handshake", lambda *_: let_go.wait() and WebSocket())
    with pytest.raises(LostError, match=r"did not respond for 0\.2 seconds"):
        read(Container(None, "data", "reader-x", "reader", 0.2))
    let_go.set()


def unmasked(stream: bytes) -> bytes:
    """The channel 0 of the binary frames that a client sent."""
    parts = []
    while stream:
        assert (stream[0], stream[1] & 0x80) == (0x82, 0x80)
        length, header = stream[1] & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, header = int.from_bytes(stream[2 : 2 + size], "big"), 2 + size
        mask, payload = stream[header : header + 4], stream[header + 4 : header + 4 + length]
        payload = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
        assert payload[0] == 0
        parts.append(payload[1:])
        stream = stream[header + 4 + length :]
    return b"".join(parts)


def test_output_of_a_command_that_reads_is_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = socket.socketpair()

    def connect(*_: Any) -> Any:
        websocket = WebSocket()
        websocket.sock, websocket.connected = client, True
        server.sendall(frame(BINARY, b"\x01no ") + frame(BINARY, b"\x01space\n"))
        return websocket

    monkeypatch.setattr(exec_stream, "_connect", connect)
    endless = (memoryview(bytes(1000)) for _ in iter(int, 1))
    with pytest.raises(CommandFailedError, match=r"failed: no space$"):
        Container(None, "data", "reader-x", "reader", 10).send(["head"], endless, READY)
    server.close()


@pytest.mark.parametrize("end", [b"\x01rea", b"\x03" + failure(1), b"\x01full\n"])
def test_input_is_sent_in_frames(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    pieces = [b"a", b"b" * 125, b"c" * 65535, b"d" * 200_000]
    total = sum(map(len, pieces))
    arrived = bytearray()
    server, client = socket.socketpair()

    def read() -> None:
        while len(arrived) < total + 4 * 5 + 2 + 4 + 4 + 10:
            data = server.recv(65536)
            if not data:
                break
            arrived.extend(data)
        server.sendall(frame(BINARY, end) + frame(BINARY, b"\x01dy\n") + frame(BINARY, b"\x03" + SUCCESS) + GOODBYE)

    def connect(_container: Container, _command: list[str], stdin: bool) -> Any:
        assert stdin
        websocket = WebSocket()
        websocket.sock, websocket.connected = client, True
        threading.Thread(target=read, daemon=True).start()
        return websocket

    monkeypatch.setattr(exec_stream, "_connect", connect)
    container = Container(None, "data", "reader-x", "reader", 10)
    if end == b"\x01rea":
        assert container.send(["cat"], map(memoryview, pieces), READY) == "ready"
    else:
        with pytest.raises(CommandFailedError):
            container.send(["cat"], map(memoryview, pieces), READY)
    assert unmasked(bytes(arrived)) == b"".join(pieces)
    server.close()


def test_ping_in_the_middle_of_a_frame_is_answered_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = socket.socketpair()
    piece = bytes(2_000_000)
    arrived = bytearray()

    def read() -> None:
        arrived.extend(server.recv(1000))
        server.sendall(frame(PING, b"there?"))
        # The header, the mask and the channel of the frame, and the answer.
        while len(arrived) < len(piece) + 10 + 4 + 1 + 2 + 4 + 6:
            arrived.extend(server.recv(65536))
        server.sendall(frame(BINARY, b"\x01ready\n") + frame(BINARY, b"\x03" + SUCCESS) + GOODBYE)

    def connect(*_: Any) -> Any:
        websocket = WebSocket()
        websocket.sock, websocket.connected = client, True
        threading.Thread(target=read, daemon=True).start()
        return websocket

    monkeypatch.setattr(exec_stream, "_connect", connect)
    Container(None, "data", "reader-x", "reader", 5).send(["cat"], [memoryview(piece)], READY)
    data, answer = bytes(arrived[:-12]), arrived[-12:]
    assert unmasked(data) == piece
    assert answer[0] & 0x0F == PONG
    server.close()


def test_command_that_ends_early_is_not_sent_more(monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = socket.socketpair()

    def connect(*_: Any) -> Any:
        websocket = WebSocket()
        websocket.sock, websocket.connected = client, True
        server.sendall(frame(BINARY, b"\x02full") + frame(BINARY, b"\x03" + failure(1)) + GOODBYE)
        return websocket

    monkeypatch.setattr(exec_stream, "_connect", connect)
    endless = (memoryview(bytes(1000)) for _ in iter(int, 1))
    with pytest.raises(CommandFailedError, match="full"):
        Container(None, "data", "reader-x", "reader", 10).send(["head"], endless, READY)
    server.close()


def test_command_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    server, client = socket.socketpair()

    def connect(*_: Any) -> Any:
        websocket = WebSocket()
        websocket.sock, websocket.connected = client, True
        return websocket

    monkeypatch.setattr(exec_stream, "_connect", connect)
    endless = (memoryview(bytes(1000)) for _ in iter(int, 1))
    with pytest.raises(LostError):
        Container(None, "data", "reader-x", "reader", 0.2).send(["head"], endless, READY)
    server.close()
