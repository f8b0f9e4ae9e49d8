# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The line of text that a person sees of an event."""

from __future__ import annotations

from ..units import format_part, format_size
from .event import Event

# What each activity is called, those of the script included. The subject follows, after the word behind the bar.
WORDS = {
    "backup": "running the backup",
    "check_database": "checking whether it can be restored:",
    "check_upload": "checking on the volume",
    "check_unchecked": "checking the files of other programs",
    "compare": "comparing with the live tables|of",
    "compare_hash": "comparing with the volume",
    "contents": "reading the contents|of",
    "copies": "copying to the places",
    "copy": "copying",
    "count": "counting the rows|of",
    "create": "creating the temporary database|for",
    "databases": "restoring the databases",
    "dump": "dumping",
    "drill": "running the restore drill",
    "extensions": "restoring the extensions|of",
    "fetch": "fetching",
    "flush": "writing to the local disk",
    "globals": "restoring roles and tablespaces",
    "initdb": "creating a temporary server",
    "job": "waiting for the end of the Job",
    "list": "listing the volume",
    "load": "loading the rows|of",
    "merge": "merging the rows|of",
    "prepare": "preparing",
    "publish": "publishing the backup",
    "read_back": "reading back what was written",
    "read_copy": "reading back",
    "read_local": "reading the local file",
    "read_volume": "reading on the volume",
    "restore": "restoring",
    "retention": "applying retention",
    "retrieve": "retrieving",
    "roles": "restoring the roles|of",
    "swap": "renaming",
    "upload": "uploading",
    "verify": "verifying",
    "wait_pod": "waiting for the pod",
}
_TEXT_LIMIT, _CAUSE_LIMIT = 80, 200


def line(where: str, event: Event, *, elapsed: float, rate: float | None, left: float | None) -> str:
    """For example: `data/postgres-backup: dumping shop, 3.1 of about 7.4 GiB (42 %), 118 MiB/s, about 38 s left`.

    `elapsed` and `left` are seconds, `rate` is in bytes per second; None if it is not known. Where neither the size nor
    the time that is left is known, the line has the time elapsed. Characters that are not printable are replaced.
    """
    parts = [_activity(event)]
    if event.done_bytes is not None:
        parts.append(_amount(event.done_bytes, event.total_bytes, event.is_estimate))
        if rate is not None:
            parts.append(f"{format_size(round(rate))}/s")
    if left is not None:
        parts.append(f"about {_time(left)} left")
    elif event.done_bytes is None or rate is None:
        parts.append(f"{_time(elapsed)} so far")
    text = f"{printable(where, _TEXT_LIMIT)}: {', '.join(parts)}"
    return f"{text}: {printable(event.cause, _CAUSE_LIMIT)}" if event.cause else text


def printable(text: str, limit: int) -> str:
    """The text for a terminal: without control characters, and cut to its limit."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def _activity(event: Event) -> str:
    # A later version of the script may have other steps.
    known = WORDS.get(event.activity) or printable(event.activity.replace("_", " "), _TEXT_LIMIT)
    words, _separator, preposition = known.partition("|")
    if event.subject:
        words = " ".join([words, *([preposition] if preposition else []), printable(event.subject, _TEXT_LIMIT)])
    return f"{words} ({event.number} of {event.count})" if event.number and event.count else words


def _amount(done: int, total: int | None, is_estimate: bool) -> str:
    if not total or (is_estimate and done > total):
        return format_size(done)
    share = min(100 * done // total, 99 if done < total else 100)
    done_size, total_size = format_part(done, total)
    return f"{done_size} of {'about ' if is_estimate else ''}{total_size} ({share} %)"


def _time(seconds: float) -> str:
    rounded = max(0, round(seconds))
    if rounded < 60:
        return f"{rounded} s"
    minutes, rest = divmod(rounded, 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
