# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How keys are written: those of age in Bech32 (BIP 173), those of OpenSSH as strings (RFC 4251, 5)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

BECH32_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)

IDENTITY = "lines that begin with AGE-SECRET-KEY-1, or one private key of OpenSSH"
_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\r?\n(.*?)(?<=\n)-----END \1-----[ \t]*(\r?\n|\Z)", re.DOTALL)
_OPENSSH = "OPENSSH PRIVATE KEY"
_SSH_MAGIC = b"openssh-key-v1\0"
_SSH_TYPES = (b"ssh-ed25519", b"ssh-rsa")
# What a line is if not the private key of a pair of age; the first one that fits is named.
_LINES = (
    (re.compile(r"\s.*|.*\s", re.DOTALL), "a space at the beginning or the end of"),
    (re.compile(r"age1.*|ssh-.*"), "a public key in"),
    (re.compile(r"AGE-PLUGIN-.*"), "a key of a plugin, which the pods do not have, in"),
    (re.compile(r"AGE-SECRET-KEY-PQ-1.*"), "a post-quantum key, which is not supported, in"),
    (re.compile(r"AGE-SECRET-KEY-1.*"), "a key that has a mistake, or lacks characters, in"),
    (re.compile(r"age-secret-key-1.*"), "a key in small letters in"),
    (re.compile(r"-----BEGIN .*"), "a private key of OpenSSH, which needs a separate file, after other text in"),
)


def has_checksum(text: str) -> bool:
    """Whether the checksum at the end of a key of age, in small letters, fits."""
    prefix, _separator, data = text.rpartition("1")
    if not prefix or not set(data) <= set(BECH32_LETTERS) or len(data) < 6:
        return False
    return bech32_checksum(prefix, [BECH32_LETTERS.index(letter) for letter in data]) == 1


def bech32_checksum(prefix: str, data: Iterable[int]) -> int:
    """The checksum of the values of letters, 1 for a text whose last six letters are its checksum."""
    values = [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]
    checksum = 1
    for value in [*values, *data]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum


def next_string(content: bytes) -> tuple[bytes, bytes]:
    """The string at the beginning, and what follows it; raises ValueError if it is cut off."""
    end = 4 + int.from_bytes(content[:4], "big")
    if len(content) < max(end, 4):
        raise ValueError("the string is cut off")
    return content[4:end], content[end:]


def identity_fault(text: str) -> str | None:
    """What the text is instead of an identity, None if it is one (parseIdentitiesFile in cmd/age/parse.go)."""
    if text.startswith(("age-encryption.org/", "-----BEGIN AGE ")):
        return "an encrypted one: decrypt it first"
    if "\0" in text:
        return "UTF-16, as PowerShell writes it: save it as UTF-8"
    if text.startswith("\ufeff"):
        return "a byte order mark: save it as UTF-8 without one"
    return _ssh_fault(text) if text.startswith("-----BEGIN ") else _age_fault(text)


def _age_fault(text: str) -> str | None:
    keys = 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        if not line.startswith("AGE-SECRET-KEY-1") or not line.isupper() or not has_checksum(line.lower()):
            found = next((found for pattern, found in _LINES if pattern.fullmatch(line)), "something else in")
            return f"{found} line {number}"
        keys += 1
    return None if keys else "none"


def _ssh_fault(text: str) -> str | None:
    match = _PEM.match(text)
    if match is None:
        return "one that is cut off, indented, or lacks its line breaks"
    kind, body = match[1], match[2]
    if text[match.end() :].strip():
        return "more text after the first one, which age would not read"
    if kind == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in body.partition("\n")[0]:
        return _PASSPHRASE
    if kind in ("EC PRIVATE KEY", "DSA PRIVATE KEY"):
        return _OTHER_TYPE
    try:
        content = base64.b64decode("".join(body.split()), validate=True)
        return _openssh_fault(content) if kind == _OPENSSH else None
    except ValueError:
        return "one that has a mistake, or lacks characters"


_PASSPHRASE = "one with a passphrase: make a copy without it (ssh-keygen -p -f COPY)"  # noqa: S105 - a message
_OTHER_TYPE = "another type: of SSH keys, age takes ssh-ed25519 and ssh-rsa"


def _openssh_fault(content: bytes) -> str | None:
    """That of a key in the format of OpenSSH; raises ValueError if it is damaged."""
    cipher, public = _openssh_parts(content)
    if cipher != b"none":
        return _PASSPHRASE
    return None if next_string(public)[0] in _SSH_TYPES else _OTHER_TYPE


def openssh_public_key(text: str) -> str | None:
    """The public key in an identity without a fault, as its `.pub` file has it; None if it has another format."""
    match = _PEM.match(text)
    if match is None or match[1] != _OPENSSH:
        return None
    _cipher, public = _openssh_parts(base64.b64decode("".join(match[2].split())))
    return f"{next_string(public)[0].decode()} {base64.b64encode(public).decode()}"


def _openssh_parts(content: bytes) -> tuple[bytes, bytes]:
    """The cipher and the public key of a key in the format of OpenSSH (PROTOCOL.key); ValueError if it is damaged."""
    if not content.startswith(_SSH_MAGIC):
        raise ValueError("no key of OpenSSH")
    cipher, rest = next_string(content[len(_SSH_MAGIC) :])
    _derivation, rest = next_string(rest)
    _derivation_options, rest = next_string(rest)
    public, rest = next_string(rest[4:])
    next_string(rest)
    return cipher, public
