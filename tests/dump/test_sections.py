# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""sections.awk against the modules' reader: the same databases at the same bytes, the same verdicts."""

from __future__ import annotations

import pytest

from plugins.module_utils._dump.contents import Contents
from plugins.module_utils._dump.dump_reader import DumpReader

from . import foreign, truth
from .conftest import Pair
from .sections import AWKS, facts
from .truth import FORMS

# What the shell finds by counting NUL bytes, which never reach awk.
BY_NUL_BYTES = {"utf-16-le-without-mark", "utf-16-be-without-mark", "zero-bytes", "zero-bytes-among-rows"}


@pytest.mark.parametrize("awk", AWKS)
def test_dumps_of_other_makes(awk: str) -> None:
    for name in sorted(foreign.TEXTS.keys() - BY_NUL_BYTES - foreign.ONLY_BY_MODULES):
        expected = foreign.TEXTS[name]
        found = facts(expected.text, awk)
        assert found.reason == expected.reason, name
        assert not expected.line or found.line == expected.line, name
        assert bool(found.line) == (found.reason in foreign.WITH_A_LINE), name
        assert found.size == len(expected.text.replace(b"\0", b"")), name
        if expected.complete:
            assert found.kind == expected.kind, name
            databases = [section[3].decode() for section in found.sections]
            assert databases == [database or "" for database, _ in expected.rows], name


def _read(text: bytes) -> Contents:
    reader = DumpReader()
    reader.feed(text)
    return reader.finish()


def _compare(text: bytes) -> None:
    databases = _read(text).databases
    expected = [(each.offset_bytes, each.length_bytes, each.body_offset_bytes) for each in databases]
    for awk in AWKS:
        found = facts(text, awk)
        assert (found.reason, found.kind, found.size) == ("", "cluster", len(text)), awk
        assert [section[:3] for section in found.sections] == expected
        for section, database in zip(found.sections, databases, strict=True):
            assert section[3].decode() == database.name


@pytest.mark.parametrize("form", FORMS)
def test_each_database_lies_where_the_modules_find_it(pair: Pair, form: str) -> None:
    _compare(truth.dump(pair.full, "pg_dumpall", *FORMS[form]))


@pytest.mark.parametrize("form", ["plain", "inserts", "rows-per-insert"])
def test_without_standard_conforming_strings(pair: Pair, form: str) -> None:
    _compare(truth.dump(pair.full, "pg_dumpall", *FORMS[form], PGOPTIONS="-c standard_conforming_strings=off"))


@pytest.mark.parametrize("encoding", ["SJIS", "GB18030"])
@pytest.mark.parametrize("form", ["plain", "inserts"])
def test_client_encodings(pair: Pair, encoding: str, form: str) -> None:
    """Encodings in which a byte of ASCII can be part of another character."""
    # pg_dump asks for the name of every role, and these encodings lack an o with dots.
    pair.full.sql('ALTER ROLE "rölle" RENAME TO plain;')
    try:
        text = truth.dump(pair.full, "pg_dump", f"--encoding={encoding}", *FORMS[form], "kanji")
    finally:
        pair.full.sql('ALTER ROLE plain RENAME TO "rölle";')
    for awk in AWKS:
        found = facts(text, awk)
        assert (found.reason, found.kind, found.size) == ("", "database", len(text)), awk
