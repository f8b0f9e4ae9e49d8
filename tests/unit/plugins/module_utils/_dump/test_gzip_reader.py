# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import struct
import threading
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils._dump import gzip_reader
from plugins.module_utils._dump.gzip_reader import GzipReader
from plugins.module_utils.errors import (
    BadChecksumError,
    BadLengthError,
    CorruptGzipError,
    GzipError,
    NotGzipError,
    TrailingDataError,
    TruncatedGzipError,
    UnreadableError,
)

TEXT = b"".join(b"%d\tsome row of a table\n" % number for number in range(300))
ONE = gzip.compress(TEXT, mtime=0)
BACKENDS = pytest.mark.parametrize("use_isal", [True, False], ids=["isal", "zlib"])


def read(data: bytes, use_isal: bool) -> tuple[bytes, GzipReader, GzipError | None]:
    reader = GzipReader(io.BytesIO(data), use_isal)
    text = b""
    error = None
    try:
        for chunk in reader:
            text += chunk
    except GzipError as caught:
        error = caught
    assert reader.sha256 == hashlib.sha256(data).hexdigest()
    assert reader.compressed_bytes == len(data)
    return text, reader, error


def member(
    text: bytes, flags: int = 0, fields: bytes = b"", crc: int | None = None, length: int | None = None
) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    trailer = struct.pack("<LL", zlib.crc32(text) if crc is None else crc, len(text) if length is None else length)
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff" + fields
    return head + packer.compress(text) + packer.flush() + trailer


def test_isal_is_installed() -> None:
    assert gzip_reader.backends() == ("isal", "zlib")


@BACKENDS
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (ONE, TEXT),
        (gzip.compress(b"", mtime=0), b""),
        (ONE * 3, TEXT * 3),
        (ONE + b"\0" * 1000, TEXT),
        (gzip.compress(b"a", mtime=0) * 500, b"a" * 500),
        (member(b"x", 0x08, b"name.sql\0"), b"x"),
        (member(b"x", 0x10, b"comment\0"), b"x"),
        (member(b"x", 0x04, b"\x05\0extra"), b"x"),
        (member(b"x", 0x1D, b"\x02\0exname\0comment\0"), b"x"),
    ],
)
def test_complete_files_are_read(use_isal: bool, data: bytes, text: bytes) -> None:
    found, reader, error = read(data, use_isal)
    assert error is None
    assert found == text
    assert reader.text_bytes == len(text)


@BACKENDS
def test_header_checksum_is_checked(use_isal: bool) -> None:
    head = b"\x1f\x8b\x08\x02\0\0\0\0\0\xff"
    good = struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    assert read(member(b"x", 0x02, good), use_isal)[0] == b"x"
    assert isinstance(read(member(b"x", 0x02, b"\0\0"), use_isal)[2], CorruptGzipError)


@BACKENDS
@pytest.mark.parametrize(
    ("data", "kind", "good", "good_compressed"),
    [
        (b"", NotGzipError, 0, 0),
        (b"SELECT 1;", NotGzipError, 0, 0),
        (b"\x1f", TruncatedGzipError, 0, 1),
        (ONE[:-1], TruncatedGzipError, len(TEXT), len(ONE) - 1),
        (ONE + ONE[:5], TruncatedGzipError, len(TEXT), len(ONE) + 5),
        (ONE + b"x", TrailingDataError, len(TEXT), len(ONE)),
        (ONE + b"\0\0x", TrailingDataError, len(TEXT), len(ONE)),
        (ONE + b"\0" * 300_000 + ONE, TrailingDataError, len(TEXT), len(ONE)),
        (ONE + member(b"abc", crc=1), BadChecksumError, len(TEXT), len(ONE)),
        (ONE + member(b"abc", length=4), BadLengthError, len(TEXT), len(ONE)),
        (member(b"abc", crc=1) + b"junk" * 100_000, BadChecksumError, 0, 0),
        (b"\x1f\x8b\x07" + b"\0" * 20, CorruptGzipError, 0, 0),
        (b"\x1f\x8b\x08\x20" + b"\0" * 20, CorruptGzipError, 0, 0),
        (b"\x1f\x8b\x08\x08" + b"x" * 70_000, CorruptGzipError, 0, 0),
        (ONE[:10] + b"\xff" * 20, CorruptGzipError, 0, 30),
    ],
)
def test_kinds_of_damage_are_distinguished(
    use_isal: bool, data: bytes, kind: type[GzipError], good: int, good_compressed: int
) -> None:
    _, _, error = read(data, use_isal)
    assert type(error) is kind
    assert (error.good_bytes, error.good_compressed_bytes) == (good, good_compressed)
    assert str(good_compressed) in str(error) or kind in (NotGzipError, BadChecksumError)


@BACKENDS
def test_every_truncation_is_damage(use_isal: bool) -> None:
    for end in range(1, len(ONE)):
        text, _, error = read(ONE[:end], use_isal)
        assert type(error) is TruncatedGzipError, end
        assert TEXT.startswith(text)
        assert error.good_bytes == len(text)


@BACKENDS
def test_every_flipped_bit_is_damage(use_isal: bool) -> None:
    for bit in range(len(ONE) * 8):
        data = bytearray(ONE)
        data[bit // 8] ^= 1 << bit % 8
        text, _, error = read(bytes(data), use_isal)
        # Time, operating system and the bits after the last symbol say nothing about the text.
        assert error is not None or (text == TEXT and (bit // 8 < 10 or bit // 8 == len(ONE) - 9)), bit


@BACKENDS
@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(1, 50), st.integers(1, 50))
def test_any_members_in_any_blocks(use_isal: bool, texts: list[bytes], block: int, chunk: int) -> None:
    data = b"".join(gzip.compress(text) for text in texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip_reader, "READ_BYTES", block)
        patch.setattr(gzip_reader, "TEXT_BYTES", chunk)
        found, _, error = read(data, use_isal)
    assert error is None
    assert found == b"".join(texts)


@BACKENDS
def test_compression_bomb_comes_in_small_chunks(use_isal: bool) -> None:
    data = gzip.compress(b"\0" * 50_000_000, 9)
    longest = total = 0
    for chunk in GzipReader(io.BytesIO(data), use_isal):
        longest, total = max(longest, len(chunk)), total + len(chunk)
    assert total == 50_000_000
    assert longest <= gzip_reader.TEXT_BYTES


class _Broken(io.RawIOBase):
    def read(self, _size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


def test_failing_disk_is_not_damage() -> None:
    with pytest.raises(UnreadableError, match="Input/output error"):
        list(GzipReader(_Broken()))  # type: ignore[arg-type]


def test_no_thread_is_left_when_the_caller_stops_early() -> None:
    before = threading.active_count()
    data = gzip.compress(random.Random(5).randbytes(20_000_000), 1)
    stream = io.BytesIO(data)
    texts = iter(GzipReader(stream))
    next(texts)
    texts.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert stream.tell() < len(data) / 2


_SQL = b"--\n-- PostgreSQL database dump\n--\n\n"
_ARCHIVE = io.BytesIO()
with zipfile.ZipFile(_ARCHIVE, "w") as _written:
    _written.writestr("dump.sql", _SQL)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            bytes.fromhex("28b52ffd04584100"),
            r"zstd\. Decompress it with zstd .*: zstd -dc FILE \| gzip > FILE\.sql\.gz",
        ),
        (bytes.fromhex("502a4d1804000000"), r"zstd\."),
        (lzma.compress(_SQL, lzma.FORMAT_ALONE), r"xz\."),
        (bytes.fromhex("894c5a4f000d0a1a0a"), r"lzop\."),
        (bytes.fromhex("8c0d040903085f"), "encrypted"),
        (bytes.fromhex("85010c03a1b2c3d4"), "encrypted"),
        (lzma.compress(_SQL), r"xz\. .*: xz -dc FILE \| gzip"),
        (bz2.compress(_SQL), r"bzip2\. .*: bzip2 -dc FILE \| gzip"),
        (bytes.fromhex("04224d186440a7"), r"lz4\. .*: lz4 -dc FILE \| gzip"),
        (_ARCHIVE.getvalue(), "zip archive"),
        (b"PGDMP\x01\x0e\x00", "custom format"),
        (b"toc.dat".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
        (b"age-encryption.org/v1\n", "encrypted"),
        (b"\0" * 4096, "begins with zeros"),
        (_SQL.decode().encode("utf-16"), "UTF-16"),
        (_SQL.decode().encode("utf-16-be"), "UTF-16"),
        (b"<!DOCTYPE html>\n", "page of a web server"),
        (_SQL * 100, "compress it with gzip FILE"),
        (b"\xef\xbb\xbf" + _SQL, "compress it with gzip FILE"),
        (b"\\restrict x\n" + _SQL, "compress it with gzip FILE"),
        (b"SET client_encoding = 'UTF8';\n", "compress it with gzip FILE"),
        (b"\x89PNG\r\n", "another kind of file, or not compressed"),
    ],
)
def test_other_formats_are_named(data: bytes, reason: str) -> None:
    _, _, error = read(data, False)
    assert isinstance(error, NotGzipError)
    with pytest.raises(NotGzipError, match=reason):
        raise error
