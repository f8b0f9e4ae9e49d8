# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The record of the last look, `<name>.watch/last-watch.json`, which `backup.sh list` prints for backup_info."""

from __future__ import annotations

import json
from typing import Any

from .._volume.advice import advice_for
from .._volume.backup_names import TIME_FORMAT
from .changes import is_present
from .configuration import Configuration
from .judgement import Facts
from .messages import cut
from .state import ChannelState, State

FORMAT = 1
FAILED, WORKS, UNTRIED = "failed", "works", "untried"
_SENTENCE_LIMIT = 500


def last_watch(state: State, configuration: Configuration, facts: Facts | None) -> dict[str, Any]:
    """The record: times are UTC as the script writes them; what is not known is null.

    `waiting` is how many messages some channel still lacks.
    """
    growth = facts.growth if facts else None
    return {
        "format": FORMAT,
        "time": state.looked.strftime(TIME_FORMAT),
        "state": "healthy" if state.is_healthy else "unhealthy",
        "since": state.since.strftime(TIME_FORMAT) if state.since else None,
        "problems": [
            {
                "check": name,
                "message": cut(" ".join(check.messages), _SENTENCE_LIMIT),
                "command": advice_for(name, configuration.name, configuration.namespace).command,
            }
            for name, check in state.checks.items()
            if is_present(check)
        ],
        "channels": [
            _channel(channel.name, channel.kind, state.channels.get(channel.name, ChannelState()))
            for channel in configuration.channels
        ],
        "waiting": len(state.outbox),
        "digest": state.digest.strftime(TIME_FORMAT) if configuration.digest else None,
        "days_until_full": growth.to_dict()["days_until_full"] if growth else None,
    }


def one_line(record: dict[str, Any]) -> str:
    """The record as it is written: one line of ASCII."""
    return json.dumps(record, separators=(",", ":"))


def _channel(name: str, kind: str, known: ChannelState) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "state": UNTRIED if known.works is None else WORKS if known.works else FAILED,
        "error": known.error,
        "since": known.since.strftime(TIME_FORMAT) if known.since else None,
        "last_success": known.last_success.strftime(TIME_FORMAT) if known.last_success else None,
    }
