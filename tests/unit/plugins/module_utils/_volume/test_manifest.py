# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Manifests of backups that were made from a real dump, and damaged ones."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._volume.manifest import Extension, LeftOut, Manifest, is_manifest, parse_manifest
from plugins.module_utils.errors import ManifestError
from tests.backup_parts import NAME, make_backup

TEXT = (Path(__file__).parents[1] / "dumps" / "18-all.sql").read_bytes()
COMPLETE = make_backup(TEXT)
INCOMPLETE = make_backup(TEXT, without={"app": "invalid page in block 0"})


def changed(**fields: Any) -> str:
    return json.dumps(json.loads(COMPLETE.manifest) | fields)


def changed_part(number: int, **fields: Any) -> str:
    content = json.loads(COMPLETE.manifest)
    content["parts"][number] |= fields
    return json.dumps(content)


def test_manifest_of_a_complete_backup() -> None:
    manifest = parse_manifest(COMPLETE.manifest, NAME)
    assert (manifest.state, manifest.missing, manifest.left_out) == ("complete", (), False)
    assert manifest.dumped == ("template1", "Mixed-Name's", "app", "postgres")
    assert (manifest.sha256, manifest.size_bytes) == (COMPLETE.sha256, len(COMPLETE.file))
    assert [part.kind for part in manifest.parts] == ["globals", *["database"] * 4, "end"]
    assert parse_manifest(COMPLETE.manifest.encode(), NAME) == manifest


def test_one_database_can_be_read_without_the_others() -> None:
    part = parse_manifest(COMPLETE.manifest, NAME).database("app")
    assert part is not None and part.span is not None
    member = COMPLETE.file[part.span.offset_bytes : part.span.offset_bytes + part.span.length_bytes]
    text = zlib.decompress(member, wbits=31)
    assert text == TEXT[part.span.text_offset_bytes : part.span.text_offset_bytes + part.span.text_length_bytes]
    assert text.startswith(b'--\n-- Database "app" dump\n')


def test_manifest_of_an_incomplete_backup() -> None:
    manifest = parse_manifest(INCOMPLETE.manifest, NAME)
    assert (manifest.state, manifest.missing) == ("incomplete", ("app",))
    part = manifest.database("app")
    assert part is not None
    assert (part.result, part.reason, part.span) == ("failed", "invalid page in block 0", None)
    assert manifest.database("none") is None


def test_fields_of_a_database() -> None:
    left_out = {"tables": ["public.log"], "table_data": ["a.*"], "arguments": ["--no-comments"], "later": 1}
    extensions = [{"name": "ltree", "version": "1.3", "schema": "public", "later": 1}]
    text = changed_part(3, left_out=left_out, extensions=extensions, size_bytes=7, owner="r", seconds=0.5)
    part = parse_manifest(text, NAME).database("app")
    assert part is not None and part.database is not None
    assert part.database.left_out == LeftOut(("public.log",), ("a.*",), ("--no-comments",))
    assert part.database.extensions == (Extension("ltree", "1.3", "public"),)
    assert (part.database.size_bytes, part.database.owner, part.seconds) == (7, "r", 0.5)


def test_unknown_fields_are_ignored() -> None:
    content = json.loads(COMPLETE.manifest)
    content |= {"later": {"a": 1}}
    content["parts"][1] |= {"later": []}
    assert parse_manifest(json.dumps(content), NAME) == parse_manifest(COMPLETE.manifest, NAME)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged: Expecting value in line 1"),
        (COMPLETE.manifest[:200], "is damaged"),
        ("[" * 100_000, "is damaged"),
        (b'{"a":"\xff"}', "is damaged: it is not UTF-8"),
        ("[]", "expected a JSON object"),
        (changed(format=2), "of another version: expected the format 1, found 2"),
        (changed(format=None), "of another version"),
        (changed(backup=NAME.replace("22", "21")), "found that of 'postgres-backup-2026-11-21"),
        (changed(state="fine"), "state: expected complete or incomplete"),
        (changed(state="incomplete"), "expected missing databases"),
        (changed(missing=["a"]), "expected missing databases"),
        (changed(missing=[1]), "missing: expected a list of texts"),
        (changed(dumped=None), "dumped: expected a list, found nothing"),
        (changed(left_out=1), "left_out: expected true or false, found another value"),
        (changed(sha256="A" * 64), "sha256: expected 64 hexadecimal digits"),
        (changed(bytes=-1), "bytes: expected a number of bytes, found a negative one"),
        (changed(bytes=True), "bytes: expected a number"),
        (changed(bytes=1), "the parts do not end where the file ends"),
        (changed(parts=[1]), "parts: expected a list of objects"),
        (changed_part(1, kind="table"), "kind: expected globals, database or end"),
        (changed_part(1, name=None), "name: expected one for each database"),
        (changed_part(1, result=None), "result: expected a text, found nothing"),
        (changed_part(1, result="failed"), "offset_bytes: expected one for a part that is in the file"),
        (changed_part(1, offset_bytes=None), "offset_bytes: expected one for a part that is in the file"),
        (changed_part(1, offset_bytes=3), "part 2 does not begin where the one before it ends"),
        (changed_part(1, text_length_bytes=3), "part 3 does not begin"),
        (changed_part(1, extensions=[{}]), "name: expected a text"),
    ],
)
def test_damaged_manifest_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        parse_manifest(text, NAME)


@given(cut=st.integers(0, len(COMPLETE.manifest) - 3))
def test_manifest_that_was_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(COMPLETE.manifest[:cut], NAME)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(field=st.sampled_from([*json.loads(COMPLETE.manifest)]), value=JSON)
def test_any_value_of_a_field_is_read_or_refused(field: str, value: Any) -> None:
    with suppress(ManifestError):
        assert isinstance(parse_manifest(changed(**{field: value}), NAME), Manifest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (COMPLETE.manifest, True),
        (changed(format=2), True),
        ('{"complete": true, "databases": []}', False),
        ('{"format": 1, "backup": "x"}', False),
        ("[]", False),
        ("", False),
        (b"\xff", False),
    ],
)
def test_other_json_is_not_a_manifest(text: str | bytes, expected: bool) -> None:
    """A fetch must not replace a file of a user."""
    assert is_manifest(text) is expected
