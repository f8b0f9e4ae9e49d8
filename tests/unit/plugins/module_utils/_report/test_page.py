# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is on the page about installations: the answers that a person needs, and the order of the sections."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.report.samples import HEALTHY, NOT_READABLE, NOW, UNHEALTHY, Installation, several
from plugins.module_utils._report.installation import Section
from plugins.module_utils._report.page import Page, page
from plugins.module_utils._volume.copy_health import MOVED

Result = dict[str, Any]
REFUSED = "could not connect to the server: FATAL: password authentication failed for user postgres"


def shown(result: Any, host: str = "localhost") -> Section:
    (section,) = page([{"host": host, "result": result}], [], NOW).sections
    return section


def of(result: Result, **changes: Any) -> Result:
    return {**result, **changes}


def problem(check: str, message: str = "expected one thing, found another") -> dict[str, str]:
    return {"check": check, "message": message}


def facts(section: Section) -> dict[str, tuple[str, str, str]]:
    return {fact.question: (fact.answer, fact.detail, fact.tone) for fact in section.key_facts}


def test_a_healthy_installation() -> None:
    section = shown(HEALTHY.result())
    assert (section.state, section.verdict) == ("healthy", "Healthy")
    assert section.since == "The newest complete backup was started on 28 Nov 2026, 02:00 UTC, 8h 23m ago."
    assert facts(section) == {
        "Newest complete backup": ("8h 23m ago", "28 Nov 2026, 02:00 UTC, 172 MiB", "good"),
        "A restore takes": (
            "47s",
            "measured by the restore drill of 22 Nov 2026: 4 databases, 4,359,680 rows, 170 MiB compressed",
            "good",
        ),
        "Volume full": (
            "in 107 days",
            "on 15 Mar 2027; 12.1 GiB of 59.6 GiB free, 116 MiB less each day",
            "good",
        ),
        "Longest gap in 30 days": (
            "1d",
            "from 8 Nov 2026, 02:00 UTC to 9 Nov 2026, 02:00 UTC; the schedule has 1d",
            "good",
        ),
    }
    assert section.missing == (
        "A copy at another place: all backups are on one volume, "
        "192.168.2.2:/volume1/k8s-data/data-postgres-backup-pvc-1.",
    )
    assert section.policy == "the newest 7, and the newest of each of the latest 7 days and 4 weeks"
    assert section.kept == "8 of 15 backups"
    assert section.databases_in_words == "4 of 4 databases in the newest complete backup"
    assert [chart.title for chart in section.charts] == [
        "Size of a backup",
        "Duration of a run",
        "Rows counted by drills",
        "Duration of a drill",
    ]
    assert section.space_chart is not None and section.space_chart.last_day == "15 Mar 2027"


def test_an_installation_that_is_not_healthy() -> None:
    section = shown(UNHEALTHY.result(), "shop")
    assert (section.title, section.subtitle) == ("shop", "shop/postgres-backup")
    assert (section.state, section.verdict) == ("unhealthy", "Not healthy: 2 problems")
    assert section.since == (
        "Runs have failed since 26 Nov 2026, 02:00 UTC. Not safe since 25 Nov 2026, 02:00 UTC: later changes are in no "
        "complete backup."
    )
    assert section.summary == "newest backup too old, last run failed"
    assert [each.heading for each in section.problems] == ["newest backup too old", "last run failed"]
    assert [each.command and each.command.line for each in section.problems] == [
        "ansible-playbook homelab.postgres_backup.backup_now -e postgres_backup_hosts=shop",
        None,
    ]
    assert facts(section)["Newest complete backup"][::2] == ("3d 8h ago", "bad")
    assert facts(section)["A restore takes"] == (
        "not measured",
        "No restore drill is scheduled.",
        "warning",
    )
    assert facts(section)["Longest gap in 30 days"][::2] == ("3d 8h", "warning")
    assert section.missing[0].startswith("A scheduled restore drill (postgres_backup_drill_schedule): nobody")
    assert section.calendar is not None
    assert dict(section.calendar.counts) == {"complete": 358, "incomplete": 0, "failed": 4, "missed": 3}
    assert [(runs.when, runs.what, runs.reason) for runs in section.failed_runs] == [
        ("26 Nov 2026, 02:00 UTC to 28 Nov 2026, 02:00 UTC", "3 runs failed", REFUSED),
        ("23 Mar 2026, 02:00 UTC", "failed", REFUSED),
    ]


# What differs in the result, and the sentence about since when.
SINCE: dict[str, tuple[Result, str]] = {
    "no complete backup": (
        {"backups": [], "newest": None, "healthy": False, "problems": [problem("backup")]},
        "No complete backup exists: nothing can be restored with certainty.",
    ),
    "something else": (
        {"healthy": False, "problems": [problem("image")]},
        "Backups are made: the newest complete backup was started on 28 Nov 2026, 02:00 UTC.",
    ),
    "something else, which the watch has seen": (
        {
            "healthy": False,
            "problems": [problem("image")],
            "last_watch": {"state": "unhealthy", "since": "2026-11-27T05:30:00Z"},
        },
        "Not healthy since 27 Nov 2026, 05:30 UTC. Backups are made: the newest complete backup was started on "
        "28 Nov 2026, 02:00 UTC.",
    ),
    "a watch that was content": (
        {
            "healthy": False,
            "problems": [problem("image")],
            "last_watch": {"state": "healthy", "since": "2026-11-27T05:30:00Z"},
        },
        "Backups are made: the newest complete backup was started on 28 Nov 2026, 02:00 UTC.",
    ),
    "runs that did not start": (
        {"healthy": False, "problems": [problem("age")]},
        "Not safe since 28 Nov 2026, 02:00 UTC: later changes are in no complete backup.",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), SINCE.values(), ids=SINCE)
def test_since_when(changes: Result, sentence: str) -> None:
    assert shown(of(HEALTHY.result(), **changes)).since == sentence


GIB = 1 << 30
VOLUME = {"size_bytes": 100 * GIB, "free_bytes": 40 * GIB, "claim": "c", "nfs_server": None, "nfs_path": None}
FULL: dict[str, tuple[Result, tuple[str, str, str]]] = {
    "a trend": (
        {"growth": {"bytes_per_day": GIB, "days_until_full": 40.0}},
        ("in 40 days", "on 7 Jan 2027; 40.0 GiB of 100 GiB free, 1.0 GiB less each day", "warning"),
    ),
    "a problem": (
        {"growth": {"bytes_per_day": 10 * GIB, "days_until_full": 1.5}, "problems": [problem("space")]},
        ("in 1 day", "on 29 Nov 2026; 40.0 GiB of 100 GiB free, 10.0 GiB less each day", "bad"),
    ),
    "no growth": (
        {"growth": {"bytes_per_day": -5, "days_until_full": None}},
        ("not in sight", "40.0 GiB of 100 GiB free; it does not fill noticeably", "good"),
    ),
    "in twenty years": (
        {"growth": {"bytes_per_day": 5, "days_until_full": 7305.0}},
        ("not in sight", "40.0 GiB of 100 GiB free; it does not fill noticeably", "good"),
    ),
    "no trend": (
        {"growth": None},
        ("not known yet", "40.0 GiB of 100 GiB free; a trend needs runs on 7 days", "plain"),
    ),
    "an unknown size": (
        {"growth": None, "volume": {**VOLUME, "size_bytes": None}},
        ("not known yet", "free space unknown; a trend needs runs on 7 days", "plain"),
    ),
}


@pytest.mark.parametrize(("changes", "fact"), FULL.values(), ids=FULL)
def test_when_the_volume_is_full(changes: Result, fact: tuple[str, str, str]) -> None:
    section = shown(of(HEALTHY.result(), **{"volume": VOLUME, **changes}))
    assert facts(section)["Volume full"] == fact


DRILL = {"state": "succeeded", "started": "2026-11-27T04:00:00Z", "seconds": {"initdb": 2, "restore": 61}}


@pytest.mark.parametrize(
    ("record", "answer", "detail"),
    [
        ({**DRILL, "rows": 7}, "1m 3s", "measured by the restore drill of 27 Nov 2026: 7 rows"),
        ({**DRILL, "seconds": "x"}, "0s", "measured by the restore drill of 27 Nov 2026"),
        # One that failed measured nothing: the last one that succeeded did.
        ({**DRILL, "state": "failed"}, "47s", "measured by the restore drill of 22 Nov 2026: 4,359,680 rows, "),
        (None, "47s", "measured by the restore drill of 22 Nov 2026: 4,359,680 rows, "),
        ([1], "47s", "measured by the restore drill of 22 Nov 2026: 4,359,680 rows, "),
    ],
)
def test_how_long_a_restore_takes(record: Any, answer: str, detail: str) -> None:
    found = facts(shown(of(HEALTHY.result(), last_drill=record)))["A restore takes"]
    assert found[0] == answer
    assert found[1].startswith(detail)


def test_a_drill_that_never_succeeded() -> None:
    result = of(Installation("data", drills=False).result(), drill_schedule={"cron": "0 4 * * 0"})
    section = shown(of(result, problems=[problem("drill")], healthy=False))
    assert facts(section)["A restore takes"] == (
        "not measured",
        "No scheduled restore drill has succeeded yet.",
        "bad",
    )
    assert section.missing[0] == "A restore drill that succeeded."


def test_what_is_missing() -> None:
    result = Installation("data", databases=("app", "shop"), missing=("shop",)).result()
    newest = {**result["backups"][0], "left_out": True}
    run = {
        "excluded_databases": ["cache"],
        "skipped_databases": ["off", "broken"],
        "invalid_databases": ["broken"],
        "inaccessible_databases": ["rdsadmin"],
    }
    section = shown(of(result, backups=[newest, *result["backups"][1:]], last_run=run))
    assert section.missing[:-1] == (
        f"Database shop: it could not be dumped; its newest backup is {result['backups'][3]['name']}.",
        "Databases that were excluded on request: cache.",
        "Databases that do not allow connections: off.",
        "Databases that an interrupted DROP DATABASE left invalid: broken.",
        "Databases that the backup user may not connect to: rdsadmin.",
    )
    assert section.databases_in_words == "1 of 2 databases in the newest complete backup, 1 could not be dumped"
    del run["excluded_databases"]
    section = shown(of(result, backups=[newest], last_run=run))
    assert "Tables or rows that were left out on request: the header of the backup names them." in section.missing


@pytest.mark.parametrize(
    ("volume", "place"),
    [
        ({"nfs_server": "nas", "nfs_path": "/b"}, "nas:/b"),
        ({"claim": "pgdump"}, "the claim data/pgdump"),
        ({}, "that of the CronJob"),
    ],
)
def test_where_the_backups_are(volume: Result, place: str) -> None:
    unknown = dict.fromkeys(("claim", "nfs_server", "nfs_path", "size_bytes", "free_bytes"))
    section = shown(of(HEALTHY.result(), volume={**unknown, **volume}))
    assert section.location == place
    assert section.missing[-1] == f"A copy at another place: all backups are on one volume, {place}."


CLOUD = {"name": "cloud", "kind": "s3", "copies": 7, "size_bytes": 3 * GIB, "newest": None, "error": None}
RULE = {"holds": True, "copies": 3, "storages": 2, "offsite": True, "reason": None}


def test_copies_at_other_places() -> None:
    result = HEALTHY.result()
    newest = result["backups"][0]["name"]
    places = [
        {**CLOUD, "newest": newest, "is_behind": False},
        {**CLOUD, "name": "nas", "kind": "nfs", "newest": "b-1", "is_behind": True, "error": "no answer", "copies": 1},
        {**CLOUD, "name": "new", "copies": 0, "size_bytes": 0, "is_behind": True},
        {**CLOUD, "name": "moved", "is_moved": True, "is_behind": False, "error": "no answer"},
    ]
    section = shown(of(result, places=places, three_two_one=RULE))
    assert [(row.name, row.kind, row.copies, row.size, row.newest, row.state) for row in section.places] == [
        ("cloud", "s3", "7 copies", "3.0 GiB", "28 Nov 2026, 02:00", "not behind"),
        ("nas", "nfs", "1 copy", "3.0 GiB", "b-1", "behind: its last attempt failed: no answer"),
        ("new", "s3", "0 copies", "0 bytes", "none", "behind"),
        ("moved", "s3", "7 copies", "3.0 GiB", "none", f"not behind: {MOVED}; its last attempt failed: no answer"),
    ]
    assert section.missing == ("Copies of the newest backups, at places that are behind: nas, new.",)
    assert section.rule == (
        "The newest complete backup follows the rule 3-2-1: 3 copies of the data on 2 storages, one of them in another "
        "house."
    )
    broken = {**RULE, "holds": False, "reason": "no place has a copy of b-1"}
    section = shown(of(result, places=places[:1], three_two_one=broken))
    assert section.missing == ("The rule 3-2-1: no place has a copy of b-1.",)
    assert section.rule == "The newest complete backup does not follow the rule 3-2-1: no place has a copy of b-1."
    many = [{**CLOUD, "name": f"p{number}", "is_behind": False} for number in range(23)]
    section = shown(of(result, places=many, three_two_one=RULE))
    assert (len(section.places), section.more_places) == (20, 3)


def test_without_copies_nothing_is_said_of_places() -> None:
    section = shown(of(HEALTHY.result(), places=[], three_two_one=None))
    assert (section.places, section.more_places, section.rule) == ((), 0, "")
    assert section == shown(HEALTHY.result())


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"keep_last": 7}, "the newest 7"),
        ({"keep_daily": 3}, "the newest of each of the latest 3 days"),
        (
            {"keep_last": 1, "keep_daily": 2, "keep_weekly": 3, "keep_monthly": 4, "keep_yearly": 5},
            "the newest 1, and the newest of each of the latest 2 days, 3 weeks, 4 months and 5 years",
        ),
        ({"keep_within": "14d"}, "all within 14d of the newest"),
        ({}, "only the newest complete backup"),
    ],
)
def test_the_policy_in_words(policy: Result, words: str) -> None:
    assert shown(of(HEALTHY.result(), policy=policy)).policy == words


def test_a_new_installation() -> None:
    result = Installation("data", days=0, drills=False).result()
    section = shown(of(result, history=[], growth=None, worst_gap=None))
    assert section.charts == () and section.space_chart is None
    assert section.calendar is not None and section.calendar.summary == "1 day with a complete backup"
    assert facts(section)["Longest gap in 30 days"][0] == "not known"


def test_the_worst_is_first_and_one_that_cannot_be_read_stops_no_other() -> None:
    result = page(
        [*reversed(several()), {"host": "z", "result": {}}, {"host": "y", "result": {"healthy": True}}], [], NOW
    )
    assert [(section.title, section.state) for section in result.sections] == [
        ("shop", "unhealthy"),
        ("monitoring", "unreadable"),
        ("y", "unreadable"),
        ("z", "unreadable"),
        ("home", "healthy"),
    ]
    assert (result.state, result.verdict) == ("unhealthy", "1 of 5 installations is not healthy, 3 could not be read")
    assert [section.summary for section in result.sections][1:4] == [
        NOT_READABLE["msg"],
        "the result of backup_info is not of this version: KeyError('history')",
        "nothing was read: a task before that failed",
    ]
    assert result.lines[0] == result.verdict
    assert result.lines[1].startswith("shop: expected a complete backup younger than 1d 2h, found ")
    assert len({section.anchor for section in result.sections}) == 5


@pytest.mark.parametrize(
    ("results", "state", "verdict"),
    [
        ([HEALTHY] * 3, "healthy", "All 3 installations are healthy"),
        ([HEALTHY, UNHEALTHY, UNHEALTHY], "unhealthy", "2 of 3 installations are not healthy"),
        ([HEALTHY, None], "unreadable", "1 of 2 installations could not be read"),
        ([HEALTHY], "healthy", "Healthy"),
        ([], "unreadable", "No installation was read"),
    ],
)
def test_the_verdict_about_all(results: list[Installation | None], state: str, verdict: str) -> None:
    items = [{"host": str(index), "result": each.result() if each else {}} for index, each in enumerate(results)]
    result = page(items, [], NOW)
    assert (result.state, result.verdict) == (state, verdict)


def test_many_installations_are_shown_with_less_detail() -> None:
    def of_many(number: int) -> Page:
        return page([{"host": str(index), "result": SMALL} for index in range(number)], [], NOW)

    assert not of_many(10).is_compact and of_many(10).sections[0].backups
    assert of_many(11).is_compact and not of_many(11).sections[0].backups


# A record on the volume can hold anything that is JSON, written by somebody else.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RUN_KEYS = ("state", "reason", "excluded_databases", "skipped_databases", "invalid_databases", "inaccessible_databases")
DRILL_KEYS = ("state", "started", "seconds", "databases", "tables", "rows", "bytes")
NUMBERS = ("size_bytes", "seconds", "rows", "tables", "free_bytes", "volume_bytes", "deleted")
SMALL = Installation("data", days=9).result()


@settings(max_examples=40, deadline=None)
@given(
    JSON | st.fixed_dictionaries(dict.fromkeys(RUN_KEYS, JSON)),
    JSON | st.fixed_dictionaries(dict.fromkeys(DRILL_KEYS, JSON)),
)
def test_records_of_any_form_are_read(last_run: Any, last_drill: Any) -> None:
    record = (
        {**DRILL, **last_drill, **{"state": "succeeded", "started": DRILL["started"]}}
        if isinstance(last_drill, dict)
        else last_drill
    )
    for each in (last_drill, record):
        assert shown(of(SMALL, last_run=last_run, last_drill=each)).state == "healthy"


@settings(max_examples=40, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(("state", "reason", "backup_state", *NUMBERS), JSON | st.integers(0))))
def test_entries_of_the_history_of_any_form_are_read(changes: Result) -> None:
    history = [*SMALL["history"], *({**entry, **changes} for entry in SMALL["history"][:3])]
    assert shown(of(SMALL, history=history)).state == "healthy"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys([*CLOUD, "is_behind"], JSON)), max_size=3), JSON)
def test_places_of_any_form_are_shown(places: list[Result], rule: Any) -> None:
    assert shown(of(SMALL, places=places, three_two_one=rule)).state == "healthy"


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([*sorted(SMALL), "places", "three_two_one"]), JSON)
def test_a_result_of_any_form_is_shown(key: str, value: Any) -> None:
    assert page([{"host": "a", "result": {**SMALL, key: value}}, {"host": "b", "result": value}], [], NOW).sections


def test_ages_are_those_at_the_time_of_reading() -> None:
    later = datetime(2026, 12, 3, 1, 2, 3, tzinfo=UTC)
    assert page([], [], later).created == "3 Dec 2026, 01:02 UTC"
    (section,) = page([{"host": "localhost", "result": HEALTHY.result()}], [], NOW + timedelta(hours=2)).sections
    assert "10h 23m ago" in section.since
