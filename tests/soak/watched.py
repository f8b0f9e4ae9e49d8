# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The watch in the soak: its state machine looks twice a night at what the script lists, and sends to memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugins.module_utils._volume.catalog import parse_listing
from plugins.module_utils._watch.configuration import Channel, Configuration
from plugins.module_utils._watch.judgement import judge
from plugins.module_utils._watch.look import look
from plugins.module_utils._watch.messages import Message
from plugins.module_utils._watch.state import parse_state
from tests.unit.plugins.module_utils._watch.volume import channel, configuration

_PERIOD = timedelta(minutes=30)


@dataclass
class Watch:
    """A watch of the volume whose listing `lister` gives.

    `kinds` are the messages so far: alarm, recovery, digest; `problems` are the checks that both looks of the last
    night found, and `began` counts the nights on which one of them was new.
    """

    name: str
    lister: Callable[[], list[str]]
    kinds: list[str] = field(default_factory=list)
    problems: frozenset[str] = frozenset()
    began: int = 0
    _lines: list[str] = field(default_factory=list)
    _state: str | None = None

    def look_twice(self, evening: datetime) -> None:
        """Half an hour apart; the volume does not change in between, so its listing is read once."""
        self._lines = self.lister()
        catalog, found = parse_listing(self._lines), []
        for now in (evening, evening + _PERIOD):
            outcome = look(self._configuration, self, now)
            assert not outcome.faults, outcome.faults
            found.append(frozenset(judge(self._configuration, catalog, now, drill_since=None).problems))
        both = found[0] & found[1]
        self.began += bool(both - self.problems)
        self.problems = both

    @property
    def is_healthy(self) -> bool:
        state = parse_state(self._state or "")
        assert state is not None
        return state.is_healthy

    @property
    def _configuration(self) -> Configuration:
        return configuration(channel(), name=self.name)

    # The surroundings of a look.

    def read_state(self) -> str | None:
        return self._state

    def write_state(self, text: str) -> None:
        self._state = text

    def write_record(self, text: str) -> None:
        pass

    def list_volume(self) -> list[str]:
        return self._lines

    def read_series(self) -> str:
        return ""

    def send(self, _channel: Channel, message: Message) -> None:
        self.kinds.append(message.kind)

    def ping(self, _channel: Channel, _event: str, _text: str) -> None:
        raise AssertionError("no dead man's switch is configured")

    def push(self, _channel: Channel, _text: str) -> None:
        raise AssertionError("no Pushgateway is configured")

    def log(self, text: str) -> None:
        print(text, flush=True)
