# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The comment before the end of an incomplete backup, which names the missing databases."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._dump.contents import Contents
from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils.errors import DumpError
from tests.backup_parts import END, missing_comment
from tests.dump.incomplete import CLUSTER, TEXTS


def read(text: bytes, size: int = 0) -> Contents:
    reader = DumpReader()
    for start in range(0, len(text), size or len(text)):
        reader.feed(text[start : start + (size or len(text))])
    return reader.finish()


@pytest.mark.parametrize("name", TEXTS)
def test_missing_databases_are_read_only_before_the_end(name: str) -> None:
    contents = read(TEXTS[name].text)
    assert contents.complete
    assert contents.missing == TEXTS[name].missing
    assert json.loads(json.dumps(contents.to_dict()))["missing"] == [*TEXTS[name].missing]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 999])
@pytest.mark.parametrize("name", TEXTS)
def test_chunks_change_nothing(name: str, size: int) -> None:
    assert read(TEXTS[name].text, size) == read(TEXTS[name].text)


@given(names=st.lists(st.text(min_size=1).filter(lambda name: "\0" not in name), min_size=1))
def test_any_names_are_read(names: list[str]) -> None:
    text = CLUSTER[: -len(END)] + missing_comment(tuple(names)) + END
    assert read(text).missing == tuple(names)


def test_comment_is_part_of_no_database() -> None:
    complete, incomplete = read(CLUSTER), read(TEXTS["names"].text)
    assert incomplete.databases == complete.databases


def test_every_shorter_text_is_damaged() -> None:
    text = TEXTS["names"].text
    for length in range(text.rindex(b"-- PostgreSQL database dump complete"), len(text)):
        with pytest.raises(DumpError):
            read(text[:length])


@pytest.mark.parametrize("size", [0, 1 << 16, 1 << 20])
def test_thousands_of_databases(size: int) -> None:
    """A line of two megabytes."""
    names = tuple(f"{'é' * 31}{number}" for number in range(10_000))
    text = CLUSTER[: -len(END)] + missing_comment(names) + END
    contents = read(text, size)
    assert contents.missing == names
    assert contents.databases == read(CLUSTER).databases
