# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the script prints for a module that shows its progress."""

from __future__ import annotations

from plugins.module_utils._progress.event import Event, is_event, parse_event

from .sandbox import Outcome, parse

SHOWN = {"POSTGRES_BACKUP_PROGRESS": "yes"}


def events(outcome: Outcome) -> list[Event]:
    """Those of the log, each valid JSON; none is among the results."""
    assert not [line for line in outcome.out.splitlines() if is_event(line)]
    lines = [line for line in outcome.log.splitlines() if is_event(line)]
    found = [parse_event(line) for line in lines if parse(line)]
    assert None not in found
    return [event for event in found if event is not None]


def steps(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(event.activity for event in events(outcome)))
