# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The state machine of the watch: what is reported, and how often, for any series of looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils._watch.changes import ALARM, DIGEST, RECOVERY, Event, advance
from plugins.module_utils._watch.judgement import Judgement, unreadable
from plugins.module_utils._watch.state import State, dump_state, first_state, parse_state

START = datetime(2026, 11, 22, 3, tzinfo=UTC)
PERIOD = timedelta(minutes=30)
WEEK = timedelta(days=7)


def judgement(checks: Iterable[str], undecided: Iterable[str] = (), certain: Iterable[str] = ()) -> Judgement:
    return Judgement({check: (f"{check} is wrong",) for check in checks}, frozenset(undecided), frozenset(certain))


@dataclass
class Watch:
    """A watch that looks every half an hour, and keeps its state as the file has it."""

    now: datetime = START
    state: State = field(default_factory=lambda: first_state(START))
    events: list[Event] = field(default_factory=list)

    def look(self, found: Judgement, digest: timedelta | None = None) -> list[Event]:
        self.state, events = advance(self.state, found, self.now, digest=digest)
        assert parse_state(dump_state(self.state)) == self.state
        self.now += PERIOD
        self.events += events
        return list(events)


def told(looks: Sequence[Judgement]) -> list[tuple[int, str, tuple[str, ...]]]:
    """The number of the look, the kind of the event and its checks."""
    watch = Watch()
    return [
        (number, event.kind, tuple(sorted(event.checks)))
        for number, found in enumerate(looks, 1)
        for event in watch.look(found)
    ]


GOOD, A, B, AB = judgement(""), judgement("a"), judgement("b"), judgement("ab")


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([GOOD] * 5, []),
        ([A, GOOD, GOOD], []),  # an attempt that failed before one that succeeded
        ([A, GOOD, A, GOOD, A], []),
        ([GOOD, A, A, A, A], [(3, ALARM, ("a",))]),
        ([A, A, GOOD, GOOD, GOOD], [(2, ALARM, ("a",)), (4, RECOVERY, ("a",))]),
        ([A, A, GOOD, A, GOOD, GOOD], [(2, ALARM, ("a",)), (6, RECOVERY, ("a",))]),
        # What one fault causes is reported together, and recovers together.
        ([AB, AB, GOOD, GOOD], [(2, ALARM, ("a", "b")), (4, RECOVERY, ("a", "b"))]),
        ([A, AB, AB, B, B, GOOD, GOOD], [(2, ALARM, ("a", "b")), (7, RECOVERY, ("a", "b"))]),
        ([A, AB, AB, B, GOOD, GOOD], [(2, ALARM, ("a", "b")), (5, RECOVERY, ("a", "b"))]),
        # A further problem of another kind.
        (
            [A, A, AB, AB, B, B, GOOD, GOOD],
            [(2, ALARM, ("a",)), (4, ALARM, ("b",)), (6, RECOVERY, ("a",)), (8, RECOVERY, ("b",))],
        ),
        # A problem that returns while what was reported with it remains.
        ([AB, AB, B, B, AB, AB], [(2, ALARM, ("a", "b")), (6, ALARM, ("a",))]),
        # A certain problem needs no second look.
        ([judgement("a", certain="a")], [(1, ALARM, ("a",))]),
        ([judgement("ab", certain="a")], [(1, ALARM, ("a", "b"))]),
        # What cannot be decided remains as it was.
        ([A, judgement("", undecided="a"), A], [(3, ALARM, ("a",))]),
        ([A, A, *[judgement("", undecided="a")] * 5, A], [(2, ALARM, ("a",))]),
        ([A, A, *[judgement("", undecided="a")] * 5, GOOD, GOOD], [(2, ALARM, ("a",)), (9, RECOVERY, ("a",))]),
        ([judgement("a", undecided="a")] * 5, []),
        # Nothing is known of a volume that cannot be read, except that.
        (
            [A, A, *[unreadable("x")] * 4, A, A],
            [(2, ALARM, ("a",)), (4, ALARM, ("volume",)), (8, RECOVERY, ("volume",))],
        ),
    ],
)
def test_what_is_told(looks: list[Judgement], expected: list[tuple[int, str, tuple[str, ...]]]) -> None:
    assert told(looks) == expected


def test_an_alarm_names_what_was_told_before() -> None:
    watch = Watch()
    events = [event for found in (A, A, AB, AB, B, B) for event in watch.look(found)]
    assert [event.others for event in events] == [(), ("a",), ("b",)]
    assert watch.state.is_healthy is False


def test_a_problem_that_comes_and_goes_is_told_three_times_a_day() -> None:
    watch = Watch()
    for _round in range(48):
        for found in (A, A, GOOD, GOOD):
            watch.look(found)
    per_day = Counter((event.kind, number) for number, day in enumerate(_days(watch)) for event in day)
    assert 8 <= sum(count for (kind, _), count in per_day.items() if kind == ALARM) <= 12
    alarms = [event for event in watch.events if event.kind == ALARM]
    assert alarms[2].comes_and_goes == ("a",) and alarms[0].comes_and_goes == ()


def _days(watch: Watch) -> list[list[Event]]:
    """The events of each day of a watch whose looks are all half an hour apart: reported again from its start."""
    again, days = Watch(), []
    while again.now < watch.now:
        day: list[Event] = []
        for _look in range(48):
            day += again.look(A if (again.now - START) // PERIOD % 4 < 2 else GOOD)
        days.append(day)
    return days


def test_a_flapping_problem_that_stays_is_told_a_day_later() -> None:
    watch = Watch()
    for _round in range(5):
        for found in (A, A, GOOD, GOOD):
            watch.look(found)
    assert sum(event.kind == ALARM for event in watch.events) == 3
    later = [event for _look in range(100) for event in watch.look(A)]
    assert [event.kind for event in later] == [ALARM]


def test_a_digest_each_week_also_after_a_break() -> None:
    watch = Watch()
    digests = []
    for _look in range(48 * 100):
        digests += [watch.now for event in watch.look(GOOD, WEEK) if event.kind == DIGEST]
    assert len(digests) == 14 and all(after - before == WEEK for before, after in pairwise(digests))
    watch.now += timedelta(days=30)
    assert [event.kind for _look in range(48) for event in watch.look(GOOD, WEEK)] == [DIGEST]


def test_a_digest_has_the_problems() -> None:
    watch = Watch()
    watch.look(A), watch.look(A)
    watch.now += WEEK
    assert [(event.kind, set(event.checks)) for event in watch.look(A, WEEK)] == [(DIGEST, {"a"})]


def test_a_clock_that_goes_back_changes_nothing() -> None:
    watch = Watch()
    watch.look(A), watch.look(A)
    watch.now = START - timedelta(days=400)
    assert [event for _look in range(20) for event in watch.look(A, WEEK)] == []
    assert [event.kind for _look in range(2) for event in watch.look(GOOD, WEEK)] == [RECOVERY]
    watch.now += WEEK
    assert [event.kind for event in watch.look(GOOD, WEEK)] == [DIGEST]


def test_a_state_that_is_lost_gives_one_message_again() -> None:
    watch = Watch()
    watch.look(A), watch.look(A)
    watch.state = first_state(watch.now)
    assert [event.kind for _look in range(20) for event in watch.look(A)] == [ALARM]


CHECKS = st.sets(st.sampled_from("abcd"), max_size=4)
LOOKS = st.lists(
    st.builds(
        judgement, CHECKS, st.sets(st.sampled_from("abcd"), max_size=2), st.sets(st.sampled_from("ab"), max_size=1)
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(LOOKS)
def test_for_any_looks(looks: list[Judgement]) -> None:
    """Alarm and recovery of a check alternate, alarms are few, and what is reported is what is wrong."""
    watch = Watch()
    open_alarms: dict[int, set[str]] = {}
    alarm_times: dict[str, list[datetime]] = {}
    for found in looks:
        now = watch.now
        for event in watch.look(found):
            assert event.checks, "a message is about something"
            if event.kind == ALARM:
                # A check that was reported again recovers with its latest alarm only.
                open_alarms = {number: checks - set(event.checks) for number, checks in open_alarms.items()}
            for check in event.checks:
                if event.kind == ALARM:
                    assert check in found.problems, "an alarm is about what this look found"
                    alarm_times.setdefault(check, []).append(now)
                    open_alarms[event.number] = set(event.checks)
                else:
                    assert check not in found.problems, "a recovery is about what this look did not find"
            if event.kind == RECOVERY:
                del open_alarms[next(number for number, checks in open_alarms.items() if set(event.checks) <= checks)]
    numbers = [event.number for event in watch.events]
    assert numbers == sorted(set(numbers))
    for times in alarm_times.values():
        for first in times:
            assert sum(first <= time < first + timedelta(days=1) for time in times) <= 3
    # Two looks without a problem close everything.
    watch.look(GOOD)
    watch.look(GOOD)
    assert watch.state.is_healthy and not watch.state.reported
    assert not any(check.alarm for check in watch.state.checks.values())


@settings(max_examples=30, deadline=None)
@given(before=LOOKS, fault=st.sets(st.sampled_from("abcd"), min_size=1))
def test_one_fault_gives_one_message_and_one_recovery(before: list[Judgement], fault: set[str]) -> None:
    """Whatever was before, once that is a day ago."""
    watch = Watch()
    for found in before:
        watch.look(found)
    for _look in range(2 + 48):
        watch.look(GOOD)
    alarms = [watch.look(judgement(fault)) for _look in range(60)]
    assert [len(events) for events in alarms] == [0, 1, *[0] * 58]
    assert alarms[1][0].kind == ALARM and set(alarms[1][0].checks) == fault
    recoveries = [watch.look(GOOD) for _look in range(60)]
    assert [len(events) for events in recoveries] == [0, 1, *[0] * 58]
    assert recoveries[1][0].kind == RECOVERY and set(recoveries[1][0].checks) == fault
