# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which public keys belong to identities: what is encrypted to one of them, its identity decrypts."""

from __future__ import annotations

from ..key_forms import BECH32_LETTERS, bech32_checksum, identity_fault, openssh_public_key

_AGE_PREFIX = "age"
_KEY_BYTES = 32
# 32 bytes in letters of 5 bits; the last one has 4 more, which are 0.
_KEY_LETTERS, _KEY_PADDING = 52, 4


def public_keys(identity: str) -> list[str]:
    """That of each private key in the text; empty if one of them cannot be found out here, or is none.

    It can for keys of age, where Python has the library cryptography, and for those of SSH in the format of OpenSSH,
    which have it in them.
    """
    if identity_fault(identity):
        return []
    if identity.startswith("-----BEGIN "):
        key = openssh_public_key(identity)
        return [key] if key else []
    lines = [line for line in identity.replace("\r\n", "\n").split("\n") if line and not line.startswith("#")]
    keys = [_age_public_key(line.lower()) for line in lines]
    return [key for key in keys if key] if all(keys) else []


def _age_public_key(private_key: str) -> str | None:
    """That of a private key of age, in small letters, whose checksum fits; None if it cannot be found out."""
    letters = private_key.rpartition("1")[2][:-6]
    if len(letters) != _KEY_LETTERS:
        return None
    number = 0
    for letter in letters:
        number = number << 5 | BECH32_LETTERS.index(letter)
    public = _x25519((number >> _KEY_PADDING).to_bytes(_KEY_BYTES, "big"))
    if public is None:
        return None
    number = int.from_bytes(public, "big") << _KEY_PADDING
    data = [number >> 5 * place & 31 for place in reversed(range(_KEY_LETTERS))]
    checksum = bech32_checksum(_AGE_PREFIX, [*data, *[0] * 6]) ^ 1
    data += [checksum >> 5 * place & 31 for place in reversed(range(6))]
    return f"{_AGE_PREFIX}1{''.join(BECH32_LETTERS[value] for value in data)}"


def _x25519(private_key: bytes) -> bytes | None:
    """The public key (RFC 7748, 6.1); None without the library cryptography, which ansible-core requires."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only where it is needed
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - only where it is needed
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - only where it is needed
    except ImportError:
        return None
    try:
        key = X25519PrivateKey.from_private_bytes(private_key)
    except UnsupportedAlgorithm:
        return None
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
