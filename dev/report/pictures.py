# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The pictures of docs/report.md: which page each shows, and a mark in the file that names that page."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import pages
from .browser import picture

FOLDER = Path(__file__).resolve().parents[2] / "docs"
WIDTH, HEIGHT = 900, 1000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_CHUNK = 25  # length, name, 13 bytes, checksum
_KEYWORD = b"page-sha256\0"


@dataclass(frozen=True)
class Picture:
    name: str
    page: Callable[[], str]
    is_dark: bool

    @property
    def path(self) -> Path:
        return FOLDER / self.name


PICTURES = (Picture("report-light.png", pages.of_several, False), Picture("report-dark.png", pages.of_one, True))


def digest(page: str) -> str:
    return hashlib.sha256(page.encode()).hexdigest()


def write(each: Picture) -> None:
    """Makes the picture, with the hash of its page in a text chunk (PNG, 11.3.3)."""
    page = each.page()
    image = picture(page, WIDTH, HEIGHT, each.is_dark)
    body = b"tEXt" + _KEYWORD + digest(page).encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    begin = len(_SIGNATURE) + _HEADER_CHUNK
    each.path.write_bytes(image[:begin] + chunk + image[begin:])


def page_of(image: bytes) -> str | None:
    """The hash of the page that the picture shows; None if it does not have one."""
    texts = (body[len(_KEYWORD) :] for name, body in _chunks(image) if name == b"tEXt" and body.startswith(_KEYWORD))
    return next((text.decode() for text in texts), None)


def size_of(image: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", image[16:24])
    return width, height


def _chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE)
    while position < len(image):
        (length,) = struct.unpack(">I", image[position : position + 4])
        yield image[position + 4 : position + 8], image[position + 8 : position + 8 + length]
        position += length + 12
