# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a daily run leaves out: alternatives and tests that are marked weekly, but never all alternatives of a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests import in_turn

TESTS = Path(__file__).resolve().parents[1]
CONFTEST = """
import pytest
from tests import in_turn

def pytest_collection_modifyitems(config, items):
    in_turn.leave_out_weekly(config, items)
    in_turn.take_every_third(config, items, lambda item: "every" in item.nodeid)
"""
SOME = """
import pytest
from tests.in_turn import weekly, weekly_but

@pytest.mark.parametrize("how", ["stop", weekly("kill")])
def test_listed(how): pass

@pytest.mark.parametrize("case", weekly_but({"a": 1, "b": 2}, "b"))
def test_of_a_table(case): pass

@pytest.mark.weekly
def test_as_a_whole(): pass
"""
NONE = """
import pytest
from tests.in_turn import weekly

@pytest.mark.parametrize("how", [weekly("stop"), weekly("kill")])
def test_never_daily(how): pass
"""


def collected(folder: Path, text: str, everything: str = "") -> tuple[int, str]:
    """The exit status of `pytest --collect-only`, and its output."""
    (folder / "tests").mkdir()
    shutil.copy(TESTS / "in_turn.py", folder / "tests")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = weekly: x\npythonpath = .\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env={**os.environ, "TESTS_ALL": everything, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("everything", "names"),
    [
        ("", ["test_listed[stop]", "test_of_a_table[b]"]),
        (
            "1",
            ["test_listed[stop]", "test_listed[kill]", "test_of_a_table[a]", "test_of_a_table[b]", "test_as_a_whole"],
        ),
    ],
    ids=["daily", "weekly"],
)
def test_weekly_is_left_out_of_a_daily_run(tmp_path: Path, everything: str, names: list[str]) -> None:
    status, output = collected(tmp_path, SOME, everything)
    assert status == 0, output
    assert [line.partition("::")[2] for line in output.splitlines() if "::" in line] == names


MANY = """
import pytest

@pytest.mark.parametrize("n", range(9))
def test_every(n): pass

@pytest.mark.parametrize("n", range(2))
def test_every_few(n): pass

@pytest.mark.parametrize("n", range(9))
def test_other(n): pass
"""


@pytest.mark.parametrize(("everything", "numbers"), [("", (3, 1)), ("1", (9, 2))], ids=["daily", "weekly"])
def test_every_third_of_many_alternatives(tmp_path: Path, everything: str, numbers: tuple[int, int]) -> None:
    status, output = collected(tmp_path, MANY, everything)
    assert status == 0, output
    assert (output.count("::test_every["), output.count("::test_every_few[")) == numbers
    assert output.count("::test_other[") == 9


def test_alternatives_that_are_all_weekly_are_refused(tmp_path: Path) -> None:
    status, output = collected(tmp_path, NONE)
    assert status != 0
    assert "test_never_daily" in output and "TESTS_ALL=1" in output


def of_half(monkeypatch: pytest.MonkeyPatch, half: str, names: list[str]) -> list[str]:
    monkeypatch.setattr(in_turn, "ALL", False)
    monkeypatch.setattr(in_turn, "HALF", half)
    items = [Mock(nodeid=name) for name in names]
    in_turn.take_half(Mock(), items)  # type: ignore[arg-type]
    return [item.nodeid for item in items]


def test_two_halves_are_all_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alternatives of a test are in the same half; what is tested every day is in both."""
    slow = [f"tests/cluster/test_a.py::test_{number}[{case}]" for number in range(20) for case in "ab"]
    daily = ["tests/unit/test_b.py::test_b", f"{in_turn.DAILY[0]}::test_c"]
    halves = [of_half(monkeypatch, half, slow + daily) for half in "01"]
    assert of_half(monkeypatch, "", slow + daily) == slow + daily
    assert sorted(halves[0] + halves[1]) == sorted(slow + 2 * daily)
    for half in halves:
        assert set(daily) < set(half)
        assert {name.replace("[a]", "[b]") for name in half} <= {*half}


def test_the_folders_of_the_halves_exist() -> None:
    for name in (*in_turn.HALVED, *in_turn.DAILY):
        path = name.partition("::")[0]
        assert (TESTS.parent / path).exists() or [*TESTS.parent.glob(f"{path}*")], name
