# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Patterns for objects; tests/dump/test_options.py gives the same ones to pg_dump."""

from __future__ import annotations

import pytest

from plugins.module_utils._jobs.object_patterns import pattern_problem
from tests.dump.pattern_cases import ACCEPTED, MISTAKEN, REFUSED


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_pattern_is_accepted(pattern: str) -> None:
    assert pattern_problem(pattern, 1) is None


@pytest.mark.parametrize("pattern", [*REFUSED, *MISTAKEN])
def test_pattern_is_refused_with_the_reason(pattern: str) -> None:
    assert {**REFUSED, **MISTAKEN}[pattern] in str(pattern_problem(pattern, 1))


def test_dots_outside_quotation_marks_are_counted() -> None:
    assert pattern_problem('"a.b.c"', 0) is None
    assert pattern_problem("a.b", 0) == "it has a dot outside quotation marks"
