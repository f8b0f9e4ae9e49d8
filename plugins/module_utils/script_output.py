# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the script prints: JSON objects for programs, one a line, and the lines of its log, which are for people.

An object that describes something begins with its `type`, the result of an operation with its `state`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

_TYPE, _STATE = '{"type":', '{"state":'
# How many lines of a log a module returns, and how many where it fails: Ansible prints all of them with the message.
LOG_LINES, FAILED_LOG_LINES = 200, 12


def is_object(line: str) -> bool:
    """Whether the line describes a backup, a volume, a database, …"""
    return line.startswith(_TYPE)


def is_volume(line: str) -> bool:
    """Whether the line is the last one of a listing."""
    return line.startswith(f'{_TYPE}"volume"')


def log_lines(lines: Iterable[str]) -> list[str]:
    """The lines for people, among them those of programs that are not the script."""
    return [line for line in lines if not line.startswith((_TYPE, _STATE))]


def log_tail(lines: Iterable[str], count: int = LOG_LINES) -> list[str]:
    """The last `count` lines for people."""
    return log_lines(lines)[-count:]


def split_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a text that arrives in chunks of bytes, without their line ends."""
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def result_of(line: str) -> dict[str, Any] | None:
    """The result in the line; None where the line has another form, or was cut off."""
    if not line.startswith(_STATE):
        return None
    try:
        result: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return result


def is_success(line: str) -> bool:
    return line.startswith(f'{_STATE}"succeeded",')
