# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The ETag of an object. That stores compute the same is tested in test_program.py."""

from __future__ import annotations

from functools import partial
from hashlib import md5
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._copy import etag
from plugins.module_utils._copy.etag import Etag, part_bytes

MIB = 1 << 20
hash_of = partial(md5, usedforsecurity=False)


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, 16 * MIB), (160_000 * MIB, 16 * MIB), (160_000 * MIB + 1, 32 * MIB), (5 << 40, 528 * MIB)],
)
def test_the_parts_of_an_object(size_bytes: int, expected: int) -> None:
    assert part_bytes(size_bytes) == expected
    assert -(-size_bytes // expected) <= 10_000


@given(content=st.binary(max_size=60), cuts=st.lists(st.integers(0, 60)))
def test_the_etag_is_the_same_however_the_content_is_read(content: bytes, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(etag, "PARTS_FROM_BYTES", 20)
        patch.setattr(etag, "_PART_BYTES", 8)
        found = Etag(len(content))
        ends = sorted({0, *cuts, len(content)})
        for begin, end in pairwise(ends):
            found(content[begin:end])
        parts = [content[begin : begin + 8] for begin in range(0, len(content), 8)]
    of_parts = hash_of(b"".join(hash_of(part).digest() for part in parts)).hexdigest()
    assert found.value == (hash_of(content).hexdigest() if len(content) < 20 else f"{of_parts}-{len(parts)}")
