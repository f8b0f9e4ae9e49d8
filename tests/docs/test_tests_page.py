# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The tests that tests/README.md names are there."""

from __future__ import annotations

import re

import pytest

from .pages import CHECKOUT

TESTS = CHECKOUT / "tests"
PAGE = (TESTS / "README.md").read_text()
SOURCES = {path: path.read_text() for path in TESTS.rglob("*.py")}
# `unit/x/test_y.py` and `test_y.py`; `test_y`, `test_y.py::test_z` and `test_y_*`.
FILES = sorted(set(re.findall(r"`([\w/]+\.py)\b", PAGE)))
NAMES = sorted(set(re.findall(r"\btest_[a-z0-9_*]+(?![\w.*])", PAGE)))


@pytest.mark.parametrize("name", FILES)
def test_named_file_exists(name: str) -> None:
    assert any(f"/{path.relative_to(TESTS)}".endswith(f"/{name}") for path in SOURCES)


@pytest.mark.parametrize("name", NAMES)
def test_named_test_exists(name: str) -> None:
    function = re.compile(rf"^def {name.replace('*', '[a-z0-9_]*')}\(", re.MULTILINE)
    assert any(function.search(text) for text in SOURCES.values())


def test_the_page_names_many_tests() -> None:
    assert len(FILES) > 30
    assert len(NAMES) > 100


def test_no_heading_follows_a_table_directly() -> None:
    assert re.findall(r"^\|.*\n#.*", PAGE, re.MULTILINE) == []
