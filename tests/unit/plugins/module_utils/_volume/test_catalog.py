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


def test_backups_of_1_0_have_no_manifest() -> None:
    (backup,) = parse_listing([line(22), json.dumps(VOLUME)]).backups
    assert (backup.has_manifest, backup.dumped, backup.missing, backup.left_out) == (False, None, None, None)


def manifest(dumped: list[str], missing: list[str] | None = None, left_out: bool = False) -> dict[str, Any]:
    return {"manifest": True, "dumped": dumped, "missing": missing or [], "left_out": left_out}


def test_summary_of_the_manifest_is_read() -> None:
    lines = [line(22, "incomplete", **manifest(["a", "b"], ["sick"], True)), json.dumps(VOLUME)]
    catalog = parse_listing(lines)
    assert catalog.newest() is None
    backup = catalog.newest("complete", "incomplete")
    assert backup is not None
    shown = backup.to_dict(datetime(2026, 11, 22, 3, tzinfo=UTC))
    assert (shown["state"], shown["manifest"], shown["left_out"]) == ("incomplete", True, True)
    assert (shown["dumped"], shown["missing"]) == (["a", "b"], ["sick"])


@pytest.mark.parametrize("fields", [{"dumped": "a"}, {"missing": [1]}])
def test_invalid_summary_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ListingError, match="not of this version"):
        parse_listing([line(22, **manifest([]) | fields), json.dumps(VOLUME)])


def test_newest_backup_of_each_database() -> None:
    catalog = parse_listing(
        [
            line(30, future=True, **manifest(["future"])),
            line(22, "incomplete", **manifest(["a"], ["sick", "new"])),
            line(21, **manifest(["a", "sick"])),
            line(20, "damaged", **manifest(["gone"])),
            line(19, **manifest(["gone", "sick"])),
            line(18),
            json.dumps(VOLUME),
        ]
    )
    days = {name: backup and backup.created.day for name, backup in catalog.databases().items()}
    assert days == {"a": 22, "gone": 19, "new": None, "sick": 21}
    assert all(catalog.newest_with(name) == backup for name, backup in catalog.databases().items())
    assert [backup.created.day for backup in catalog.newest_with_manifest(2)] == [22, 21]


def test_history_is_read() -> None:
    known = {
        "type": "history",
        "operation": "run",
        "started": "2026-11-22T02:00:00Z",
        "finished": "2026-11-22T02:00:09Z",
        "state": "succeeded",
    }
    lines = [line(22), json.dumps(known), json.dumps(known | {"started": None}), json.dumps(VOLUME)]
    (entry,) = parse_listing(lines).history
    assert (entry.operation, entry.started.hour) == ("run", 2)
    assert parse_listing([json.dumps(VOLUME)]).history == ()


def test_retention_plan_is_read() -> None:
    gone = "postgres-backup-2026-11-01-020000.sql.gz"
    done = {"type": "prune", "dry_run": True, "deleted": [gone], "failed": [], "freed_bytes": 7}
    plan = parse_plan([line(22), "x FAILED: a message decides nothing", json.dumps(done)])
    assert (plan.deleted, plan.freed_bytes, len(plan.backups), plan.held_back) == ((gone,), 7, 1, 0)


def test_deletions_that_the_brake_held_back() -> None:
    done = {"type": "prune", "dry_run": True, "deleted": ["a"], "failed": [], "freed_bytes": 7, "held_back": 83}
    plan = parse_plan([json.dumps(done)])
    assert (plan.held_back, plan.deleted, plan.freed_bytes) == (83, (), 0)
    with pytest.raises(ListingError, match="deleted nothing: it would delete 83 backups at once") as caught:
        parse_plan([json.dumps(done | {"dry_run": False, "deleted": []})])
    assert caught.value.partial == plan


def test_invalid_retention_plan_is_refused() -> None:
    with pytest.raises(ListingError, match="could not be applied"):
        parse_plan([line(22)])


def test_retention_plan_applied_in_part() -> None:
    done = '{"type":"prune","dry_run":false,"deleted":["a"],"failed":["b"],"freed_bytes":1}'
    with pytest.raises(ListingError, match="in part, 1 deleted: the message of the script") as caught:
        parse_plan([done, "the message of the script"])
    assert isinstance(caught.value.partial, Plan)
    assert (caught.value.partial.deleted, caught.value.partial.failed) == (("a",), ("b",))
