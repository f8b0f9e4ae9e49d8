# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""sections.awk against the modules' reader: the missing databases of an incomplete backup, and where the others lie."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils._volume.manifest import parse_manifest
from tests.backup_parts import make_backup

from . import truth
from .conftest import Pair
from .incomplete import TEXTS
from .sections import AWKS, facts


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("awk", AWKS)
def test_both_read_the_same(awk: str, name: str) -> None:
    expected = TEXTS[name]
    result = facts(expected.text, awk)
    assert (result.reason, result.kind) == ("", "cluster")
    try:
        names = json.loads(result.missing) if result.missing else []
    except ValueError:
        names = [result.missing]
    assert tuple(names) == expected.missing
    reader = DumpReader()
    reader.feed(expected.text)
    databases = reader.finish().databases
    assert [section[:3] for section in result.sections] == [
        (database.offset_bytes, database.length_bytes, database.body_offset_bytes) for database in databases
    ]


def test_dump_of_hostile_databases_without_some_of_them(pair: Pair) -> None:
    """The first one, another one and the last one; their names are the hostile ones, too."""
    text = truth.dump(pair.full, "pg_dumpall")
    reader = DumpReader()
    reader.feed(text)
    names = [str(database.name) for database in reader.finish().databases]
    for missing in ((names[0],), (names[len(names) // 2],), (names[-1],), tuple(names[1:])):
        backup = make_backup(text, without=dict.fromkeys(missing, "x"))
        parts = parse_manifest(backup.manifest, backup.name).parts
        reader = DumpReader()
        reader.feed(backup.text)
        contents = reader.finish()
        assert contents.missing == missing
        spans = [part.span for part in parts if part.kind == "database" and part.span is not None]
        assert [(span.text_offset_bytes, span.text_length_bytes) for span in spans] == [
            (database.offset_bytes, database.length_bytes) for database in contents.databases
        ]
        for awk in AWKS:
            result = facts(backup.text, awk)
            assert (result.reason, tuple(json.loads(result.missing))) == ("", missing)
            assert [section[:2] for section in result.sections] == [
                (span.text_offset_bytes, span.text_length_bytes) for span in spans
            ]
