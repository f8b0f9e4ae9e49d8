# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The errors and the needs of the last drill, as backup_info reports them."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._volume.drill_record import drill_notes, other_errors


def error(number: int, **values: Any) -> dict[str, Any]:
    return {"number": number, "database": "app", "object": f"view v{number}", "message": "m", "follows": None, **values}


def test_the_causes_after_the_first_one() -> None:
    errors = [error(1), error(2, database=None, object=None), error(3, follows=1), error(4, object=None)]
    assert other_errors({"error_list": errors}) == ["roles and other globals: m", "database app: m"]
    assert other_errors({"error_list": errors[:1]}) == []


def test_of_many_causes_some_are_named() -> None:
    texts = other_errors({"error_list": [error(number) for number in range(1, 11)]})
    assert texts[0] == "database app, view v2: m"
    assert texts[5:] == ["and 4 more"]


def test_what_the_drill_needed_and_left_out() -> None:
    need = {"database": "netbox", "object": "trigger t", "search_path": "public", "cure": "ALTER f"}
    left_out = {"database": "app", "object": "materialized view m", "reason": "no network"}
    notes = [*drill_notes({"backup": "b-1", "needs": [need], "left_out": [left_out]})]
    assert notes == [
        "the last restore drill restored database netbox, trigger t of b-1 only with search_path=public. ALTER f",
        "the last restore drill of b-1 left out database app, materialized view m: no network",
    ]


@pytest.mark.parametrize("value", [None, "text", 3, {}, [None, "x", 1], [{}], [{"database": 1, "message": []}]])
def test_a_record_in_another_form(value: Any) -> None:
    record = {"error_list": value, "needs": value, "left_out": value}
    assert isinstance(other_errors(record), list)
    assert isinstance([*drill_notes(record)], list)
    assert other_errors({}) == [*drill_notes({})] == []
