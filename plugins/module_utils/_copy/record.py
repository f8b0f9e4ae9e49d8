# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The record of a place, `<name>.copies/<place>.json` on the volume: its copies, and how the last attempt ended."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from .._volume.backup_names import TIME_FORMAT, parse_time
from .configuration import PlaceOptions
from .plan import Copy

COPYING, COPIED, NOTHING_TO_DO = "copying", "copied", "nothing_to_do"
OUTSIDE_WINDOW, FAILED = "outside_window", "failed"
# How long a finding is shown after it was last found.
_SHOWN = timedelta(days=1)
# The script reads 1 MiB of a record: 3,000 copies with findings. What is not in it is read again by each attempt.
_LIMIT_BYTES = 1_000_000
# The newest findings, and of each of them so much, so that they leave space for the copies.
_FINDINGS = 100
_CHARACTERS = 500
_OTHERS = 200


@dataclass(frozen=True)
class Unfinished:
    """Of a restic repository: whether prune must free space, and the part of the data in which check found damage."""

    is_unpruned: bool = False
    damaged_part: int | None = None


@dataclass(frozen=True)
class Record:
    """What is remembered of a place.

    `error` is that of the last attempt in the window, None if it did not fail. `events` has each finding with the time
    when it was last found, `unfinished` what a restic repository still needs.
    `others` are further backups that are known: those that lay there and were not proven, and copies that are no longer
    there, and may be again. `left_out` is the newest known backup for which the record had no space, empty if
    there is none: those that are not newer count as known. `location` is where the copies were proven
    (`PlaceOptions.location`), empty if it is not known. `judged` is when retention was last applied there, also where
    its brake held it back. `time` is when the record was written. `token` is in the names of the uploads of attempts
    with this record.
    """

    copies: tuple[Copy, ...] = ()
    last_success: datetime | None = None
    failing_since: datetime | None = None
    events: Mapping[str, datetime] = field(default_factory=dict)
    unfinished: Unfinished = Unfinished()
    others: tuple[str, ...] = ()
    left_out: str = ""
    error: str | None = None
    location: str = ""
    judged: datetime | None = None
    time: datetime | None = None
    token: str = ""

    @property
    def is_new(self) -> bool:
        """Whether no attempt has listed the files of the place yet."""
        return not (self.copies or self.others or self.left_out or self.location)

    def strangers(self, complete: Iterable[str], on_volume: Container[str]) -> set[str]:
        """The complete backups there that this installation never had: another one with its name copies there, too.

        At the first attempt, what is there is that of an earlier volume, and is adopted.
        """
        known = {copy.backup for copy in self.copies}.union(self.others)
        if self.is_new:
            return set()
        return {name for name in complete if name > self.left_out and name not in known and name not in on_volume}


def parse_record(text: str | None) -> Record:
    """The record in a text; an empty one for a text of another form: then every copy is proven again."""
    try:
        content = json.loads(text or "{}")
        return Record(
            copies=tuple(
                Copy(
                    backup=copy["backup"],
                    sha256=copy["sha256"],
                    size_bytes=copy["size_bytes"],
                    proven=_time(copy["proven"]),
                    proof=copy["proof"],
                    modified=copy["modified"],
                    locked_until=_time(copy["locked_until"]) if copy["locked_until"] else None,
                )
                for copy in content.get("copies", [])
            ),
            last_success=parse_time(str(content.get("last_success"))),
            error=str(content["error"]) if content.get("error") else None,
            failing_since=parse_time(str(content.get("failing_since"))),
            judged=parse_time(str(content.get("judged"))),
            events={str(event["text"]): _time(event["time"]) for event in content.get("events", [])},
            unfinished=Unfinished(content.get("unpruned") is True, content.get("damaged_part")),
            others=tuple(str(name) for name in content.get("others", [])),
            location=str(content.get("location", "")),
            left_out=str(content.get("left_out", "")),
            time=parse_time(str(content.get("time"))),
            token=str(content.get("token", "")),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return Record()


def record_of_place(own: Record, others: Iterable[Record], location: str, now: datetime) -> Record:
    """The record with which an attempt at the location begins; `own` is that of the place's present name.

    The place may have had another name there: a newer record has its proofs. An older one, and one of the future, which
    a wrong clock has written, may be out of date; but no backup that one of them knows is of another installation. A
    place that was given a new name adopts what lies there.
    """
    there = [record for record in others if record.location == location]
    if own.is_new or not there:
        return own
    newer = [record for record in there if record.time and (own.time or record.time) <= record.time <= now]
    newest = max(newer, key=lambda record: record.time or now, default=own)
    known = {name for record in (own, *there) for name in (*record.others, *(copy.backup for copy in record.copies))}
    # Its token may be in use, by an attempt under its name.
    return replace(newest, others=tuple(sorted(known - {copy.backup for copy in newest.copies})), token=own.token)


def _time(text: Any) -> datetime:
    found = parse_time(str(text))
    if found is None:
        raise ValueError(text)
    return found


def next_record(
    before: Record,
    copies: Iterable[Copy],
    findings: Iterable[str],
    now: datetime,
    *,
    error: str | None,
    is_done: bool,
    is_judged: bool = False,
    others: Iterable[str] | None = None,
) -> Record:
    """The record after an attempt; `is_done` where every backup that should be there is a copy.

    Without `others`, those of the record before.
    """
    others = before.others if others is None else tuple(sorted(others))
    recent = {text: time for text, time in before.events.items() if abs(now - time) <= _SHOWN}
    return Record(
        copies=tuple(sorted(copies, key=lambda copy: copy.backup, reverse=True)),
        last_success=now if is_done else before.last_success,
        error=error,
        # A wrong clock may have written a later time.
        failing_since=min(before.failing_since or now, now) if error else None,
        judged=now if is_judged else before.judged,
        events=dict(list({**recent, **{text[:_CHARACTERS]: now for text in findings}}.items())[-_FINDINGS:]),
        unfinished=before.unfinished,
        others=others,
        location=before.location,
        time=now,
        token=before.token,
        left_out="" if is_done and not others else before.left_out,
    )


def dump_record(record: Record, place: PlaceOptions, state: str, error: str | None, now: datetime) -> str:
    """The record in one line, which readers recognise by its beginning. A long one lacks the oldest copies."""
    copies = [_copy(copy) for copy in record.copies]
    others = sorted(record.others)[-_OTHERS:]
    while True:
        known = {*others, *(copy["backup"] for copy in copies)}
        left_out = {*record.others, *(copy.backup for copy in record.copies)} - known
        content = {
            "format": 1,
            "place": place.name,
            "kind": place.kind,
            "offsite": place.is_offsite,
            "time": now.strftime(TIME_FORMAT),
            "state": state,
            "error": error,
            "failing_since": _text(record.failing_since),
            "last_success": _text(record.last_success),
            "judged": _text(record.judged),
            "max_delay_seconds": int(place.max_delay.total_seconds()),
            **({"location": record.location} if record.location else {}),
            **({"token": record.token} if record.token else {}),
            "findings": list(record.events),
            "events": [{"time": _text(time), "text": text} for text, time in record.events.items()],
            **({"unpruned": True} if record.unfinished.is_unpruned else {}),
            **({"damaged_part": record.unfinished.damaged_part} if record.unfinished.damaged_part else {}),
            **({"left_out": max(left_out | {record.left_out})} if left_out or record.left_out else {}),
            **({"others": others} if others else {}),
            "copies": copies,
        }
        line = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
        if len(line) <= _LIMIT_BYTES or not copies:
            return line
        copies = copies[: len(copies) * 9 // 10]


def _copy(copy: Copy) -> dict[str, Any]:
    return {
        "backup": copy.backup,
        "sha256": copy.sha256,
        "size_bytes": copy.size_bytes,
        "proven": _text(copy.proven),
        "proof": copy.proof,
        "modified": copy.modified,
        "locked_until": _text(copy.locked_until),
    }


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.strftime(TIME_FORMAT)
