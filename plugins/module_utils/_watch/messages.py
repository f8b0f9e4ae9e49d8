# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The messages of the watch: a title of one line and a text, without markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from .._volume.advice import advice_for
from ..units import format_duration, format_size
from .changes import ALARM, DIGEST, RECOVERY, Event
from .configuration import Configuration
from .judgement import Facts

TEST = "test"
# ntfy makes a file of a longer message (4,096 bytes), and other channels cut it.
_TEXT_LIMIT = 3500
_SENTENCE_LIMIT = 700


@dataclass(frozen=True)
class Message:
    """A message; `identity` is the same each time it is sent, and that of no other message of the installation."""

    identity: str
    kind: str
    title: str
    text: str


def message_of(event: Event, configuration: Configuration, facts: Facts | None, now: datetime) -> Message:
    """The message of an event."""
    title = {
        ALARM: f"PROBLEM {', '.join(event.checks)}",
        RECOVERY: _recovery_title(event),
        DIGEST: f"PROBLEM {', '.join(event.checks)} (digest)" if event.checks else "healthy (digest)",
    }[event.kind]
    lines = {ALARM: _alarm, RECOVERY: _recovery, DIGEST: _digest}[event.kind](event, configuration, facts)
    text = "\n".join([f"PostgreSQL backups of {configuration.installation}, {now:%Y-%m-%d %H:%M} UTC", "", *lines])
    return Message(
        # A watch that begins anew begins with number 1 again.
        identity=f"{event.kind}-{event.number}-{now:%Y%m%d%H%M%S}",
        kind=event.kind,
        title=f"{configuration.installation}: {title}",
        text=cut(text, _TEXT_LIMIT),
    )


def message_for_test(configuration: Configuration, now: datetime) -> Message:
    """The message with which a user tests the channels."""
    return Message(
        identity=f"{TEST}-{now:%Y%m%d%H%M%S}",
        kind=TEST,
        title=f"{configuration.installation}: test message",
        text=f"The watch of the PostgreSQL backups {configuration.installation} can send messages through this "
        f"channel. Nothing is wrong. Sent {now:%Y-%m-%d %H:%M} UTC",
    )


def cut(text: str, limit: int) -> str:
    """The text with at most `limit` bytes of UTF-8."""
    data = text.encode()
    if len(data) <= limit:
        return text
    end = "\n[cut]"
    return data[: limit - len(end)].decode(errors="ignore") + end


def _alarm(event: Event, configuration: Configuration, _facts: Facts | None) -> Iterator[str]:
    for check, sentences in event.checks.items():
        yield from _problem(check, sentences, configuration)
    if event.comes_and_goes:
        yield (
            f"{', '.join(event.comes_and_goes)}: this problem appears again and again. The next message about it is "
            "sent in a day at the earliest."
        )
    if event.others:
        yield f"Reported before, and still wrong: {', '.join(event.others)}"


def _problem(check: str, sentences: tuple[str, ...], configuration: Configuration) -> Iterator[str]:
    advice = advice_for(check, configuration.name, configuration.namespace)
    yield f"Problem: {check}"
    yield f"Expected: {advice.expected}"
    for sentence in sentences:
        yield f"Found: {cut(sentence, _SENTENCE_LIMIT)}"
    yield f"To do: {advice.to_do}"
    yield f"Command: {advice.command}"
    yield ""


def _recovery_title(event: Event) -> str:
    return f"no longer a problem: {', '.join(event.checks)}" if event.others else "healthy again"


def _recovery(event: Event, _configuration: Configuration, facts: Facts | None) -> Iterator[str]:
    yield f"No longer a problem: {', '.join(event.checks)}"
    yield (
        f"Still wrong: {', '.join(event.others)}" if event.others else "Nothing else is wrong. There is nothing to do."
    )
    yield ""
    yield from _state(facts)


def _digest(event: Event, configuration: Configuration, facts: Facts | None) -> Iterator[str]:
    if event.checks:
        for check, sentences in event.checks.items():
            yield from _problem(check, sentences, configuration)
    else:
        yield "Nothing is wrong. There is nothing to do."
        yield ""
    yield from _state(facts)
    if facts is not None:
        interval = format_duration(configuration.digest or timedelta())
        yield f"Runs in the last {interval}: {facts.runs}, failed: {facts.failed_runs}"


def _state(facts: Facts | None) -> Iterator[str]:
    if facts is None:
        yield "The volume could not be read."
        return
    newest = facts.newest
    yield f"Newest complete backup: {newest.name}, {format_size(newest.size_bytes)}" if newest else "No complete backup"
    yield f"Backups on the volume: {facts.backups}"
    days = facts.growth.days_until_full if facts.growth else None
    full = f"; full in about {days:.0f} days" if days is not None else ""
    yield f"Free: {format_size(facts.free_bytes)} of {format_size(facts.volume_bytes)}{full}"
    if facts.last_drill:
        yield _drill(facts.last_drill)


def _drill(record: Mapping[str, object]) -> str:
    return f"Last scheduled restore drill: {record.get('state')}, started {record.get('started')}"
