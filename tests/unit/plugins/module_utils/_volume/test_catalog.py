# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The script's listing as objects; what the real script prints is read in tests/cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from plugins.module_utils._volume.catalog import Plan, parse_listing, parse_plan
from plugins.module_utils.errors import ListingError

VOLUME = {
    "type": "volume",
    "path": "/backups",
    "source": "192.168.2.2:/volume1/x",
    "size_bytes": 100,
    "free_bytes": 50,
    "script_version": "0.1.0",
    "policy": {"keep_last": 7},
    "last_run": None,
}


def line(day: int, state: str = "complete", reasons: tuple[str, ...] = ("last",), **more: Any) -> str:
    return json.dumps(
        {
            "type": "backup",
            "name": f"postgres-backup-2026-11-{day:02d}-020000.sql.gz",
            "created": f"2026-11-{day:02d}T02:00:00Z",
            "size_bytes": 10,
            "sha256": "a" * 64 if state == "complete" else None,
            "state": state,
            "future": False,
            "verdict": "keep",
            "reasons": reasons,
            **more,
        }
    )


def test_listing_is_read() -> None:
    catalog = parse_listing([line(22), "2026-11-22T02:00:00Z a message", line(21, "unchecked"), json.dumps(VOLUME)])
    assert [backup.name[-24:-14] for backup in catalog.backups] == ["2026-11-22", "2026-11-21"]
    assert (catalog.source, catalog.free_bytes, catalog.last_run) == ("192.168.2.2:/volume1/x", 50, None)
    shown = catalog.backups[0].to_dict(datetime(2026, 11, 22, 3, tzinfo=UTC))
    assert (shown["age_seconds"], shown["created"]) == (3600, "2026-11-22T02:00:00Z")
    assert catalog.named("postgres-backup-2026-11-21-020000.sql.gz") == catalog.backups[1]
    assert catalog.named("x") is None


@pytest.mark.parametrize(
    ("lines", "state", "day"),
    [
        ([line(22), line(21)], "complete", 22),
        ([line(22, "unchecked"), line(21)], "complete", 21),
        ([line(22, "unchecked"), line(21)], "unchecked", 22),
        ([line(30, future=True), line(21)], "complete", 21),
        ([line(22, "damaged")], "complete", None),
        ([], "complete", None),
    ],
)
def test_newest_complete_backup(lines: list[str], state: str, day: int | None) -> None:
    found = parse_listing([*lines, json.dumps(VOLUME)]).newest(state)
    assert (found and found.created.day) == day


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "found nothing"),
        (["x FAILED: the backup volume is missing"], "the backup volume is missing"),
        ([line(22)], "could not be listed"),
        ([line(22)[:40]], "could not be listed"),
        ([json.dumps({**VOLUME, "policy": 1}), '{"type":"backup"}'], "not of this version"),
        ([line(22, created="yesterday"), json.dumps(VOLUME)], "not of this version"),
    ],
)
def test_invalid_listing_is_refused(lines: list[str], words: str) -> None:
    with pytest.raises(ListingError, match=words):
        parse_listing(lines)


@pytest.mark.parametrize(
    ("last_run", "size_bytes"),
    [
        ({"state": "succeeded", "bytes": 7}, {"size_bytes": 7}),
        ({"state": "failed", "bytes": None}, {"size_bytes": None}),
    ],
)
def test_the_last_run_has_its_size_under_the_name_of_every_size(
    last_run: dict[str, Any], size_bytes: dict[str, Any]
) -> None:
    catalog = parse_listing([json.dumps({**VOLUME, "last_run": last_run}, separators=(",", ":"))])
    assert catalog.last_run == last_run | size_bytes | {"signal": None}
    running = {"state": "running"}
    assert parse_listing([json.dumps({**VOLUME, "last_run": running})]).last_run == running | {"signal": None}


def test_foreign_last_run_hides_no_backup() -> None:
    broken = json.dumps(VOLUME, separators=(",", ":")).replace('"last_run":null', '"last_run":{"state":"succeeded",}')
    catalog = parse_listing([line(22), broken])
    assert (len(catalog.backups), catalog.last_run) == (1, None)


DRILL = '{"state":"succeeded","backup":"b"}'
RUN = '{"state":"failed","reason":"x"}'


@pytest.mark.parametrize(
    ("drill", "run", "states"),
    [
        (DRILL, RUN, ("succeeded", "failed")),
        ("null", RUN, (None, "failed")),
        ('{"state":', RUN, (None, "failed")),
        (DRILL, '{"state":', ("succeeded", None)),
        ('{"state":', '{"state":', (None, None)),
    ],
)
def test_last_drill_is_read(drill: str, run: str, states: tuple[str | None, str | None]) -> None:
    text = json.dumps(VOLUME, separators=(",", ":")).replace(
        ',"last_run":null', f',"last_drill":{drill},"last_run":{run}'
    )
    catalog = parse_listing([line(22), text])
    assert ((catalog.last_drill or {}).get("state"), (catalog.last_run or {}).get("state")) == states
    assert len(catalog.backups) == 1


def test_retention_plan_is_read() -> None:
    gone = "postgres-backup-2026-11-01-020000.sql.gz"
    done = {"type": "prune", "dry_run": True, "deleted": [gone], "failed": [], "freed_bytes": 7}
    plan = parse_plan([line(22), "x FAILED: a message decides nothing", json.dumps(done)])
    assert (plan.deleted, plan.freed_bytes, len(plan.backups)) == ((gone,), 7, 1)


def test_invalid_retention_plan_is_refused() -> None:
    with pytest.raises(ListingError, match="could not be applied"):
        parse_plan([line(22)])


def test_retention_plan_applied_in_part() -> None:
    done = '{"type":"prune","dry_run":false,"deleted":["a"],"failed":["b"],"freed_bytes":1}'
    with pytest.raises(ListingError, match="in part, 1 deleted: the message of the script") as caught:
        parse_plan([done, "the message of the script"])
    assert isinstance(caught.value.partial, Plan)
    assert (caught.value.partial.deleted, caught.value.partial.failed) == (("a",), ("b",))
