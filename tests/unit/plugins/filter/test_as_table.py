# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter as_table, as templates use it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.unit.playbooks.recorded import CHECKOUT

EXPRESSION = "{{ rows | homelab.postgres_backup.as_table(columns=columns) }}"


def table(rows: list[dict[str, Any]], columns: list[dict[str, str]]) -> Any:
    return Templar(DataLoader(), variables={"rows": rows, "columns": columns}).template(trust_as_template(EXPRESSION))


def test_sizes_are_shown_as_human_readable_shows_them() -> None:
    assert table(
        [{"size_bytes": 1536}, {"size_bytes": 3}], [{"key": "size_bytes", "title": "size", "kind": "size"}]
    ) == [
        "      size",
        "   1.50 KB",
        "3.00 Bytes",
    ]


def test_a_column_that_is_not_one_is_a_filters_error() -> None:
    with pytest.raises(AnsibleError, match="as_table: expected a column with key"):
        table([], [{"name": "size_bytes"}])


def test_its_example_is_what_it_shows() -> None:
    text = (CHECKOUT / "plugins" / "filter" / "as_table.py").read_text()
    shown = [line.removeprefix("  # ") for line in text.splitlines() if line.startswith("  # ")]
    columns = [{"key": "name", "title": "backup"}, {"key": "size_bytes", "title": "size", "kind": "size"}]
    backup = {"name": "postgres-backup-2026-11-22-020000.sql.gz", "size_bytes": 1048576, "state": "complete"}
    assert table([backup], [*columns, {"key": "state", "title": "state"}]) == shown
