# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How keys are written: those of age in Bech32 (BIP 173), those of OpenSSH as strings (RFC 4251, 5)."""

from __future__ import annotations

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def has_checksum(text: str) -> bool:
    """Whether the checksum at the end of a key of age, in small letters, fits."""
    prefix, _separator, data = text.rpartition("1")
    if not prefix or not set(data) <= set(_LETTERS) or len(data) < 6:
        return False
    values = [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]
    checksum = 1
    for value in [*values, *(_LETTERS.index(letter) for letter in data)]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum == 1


def next_string(content: bytes) -> tuple[bytes, bytes]:
    """The string at the beginning, and what follows it; raises ValueError if it is cut off."""
    end = 4 + int.from_bytes(content[:4], "big")
    if len(content) < max(end, 4):
        raise ValueError("the string is cut off")
    return content[4:end], content[end:]
