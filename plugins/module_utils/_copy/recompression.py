# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Makes a backup from its text again: a gzip member for each part, as a run writes it, and the manifest for it.

Another compressor gives other bytes, so that the hash of the file, and where its parts lie, change. The text does not.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from .._volume.manifest import Span, parse_manifest
from ..errors import ManifestError

_LEVEL = 6
_PIECE_BYTES = 1 << 20
# zlib's window size for gzip members (https://zlib.net/manual.html#Advanced).
GZIP = 16 + zlib.MAX_WBITS
_FIELD = re.compile(rb'"(sha256|bytes|compressor)":[^\n]*,')
# Each part is in a separate line. A quotation mark in a value has a backslash before it.
_PART = re.compile(rb'\{"kind":.*')
_SPAN = re.compile(rb'(?<=[{,])"(offset_bytes|length_bytes)":[0-9]+')
_RECOMPRESSED_FROM = re.compile(rb'^"recompressed_from":"([0-9a-f]{64})",\n', re.MULTILINE)


def origin(manifest: bytes | None, sha256: str) -> str:
    """The hash of the file that the run wrote, of a backup with this manifest and this hash.

    Backups of one origin have the same text.
    """
    match = _RECOMPRESSED_FROM.search(manifest or b"")
    return match[1].decode() if match else sha256


def part_ends(manifest: bytes | None, backup: str) -> list[int]:
    """Where parts end in the text, in bytes from its start; nothing without a manifest that can be used."""
    return [_text_end(span) for span in _spans(manifest, backup) if span]


def _text_end(span: Span) -> int:
    return span.text_offset_bytes + span.text_length_bytes


def _spans(manifest: bytes | None, backup: str) -> list[Span | None]:
    """The spans of the parts, of which some are not in the file."""
    try:
        return [part.span for part in parse_manifest(manifest or b"", backup).parts]
    except ManifestError:
        return []


class Recompression:
    """Compresses the text with which it is called, piece by piece, and writes it with `write`.

    A gzip member ends at each of `ends`. What is written is decompressed again, so that `text_sha256` is that of the
    text in the file.
    """

    def __init__(self, ends: list[int], write: Callable[[bytes], object]) -> None:
        self._write = write
        self._ends = list(ends)
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, GZIP)
        self._check = Gunzip()
        self._file, self._text = hashlib.sha256(), hashlib.sha256()
        self._text_bytes = 0
        self._is_begun = False
        self.size_bytes = 0
        # The offset in the file by the offset in the text, for the ends of the members.
        self.offsets = {0: 0}

    def __call__(self, data: bytes) -> None:
        while self._ends and self._text_bytes + len(data) >= self._ends[0]:
            left = self._ends.pop(0) - self._text_bytes
            self._add(data[:left])
            self._end_member()
            data = data[left:]
        self._add(data)

    def finish(self) -> None:
        """The text is complete."""
        if self._is_begun or not self.size_bytes:
            self._end_member()
        self._check.finish()

    @property
    def text_bytes(self) -> int:
        return self._text_bytes

    @property
    def sha256(self) -> str:
        return self._file.hexdigest()

    @property
    def text_sha256(self) -> str:
        return self._text.hexdigest()

    def _add(self, data: bytes) -> None:
        if data:
            self._is_begun = True
            self._text_bytes += len(data)
            self._put(self._compressor.compress(data))

    def _end_member(self) -> None:
        self._put(self._compressor.flush())
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, GZIP)
        self._is_begun = False
        self.offsets[self._text_bytes] = self.size_bytes

    def _put(self, data: bytes) -> None:
        if data:
            self._file.update(data)
            self.size_bytes += len(data)
            for piece in self._check.feed(data):
                self._text.update(piece)
            self._write(data)


class Gunzip:
    """Decompresses a file of gzip members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP)
        self._is_empty = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The text in the next piece, in pieces of at most 1 MiB. Raises zlib.error."""
        while data:
            self._is_empty = False
            text = self._member.decompress(data, _PIECE_BYTES)
            if text:
                yield text
            if self._member.eof:
                data = self._member.unused_data
                self._member, self._is_empty = zlib.decompressobj(GZIP), True
            else:
                data = self._member.unconsumed_tail
                # A full piece may not be all that the data has.
                while not data and len(text) == _PIECE_BYTES:
                    text = self._member.decompress(b"", _PIECE_BYTES)
                    if text:
                        yield text

    def finish(self) -> None:
        """Raises zlib.error if the file ends within a member."""
        if not self._is_empty and not self._member.eof:
            raise zlib.error("the file ends too early")


def new_manifest(manifest: bytes, backup: str, done: Recompression, sha256: str) -> bytes | None:
    """The manifest of the backup after its recompression; `sha256` is the hash that it had before.

    The script reads it line by line, so each line remains one. Of a manifest in another form, only the databases that
    are in the backup and those that are missing remain. None for something else than a manifest: a backup needs none.
    """
    before = origin(manifest, sha256)
    text = _with_new_places(manifest, backup, done, before)
    try:
        found = parse_manifest(text or b"", backup)
    except ManifestError:
        return _reduced(manifest, backup, done, before)
    is_right = (found.sha256, found.size_bytes) == (done.sha256, done.size_bytes)
    return text if is_right else _reduced(manifest, backup, done, before)


def _with_new_places(manifest: bytes, backup: str, done: Recompression, before: str) -> bytes | None:
    values = {b"sha256": b'"%s"' % done.sha256.encode(), b"bytes": b"%d" % done.size_bytes, b"compressor": b'"zlib"'}
    spans = iter(_spans(manifest, backup))
    lines = []
    for line in _RECOMPRESSED_FROM.sub(b"", manifest).split(b"\n"):
        field = _FIELD.fullmatch(line)
        if field:
            lines.append(b'"%s":%s,' % (field[1], values[field[1]]))
            if field[1] == b"bytes":
                lines.append(b'"recompressed_from":"%s",' % before.encode())
        elif _PART.match(line):
            span = next(spans, None)
            if span is not None and not {span.text_offset_bytes, _text_end(span)} <= done.offsets.keys():
                return None
            lines.append(line if span is None else _SPAN.sub(_moved(span, done), line))
        else:
            lines.append(line)
    return b"\n".join(lines)


def _reduced(manifest: bytes, backup: str, done: Recompression, before: str) -> bytes | None:
    try:
        content = json.loads(manifest)
        summary = {"format": 1, "backup": backup, **{key: content[key] for key in ("state", "dumped", "missing")}}
    except (KeyError, TypeError, ValueError):
        return None
    summary["left_out"] = content.get("left_out") is True
    values = {"sha256": done.sha256, "bytes": done.size_bytes, "recompressed_from": before}
    lines = [_compact(summary)[:-1], *(f'"{key}":{_compact(value)}' for key, value in values.items())]
    return ",\n".join([*lines, f'"uncompressed_bytes":{done.text_bytes}', '"parts":[\n]}\n']).encode()


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _moved(span: Span, done: Recompression) -> Callable[[re.Match[bytes]], bytes]:
    begin = done.offsets[span.text_offset_bytes]
    length = done.offsets[_text_end(span)] - begin
    values = {b"offset_bytes": begin, b"length_bytes": length}
    return lambda found: b'"%s":%d' % (found[1], values[found[1]])
