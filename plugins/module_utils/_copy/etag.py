# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The ETag of an object: the hash that an S3 store computes of what it has received.

It is the md5 of an object that was sent in one piece. If it was sent in parts, it is the md5 of their md5, a hyphen and
their number (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html). Stores that encrypt with a key of a key
management service, and a few others, have other ETags.
"""

from __future__ import annotations

import hashlib

# An object of this size, or larger, is sent in parts.
PARTS_FROM_BYTES = 200 << 20
_PART_BYTES = 16 << 20
# No store accepts more (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
_PARTS = 10_000


def part_bytes(size_bytes: int) -> int:
    """The size of each part but the last one of an object of this size."""
    return _PART_BYTES * max(1, -(-size_bytes // (_PART_BYTES * _PARTS)))


class Etag:
    """The ETag of an object of `size_bytes`; it is called with the content, piece by piece."""

    def __init__(self, size_bytes: int) -> None:
        self._part_bytes = part_bytes(size_bytes) if size_bytes >= PARTS_FROM_BYTES else None
        self._part = _md5()
        self._filled = 0
        self._parts: list[bytes] = []

    def __call__(self, data: bytes) -> None:
        view = memoryview(data)
        while self._part_bytes is not None and self._filled + len(view) >= self._part_bytes:
            rest = self._part_bytes - self._filled
            self._part.update(view[:rest])
            view = view[rest:]
            self._end_part()
        self._part.update(view)
        self._filled += len(view)

    def _end_part(self) -> None:
        self._parts.append(self._part.digest())
        self._part, self._filled = _md5(), 0

    @property
    def value(self) -> str:
        """Without quotation marks."""
        if self._part_bytes is None:
            return self._part.hexdigest()
        parts = [*self._parts, self._part.digest()] if self._filled else self._parts
        return f"{_md5(b''.join(parts)).hexdigest()}-{len(parts)}"


def _md5(data: bytes = b"") -> hashlib._Hash:
    # It need not resist an attacker: the sha256 is compared, too.
    return hashlib.md5(data, usedforsecurity=False)
