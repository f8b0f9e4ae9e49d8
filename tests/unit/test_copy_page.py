# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/copy-faults.md is made of the table of the faults of the places."""

from __future__ import annotations

from tests.stores import copy_page
from tests.stores.copy_faults import FAULTS


def test_page_is_up_to_date() -> None:
    """`python -m tests.stores.copy_page --write` makes it."""
    assert copy_page.PAGE.read_text() == copy_page.page()


def test_rows_are_complete() -> None:
    assert len(FAULTS) >= 25
    for name, fault in FAULTS.items():
        assert fault.made and fault.stores and fault.advice and fault.points, name
