# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the script prints: JSON objects for programs, one a line, and the lines of its log, which are for people.

An object that describes something begins with its `type`, the result of an operation with its `state`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TYPE, _STATE = '{"type":', '{"state":'
# How many lines of a log a module returns, and how many where it fails: Ansible prints all of them with the message.
LOG_LINES, FAILED_LOG_LINES = 200, 12

_SERVER_ERROR = re.compile(r"\b(?:ERROR|FATAL|PANIC):  .*")


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


@dataclass(frozen=True)
class FailedDatabase:
    """A database that a run could not dump. `error` is one line; `advice` is what to do about it, or empty."""

    name: str
    error: str
    advice: str


def failed_databases(result: Mapping[str, Any]) -> list[FailedDatabase]:
    """Those in the result of a run. What is not of the script's form is left out."""
    return [
        FailedDatabase(
            entry["database"], _brief_error(str(entry.get("error") or "")), _first_line(str(entry.get("advice") or ""))
        )
        for entry in result.get("failed_databases") or []
        if isinstance(entry, Mapping) and isinstance(entry.get("database"), str)
    ]


def _brief_error(text: str) -> str:
    """What pg_dump could not do, and the server's error; without details, such as the query.

    pg_dump's own line may only say that a call of libpq failed (pg_dump.c, dumpTableData_copy).
    """
    first = _first_line(text)
    cause = _SERVER_ERROR.search(text.partition("\n")[2])
    return f"{first}: {_first_line(cause[0])}" if cause else first


def _first_line(text: str) -> str:
    return text.partition("\n")[0].rstrip(". ")
