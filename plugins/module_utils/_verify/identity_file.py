# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The identity that a call gives, as a text or as a file."""

from __future__ import annotations

import os
import re
import stat

from ..errors import IdentityError

_LIMIT_BYTES = 1 << 20
_ENCRYPTED = "age-encryption.org/"
_PRIVATE = re.compile(r"^(AGE-SECRET-KEY-|AGE-PLUGIN-|-----BEGIN [A-Z ]*PRIVATE KEY-----)", re.MULTILINE)
_PUBLIC = re.compile(r"^(age1|ssh-)", re.MULTILINE)


def identity_text(identity: str | None, identity_file: str | None) -> str | None:
    """The text of the identity, None without both; raises IdentityError, whose message has nothing of the text."""
    if identity is not None and identity_file is not None:
        raise IdentityError("identity: expected one of identity and identity_file, found both")
    if identity_file is None:
        return identity
    try:
        text = _read(identity_file)
    except OSError as error:
        raise IdentityError(f"identity_file: {identity_file} cannot be read: check its path and mode") from error
    if text.startswith(_ENCRYPTED):
        raise IdentityError("identity_file: expected an identity, found an encrypted one. Decrypt it first")
    return text


def private_text(identity: str | None, identity_file: str | None) -> str | None:
    """The text of the identity, which has a private key by its form; age finds out more where it decrypts."""
    text = identity_text(identity, identity_file)
    if text is None or _PRIVATE.search(text):
        return text
    found = "a public key" if _PUBLIC.search(text) else "none"
    raise IdentityError(
        "identity: expected a line that begins with AGE-SECRET-KEY-1, or a private key of OpenSSH, found "
        f"{found}. Give the private key of one of the recipients"
    )


def _read(path: str) -> str:
    # Without waiting for the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        return stream.read(_LIMIT_BYTES).decode("utf-8", "replace")
