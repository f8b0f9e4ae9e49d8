# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Secrets are removed from every text that is logged, recorded or sent: a server's answer may repeat them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
# Shorter parts of a URL, such as `v1` or `hook`, are not secret, and occur in any text.
_SHORTEST_PART = 6


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, without their lines, and, for a URL, without its host and the parts of its path."""
    for secret in sorted({part for value in secrets for part in _parts(value)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _parts(value: str) -> set[str]:
    value = value.strip()
    lines = [line.strip() for line in value.splitlines()]
    parts = {value, *lines}
    for line in lines:
        if "://" in line:
            parts |= _parts_of_url(line)
    return {part for part in parts if part}


def _parts_of_url(url: str) -> set[str]:
    try:
        split = urlsplit(url)
        host, user, password = split.hostname or "", split.username or "", split.password or ""
    except ValueError:
        return set()
    words = {word for word in re.split(r"[/?&=;#]", f"{split.path}?{split.query}") if len(word) >= _SHORTEST_PART}
    parts = {split.netloc, host, password, f"{split.path}?{split.query}".rstrip("?"), *words}
    if len(user) >= _SHORTEST_PART:
        parts.add(user)
    parts |= {unquote(part) for part in parts}
    return {part for part in parts if len(part) > 1}
