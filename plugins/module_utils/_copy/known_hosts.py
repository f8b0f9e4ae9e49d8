# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which kinds of host keys known_hosts has for a server (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

A server has keys of several kinds. One for which it is not asked cannot be compared, and ssh writes only one of them.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
from collections.abc import Iterator

_PORT = 22
_HASHED = "|1|"
# The signatures of a key, where they are not named as it is (RFC 8332).
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")}


def host_key_algorithms(known_hosts: str, host: str, port: int) -> list[str]:
    """The algorithms to ask the server for; empty where it may choose: no key is known, or one of an authority is."""
    host = host.lower().strip("[]")
    name = host if port == _PORT else f"[{host}]:{port}"
    found: dict[str, None] = {}
    for marker, patterns, kind in _entries(known_hosts):
        if any(_is_meant(pattern, name) for pattern in patterns.split(",")):
            if marker == "@cert-authority":
                return []
            if not marker:
                found.update(dict.fromkeys(_SIGNATURES.get(kind, (kind,))))
    return list(found)


def _entries(known_hosts: str) -> Iterator[tuple[str, str, str]]:
    """The marker, the names and the kind of the key of each line."""
    for line in known_hosts.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) > 2 and not words[0].startswith("#"):
            yield marker, words[0], words[1]


def _is_meant(pattern: str, name: str) -> bool:
    if not pattern.startswith(_HASHED):
        # A [ is one of the name, as in [nas]:2222.
        return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))
    try:
        salt, digest = (base64.b64decode(text, validate=True) for text in pattern[len(_HASHED) :].split("|"))
    except ValueError:
        return False
    return hmac.digest(salt, name.encode(), hashlib.sha1) == digest
