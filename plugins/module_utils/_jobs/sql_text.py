# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Names and texts in SQL."""

from __future__ import annotations

# PostgreSQL's NAMEDATALEN - 1.
NAME_BYTES = 63


def cut_name(name: str, ending: str) -> str:
    """The name with this suffix in at most 63 bytes of UTF-8, truncated between two characters."""
    room = NAME_BYTES - len(ending.encode())
    return name.encode()[:room].decode("utf-8", "ignore") + ending


def quote_name(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """An SQL string that does not depend on standard_conforming_strings."""
    quoted = text.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"
