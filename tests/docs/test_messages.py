# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/troubleshooting.md quotes existing messages, and covers every failure of the script."""

from __future__ import annotations

import re

import pytest

from .messages import failures_of_the_script, health_checks, is_in_the_sources, startup_reasons
from .pages import ALL, rows, spans

PAGE = "docs/troubleshooting.md"
ROWS = list(rows(PAGE))
# Columns whose pieces of code are quotations.
QUOTING = ("message", "in the message", "advice", "reason")
QUOTED = sorted({span for row in ROWS for title in QUOTING for span in spans(row.get(title, ""))})
MESSAGES = {span for row in ROWS for span in spans(row.get("message", ""))}
LINES = [(str(block), line.strip()) for block in ALL if block.language == "text" for line in block.text.splitlines()]


@pytest.mark.parametrize("message", QUOTED)
def test_quoted_message_is_in_the_sources(message: str) -> None:
    assert is_in_the_sources(message)


def test_unknown_message_is_detected() -> None:
    assert not is_in_the_sources("the backup volume is on fire")
    assert not is_in_the_sources("names the volume … the pod")
    assert len(QUOTED) > 150


@pytest.mark.parametrize(("place", "line"), LINES)
def test_quoted_log_line_is_in_the_sources(place: str, line: str) -> None:
    begin = re.match(r"(FAILED: |found: |what to do: |)", line)
    assert begin and is_in_the_sources(begin[0] or line), place
    assert line.endswith("…") or is_in_the_sources(line[begin.end() :]), place


def test_every_failure_of_the_script_is_documented() -> None:
    documented = {message.partition("…")[0].rstrip(" (") for message in MESSAGES}
    assert sorted(failures_of_the_script() - documented) == []


def test_every_health_check_is_documented() -> None:
    documented = {span for row in ROWS for span in spans(row.get("check", ""))}
    assert health_checks() <= documented
    # The other three are made in a loop.
    assert documented - health_checks() == {"unchecked", "damaged", "future"}
    assert all(is_in_the_sources(check) for check in documented)


def test_every_reason_of_a_pod_that_does_not_start_is_documented() -> None:
    documented = {span for row in ROWS for span in spans(row.get("reason", ""))}
    assert documented == startup_reasons() | {"Unschedulable"}
