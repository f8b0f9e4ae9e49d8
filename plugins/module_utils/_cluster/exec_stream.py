# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A command in a pod, with its standard output and its standard input as streams.

The kubernetes client makes the connection, with all its ways to authenticate, proxies and TLS settings. The frames are
read here, from the socket: for every frame that it receives, the client copies all that it has received before.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import BackupError, CommandFailedError, CommandRefusedError, LostError
from .websocket_frames import CLOSE, PING, PONG, Control, FrameError, FrameParser, client_frame

try:
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import stream, ws_client
    from websocket import WebSocket, WebSocketException
except ImportError:
    HAS_KUBERNETES = False  # no caller has a client then
else:
    HAS_KUBERNETES = True

_STDIN, _STDOUT, _STDERR, _STATUS = 0, 1, 2, 3
_BLOCK_BYTES = 1 << 18
_LEAST_BYTES = 1 << 14  # a TLS record, which is what one call returns at most
_KEPT_BYTES = 1 << 14  # of standard error and of the status
_GOODBYE_SECONDS = 5.0
_PING_SECONDS = 10.0
_SIGNALLED = 128
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
# The API server passes this version of the protocol through unchanged; it decodes the next one.
_PROTOCOL = "v4.channel.k8s.io"


@dataclass(frozen=True)
class Container:
    """Where commands run."""

    core: Any  # the generated CoreV1Api
    namespace: str
    pod: str
    name: str
    silence_seconds: float = 60.0

    def output(self, command: Sequence[str]) -> Iterator[memoryview]:
        """The standard output of a command, which may be of any size.

        Raises LostError when the connection ends before the command does, or when nothing is received for
        `silence_seconds`; CommandFailedError for an exit status other than 0; CommandRefusedError.
        """
        return _Stream(self, command, may_be_silent=False).output()

    def answer(self, command: Sequence[str], limit_bytes: int = 1 << 20) -> bytes:
        """The complete, short output of a command that may print nothing for a long time while the server responds."""
        parts = bytearray()
        for piece in _Stream(self, command, may_be_silent=True).output():
            parts += piece
            if len(parts) > limit_bytes:
                raise LostError(f"'{command[0]}' printed more than {limit_bytes} bytes")
        return bytes(parts)

    def send(self, command: Sequence[str], pieces: Iterable[memoryview], answer: re.Pattern[str]) -> str:
        """Send the pieces to the standard input of a command; the line that it prints, which must match `answer`.

        Its standard input is never closed: the command must know how many bytes it reads. If it fails, it must print
        the reason and continue to read: the exit status of a command that does not read is not reported. Raises
        CommandFailedError with any other line that it prints, otherwise as `output` does, LostError also if the command
        does not read for `silence_seconds`.
        """
        with contextlib.closing(_Stream(self, command, may_be_silent=True, pieces=pieces).output()) as output:
            printed = bytearray()
            for piece in output:
                printed += piece
                # A line may arrive in pieces.
                if b"\n" in printed:
                    break
        line = printed.decode("utf-8", "replace").strip()
        if not answer.fullmatch(line):
            raise CommandFailedError(f"'{command[0]}' in {self.shown} failed: {line}", 1, line)
        return line

    @property
    def shown(self) -> str:
        return f"the pod {self.namespace}/{self.pod}"


class _Stream:
    def __init__(
        self,
        container: Container,
        command: Sequence[str],
        may_be_silent: bool,
        pieces: Iterable[memoryview] | None = None,
    ) -> None:
        self._container = container
        self._pieces = pieces
        self._parser = FrameParser()
        self._command = list(command)
        self._may_be_silent = may_be_silent
        self._stderr = bytearray()
        self._status = bytearray()
        self._has_status = False
        self._closed = False
        # Answers that wait for the end of the frame that is being sent.
        self._is_in_frame = False
        self._answers: list[bytes] = []
        self._block = memoryview(bytearray(0))
        self._last_receipt = self._last_output = 0.0

    def output(self) -> Generator[memoryview, None, None]:
        has_input = self._pieces is not None
        websocket = _connect(self._container, self._command, *([True] if has_input else []))
        self._last_receipt = self._last_output = time.monotonic()
        try:
            if self._pieces is not None:
                yield from self._send(websocket, self._pieces)
            yield from self._receive(websocket)
        except (FrameError, OSError, WebSocketException) as error:
            if not self._has_status:
                raise self._lost(str(error) or type(error).__name__) from error
        finally:
            _disconnect(websocket)
        self._raise_for_status()

    def _send(self, websocket: Any, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """Send the pieces; yields the output meanwhile. Ends early when the command does."""
        websocket.sock.settimeout(self._container.silence_seconds)
        for piece in pieces:
            frame = memoryview(client_frame(_STDIN, piece))
            while frame:
                while self._is_readable(websocket.sock) and not self._closed:
                    received = self._read(websocket)
                    if not received:
                        self._closed = True
                        break
                    yield from self._handle(websocket, received)
                if self._has_status or self._closed:
                    return
                frame = frame[websocket.sock.send(frame) :]
                self._is_in_frame = len(frame) > 0
            while self._answers:
                websocket.pong(self._answers.pop(0))
        self._last_receipt = time.monotonic()

    @staticmethod
    def _is_readable(connection: Any) -> bool:
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

    def _receive(self, websocket: Any) -> Iterator[memoryview]:
        """Standard output, until the server has closed the connection."""
        websocket.sock.settimeout(
            _GOODBYE_SECONDS if self._has_status else min(_PING_SECONDS, self._container.silence_seconds)
        )
        while not self._closed:
            received = self._read(websocket)
            if received is None:
                continue
            if not received:
                if not self._has_status:
                    raise self._lost("the connection was closed before the command had ended")
                return
            yield from self._handle(websocket, received)

    def _handle(self, websocket: Any, received: memoryview) -> Iterator[memoryview]:
        """The standard output in what was received."""
        for event in self._parser.feed(received):
            if isinstance(event, Control):
                self._answer(websocket, event)
            elif event.channel == _STDOUT:
                self._last_output = self._last_receipt
                yield event.data
            elif event.channel == _STDERR:
                self._stderr += event.data[: _KEPT_BYTES - len(self._stderr)]
            elif event.channel == _STATUS:
                self._has_status = True
                self._status += event.data[: _KEPT_BYTES - len(self._status)]
                websocket.sock.settimeout(_GOODBYE_SECONDS)

    def _read(self, websocket: Any) -> memoryview | None:
        """What the socket has received, empty at its end; None when it has received nothing for a while."""
        if len(self._block) < _LEAST_BYTES:
            self._block = memoryview(bytearray(_BLOCK_BYTES))
        try:
            number = websocket.sock.recv_into(self._block)
        except socket.timeout:
            self._check_idle_timeout(websocket)
            return None
        self._last_receipt = time.monotonic()
        received, self._block = self._block[:number], self._block[number:]
        return received

    def _check_idle_timeout(self, websocket: Any) -> None:
        """Ask whether the server is still there; raises LostError when it has been silent for too long."""
        if self._has_status:
            self._closed = True
            return
        now = time.monotonic()
        limit = self._container.silence_seconds
        if now - self._last_receipt >= limit:
            raise self._lost(f"the server has been silent for {limit:g} seconds")
        if not self._may_be_silent and now - self._last_output >= limit:
            raise self._lost(f"the command printed nothing for {limit:g} seconds (does the volume respond?)")
        websocket.ping()

    def _answer(self, websocket: Any, control: Control) -> None:
        if control.opcode == PING:
            if self._is_in_frame:
                self._answers.append(control.data)
            else:
                websocket.pong(control.data)
        elif control.opcode == CLOSE:
            self._closed = True
        else:
            assert control.opcode == PONG

    def _lost(self, reason: str) -> LostError:
        return LostError(f"the stream from {self._container.shown} was interrupted: {reason}")

    def _raise_for_status(self) -> None:
        """Raise unless the server sent the command's exit status and it is 0."""
        if not self._has_status:
            raise self._lost("the server closed the connection before the command had ended")
        try:
            status = json.loads(bytes(self._status))
            if status["status"] == "Success":
                return
        except (ValueError, KeyError, TypeError) as error:
            raise self._lost("the server did not send a valid exit status") from error
        code = _exit_status(status)
        message = str(status.get("message", "")) or "no reason was given"
        # A process that was killed did not fail by itself: its pod is being terminated.
        if code is None or code > _SIGNALLED:
            raise self._lost(message)
        stderr = self._stderr.decode("utf-8", "replace").strip()
        raise CommandFailedError(
            f"'{self._command[0]}' in {self._container.shown} ended with {code}: {stderr or message}", code, stderr
        )


def _exit_status(status: dict[str, Any]) -> int | None:
    if status.get("reason") != "NonZeroExitCode":
        return None
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    return None


def _connect(container: Container, command: list[str], stdin: bool = False) -> Any:
    """The connection after its handshake, for which the kubernetes client would wait for ever."""
    result: list[Any] = []
    abandoned = threading.Event()

    def connect() -> None:
        try:
            websocket = _handshake(container, command, stdin)
        except BaseException as error:  # raised below, in the thread that asked
            result.append(error)
            return
        result.append(websocket)
        if abandoned.is_set():
            _disconnect(websocket)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(container.silence_seconds)
    if not result:
        abandoned.set()
        raise LostError(f"the API server did not respond for {container.silence_seconds:g} seconds")
    if isinstance(result[0], ApiException):
        raise _refusal(container, result[0]) from result[0]
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def _handshake(container: Container, command: list[str], stdin: bool) -> Any:
    # A copy of the client: kubernetes.stream changes it for as long as the call takes.
    client = copy.copy(container.core.api_client)
    client.default_headers = {**client.default_headers, "sec-websocket-protocol": _PROTOCOL}
    core = type(container.core)(client)
    with _with_impersonation(client.default_headers):
        return stream(
            core.connect_get_namespaced_pod_exec,
            container.pod,
            container.namespace,
            container=container.name,
            command=command,
            stdin=stdin,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
            binary=True,
        ).sock


@contextmanager
def _with_impersonation(headers: dict[str, str]) -> Iterator[None]:
    """Send the headers that impersonate a user too: kubernetes.stream omits them, and acts as another user."""
    own = [f"{name}: {text}" for name, text in headers.items() if name.lower().startswith("impersonate-")]

    class Impersonating(WebSocket):
        def connect(self, url: str, **options: Any) -> None:
            super().connect(url, **{**options, "header": [*options["header"], *own]})  # type: ignore[no-untyped-call]  # the library's

    module: Any = ws_client
    module.WebSocket = Impersonating if own else WebSocket
    try:
        yield
    finally:
        module.WebSocket = WebSocket


def _refusal(container: Container, error: Any) -> BackupError:
    """The client hides the HTTP status of a failed handshake (kubernetes.stream.ws_client.websocket_call)."""
    origin = error.__context__
    status = getattr(origin, "status_code", None)
    body = getattr(origin, "resp_body", None) or b""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        match = re.search(r'"message":"((?:[^"\\]|\\.)*)"', str(error.reason))
        message = match[1] if match else str(origin or error.reason)[:500]
    if status is None:
        match = re.match(r"Handshake status (\d{3})", str(error.reason))
        status = int(match[1]) if match else 0
    if status in (0, 404) or status in _BUSY:
        # 404: no such pod; 500: its container does not run, or the kubelet cannot be reached.
        return LostError(f"no stream from {container.shown}: {message}")
    return CommandRefusedError(
        f"a command in {container.shown} is refused ({status}): {message}. The user needs the right to get and create "
        f"pods/exec in the namespace {container.namespace}",
        status,
    )


def _disconnect(websocket: Any) -> None:
    """Close the connection without waiting for the server's close frame."""
    with contextlib.suppress(OSError):
        websocket.shutdown()
