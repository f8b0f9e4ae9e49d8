# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Text in encodings whose characters hold ASCII bytes, masked as psql does it."""

from __future__ import annotations

import re

# Encodings in which a byte below 0x80 can be part of a longer character (src/common/wchar.c). A server cannot have
# them, but `pg_dump -E` writes them. What matches here is masked before it is read, as psql does.
_TWO_BYTES = rb"[\x80-\xff][^\n]"
MASKS = {
    "SJIS": rb"[\x80-\xa0\xe0-\xff][^\n]",
    "SHIFTJIS2004": rb"[\x80-\xa0\xe0-\xff][^\n]",
    "BIG5": _TWO_BYTES,
    "GBK": _TWO_BYTES,
    "UHC": _TWO_BYTES,
    "JOHAB": rb"\x8f[^\n]{2}|[\x80-\x8e\x90-\xff][^\n]",
    "GB18030": rb"[\x80-\xff][\x30-\x39][^\n]{2}|[\x80-\xff][^\n\x30-\x39]",
}
_INCOMPLETE = {
    "JOHAB": re.compile(rb"\x8f[^\n]?\Z|[\x80-\xfe]\Z"),
    "GB18030": re.compile(rb"[\x80-\xfe](?:[0-9][^\n]?)?\Z"),
}
_INCOMPLETE_PAIR = re.compile(rb"[\x80-\xfe]\Z")


def masked(data: bytes, encoding: str, final: bool) -> tuple[bytes, bytes]:
    """Complete characters of the data, and the same with every longer character as bytes 0xff.

    psql does so in psqlscan_prepare_buffer() of psqlscan.l. The beginning of a character is kept, unless
    the data is `final`.
    """
    lexed = re.sub(MASKS[encoding], lambda found: b"\xff" * len(found[0]), data)
    incomplete = _INCOMPLETE.get(encoding, _INCOMPLETE_PAIR).search(lexed, max(0, len(lexed) - 3))
    if incomplete and not final:
        return data[: incomplete.start()], lexed[: incomplete.start()]
    return data, lexed
