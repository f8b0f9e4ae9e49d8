# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Frames as RFC 6455 draws them (5.2), cut in every way."""

from __future__ import annotations

import contextlib
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._cluster.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Control,
    FrameError,
    FrameParser,
    Piece,
)

from .frames import frame

Seen = list[tuple[str, int, bytes]]


def parse(pieces: list[bytes]) -> Seen:
    """The received data, with adjacent pieces of a channel joined: where a piece is cut has no meaning."""
    parser = FrameParser()
    seen: Seen = []
    for piece in pieces:
        for event in parser.feed(memoryview(bytearray(piece))):
            if isinstance(event, Control):
                seen.append(("control", event.opcode, event.data))
            elif seen and seen[-1][:2] == ("piece", event.channel):
                seen[-1] = ("piece", event.channel, seen[-1][2] + bytes(event.data))
            else:
                seen.append(("piece", event.channel, bytes(event.data)))
    return seen


def test_examples_of_the_rfc() -> None:
    """Section 5.7, with a channel as first byte where it is data."""
    assert parse([b"\x81\x05Hello"]) == [("piece", ord("H"), b"ello")]
    assert parse([b"\x01\x03Hel", b"\x80\x02lo"]) == [("piece", ord("H"), b"ello")]
    assert parse([b"\x89\x05Hello"]) == [("control", PING, b"Hello")]
    assert parse([b"\x8a\x05Hello"]) == [("control", PONG, b"Hello")]
    long = bytes(range(256))
    assert parse([b"\x82\x7e\x01\x00" + long]) == [("piece", 0, long[1:])]
    longer = long * 256
    assert parse([b"\x82\x7f\0\0\0\0\0\1\0\0" + longer]) == [("piece", 0, longer[1:])]


STREAM = (
    frame(BINARY, b"\x01")  # as the servers open their channels
    + frame(BINARY, b"\x02")
    + frame(BINARY, b"\x01one")
    + frame(PING, b"")
    + frame(BINARY, b"")
    + frame(BINARY, b"\x02warning")
    + frame(BINARY, b"\x01tw", final=False)
    + frame(PING, b"between")
    + frame(CONTINUATION, b"", final=False)
    + frame(CONTINUATION, b"o")
    + frame(BINARY, b"", final=False)
    + frame(CONTINUATION, b"\x01late channel")
    + frame(BINARY, b"\x01" + b"x" * 125)
    + frame(BINARY, b"\x01" + b"y" * 300)
    + frame(BINARY, b"\x01" + b"z" * 70_000)
    + frame(TEXT, b"\x03{}")
    + frame(CLOSE, b"\x03\xe8")
)
WHOLE: Seen = [
    ("piece", 1, b"one"),
    ("control", PING, b""),
    ("piece", 2, b"warning"),
    ("piece", 1, b"tw"),
    ("control", PING, b"between"),
    ("piece", 1, b"o" + b"late channel" + b"x" * 125 + b"y" * 300 + b"z" * 70_000),
    ("piece", 3, b"{}"),
    ("control", CLOSE, b"\x03\xe8"),
]


def test_frames_of_all_kinds_in_one_piece() -> None:
    assert parse([STREAM]) == WHOLE


def test_frames_cut_at_every_byte() -> None:
    for at in [*range(700), *range(len(STREAM) - 30, len(STREAM))]:
        assert parse([STREAM[:at], STREAM[at:]]) == WHOLE, at


def test_frames_byte_by_byte() -> None:
    assert parse([STREAM[at : at + 1] for at in range(len(STREAM))]) == WHOLE


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_frames_cut_at_random(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[begin:end] for begin, end in itertools.pairwise(edges)]) == WHOLE


def test_payload_is_not_copied() -> None:
    block = bytearray(frame(BINARY, b"\x01abc"))
    (event,) = FrameParser().feed(memoryview(block))
    assert isinstance(event, Piece)
    block[-1] = ord("X")
    assert bytes(event.data) == b"abX"


def test_frame_longer_than_the_memory() -> None:
    parser = FrameParser()
    assert not list(parser.feed(memoryview(b"\x82\x7f" + struct.pack(">Q", 2**62) + b"\x01")))
    block = memoryview(bytes(1 << 16))
    for _ in range(100):
        (event,) = parser.feed(block)
        assert isinstance(event, Piece) and len(event.data) == 1 << 16


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xc2\x01\x01", "extension"),
        (b"\x82\x81\0\0\0\0\x01", "masked"),
        (b"\x82\x7f\x80\0\0\0\0\0\0\0", "negative"),
        (b"\x09\x00", "control frame is in parts"),
        (b"\x89\x7e\x00\x7e" + bytes(126), "too long"),
        (b"\x80\x00", "continues nothing"),
        (b"\x02\x01\x01\x82\x01\x01", "begins before the end of another one"),
        (b"\x83\x00", "unknown opcode 3"),
        (b"\x8f\x00", "unknown opcode 15"),
    ],
)
def test_invalid_frames_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        parse([data])


@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(FrameError):
        parse([data])
