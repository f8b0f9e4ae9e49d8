# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is passed on of an identity in a Secret: what is wrong with it, else the public keys that belong to it."""

from __future__ import annotations

from .._dump.decryption import parse_identities
from ..errors import IdentityError
from ..key_forms import identity_fault, openssh_public_key


def public_keys(text: str) -> list[str]:
    """That of each private key in the text; empty if one of them cannot be found out here, or is none.

    For keys of age, this needs the library pyrage. Of SSH keys, those in the format of OpenSSH have it in them.
    """
    if identity_fault(text):
        return []
    if text.startswith("-----BEGIN "):
        key = openssh_public_key(text)
        return [key] if key else []
    try:
        return [str(identity.to_public()) for identity in parse_identities(text)]
    except IdentityError:
        return []


# By the names that they have in the result of prerequisites_info.
EXAMINATIONS = {"faults": identity_fault, "public_keys": public_keys}
