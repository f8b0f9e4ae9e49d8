# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The rules for postgres_backup_recipients: public keys only, and an image that has age."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from .._volume.recipients import without_comment
from ..key_forms import has_checksum, next_string
from .checks import Variables, is_list

# The keys that age takes without a plugin: the pods have none. A run lets age itself check each.
_AGE = re.compile(r"age1[ac-hj-np-z02-9]{50,4000}")
_SSH = re.compile(r"ssh-(ed25519|rsa) [A-Za-z0-9+/]{40,8000}={0,2}( [^\x00-\x1f\x7f]*)?")
_ED25519_BYTES = 32
# Fewer are refused by age (Go's crypto/rsa).
_RSA_BITS = 2048
_MISTAKE = "it has a mistake, or lacks characters"
# What is refused, and why; the first one that fits is named.
_REFUSED = (
    (re.compile(r"\s*"), "it is empty"),
    (re.compile(r"#.*"), "it is a comment"),
    (re.compile(r"\s.*|.*\s", re.DOTALL), "it begins or ends with a space or a line break"),
    (re.compile(r".*[\r\n].*", re.DOTALL), "it has more than one line"),
    (re.compile(r"age1pq1\S*"), "post-quantum keys are not supported"),
    (re.compile(r"age1\S+1\S*"), "keys of plugins are not supported: the pods have no plugin"),
    (re.compile(r"age1\S+\s.*"), "a text follows the key"),
    (re.compile(r"(ecdsa|sk|ssh-dss)[a-z0-9-]*(@openssh[.]com)? .*"), "of SSH keys, age takes ssh-ed25519 and ssh-rsa"),
    (re.compile(r".+ (ssh|ecdsa|sk)-[a-z0-9@.-]+ AAAA.*"), "a text, such as options, is before the key"),
)
# A comment may have the words "private key".
_PRIVATE = re.compile(r"(?i:AGE-SECRET-KEY-|AGE-PLUGIN-)|PRIVATE KEY")


def are_recipients(value: Any, _variables: Variables) -> str | None:
    """What is expected of postgres_backup_recipients, None if the value is valid; nothing of the value is in it."""
    problems = "; ".join(_problems(value))
    return f"a list of public keys, such as age1…, ssh-ed25519 … or ssh-rsa … ({problems})" if problems else None


def _problems(value: Any) -> Iterator[str]:
    if not is_list(value):
        is_private = isinstance(value, str) and _PRIVATE.search(value)
        yield "it is a private key: set a list with its public key" if is_private else "it is not a list"
        return
    # The number of the first entry with each key.
    first: dict[str, int] = {}
    for number, entry in enumerate(value, 1):
        text = str(entry)
        if _PRIVATE.search(text):
            yield f"entry {number} is a private key: set its public key"
        elif not isinstance(entry, str) or not (_AGE.fullmatch(text) or _SSH.fullmatch(text)):
            reason = next((f": {reason}" for pattern, reason in _REFUSED if pattern.fullmatch(text)), "")
            yield f"entry {number} is not a public key in one line{reason}"
        elif fault := _fault(text):
            yield f"entry {number} is not a public key: {fault}"
        elif first.setdefault(without_comment(text), number) != number:
            yield f"entry {number} is the same key as entry {first[without_comment(text)]}"


def _fault(text: str) -> str | None:
    """What is wrong with a text that has the form of a key; None if it is one."""
    if _AGE.fullmatch(text):
        return None if has_checksum(text) else _MISTAKE
    kind, key = text.split()[:2]
    try:
        name, rest = next_string(base64.b64decode(key, validate=True))
        last, rest = next_string(rest)
        if kind == "ssh-rsa":
            last, rest = next_string(rest)
    except ValueError:
        return _MISTAKE
    # Python takes more padding than there must be.
    if name != kind.encode() or rest or len(key) % 4 or (kind == "ssh-ed25519" and len(last) != _ED25519_BYTES):
        return _MISTAKE
    if kind == "ssh-rsa" and int.from_bytes(last, "big").bit_length() < _RSA_BITS:
        return f"of RSA keys, age takes those of {_RSA_BITS} bits or more"
    return None


def has_age_image(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_tools_image, None if the value is valid."""
    if str(value) or not variables["postgres_backup_recipients"] or str(variables["postgres_backup_watch_image"]):
        return None
    return "an image with the program age, since postgres_backup_recipients is set"


def can_decrypt(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_drill_identity_secret, None if the value is valid."""
    if str(value) and not variables["postgres_backup_recipients"]:
        return "postgres_backup_recipients with it: without them, backups are not encrypted"
    has_drills = variables["postgres_backup_recipients"] and str(variables["postgres_backup_drill_schedule"])
    if str(value) or not has_drills:
        return None
    return (
        "a Secret with the private key of one of postgres_backup_recipients, since scheduled drills "
        "(postgres_backup_drill_schedule) must decrypt the backups. Make a pair of keys for them, or set "
        "postgres_backup_drill_schedule to an empty string and start drills with an identity"
    )
