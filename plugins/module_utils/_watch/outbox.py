# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which channel still lacks which message. A message leaves the outbox when every channel has accepted it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from .changes import DIGEST
from .configuration import Channel
from .messages import Message
from .state import ChannelState, State, Waiting

# What a channel that does not work may miss: older messages are dropped, the oldest first.
_WAITING_MESSAGES = 20
_WAITING_TIME = timedelta(days=14)


def with_messages(state: State, messages: Iterable[Message], channels: Iterable[Channel], now: datetime) -> State:
    """The state with messages for every channel that takes some. A digest replaces one that is still waiting."""
    names = tuple(channel.name for channel in channels if channel.takes_messages)
    new = tuple(
        Waiting(message.identity, message.kind, now, message.title, message.text, names) for message in messages
    )
    waiting = [
        replace(message, channels=tuple(name for name in message.channels if name in names))
        for message in state.outbox
        if now - message.time <= _WAITING_TIME
        and not (message.kind == DIGEST and any(later.kind == DIGEST for later in new))
    ]
    kept = [message for message in (*waiting, *new) if message.channels]
    return replace(state, outbox=tuple(kept[-_WAITING_MESSAGES:]))


def waiting_for(state: State, channel: str) -> list[Message]:
    """What a channel still lacks, the oldest first."""
    return [
        Message(message.identity, message.kind, message.title, message.text)
        for message in state.outbox
        if channel in message.channels
    ]


def delivered(state: State, channel: str, identity: str) -> State:
    """The state after a channel has accepted a message."""
    outbox = (
        replace(message, channels=tuple(name for name in message.channels if name != channel))
        if message.identity == identity
        else message
        for message in state.outbox
    )
    return replace(state, outbox=tuple(message for message in outbox if message.channels))


def worked(state: State, channel: str, now: datetime) -> State:
    """The state after something was sent through a channel."""
    return _with_channel(state, channel, ChannelState(works=True, since=None, last_success=now))


def failed(state: State, channel: str, error: str, now: datetime) -> State:
    """The state after a channel has failed."""
    before = state.channels.get(channel, ChannelState())
    since = before.since if before.works is False and before.since is not None else now
    return _with_channel(state, channel, ChannelState(False, error, since, before.last_success))


def without_other_channels(state: State, channels: Iterable[Channel]) -> State:
    """The state without channels that are no longer configured."""
    names = {channel.name for channel in channels}
    return replace(state, channels={name: known for name, known in state.channels.items() if name in names})


def _with_channel(state: State, name: str, channel: ChannelState) -> State:
    return replace(state, channels={**state.channels, name: channel})
