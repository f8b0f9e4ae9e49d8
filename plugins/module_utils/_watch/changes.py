# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is new since the last look: the state machine of the watch.

- A problem is reported when a second look finds it too, or at once where it is certain. What else is wrong at that time
  is reported with it, so that one fault gives one message.
- Checks that were reported together recover together: when a second look finds none of them, one message reports that.
- A check is reported at most three times in a day. After that, it is reported when fewer alarms are younger than a day.
- A digest is due after each interval since the first look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .judgement import Judgement
from .state import Check, State, without_future

ALARM, RECOVERY, DIGEST = "alarm", "recovery", "digest"
_LOOKS = 2
_FLAPPING_WINDOW = timedelta(days=1)
_FLAPPING_ALARMS = 3


@dataclass(frozen=True)
class Event:
    """Something to tell: `checks` with their sentences are new (alarm), gone (recovery) or present (digest).

    `others` are the checks that were reported before and remain. `comes_and_goes` are those that will not be reported
    again for a day. `number` identifies the event.
    """

    kind: str
    number: int
    checks: dict[str, tuple[str, ...]]
    others: tuple[str, ...] = ()
    comes_and_goes: tuple[str, ...] = ()


def advance(
    state: State, judgement: Judgement, now: datetime, *, digest: timedelta | None
) -> tuple[State, tuple[Event, ...]]:
    """The state after a look, and what to tell; `digest` is the interval of digests, None for none."""
    state = without_future(state, now)
    checks = {
        name: after
        for name in sorted({*state.checks, *judgement.problems})
        for after in [_after_look(state.checks.get(name), name, judgement, now)]
        if after is not None
    }
    state = replace(state, checks=checks, looked=now)
    events: list[Event] = []
    state = _recover(state, judgement, events)
    state = _raise_alarm(state, judgement, now, events)
    is_healthy = not any(is_present(check) for check in state.checks.values())
    if is_healthy != state.is_healthy:
        state = replace(state, is_healthy=is_healthy, since=now)
    if digest is not None and now - state.digest >= digest:
        present = {name: check.messages for name, check in state.checks.items() if is_present(check)}
        events.append(Event(DIGEST, state.number + 1, present))
        due = state.digest + (now - state.digest) // digest * digest
        state = replace(state, number=state.number + 1, digest=due)
    return state, tuple(events)


def _after_look(check: Check | None, name: str, judgement: Judgement, now: datetime) -> Check | None:
    """A check after a look; None for one that is to be forgotten."""
    messages = judgement.problems.get(name)
    if judgement.leaves_open(name):
        return check
    if messages is not None:
        if check is None or check.seen + check.absent == 0:
            check = Check(messages, now, alarms=check.alarms if check else ())
        first_seen = check.first_seen if check.seen or check.alarm is not None else now
        return replace(check, messages=messages, first_seen=first_seen, seen=check.seen + 1, absent=0)
    if check is None:
        return None
    alarms = tuple(time for time in check.alarms if now - time < _FLAPPING_WINDOW)
    check = replace(check, seen=0, absent=check.absent + 1, alarms=alarms)
    return check if check.alarm is not None or alarms else None


def is_present(check: Check) -> bool:
    """Whether it is a problem: found twice, or reported and not yet refuted twice."""
    return check.seen >= _LOOKS or check.alarm is not None


def _recover(state: State, judgement: Judgement, events: list[Event]) -> State:
    """Close each alarm whose checks are all gone."""
    gone = {name for name, check in state.checks.items() if check.alarm is not None and check.absent >= _LOOKS}
    if not gone:
        return state
    # What was reported with one that is gone, and was not found by this look, is gone with it.
    closing = {state.checks[name].alarm for name in gone}
    gone |= {
        name
        for name, check in state.checks.items()
        if check.alarm in closing and check.absent and not judgement.leaves_open(name)
    }
    checks = {name: replace(check, alarm=None) if name in gone else check for name, check in state.checks.items()}
    others = {name: check.alarm for name, check in checks.items() if check.alarm is not None}
    number, reported = state.number, dict(state.reported)
    for alarm in sorted(alarm for alarm in closing if alarm is not None and alarm not in others.values()):
        number += 1
        recovered = [name for name in reported.pop(alarm, ()) if name not in others and name not in judgement.problems]
        messages = {name: state.checks[name].messages if name in state.checks else () for name in recovered}
        events.append(Event(RECOVERY, number, messages, tuple(sorted(others))))
    # A check whose alarm is closed is kept as long as its alarms count.
    checks = {name: check for name, check in checks.items() if check.alarm is not None or check.seen or check.alarms}
    return replace(state, checks=checks, number=number, reported=reported)


def _raise_alarm(state: State, judgement: Judgement, now: datetime, events: list[Event]) -> State:
    """Report all problems that are not reported if one of them is confirmed."""
    untold = {
        name: check
        for name, check in state.checks.items()
        if check.seen and check.alarm is None and not judgement.leaves_open(name) and not _is_flapping(check, now)
    }
    if not any(check.seen >= _LOOKS or name in judgement.certain for name, check in untold.items()):
        return state
    number = state.number + 1
    told = {name: replace(check, alarm=number, alarms=(*_recent(check, now), now)) for name, check in untold.items()}
    events.append(
        Event(
            ALARM,
            number,
            {name: check.messages for name, check in told.items()},
            tuple(sorted(name for name, check in state.checks.items() if check.alarm is not None)),
            tuple(sorted(name for name, check in told.items() if _is_flapping(check, now))),
        )
    )
    # A check that was gone, and waited for others of an earlier alarm, recovers with this one.
    earlier = {alarm: tuple(name for name in names if name not in told) for alarm, names in state.reported.items()}
    return replace(
        state,
        number=number,
        checks={**state.checks, **told},
        reported={**earlier, number: tuple(sorted(told))},
    )


def _recent(check: Check, now: datetime) -> tuple[datetime, ...]:
    return tuple(time for time in check.alarms if now - time < _FLAPPING_WINDOW)


def _is_flapping(check: Check, now: datetime) -> bool:
    return len(_recent(check, now)) >= _FLAPPING_ALARMS
