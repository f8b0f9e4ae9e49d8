# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""An event: what is being done now, and how far it is.

It is one line of JSON, in the file through which a module reports, and in the log of a Job that was asked for it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

_PREFIX = '{"type":"progress"'
_TEXTS, _NUMBERS = ("activity", "subject", "cause"), ("done_bytes", "total_bytes", "number", "count", "usual_seconds")


@dataclass(frozen=True)
class Event:
    """What is being done now. What is not known is None.

    `activity` is a key of line.WORDS, `subject` the database or backup that it is about: the `number`th of `count`.
    `total_bytes` is that of an earlier backup if `is_estimate`. `usual_seconds` is how long the operation
    took the last time: it applies to the following events too. `cause` is what it waits for.
    """

    activity: str
    subject: str | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    is_estimate: bool = False
    number: int | None = None
    count: int | None = None
    usual_seconds: int | None = None
    cause: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """What is the same for all events about one piece of work."""
        return self.activity, self.subject

    def to_line(self) -> str:
        """One line of JSON, without its line end."""
        fields = {name: value for name, value in asdict(self).items() if value is not None and value is not False}
        return f"{_PREFIX}," + json.dumps(fields)[1:]


def is_event(line: str) -> bool:
    return line.startswith(_PREFIX)


def parse_event(line: str) -> Event | None:
    """The event in the line; None for every other line. Fields of an unexpected type are not known."""
    if not is_event(line):
        return None
    try:
        fields: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    known: dict[str, Any] = {name: value for name in _TEXTS if isinstance(value := fields.get(name), str)}
    if "activity" not in known:
        return None
    for name in _NUMBERS:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            known[name] = value
    return Event(**known, is_estimate=fields.get("is_estimate") is True)
