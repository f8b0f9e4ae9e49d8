# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""metrics.awk: the metrics of a listing, whatever the names in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prometheus import check_metrics, number_of_series, samples, value

from ..support.awks import each_awk, run_awk

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
LABELS = {"name": "postgres-backup", "backup_namespace": "data"}
NEWEST_OF_DATABASE = "postgres_backup_database_newest_timestamp_seconds"
MOST = 30


def moment(days_ago: float) -> str:
    return f"{NOW - timedelta(days=days_ago):%Y-%m-%dT%H:%M:%SZ}"


def epoch(days_ago: float) -> float:
    return (NOW - timedelta(days=days_ago)).timestamp()


def item(**members: Any) -> str:
    return json.dumps(members, separators=(",", ":"))


def backup(days_ago: float, state: str = "complete", **members: Any) -> str:
    """A line as `backup.sh list` prints it."""
    shown: dict[str, Any] = {"dumped": ["postgres"], "missing": [], "left_out": False}
    return item(
        type="backup",
        name=f"postgres-backup-{days_ago}.sql.gz",
        created=moment(days_ago),
        size_bytes=members.pop("size_bytes", 1000),
        sha256="0",
        state=state,
        future=members.pop("future", False),
        verdict="keep",
        reasons=['the newest that holds "shop","state":"damaged","future":true,'],
        manifest=members.pop("manifest", True),
        **{**shown, **members},
    )


def history(operation: str, days_ago: float, state: str = "succeeded", **members: Any) -> str:
    times = {"started": moment(days_ago + 0.01), "finished": moment(days_ago)}
    return item(type="history", operation=operation, **times, state=state, **members)


def trend(days_until_full: float | None = 12.5, failures: int = 0, gap: int = 86400) -> str:
    return item(
        type="trend",
        growth={"bytes_per_day": 5, "days_until_full": days_until_full},
        worst_gap={"start": moment(1), "end": None, "seconds": gap},
        consecutive_failures=failures,
    )


def metrics(*lines: str, awk: str = "mawk", locations: str | None = None, **variables: str) -> str:
    given_variables = {
        "labels": ",".join(f'{name}="{text}"' for name, text in LABELS.items()),
        "now": f"{NOW.timestamp():.0f}",
        "interval": "86400",
        "size_bytes": "4000000000000",
        "free_bytes": "1000000000000",
        **variables,
    }
    files, environment = ["calendar.awk", "json.awk", "metrics.awk"], {}
    if locations is not None:
        environment = {"POSTGRES_BACKUP_COPY_LOCATIONS": locations}
    text = run_awk(awk, files, given_variables, "".join(f"{x}\n" for x in lines), **environment)
    assert text.endswith("\n# EOF\n")
    assert number_of_series(text) <= MOST
    return text


GOOD = (
    backup(0, size_bytes=5_000_000_000, dumped=["postgres", "shop"]),
    backup(1),
    history("run", 1, "failed", seconds=3),
    history("drill", 0.5, seconds=321, rows=6_000_000_000),
    history("prune", 0.2, seconds=9),
    history("run", 0, seconds=75),
    trend(),
)


@each_awk
def test_every_metric(awk: str) -> None:
    text = metrics(*GOOD, awk=awk)
    check_metrics(text)
    found = samples(text)
    assert all(set(LABELS.items()) <= labels for series in found.values() for labels in series)
    assert {name.removeprefix("postgres_backup_"): value(text, name) for name in found if len(found[name]) == 1} == {
        "last_run_timestamp_seconds": epoch(0),
        "last_run_state": 1,
        "last_run_duration_seconds": 75,
        "consecutive_failures": 0,
        "schedule_interval_seconds": 86400,
        "worst_gap_seconds": 86400,
        "newest_timestamp_seconds": epoch(0),
        "newest_size_bytes": 5_000_000_000,
        "copies": 0,
        "databases": 2,
        "databases_missing": 0,
        "last_drill_timestamp_seconds": epoch(0.5),
        "last_drill_state": 1,
        "restore_seconds": 321,
        "restore_rows": 6_000_000_000,
        "volume_size_bytes": 4_000_000_000_000,
        "volume_free_bytes": 1_000_000_000_000,
        "volume_full_timestamp_seconds": epoch(-12.5),
    }
    assert value(text, NEWEST_OF_DATABASE, database="shop") == epoch(0)
    for state, number in {"complete": 2, "incomplete": 0, "unchecked": 0, "damaged": 0}.items():
        assert value(text, "postgres_backup_backups", state=state) == number
    assert value(text, "postgres_backup_last_run_state", state="succeeded") == 1


@each_awk
def test_copies(awk: str) -> None:
    """Of the newest complete backup that may have been copied: the last run has just made its own."""

    def place(name: str, *backups: str, sha256: str = "0") -> str:
        copies = [{"backup": f"postgres-backup-{days}.sql.gz", "sha256": sha256, "size_bytes": 1} for days in backups]
        return item(type="copies", record={"format": 1, "place": name, "copies": copies})

    backups = [backup(0), backup(0.5), backup(1.1, "incomplete"), backup(1.5), backup(2)]
    places = [
        place("a", "0", "1.5", "2"),
        place("b", "1.5"),
        place("only-older", "2"),
        place("only-newer", "0", "0.5", "1.1"),
        place("another-file", "1.5", sha256="1"),
        place("empty"),
    ]
    assert value(metrics(*backups, *places, awk=awk), "postgres_backup_copies") == 2
    assert value(metrics(*backups[:2], *places, awk=awk), "postgres_backup_copies") == 0
    assert value(metrics(*backups, awk=awk), "postgres_backup_copies") == 0


@each_awk
def test_copies_at_another_location_than_the_configured_one(awk: str) -> None:
    """And those of a place that is configured no longer. A location has any characters, and any length."""
    new = 'nfs 192.168.2.3 /volume1/"copies" and\\n more ' + "x" * 100

    def place(name: str, location: str | None) -> str:
        copies = [{"backup": "postgres-backup-1.sql.gz", "sha256": "0", "size_bytes": 1}]
        known = {"location": location} if location is not None else {}
        return item(type="copies", record={"format": 1, "place": name, **known, "copies": copies})

    listing = [backup(1), *(place(*record) for record in (("a", new), ("b", f"{new}x"), ("c", None), ("d", new)))]
    assert value(metrics(*listing, awk=awk), "postgres_backup_copies") == 4
    locations = "\n".join(f"{name} {json.dumps(new)}" for name in "abc")
    assert value(metrics(*listing, awk=awk, locations=locations), "postgres_backup_copies") == 2


def test_nothing_is_known_yet() -> None:
    """What is not known has no series."""
    text = metrics(interval="", size_bytes="", free_bytes="")
    check_metrics(text)
    assert samples(text).keys() == {"postgres_backup_backups", "postgres_backup_copies"}


def test_bad_nights() -> None:
    text = metrics(
        backup(-1, future=True),
        backup(0, "incomplete", dumped=["postgres"], missing=["lost", "shop"]),
        backup(0.3, "damaged", manifest=False, dumped=None, missing=None, left_out=None),
        backup(0.4, "unchecked", manifest=False, dumped=None, missing=None, left_out=None),
        backup(1, "incomplete", dumped=["postgres", "else"], missing=["shop"]),
        backup(2, dumped=["postgres", "shop"], size_bytes=7),
        backup(3, dumped=["gone", "postgres", "shop"]),
        history("drill", 3, seconds=30, rows=9),
        history("drill", 1, "failed", seconds=2, rows=None),
        history("run", 0, "failed", seconds=4),
        trend(days_until_full=None, failures=2, gap=3 * 86400),
    )
    check_metrics(text)
    assert value(text, "postgres_backup_newest_timestamp_seconds") == epoch(2)
    assert value(text, "postgres_backup_newest_size_bytes") == 7
    # Only the databases that the newest backup should contain.
    databases = {dict(labels)["database"]: number for labels, number in samples(text)[NEWEST_OF_DATABASE].items()}
    assert databases == {"lost": 0, "shop": epoch(2), "postgres": epoch(0)}
    assert value(text, "postgres_backup_databases") == 3
    assert value(text, "postgres_backup_databases_missing") == 2
    for state, number in {"complete": 3, "incomplete": 2, "unchecked": 1, "damaged": 1}.items():
        assert value(text, "postgres_backup_backups", state=state) == number
    assert value(text, "postgres_backup_last_run_state", state="failed") == 1
    assert value(text, "postgres_backup_last_drill_state", state="failed") == 1
    # Still known from the drill before.
    assert value(text, "postgres_backup_restore_seconds") == 30
    assert value(text, "postgres_backup_restore_rows") == 9
    assert value(text, "postgres_backup_consecutive_failures") == 2
    assert value(text, "postgres_backup_volume_full_timestamp_seconds") == float("inf")


@each_awk
def test_two_hundred_databases(awk: str) -> None:
    """The oldest ones have one series each; the others are in a number."""
    names = [f"db{number:03}" for number in range(200)]
    text = metrics(
        backup(0, "incomplete", dumped=names[5:], missing=names[:5]),
        *(backup(days, dumped=names[:6]) for days in (1, 2)),
        *GOOD[2:],
        awk=awk,
    )
    check_metrics(text)
    assert number_of_series(text) == MOST
    assert value(text, "postgres_backup_databases") == 200
    databases = {dict(labels)["database"]: number for labels, number in samples(text)[NEWEST_OF_DATABASE].items()}
    assert len(databases) == 8 and set(names[:5]) < databases.keys()
    assert all(databases[name] == epoch(1) for name in names[:5])


HOSTILE = {
    'q"uote': 'q"uote',
    "back\\slash": "back\\slash",
    'x"} 1\nfake 1': 'x"} 1?fake 1',
    "tab\there": "tab?here",
    "gr\u00fcn": "gr\u00fcn",
    "\u0416\u4e2d\U0001f4be": "\u0416\u4e2d\U0001f4be",
    "del\x7f nul\x00 nel\x85": "del? nul? nel?",
    "lone\ud83d": "lone?",
    "low\udcbe\ud83dx": "low??x",
    "'$(id)`id`'": "'$(id)`id`'",
    "{},= #": "{},= #",
    "": "",
    "\uffff\u2028": "\uffff\u2028",
}


@each_awk
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_name(name: str, awk: str) -> None:
    text = metrics(backup(0, dumped=["a", name, "z"]), awk=awk)
    check_metrics(text)
    databases = [dict(labels)["database"] for labels in samples(text)[NEWEST_OF_DATABASE]]
    assert sorted(databases) == sorted(["a", HOSTILE[name], "z"])


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=12, unique=True))
@settings(max_examples=20, deadline=None)
def test_any_names_leave_the_file_valid(names: list[str]) -> None:
    text = metrics(backup(0, dumped=names))
    printable = {"".join("?" if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in name) for name in names}
    check_metrics(text)
    shown = {dict(labels)["database"] for labels in samples(text).get(NEWEST_OF_DATABASE, {})}
    assert shown <= printable
    assert len(shown) == min(len(printable), 8)


def test_names_that_look_the_same() -> None:
    """Two equal series would make the file invalid; the older one is shown."""
    text = metrics(
        backup(0, "incomplete", dumped=["a?", "b"], missing=["a\x01"]), backup(1, dumped=["a\x01", "b"]), backup(2)
    )
    assert value(text, NEWEST_OF_DATABASE, database="a?") == epoch(1)
    assert value(text, "postgres_backup_databases") == 3
