# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The identity that a call gives, as a text or as a file."""

from __future__ import annotations

import os
import stat

from ..errors import IdentityError
from ..key_forms import IDENTITY, identity_fault
from .public_keys import public_keys

_LIMIT_BYTES = 1 << 20
# A path that has them, and of which there is no file, is a key.
_OF_A_KEY = ("AGE-SECRET-KEY-", "PRIVATE KEY-----")


def identity_text(identity: str | None, identity_file: str | None) -> str | None:
    """The text of the identity, None without both; raises IdentityError, whose message has nothing of the text.

    An empty option is not given, such as an empty variable of a playbook; an empty file is refused. What age refuses in
    a pod, or at home after a loss, is refused here, also if pyrage would take it.
    """
    if identity and identity_file:
        raise IdentityError("identity: expected one of identity and identity_file, found both")
    text = identity or None
    if identity_file:
        try:
            text = _read(identity_file)
        except OSError as error:
            if any(words in identity_file.upper() for words in _OF_A_KEY):
                raise IdentityError(
                    "identity_file: expected a path, found a private key. Give it as identity"
                ) from None
            raise IdentityError(f"identity_file: {identity_file} cannot be read: check its path and mode") from error
    if text is not None and (found := identity_fault(text)):
        raise IdentityError(
            f"identity: expected {IDENTITY}, found {found}. Give the private key of one of the recipients"
        )
    return text


def identity_keys(identity: str | None, identity_file: str | None) -> list[str]:
    """The public keys of the identities, as public_keys.py finds them out; raises IdentityError."""
    return public_keys(identity_text(identity, identity_file) or "")


def _read(path: str) -> str:
    # Without waiting for the other end of a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        return stream.read(_LIMIT_BYTES).decode("utf-8", "replace")
