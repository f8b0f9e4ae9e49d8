# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The identity that a call gives, as a text or as a file."""

from __future__ import annotations

import base64
import os
import re
import stat

from ..errors import IdentityError
from ..key_forms import has_checksum, next_string

_LIMIT_BYTES = 1 << 20
_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\r?\n(.*?)-----END \1-----[ \t]*(\r?\n|\Z)", re.DOTALL)
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


def identity_text(identity: str | None, identity_file: str | None) -> str | None:
    """The text of the identity, None without both; raises IdentityError, whose message has nothing of the text.

    What age refuses in a pod, or at home after a loss, is refused here, also if pyrage would take it.
    """
    if identity is not None and identity_file is not None:
        raise IdentityError("identity: expected one of identity and identity_file, found both")
    text = identity
    if identity_file is not None:
        try:
            text = _read(identity_file)
        except OSError as error:
            raise IdentityError(f"identity_file: {identity_file} cannot be read: check its path and mode") from error
    if text is not None and (found := _fault(text)):
        raise IdentityError(
            "identity: expected lines that begin with AGE-SECRET-KEY-1, or one private key of OpenSSH, found "
            f"{found}. Give the private key of one of the recipients"
        )
    return text


def _fault(text: str) -> str | None:
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
        if not line.startswith("AGE-SECRET-KEY-1") or not has_checksum(line.lower()):
            found = next((found for pattern, found in _LINES if pattern.fullmatch(line)), "something else in")
            return f"{found} line {number}"
        keys += 1
    return None if keys else "none"


def _ssh_fault(text: str) -> str | None:
    match = _PEM.match(text)
    if match is None:
        return "one that is cut off, or lacks its line breaks"
    kind, body = match[1], match[2]
    if text[match.end() :].strip():
        return "more text after the first one, which age would not read"
    if kind == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in body.partition("\n")[0]:
        return _PASSPHRASE
    if kind in ("EC PRIVATE KEY", "DSA PRIVATE KEY"):
        return _OTHER_TYPE
    try:
        content = base64.b64decode("".join(body.split()), validate=True)
        return _openssh_fault(content) if kind == "OPENSSH PRIVATE KEY" else None
    except ValueError:
        return "one that has a mistake, or lacks characters"


_PASSPHRASE = "one with a passphrase: make a copy without it (ssh-keygen -p -f COPY)"  # noqa: S105 - a message
_OTHER_TYPE = "another type: of SSH keys, age takes ssh-ed25519 and ssh-rsa"


def _openssh_fault(content: bytes) -> str | None:
    """That of a key in the format of OpenSSH (PROTOCOL.key); raises ValueError if it is damaged."""
    if not content.startswith(_SSH_MAGIC):
        raise ValueError("no key of OpenSSH")
    cipher, rest = next_string(content[len(_SSH_MAGIC) :])
    _derivation, rest = next_string(rest)
    _derivation_options, rest = next_string(rest)
    public, rest = next_string(rest[4:])
    next_string(rest)
    if cipher != b"none":
        return _PASSPHRASE
    return None if next_string(public)[0] in _SSH_TYPES else _OTHER_TYPE


def _read(path: str) -> str:
    # Without waiting for the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        return stream.read(_LIMIT_BYTES).decode("utf-8", "replace")
