# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
from __future__ import annotations

import re

import pytest

from plugins.module_utils._dump.identifiers import IDENTIFIER, unquoted


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        (b"users", b"users"),
        (b"_a$1", b"_a$1"),
        ("größe".encode(), "größe".encode()),
        (b'"a b"', b"a b"),
        (b'"a""b"', b'a"b'),
        (b'"1"', b"1"),
    ],
)
def test_an_identifier_is_read_as_postgresql_reads_it(identifier: bytes, name: bytes) -> None:
    assert re.fullmatch(IDENTIFIER, identifier)
    assert unquoted(identifier) == name


@pytest.mark.parametrize("text", [b"", b"1a", b"$a", b"a-b", b"a.b", b"'a'", b'"a', b'"a"b"', b"a b"])
def test_other_text_is_not_an_identifier(text: bytes) -> None:
    assert not re.fullmatch(IDENTIFIER, text)
