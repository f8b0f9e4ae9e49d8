# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The format of a text that is not a plain dump of pg_dumpall or pg_dump, as far as its beginning shows it."""

from __future__ import annotations

import re

# psql skips it at the beginning of a file (mainloop.c).
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The beginnings of data that other programs compressed; zstd data may begin with a skippable frame.
COMPRESSIONS = (
    (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", "zstd"),
    (rb"\xfd7zXZ\x00|\x5d\x00\x00[\x00-\xff]{2}", "xz"),
    (rb"BZh[1-9]", "bzip2"),
    (rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "lz4"),
    (rb"LZIP", "lzip"),
    (rb"\x89LZO\x00\x0d\x0a\x1a\x0a", "lzop"),
)
# Those of age and OpenSSL, of armoured text, and of OpenPGP: a session key, encrypted with a public key or a passphrase
# (RFC 9580, 5.1 and 5.3).
ENCRYPTED = (
    rb"age-encryption\.org/|-----BEGIN |Salted__|[\x84\xc1][\x00-\xff][\x03\x06]|\x85[\x00-\xff]{2}[\x03\x06]"
    rb"|[\x8c\xc3][\x00-\xff][\x04-\x06]"
)
_CUSTOM_FORMAT = b"PGDMP"
_TAR_MAGIC = b"ustar"
_UTF_16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
# What other programs write at the beginning of their dumps; forks of PostgreSQL use pg_dump's words.
_PRODUCT_BYTES = 4096
_PRODUCT = re.compile(
    rb"^(?:-- (?!PostgreSQL database)([A-Za-z][A-Za-z0-9_. ]{0,40}?) database (?:cluster )?dump\r?$"
    rb"|(?:--|#|/\*)? ?(MySQL|MariaDB|phpMyAdmin|Adminer|HeidiSQL|Navicat|DBeaver|SQLite)\b"
    rb"[^\n]{0,80}?(?i:dump|transfer|$)"
    rb"|(PRAGMA foreign_keys))",
    re.MULTILINE,
)


def other_format(begin: bytes) -> str | None:
    """The format of a text with this beginning, and what to do, for people; None where it is not known."""
    product = _product_of(begin)
    compression = next((name for magic, name in COMPRESSIONS if re.match(magic, begin)), None)
    formats = (
        (not begin or begin == BYTE_ORDER_MARK, "the text is empty: the program that was to write it failed"),
        (
            _is_utf_16_or_32(begin),
            "found UTF-16 or UTF-32, as PowerShell's > writes it. Let pg_dumpall or pg_dump write the file "
            "(--file), and compress it with gzip",
        ),
        (
            begin.startswith(_CUSTOM_FORMAT),
            "found pg_dump's custom format, which pg_restore reads; dump with --format=plain",
        ),
        (begin[257:262] == _TAR_MAGIC, "found a tar archive; expected the SQL text itself"),
        (begin.startswith(b"\x1f\x8b"), "found gzip data within gzip data; decompress it once"),
        (compression is not None, f"found {compression} data within gzip data; decompress both, and compress it once"),
        (re.match(ENCRYPTED, begin) is not None, "found encrypted data within gzip data; decrypt it first"),
        (product is not None, f"found a dump of {product}; its own programs restore it"),
        (
            b"\r" in begin and b"\n" not in begin,
            "its lines end in CR alone, which psql does not accept; expected LF or CRLF",
        ),
    )
    return next((text for matches, text in formats if matches), None)


def _is_utf_16_or_32(begin: bytes) -> bool:
    """Whether a text begins with a byte order mark of UTF-16 or UTF-32, or with characters that have a zero byte."""
    if begin.startswith(_UTF_16_OR_32):
        return True
    return len(begin) > 1 and len({begin[0] == 0, begin[1] == 0}) == 2 and begin[2:4].count(0) == 1


def _product_of(begin: bytes) -> str | None:
    """The product that wrote a text, where its beginning names another one than PostgreSQL."""
    match = _PRODUCT.search(begin[:_PRODUCT_BYTES])
    if match is None:
        return None
    name = (match[1] or match[2] or b"SQLite").decode()
    return "YugabyteDB" if name == "YSQL" else name
