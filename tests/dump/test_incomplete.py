# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""sections.awk against the modules' reader: the missing databases of an incomplete backup, and where the others lie."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader

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
