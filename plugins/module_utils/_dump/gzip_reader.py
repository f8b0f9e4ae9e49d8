# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Compressed chunks to text chunks: gzip of any number of members (RFC 1952), checked to the last byte.

A thread decompresses, another one hashes the compressed bytes, while the caller works on the text: all three release
the interpreter's lock while they work. `isal` is used where it can be imported, otherwise `zlib`.
"""

from __future__ import annotations

import hashlib
import queue
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Union

from ..errors import (
    BadChecksumError,
    BadLengthError,
    CorruptGzipError,
    GzipError,
    NotGzipError,
    TrailingDataError,
    TruncatedGzipError,
    UnreadableError,
)
from .other_formats import COMPRESSIONS, ENCRYPTED

try:
    from isal import igzip_lib, isal_zlib
except ImportError:
    HAS_ISAL = False
else:
    HAS_ISAL = True

READ_BYTES = 1 << 17
TEXT_BYTES = 1 << 18
_QUEUED = 4
_NAME_BYTES = 1 << 16
# How much of a file that is not gzip is read.
_BEGIN_BYTES = 512
_RECOMPRESS = "Decompress it with {0} and compress it with gzip: {0} -dc FILE | gzip > FILE.sql.gz"
# The beginnings of files in other formats, and what to do.
_OTHERS = (
    *((magic, f"It is compressed with {name}. " + _RECOMPRESS.format(name)) for magic, name in COMPRESSIONS),
    (rb"\x1f\x9d", "It is compressed with compress. Compress it with gzip: zcat FILE | gzip > FILE.sql.gz"),
    (rb"PK(?:\x03\x04|\x05\x06)", "It is a zip archive. Extract the dump from it, and compress it with gzip"),
    (rb"7z\xbc\xaf\x27\x1c", "It is a 7z archive. Extract the dump from it, and compress it with gzip"),
    (rb"PGDMP", "It is in pg_dump's custom format, which pg_restore reads. Dump with --format=plain"),
    (rb"[\s\S]{257}ustar", "It is a tar archive. Expected one file of SQL, compressed with gzip"),
    (ENCRYPTED, "It is encrypted. Decrypt it first"),
    (rb"\x00+\Z", "It begins with zeros: it was not written, or its storage lost the data. Use another copy"),
    (
        rb"\xff\xfe|\xfe\xff|(?:[\t\n\r -~]\x00){2}|(?:\x00[\t\n\r -~]){2}",
        "It is UTF-16, as PowerShell's > writes it. Let pg_dumpall or pg_dump write the file (--file), and compress it "
        "with gzip",
    ),
    (
        rb"\s*<(?:!DOCTYPE|html|\?xml)",
        "It is a page of a web server or proxy instead of the file. Fetch the file again",
    ),
    (
        rb"(?:\xef\xbb\xbf)?(?:\s*--|\s*/\*|\\|[A-Z]+[ ;])[^\x00]*\Z",
        "It is SQL that is not compressed: compress it with gzip FILE",
    ),
)
_MAGIC = b"\x1f\x8b"
_DEFLATE = 8
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0


class _Zlib:
    """Raw deflate data to text, with the standard library."""

    crc32 = staticmethod(zlib.crc32)

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = b""

    def decompress(self, data: bytes) -> bytes:
        """At most TEXT_BYTES of text from the data so far; raises ValueError for data that is not deflate data."""
        try:
            text = self._inflate.decompress(self._left + data if self._left else data, TEXT_BYTES)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        self._left = self._inflate.unconsumed_tail
        return text

    @property
    def needs_input(self) -> bool:
        return not self._left

    @property
    def ended(self) -> bool:
        return self._inflate.eof

    @property
    def unused(self) -> bytes:
        return self._inflate.unused_data


class _Isal:
    """Raw deflate data to text, with Intel's library: about three times as fast."""

    if HAS_ISAL:
        crc32 = staticmethod(isal_zlib.crc32)

    def __init__(self) -> None:
        self._inflate = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)

    def decompress(self, data: bytes) -> bytes:
        """As _Zlib's."""
        try:
            text: bytes = self._inflate.decompress(data, TEXT_BYTES)
        except (igzip_lib.IsalError, EOFError) as error:  # type: ignore[misc]  # isal's stub calls it an instance
            raise ValueError(str(error)) from error
        return text

    @property
    def needs_input(self) -> bool:
        return bool(self._inflate.needs_input)

    @property
    def ended(self) -> bool:
        return bool(self._inflate.eof)

    @property
    def unused(self) -> bytes:
        unused: bytes = self._inflate.unused_data
        return unused


_Inflate = Union[_Zlib, _Isal]


@dataclass(frozen=True)
class _MemberEnd:
    """A member's trailer, and where the member began."""

    crc32: int
    length: int
    member: int
    member_offset: int


class _Source:
    """The compressed bytes, in pieces of any size; `seen` is called with each block that is read."""

    def __init__(self, stream: BinaryIO, seen: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._seen = seen
        self._block = b""
        self._position = 0
        self._block_offset = 0

    @property
    def offset(self) -> int:
        """The number of bytes that were taken."""
        return self._block_offset + self._position

    def _fill(self) -> bool:
        """Read unless a byte is available; False at the end."""
        if self._position == len(self._block):
            self._block_offset += len(self._block)
            self._position = 0
            self._block = self._stream.read(READ_BYTES)
            self._seen(self._block)
        return bool(self._block)

    def block(self) -> bytes:
        """The bytes that were read already, otherwise the next block; empty at the end."""
        self._fill()
        block = self._block[self._position :] if self._position else self._block
        self._position = len(self._block)
        return block

    def give_back(self, number: int) -> None:
        """Put back the last bytes of the last block."""
        self._position -= number

    def peek(self) -> bytes:
        """The next two bytes; fewer only at the end."""
        first = self.take(1)
        if not first:
            return first
        if self._position < len(self._block):
            self._position -= 1
            return self._block[self._position : self._position + 2]
        # The bytes are in two blocks: join these, so that the bytes can be put back.
        offset = self._block_offset + self._position
        more = self._stream.read(READ_BYTES)
        self._seen(more)
        self._block, self._position, self._block_offset = first + more, 0, offset - 1
        return self._block[:2]

    def take(self, number: int) -> bytes:
        """That many bytes; fewer only at the end."""
        taken = b""
        while len(taken) < number and self._fill():
            piece = self._block[self._position : self._position + number - len(taken)]
            self._position += len(piece)
            taken += piece
        return taken

    def drain(self) -> None:
        while self.block():
            pass


class _StoppedError(Exception):
    """The text is no longer needed."""


class GzipReader:
    """The text of a gzip stream, to be iterated once: chunks of at most TEXT_BYTES.

    Raises a subclass of GzipError after the text that was good; UnreadableError where the stream cannot be read. At the
    end, also after a GzipError, `sha256` and `compressed_bytes` are those of the complete stream.
    """

    def __init__(self, stream: BinaryIO, use_isal: bool = HAS_ISAL) -> None:
        self.text_bytes = 0
        self.compressed_bytes = 0
        self.sha256: str | None = None
        self._stream = stream
        self._new_inflate: Callable[[], _Inflate] = _Isal if use_isal else _Zlib
        self._crc32: Callable[[bytes, int], int] = _Isal.crc32 if use_isal else _Zlib.crc32
        self._texts: queue.Queue[Any] = queue.Queue(_QUEUED)
        self._blocks: queue.Queue[bytes | None] = queue.Queue(_QUEUED)
        self._hash = hashlib.sha256()
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        threads = [threading.Thread(target=run, daemon=True) for run in (self._hash_blocks, self._decompress)]
        for thread in threads:
            thread.start()
        try:
            yield from self._checked()
        finally:
            self._stopped.set()
            while threads[1].is_alive():
                _empty(self._texts)
                threads[1].join(0.01)
            self._blocks.put(None)
            threads[0].join()
            self.sha256 = self._hash.hexdigest()

    def _checked(self) -> Iterator[bytes]:
        """The text; each member's checksum and length are compared at its end."""
        crc = length = 0
        while True:
            item = self._texts.get()
            if isinstance(item, bytes):
                crc = self._crc32(item, crc)
                length += len(item)
                self.text_bytes += len(item)
                yield item
            elif isinstance(item, _MemberEnd):
                good = self.text_bytes - length
                where = f"member {item.member}, which begins at byte {item.member_offset} of the file"
                if crc != item.crc32:
                    self._drain()
                    raise BadChecksumError(
                        f"the data is damaged: expected the checksum (CRC-32) {item.crc32:08x} that the file records, "
                        f"found {crc:08x} in {where}; the text is verified up to byte {good}. Use another copy",
                        good,
                        item.member_offset,
                    )
                if length & 0xFFFFFFFF != item.length:
                    self._drain()
                    raise BadLengthError(
                        f"the data is damaged: expected {item.length} bytes of text (modulo 2^32) that the file "
                        f"records, found {length} in {where}; the text is verified up to byte {good}. Use another copy",
                        good,
                        item.member_offset,
                    )
                crc = length = 0
            elif item is None:
                return
            else:
                raise item

    def _drain(self) -> None:
        """Wait until the rest of the stream is hashed."""
        while isinstance(self._texts.get(), (bytes, _MemberEnd)):
            pass

    # ------------------------------------------------------------------------------------------ in the other threads

    def _hash_blocks(self) -> None:
        while True:
            block = self._blocks.get()
            if block is None:
                return
            self._hash.update(block)

    def _seen(self, block: bytes) -> None:
        self.compressed_bytes += len(block)
        if block:
            self._blocks.put(block)

    def _emit(self, item: Any) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        self._texts.put(item)

    def _decompress(self) -> None:
        result: BaseException | None = None
        source = _Source(self._stream, self._seen)
        try:
            try:
                self._members(source)
            except GzipError as error:
                result = error
                source.drain()
            self._emit(result)
        except _StoppedError:
            pass
        except OSError as error:
            self._texts.put(UnreadableError(f"reading failed at byte {source.offset} of the file: {error.strerror}"))
        except BaseException as error:  # raised again in the thread that iterates
            self._texts.put(error)

    def _members(self, source: _Source) -> None:
        text_bytes = 0
        member = 0
        while True:
            start = source.offset
            magic = source.peek()
            if member and (not magic or _is_padding(magic, source, text_bytes)):
                return
            if not magic:
                raise NotGzipError("the file is empty: expected gzip. Use another copy", 0, 0)
            if magic != _MAGIC[: len(magic)]:
                if member:
                    raise TrailingDataError(
                        f"the end of the gzip data, at byte {start} of the file, is followed by something that is "
                        "neither gzip nor zeros. Was something appended to the file? Use another copy",
                        text_bytes,
                        start,
                    )
                raise NotGzipError(
                    "the file is not gzip: expected the bytes 1f 8b at its beginning, found "
                    f"{magic.hex(' ')}. {_describe(source.take(_BEGIN_BYTES))}",
                    0,
                    0,
                )
            _read_header(source, text_bytes)
            text_bytes = self._inflate_member(source, text_bytes)
            trailer = source.take(8)
            if len(trailer) < 8:
                raise _truncated(text_bytes, source.offset)
            crc, length = struct.unpack("<LL", trailer)
            member += 1
            self._emit(_MemberEnd(crc, length, member, start))

    def _inflate_member(self, source: _Source, text_bytes: int) -> int:
        inflate = self._new_inflate()
        while not inflate.ended:
            block = b""
            if inflate.needs_input:
                block = source.block()
                if not block:
                    raise _truncated(text_bytes, source.offset)
            try:
                text = inflate.decompress(block)
            except ValueError as error:
                raise CorruptGzipError(
                    f"the data is damaged: it cannot be decompressed near byte {source.offset} of the file, after "
                    f"{text_bytes} bytes of text. Use another copy",
                    text_bytes,
                    source.offset,
                ) from error
            if text:
                text_bytes += len(text)
                self._emit(text)
        source.give_back(len(inflate.unused))
        return text_bytes


def _describe(begin: bytes) -> str:
    """The kind of a file with this beginning, and what to do with it."""
    known = (text for pattern, text in _OTHERS if re.match(pattern, begin))
    return next(known, "It is another kind of file, or not compressed: check the path")


def _empty(items: queue.Queue[Any]) -> None:
    try:
        while True:
            items.get_nowait()
    except queue.Empty:
        pass


def _truncated(text_bytes: int, offset: int) -> TruncatedGzipError:
    return TruncatedGzipError(
        f"the file is cut off: expected more gzip data, found the file's end at byte {offset}, after {text_bytes} "
        "bytes of text. Copy it again, or use another backup",
        text_bytes,
        offset,
    )


def _is_padding(begin: bytes, source: _Source, text_bytes: int) -> bool:
    """Whether only zeros follow from `begin` on, as tapes and some file systems add them."""
    if begin.strip(b"\0"):
        return False
    start = source.offset
    while True:
        block = source.block()
        if not block:
            return True
        if block.strip(b"\0"):
            raise TrailingDataError(
                f"the end of the gzip data, at byte {start} of the file, is followed by zeros and then something else. "
                "Was something appended to the file? Use another copy",
                text_bytes,
                start,
            )


def _read_header(source: _Source, text_bytes: int) -> None:
    """Skip a member's header (RFC 1952, 2.3)."""
    start = source.offset
    read: list[bytes] = []

    def need(number: int) -> bytes:
        data = source.take(number)
        read.append(data)
        if len(data) < number:
            raise _truncated(text_bytes, source.offset)
        return data

    def damaged(what: str) -> CorruptGzipError:
        return CorruptGzipError(
            f"the gzip header at byte {start} of the file is damaged: {what}. Use another copy", text_bytes, start
        )

    fixed = need(10)
    method, flags = fixed[2], fixed[3]
    if method != _DEFLATE:
        raise damaged(f"expected the compression method 8, found {method}")
    if flags & _RESERVED:
        raise damaged("expected the reserved flags to be 0")
    if flags & _FEXTRA:
        (length,) = struct.unpack("<H", need(2))
        need(length)
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            # RFC 1952 has no limit, but file names do.
            for _ in range(_NAME_BYTES):
                if need(1) == b"\0":
                    break
            else:
                raise damaged(f"expected a file name or comment of less than {_NAME_BYTES} bytes")
    if flags & _FHCRC:
        actual = zlib.crc32(b"".join(read)) & 0xFFFF
        (expected,) = struct.unpack("<H", need(2))
        if actual != expected:
            raise damaged(f"expected its checksum {expected:04x}, found {actual:04x}")


def backends() -> tuple[str, ...]:
    """The libraries that are available; the first one is used."""
    return ("isal", "zlib") if HAS_ISAL else ("zlib",)
