# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Troubleshooting quotes what the sources really say, and leaves out no failure of the script."""

from __future__ import annotations

import re

import pytest

from .messages import health_checks, is_said, pod_words, script_failures
from .pages import ALL, rows, spans

PAGE = "docs/troubleshooting.md"
ROWS = list(rows(PAGE))
# Columns whose pieces of code are quotations.
QUOTING = ("message", "in the message", "advice", "reason")
QUOTED = sorted({span for row in ROWS for title in QUOTING for span in spans(row.get(title, ""))})
MESSAGES = {span for row in ROWS for span in spans(row.get("message", ""))}
LINES = [(str(block), line.strip()) for block in ALL if block.language == "text" for line in block.text.splitlines()]


@pytest.mark.parametrize("message", QUOTED)
def test_the_sources_say_it(message: str) -> None:
    assert is_said(message)


def test_a_message_that_nobody_says_is_found_out() -> None:
    assert not is_said("the backup volume is on fire")
    assert not is_said("names the volume … the pod")
    assert len(QUOTED) > 150


@pytest.mark.parametrize(("place", "line"), LINES)
def test_the_lines_of_a_log_are_real(place: str, line: str) -> None:
    begin = re.match(r"(FAILED: |found: |what to do: |)", line)
    assert begin and is_said(begin[0] or line), place
    assert line.endswith("…") or is_said(line[begin.end() :]), place


def test_every_failure_of_the_script_is_there() -> None:
    there = {message.partition("…")[0].rstrip(" (") for message in MESSAGES}
    assert sorted(script_failures() - there) == []


def test_every_check_of_health_is_there() -> None:
    there = {span for row in ROWS for span in spans(row.get("check", ""))}
    assert health_checks() <= there
    # The other three are made in a loop.
    assert there - health_checks() == {"unchecked", "damaged", "future"}
    assert all(is_said(check) for check in there)


def test_every_word_of_a_pod_that_does_not_start_is_there() -> None:
    there = {span for row in ROWS for span in spans(row.get("reason", ""))}
    assert there == pod_words() | {"Unschedulable"}
