# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A program that fails becomes an error with its command, its exit status, the end of its output and the advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.buildkit import commands
from dev.buildkit.errors import ReportedError


def test_standard_output_is_returned(tmp_path: Path) -> None:
    words = ["sh", "-c", 'echo "$COLOUR in $PWD"; echo not this >&2']
    assert commands.run(words, environment={"COLOUR": "red"}, directory=tmp_path) == f"red in {tmp_path}\n"


def test_failed_program_is_reported_with_the_end_of_its_output() -> None:
    with pytest.raises(ReportedError) as caught:
        commands.run(["sh", "-c", "seq 100; echo last >&2; exit 3"], advice="try again")
    error = caught.value
    assert "exit status was 3" in error.message
    assert error.detail.splitlines()[-2:] == ["100", "last"]
    assert len(error.detail.splitlines()) == 25
    assert error.render().splitlines()[-1] == "what to do: try again"


def test_missing_program_is_reported() -> None:
    with pytest.raises(ReportedError, match="no-such-program"):
        commands.attempt(["no-such-program"])


def test_exit_status_of_an_attempt_is_returned() -> None:
    assert commands.attempt(["sh", "-c", "exit 4"]).returncode == 4


def test_end_of_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert commands.tail_of_file(tmp_path / "none") == ""
