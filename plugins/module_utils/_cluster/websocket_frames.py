# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What Kubernetes sends and receives over a websocket, pieces of numbered channels in frames (RFC 6455).

A message's first byte names its channel (kubernetes' `channel.k8s.io` protocols). Pieces are views of the bytes that
were fed, never copies, and a frame may be of any length: what is kept between two calls is less than 200 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Union

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_CONTROL_BYTES = 125
_LENGTH_16, _LENGTH_64, _LARGEST_16 = 126, 127, 0xFFFF
_NO_MASK = bytes(4)
_FIN, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F


class FrameError(Exception):
    """The received bytes are not a websocket frame that a server may send."""


class Piece:
    """Some bytes of a channel."""

    __slots__ = ("channel", "data")

    def __init__(self, channel: int, data: memoryview) -> None:
        self.channel = channel
        self.data = data


class Control:
    """A complete control frame: CLOSE, PING or PONG."""

    __slots__ = ("data", "opcode")

    def __init__(self, opcode: int, data: bytes) -> None:
        self.opcode = opcode
        self.data = data


Event = Union[Piece, Control]


class FrameParser:
    """Feed it what the socket receives; it yields the pieces and control frames in it."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._opcode = 0
        self._is_final = True
        self._left = 0  # of the frame's payload
        self._in_payload = False
        self._in_message = False  # its last frame has not begun
        self._channel: int | None = None  # of the message; None before its first byte
        self._control = bytearray()

    def feed(self, data: memoryview) -> Iterator[Event]:
        """Raises FrameError, after the events of the bytes before it in `data`."""
        position, end = 0, len(data)
        while position < end or (self._in_payload and not self._left):
            if not self._in_payload:
                position = self._read_header(data, position)
                continue
            taken = data[position : position + self._left]
            position += len(taken)
            self._left -= len(taken)
            if self._opcode >= CLOSE:
                self._control += taken
                if not self._left:
                    self._in_payload = False
                    yield Control(self._opcode, bytes(self._control))
                    self._control.clear()
                continue
            if self._channel is None and len(taken):
                self._channel = taken[0]
                taken = taken[1:]
            if len(taken) and self._channel is not None:
                yield Piece(self._channel, taken)
            if not self._left:
                self._in_payload = False
                if self._is_final:
                    self._in_message = False
                    self._channel = None

    def _read_header(self, data: memoryview, position: int) -> int:
        """Take bytes until the header is complete; returns the position after them."""
        header = self._header
        needed = _header_bytes(header)
        taken = data[position : position + needed - len(header)]
        header += taken
        position += len(taken)
        if len(header) < needed or len(header) < _header_bytes(header):
            return position
        first, second = header[0], header[1]
        length = second & _LENGTH
        if length > _CONTROL_BYTES:
            length = int.from_bytes(header[2:], "big")
        header.clear()
        self._begin(first, second, length)
        return position

    def _begin(self, first: int, second: int, length: int) -> None:
        opcode = first & _OPCODE
        is_final = bool(first & _FIN)
        if first & _RESERVED:
            raise FrameError("a frame uses an extension that was not agreed on")
        if second & _MASKED:
            raise FrameError("a frame from the server is masked")
        if length >> 63:
            raise FrameError("a frame's length is negative")
        if opcode in (CLOSE, PING, PONG):
            if not is_final or length > _CONTROL_BYTES:
                raise FrameError("a control frame is in parts or too long")
        elif opcode in (TEXT, BINARY):
            if self._in_message:
                raise FrameError("a message begins before the end of another one")
        elif opcode == CONTINUATION:
            if not self._in_message:
                raise FrameError("a continuation frame continues nothing")
        else:
            raise FrameError(f"a frame has the unknown opcode {opcode}")
        if opcode < CLOSE:
            self._is_final = is_final
            self._in_message = True
        self._opcode = opcode
        self._left = length
        self._in_payload = True


def _header_bytes(header: bytearray) -> int:
    """The length of the header, as far as it is known from its first bytes."""
    if len(header) < 2:
        return 2
    length = header[1] & _LENGTH
    # A masked frame is refused before its mask is read.
    return {126: 4, 127: 10}.get(length, 2)


def client_frame(channel: int, data: bytes | memoryview) -> bytes:
    """A final binary frame with a piece of a channel, as a client sends it.

    Its mask is zero, which leaves the data as it is: Python would take longer for the mask than the network for the
    data. A mask is for content that a stranger chooses and that proxies can read (RFC 6455, section 10.3), not for TLS.
    """
    length = len(data) + 1
    if length < _LENGTH_16:
        header = struct.pack("!BB", _FIN | BINARY, _MASKED | length)
    elif length <= _LARGEST_16:
        header = struct.pack("!BBH", _FIN | BINARY, _MASKED | _LENGTH_16, length)
    else:
        header = struct.pack("!BBQ", _FIN | BINARY, _MASKED | _LENGTH_64, length)
    return b"".join((header, _NO_MASK, bytes([channel]), data))
