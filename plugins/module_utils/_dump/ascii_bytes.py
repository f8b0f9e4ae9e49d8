# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The ASCII characters that mean something in a dump, as the numbers that one byte of `bytes` is in Python."""

from __future__ import annotations

NEWLINE = ord("\n")
CARRIAGE_RETURN = ord("\r")
DOUBLE_QUOTE = ord('"')
DOLLAR_SIGN = ord("$")
APOSTROPHE = ord("'")
OPENING_PARENTHESIS = ord("(")
CLOSING_PARENTHESIS = ord(")")
HYPHEN = ord("-")
SLASH = ord("/")
COLON = ord(":")
SEMICOLON = ord(";")
BACKSLASH = ord("\\")
