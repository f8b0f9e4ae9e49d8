# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The rules for postgres_backup_recipients: public keys only, and an image that has age."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .checks import Variables, is_list

# The keys that age takes without a plugin: the pods have none. A run lets age itself check each.
_AGE = re.compile(r"age1[ac-hj-np-z02-9]{50,4000}")
_SSH = re.compile(r"ssh-(ed25519|rsa) [A-Za-z0-9+/]{40,8000}={0,2}( [^\x00-\x1f\x7f]*)?")
_PRIVATE = re.compile(r"AGE-SECRET-KEY-|AGE-PLUGIN-|PRIVATE KEY", re.IGNORECASE)


def are_recipients(value: Any, _variables: Variables) -> str | None:
    """What is expected of postgres_backup_recipients, None if the value is valid; nothing of the value is in it."""
    problems = "; ".join(_problems(value))
    return f"a list of public keys, such as age1…, ssh-ed25519 … or ssh-rsa … ({problems})" if problems else None


def _problems(value: Any) -> Iterator[str]:
    if not is_list(value):
        yield "it is not a list"
        return
    for number, entry in enumerate(value, 1):
        text = str(entry)
        if _PRIVATE.search(text):
            yield f"entry {number} is a private key: set its public key"
        elif not isinstance(entry, str) or not (_AGE.fullmatch(text) or _SSH.fullmatch(text)):
            yield f"entry {number} is not a public key in one line"


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
