# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""PostgreSQL's identifiers in SQL text (src/backend/parser/scan.l: `identifier` and `xd`), as patterns for bytes.

Bytes above 127 belong to letters in every encoding that a dump may have.
"""

from __future__ import annotations

from .encodings import decode

PLAIN_IDENTIFIER = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*"
IDENTIFIER = rb'(?:"(?:[^"]|"")*"|' + PLAIN_IDENTIFIER + rb")"


def unquoted(identifier: bytes) -> bytes:
    """The bytes of the name that a quoted or plain identifier stands for; the case of a plain one is not changed."""
    return identifier[1:-1].replace(b'""', b'"') if identifier[:1] == b'"' else identifier


def folded(identifier: bytes) -> bytes:
    """The bytes of the name that a quoted or plain identifier stands for; letters of a plain one become small."""
    return unquoted(identifier) if identifier[:1] == b'"' else identifier.lower()


def decoded_name(identifier: bytes, codec: str) -> str:
    """A quoted or plain identifier as the name that it stands for (each part of a qualified setting is plain)."""
    text = decode(identifier, codec)
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        return text[1:-1].replace('""', '"')
    return text
