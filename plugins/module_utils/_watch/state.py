# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a watch remembers between two looks, and its form in the file `state.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from .._volume.backup_names import TIME_FORMAT, parse_time

FORMAT = 1


@dataclass(frozen=True)
class Check:
    """One subject that is or was a problem.

    `seen` and `absent` count the looks in a row that found it or did not; one of them is 0. `alarm` is the number of
    the alarm that reported it, None as long as it is not reported. `alarms` are the times of its recent alarms.
    """

    messages: tuple[str, ...]
    first_seen: datetime
    seen: int = 0
    absent: int = 0
    alarm: int | None = None
    alarms: tuple[datetime, ...] = ()


@dataclass(frozen=True)
class ChannelState:
    """How a channel did: `works` is None if nothing was sent through it yet; `error` is why it does not work."""

    works: bool | None = None
    error: str | None = None
    since: datetime | None = None
    last_success: datetime | None = None


@dataclass(frozen=True)
class Waiting:
    """A message that some channels still lack: `channels` are their names; `kind` is alarm, recovery or digest."""

    identity: str
    kind: str
    time: datetime
    title: str
    text: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """All that is remembered; times are UTC.

    `digest` is when the last digest was due. `drill` is the schedule of the drills and when the watch first saw it.
    `number` is that of the last message. `reported` are the open alarms: each with the checks that it reported.
    """

    first_look: datetime
    looked: datetime
    digest: datetime
    number: int = 0
    is_healthy: bool = True
    since: datetime | None = None
    drill: tuple[str, datetime] | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    reported: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    channels: Mapping[str, ChannelState] = field(default_factory=dict)
    outbox: tuple[Waiting, ...] = ()


def first_state(now: datetime) -> State:
    """The state before the first look."""
    return State(first_look=now, looked=now, digest=now, since=now)


def without_future(state: State, now: datetime) -> State:
    """The state without times in the future: a clock was wrong, or was set back."""
    return replace(
        state,
        first_look=min(state.first_look, now),
        looked=min(state.looked, now),
        digest=min(state.digest, now),
        since=min(state.since, now) if state.since else None,
        drill=(state.drill[0], min(state.drill[1], now)) if state.drill else None,
        checks={
            name: replace(
                check,
                first_seen=min(check.first_seen, now),
                alarms=tuple(time for time in check.alarms if time <= now),
            )
            for name, check in state.checks.items()
        },
        outbox=tuple(replace(message, time=min(message.time, now)) for message in state.outbox),
    )


def dump_state(state: State) -> str:
    """The state as one line of JSON in ASCII."""
    return json.dumps(
        {
            "format": FORMAT,
            "first_look": _iso(state.first_look),
            "looked": _iso(state.looked),
            "digest": _iso(state.digest),
            "number": state.number,
            "healthy": state.is_healthy,
            "since": _iso_or_none(state.since),
            "drill": [state.drill[0], _iso(state.drill[1])] if state.drill else None,
            "checks": {
                name: {
                    "messages": list(check.messages),
                    "first_seen": _iso(check.first_seen),
                    "seen": check.seen,
                    "absent": check.absent,
                    "alarm": check.alarm,
                    "alarms": [_iso(time) for time in check.alarms],
                }
                for name, check in state.checks.items()
            },
            "reported": {str(number): list(checks) for number, checks in state.reported.items()},
            "channels": {
                name: {
                    "works": channel.works,
                    "error": channel.error,
                    "since": _iso_or_none(channel.since),
                    "last_success": _iso_or_none(channel.last_success),
                }
                for name, channel in state.channels.items()
            },
            "outbox": [
                {
                    "identity": message.identity,
                    "kind": message.kind,
                    "time": _iso(message.time),
                    "title": message.title,
                    "text": message.text,
                    "channels": list(message.channels),
                }
                for message in state.outbox
            ],
        }
    )


def parse_state(text: str) -> State | None:
    """The state in a file; None for a text that is damaged or of another format: then the watch begins anew."""
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return None
        return _state(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _state(content: Mapping[str, Any]) -> State:
    drill = content["drill"]
    return State(
        first_look=_time(content["first_look"]),
        looked=_time(content["looked"]),
        digest=_time(content["digest"]),
        number=_whole(content["number"]),
        is_healthy=bool(content["healthy"]),
        since=_time_or_none(content["since"]),
        drill=(_text(drill[0]), _time(drill[1])) if drill else None,
        checks={
            name: Check(
                messages=tuple(_text(message) for message in check["messages"]),
                first_seen=_time(check["first_seen"]),
                seen=_whole(check["seen"]),
                absent=_whole(check["absent"]),
                alarm=None if check["alarm"] is None else _whole(check["alarm"]),
                alarms=tuple(_time(time) for time in check["alarms"]),
            )
            for name, check in content["checks"].items()
        },
        reported={
            int(number): tuple(_text(check) for check in checks) for number, checks in content["reported"].items()
        },
        channels={
            name: ChannelState(
                works=None if channel["works"] is None else bool(channel["works"]),
                error=None if channel["error"] is None else _text(channel["error"]),
                since=_time_or_none(channel["since"]),
                last_success=_time_or_none(channel["last_success"]),
            )
            for name, channel in content["channels"].items()
        },
        outbox=tuple(
            Waiting(
                identity=_text(message["identity"]),
                kind=_text(message["kind"]),
                time=_time(message["time"]),
                title=_text(message["title"]),
                text=_text(message["text"]),
                channels=tuple(_text(channel) for channel in message["channels"]),
            )
            for message in content["outbox"]
        ),
    )


def _iso(time: datetime) -> str:
    return time.strftime(TIME_FORMAT)


def _iso_or_none(time: datetime | None) -> str | None:
    return _iso(time) if time is not None else None


def _time(value: Any) -> datetime:
    time = parse_time(value)
    if time is None:
        raise ValueError("not a time")
    return time


def _time_or_none(value: Any) -> datetime | None:
    return None if value is None else _time(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("not a number")
    return value
