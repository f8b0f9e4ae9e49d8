# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup that is made again from its text: the same text, a member for each part, and a manifest for them."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._copy.recompression import Gunzip, Recompression, new_manifest, origin, part_ends
from plugins.module_utils._volume.manifest import parse_manifest
from tests.backup_parts import NAME, make_backup

BACKUP = make_backup((Path(__file__).parents[1] / "dumps" / "18-all.sql").read_bytes())
MANIFEST = BACKUP.manifest.encode()
MIB = 1 << 20


def recompressed(text: bytes, ends: list[int], size: int) -> tuple[Recompression, bytes]:
    """The text in pieces of that size; what was written."""
    written: list[bytes] = []
    done = Recompression(ends, written.append)
    for begin in range(0, len(text), size):
        done(text[begin : begin + size])
    done.finish()
    return done, b"".join(written)


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=5), st.integers(1, 700))
def test_any_text_in_any_parts(text: bytes, ends: list[int], size: int) -> None:
    ends = sorted(end for end in ends if end <= len(text))
    done, file = recompressed(text, ends, size)
    assert gzip.decompress(file) == text
    assert (done.size_bytes, done.text_bytes) == (len(file), len(text))
    for end in ends:
        assert gzip.decompress(file[: done.offsets[end]]) == text[:end]


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 100))
def test_any_members_are_decompressed(texts: list[bytes], size: int) -> None:
    file = b"".join(gzip.compress(text) for text in texts)
    gunzip = Gunzip()
    found = [piece for begin in range(0, len(file), size) for piece in gunzip.feed(file[begin : begin + size])]
    gunzip.finish()
    assert b"".join(found) == b"".join(texts)


@pytest.mark.parametrize("end", [1, 9, 25, -1])
def test_a_file_that_ends_too_early(end: int) -> None:
    gunzip = Gunzip()
    list(gunzip.feed(gzip.compress(b"text" * 100)[:end]))
    with pytest.raises(zlib.error, match="ends too early"):
        gunzip.finish()


@pytest.mark.parametrize("text", [b"0" * (5 * MIB), b"0" * (5 * MIB + 1), b"0" * (MIB - 1), b""])
def test_pieces_of_a_text_are_small(text: bytes) -> None:
    """A thousandth of the text is enough for its file: memory must not grow with it."""
    gunzip = Gunzip()
    pieces = list(gunzip.feed(gzip.compress(text)))
    gunzip.finish()
    assert b"".join(pieces) == text
    assert max([0, *map(len, pieces)]) <= MIB


def test_the_manifest_has_the_new_places() -> None:
    done, file = recompressed(BACKUP.text, part_ends(MANIFEST, NAME), 1000)
    text = new_manifest(MANIFEST, NAME, done, BACKUP.sha256)
    assert text is not None
    found, before = parse_manifest(text, NAME), parse_manifest(MANIFEST, NAME)
    assert (found.sha256, found.size_bytes, found.compressor) == (done.sha256, len(file), "zlib")
    assert [part.name for part in found.parts] == [part.name for part in before.parts]
    for part in found.parts:
        assert part.span is not None
        begin = part.span.text_offset_bytes
        member = file[part.span.offset_bytes : part.span.offset_bytes + part.span.length_bytes]
        assert gzip.decompress(member) == BACKUP.text[begin : begin + part.span.text_length_bytes]
    # Each line of the other parts is as it was.
    assert len(text.splitlines()) == len(MANIFEST.splitlines()) + 1


def test_what_was_recompressed_twice_has_one_origin() -> None:
    done, _file = recompressed(BACKUP.text, part_ends(MANIFEST, NAME), 1000)
    once = new_manifest(MANIFEST, NAME, done, BACKUP.sha256)
    assert once is not None
    again, _file = recompressed(BACKUP.text, [], 1000)
    twice = new_manifest(once, NAME, again, done.sha256)
    assert twice is not None
    assert [origin(text, "0" * 64) for text in (once, twice)] == [BACKUP.sha256, BACKUP.sha256]
    assert origin(MANIFEST, BACKUP.sha256) == origin(None, BACKUP.sha256) == BACKUP.sha256


def test_a_manifest_in_one_line_keeps_what_is_missing() -> None:
    """An incomplete backup must not become a complete one."""
    backup = make_backup(BACKUP.text, without={"app": "invalid page"})
    line = json.dumps(json.loads(backup.manifest)).encode()
    done, _file = recompressed(backup.text, [], 1000)
    text = new_manifest(line, NAME, done, backup.sha256)
    assert text is not None
    found = parse_manifest(text, NAME)
    assert (found.state, found.missing, found.sha256) == ("incomplete", ("app",), done.sha256)
    assert text.startswith(b'{"format":1,"backup":') and origin(text, done.sha256) == backup.sha256


@pytest.mark.parametrize("manifest", [b"", b"[]", b"x", b'{"format":1}'])
def test_something_else_than_a_manifest(manifest: bytes) -> None:
    done, _file = recompressed(b"text", part_ends(manifest, NAME), 1000)
    assert new_manifest(manifest, NAME, done, "0" * 64) is None
