# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""One look: read the state, judge the volume, record the messages, send them, record who has accepted them.

No input or output: `Surroundings` has the functions for it. A message is recorded before it is sent, and who has
accepted it afterwards: a watch that is killed in between sends it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from .._volume.catalog import parse_listing
from ..errors import ListingError
from .changes import ALARM, Event, advance
from .configuration import PING, PUSHGATEWAY, Channel, Configuration
from .judgement import Judgement, judge, unreadable
from .messages import Message, message_of
from .outbox import delivered, failed, waiting_for, with_messages, without_other_channels, worked
from .record import last_watch, one_line
from .requests import FAIL, START, SUCCESS
from .series import series
from .state import State, dump_state, first_state, parse_state

RECORD = "record"
# How often a watch that cannot record anything reports what is wrong.
_FORGETFUL_INTERVAL = timedelta(hours=6)


class SendError(Exception):
    """A channel did not accept something; the message is the reason, without a secret."""


class Surroundings(Protocol):
    """What a look needs of the world. Each method may raise OSError; those that send raise SendError instead."""

    def read_state(self) -> str | None:
        """The text of the state; None if there is none."""

    def write_state(self, text: str) -> None: ...

    def write_record(self, text: str) -> None: ...

    def list_volume(self) -> list[str]:
        """The lines of `backup.sh list --history`, also those for people. Raises TimeoutError."""

    def read_series(self) -> str:
        """The content of `<name>.prom`, empty without one."""

    def send(self, channel: Channel, message: Message) -> None: ...

    def ping(self, channel: Channel, event: str, text: str) -> None: ...

    def push(self, channel: Channel, text: str) -> None: ...

    def log(self, text: str) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """How a look ended: `faults` say why the watch itself does not work, without secrets."""

    record: dict[str, Any]
    faults: tuple[str, ...]


def look(configuration: Configuration, surroundings: Surroundings, now: datetime) -> Outcome:
    """Check the volume once; `now` is the time (UTC), without fractions of a second."""
    faults: list[str] = []
    started = _pings(configuration, surroundings)
    state, fault = _remembered(surroundings, now)
    state = _with_drill_schedule(without_other_channels(state, configuration.channels), configuration, now)
    judgement = _judgement(configuration, surroundings, state, now)
    state, events = advance(state, judgement, now, digest=configuration.digest)
    said = with_messages(state, _messages(events, configuration, judgement, now), configuration.channels, now)
    fault = fault or _written(surroundings, said)
    if fault is None:
        state = said
    else:
        faults.append(fault)
        judgement = replace(judgement, problems={**judgement.problems, RECORD: (fault,)})
        state = _forgetful(state, judgement, configuration, now)
    for message in state.outbox:
        surroundings.log(f"{message.kind}: {message.title}")
    state = _send_all(state, configuration, surroundings, now, remembers=not faults)
    told = _told(state, judgement, configuration, started, has_faults=bool(faults))
    state = _tell_state(state, configuration, surroundings, now, told)
    record = last_watch(state, configuration, judgement.facts)
    if not faults:
        fault = _written(surroundings, state, one_line(record))
        faults += [fault] if fault else []
    faults += [
        f"the channel {c['name']} ({c['kind']}): {c['error']}" for c in record["channels"] if c["state"] == "failed"
    ]
    return Outcome(record, tuple(faults))


def _remembered(surroundings: Surroundings, now: datetime) -> tuple[State, str | None]:
    """The state of the last look, and a sentence if it could not be read."""
    try:
        text = surroundings.read_state()
    except (OSError, TimeoutError) as error:
        return first_state(now), f"the watch cannot read what it has reported: {_words(error)}"
    state = parse_state(text) if text is not None else None
    if text is not None and state is None:
        surroundings.log("WARNING: the state of the watch is damaged, or of another version: it begins anew")
    return state or first_state(now), None


def _written(surroundings: Surroundings, state: State, record: str | None = None) -> str | None:
    """Write the state, and the record if there is one; a sentence if that failed."""
    try:
        surroundings.write_state(dump_state(state))
        if record is not None:
            surroundings.write_record(record)
    except (OSError, TimeoutError) as error:
        return f"the watch cannot record what it has reported: {_words(error)}"
    return None


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _with_drill_schedule(state: State, configuration: Configuration, now: datetime) -> State:
    """The state with the time since when the schedule of the drills is what it is."""
    schedule = configuration.drill_schedule
    if not schedule:
        return replace(state, drill=None)
    return state if state.drill and state.drill[0] == schedule else replace(state, drill=(schedule, now))


def _judgement(configuration: Configuration, surroundings: Surroundings, state: State, now: datetime) -> Judgement:
    try:
        catalog = parse_listing(surroundings.list_volume())
    except ListingError as error:
        return unreadable(str(error))
    except (OSError, TimeoutError) as error:
        return unreadable(f"the backup volume could not be listed: {_words(error)}")
    try:
        return judge(configuration, catalog, now, drill_since=state.drill[1] if state.drill else None)
    except Exception as error:  # a record on the volume may have any form, and the watch must not end silently
        return unreadable(f"the records on the backup volume could not be judged: {type(error).__name__}: {error}")


def _messages(
    events: Iterable[Event], configuration: Configuration, judgement: Judgement, now: datetime
) -> list[Message]:
    return [message_of(event, configuration, judgement.facts, now) for event in events]


def _forgetful(state: State, judgement: Judgement, configuration: Configuration, now: datetime) -> State:
    """The state of a watch that cannot record anything, and so does not know what it has reported.

    It reports everything that is wrong, at the first look of each quarter of a day.
    """
    since = timedelta(seconds=now.timestamp() % _FORGETFUL_INTERVAL.total_seconds())
    state = replace(state, outbox=(), is_healthy=False)
    if configuration.period is not None and since >= configuration.period:
        return state
    event = Event(ALARM, 0, dict(judgement.problems))
    return with_messages(state, _messages([event], configuration, judgement, now), configuration.channels, now)


def _send_all(
    state: State, configuration: Configuration, surroundings: Surroundings, now: datetime, *, remembers: bool
) -> State:
    """Send to each channel what it lacks, in order; the others get theirs if one does not work."""
    for channel in configuration.channels:
        for message in waiting_for(state, channel.name):
            error = _attempt(surroundings.send, channel, message)
            if error is not None:
                state = failed(state, channel.name, error, now)
                break  # the later ones would fail too, or arrive before this one
            state = worked(delivered(state, channel.name, message.identity), channel.name, now)
            if remembers:
                _written(surroundings, state)
    return state


def _attempt(send: Callable[..., None], *arguments: Any) -> str | None:
    """Why something could not be sent; None if it was."""
    try:
        send(*arguments)
    except SendError as error:
        return str(error)
    return None


def _pings(configuration: Configuration, surroundings: Surroundings) -> dict[str, str | None]:
    """Say that a look begins, to each dead man's switch; why that failed, by channel."""
    return {
        channel.name: _attempt(surroundings.ping, channel, START, "")
        for channel in configuration.channels
        if channel.kind == PING
    }


def _tell_state(
    state: State, configuration: Configuration, surroundings: Surroundings, now: datetime, told: _Told
) -> State:
    """Tell the dead man's switches and the Pushgateways, which get the state at each look."""
    for channel in configuration.channels:
        if channel.kind == PING:
            event = SUCCESS if told.is_good else FAIL
            error = _attempt(surroundings.ping, channel, event, told.text) or told.started[channel.name]
        elif channel.kind == PUSHGATEWAY:
            error = _attempt(surroundings.push, channel, series(state, now, surroundings.read_series()))
        else:
            continue
        state = worked(state, channel.name, now) if error is None else failed(state, channel.name, error, now)
    return state


@dataclass(frozen=True)
class _Told:
    """What a dead man's switch gets: `started` has by channel why the ping at the start failed."""

    is_good: bool
    text: str
    started: Mapping[str, str | None]


def _told(
    state: State,
    judgement: Judgement,
    configuration: Configuration,
    started: Mapping[str, str | None],
    has_faults: bool,
) -> _Told:
    broken = [
        channel.name
        for channel in configuration.channels
        if channel.takes_messages and (known := state.channels.get(channel.name)) and known.works is False
    ]
    lines = [f"{check}: {' '.join(sentences)}" for check, sentences in judgement.problems.items()]
    lines += [f"the channel {name} does not work" for name in broken]
    text = "\n".join(lines) or ("healthy" if state.is_healthy else "unhealthy")
    return _Told(state.is_healthy and not broken and not has_faults, text, started)
