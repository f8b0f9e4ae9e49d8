# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Records of an installation: each has its own, and those of version 1.0 are read where the new ones are missing."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ..support.sandbox import Sandbox, parse
from ..support.volume import HISTORY, LAST_DRILL, LAST_RUN, give, put, snapshot

Json = dict[str, Any]
OLD_RUN, OLD_DRILL = "last-run.json", "last-drill.json"


def _record(job: str | None, backup: str | None = None, **members: object) -> str:
    record = {"state": "failed", **members, "job": job, "attempts": 1, "backup": backup}
    return json.dumps(record, separators=(",", ":")) + "\n"


def _last(sandbox: Sandbox, record: str, name: str = "postgres-backup") -> Json | None:
    (volume,) = sandbox.run("list", env={"POSTGRES_BACKUP_NAME": name}).check().of_type("volume")
    last: Json | None = volume[record]
    return last


def test_installations_in_one_folder(offline: Sandbox) -> None:
    """The server of `a` is down; `b` runs last."""
    put(offline.volume / "a.last-run.json", _record("a-29000000"))
    put(offline.volume / "b.last-run.json", _record("b-29000001"))
    put(offline.volume / "b.last-drill.json", _record("b-drill-29000001", operation="drill"))
    for name in ("a", "b"):
        last_run = _last(offline, "last_run", name)
        assert last_run is not None and last_run["job"].startswith(f"{name}-")
    assert _last(offline, "last_drill", "a") is None
    assert _last(offline, "last_drill", "b") is not None
    assert _last(offline, "last_run", "c") is None


def test_records_of_version_1_0(offline: Sandbox) -> None:
    put(offline.volume / OLD_RUN, _record("postgres-backup-29000000"))
    put(offline.volume / OLD_DRILL, _record("postgres-backup-drill-29000000", operation="drill"))
    before = snapshot(offline.volume)
    for record in ("last_run", "last_drill"):
        assert _last(offline, record) is not None
    put(offline.volume / LAST_RUN, _record("postgres-backup-29001440"))
    put(offline.volume / LAST_DRILL, _record("postgres-backup-drill-29001440", operation="drill"))
    for record in ("last_run", "last_drill"):
        last = _last(offline, record)
        assert last is not None and last["job"].endswith("-29001440")
    after = snapshot(offline.volume)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("content", ["", "rubbish"])
def test_a_new_record_that_cannot_be_read_is_not_replaced_by_an_old_one(offline: Sandbox, content: str) -> None:
    put(offline.volume / OLD_RUN, _record("postgres-backup-29000000"))
    put(offline.volume / LAST_RUN, content)
    assert _last(offline, "last_run") is None


@pytest.mark.parametrize(
    ("job", "backup", "own"),
    [
        ("postgres-backup-29000000", None, True),
        ("postgres-backup-drill-29000000", None, True),
        ("postgres-backup-29000000", "postgres-backup-2026-11-22-020000.sql.gz", True),
        ("manual-1795000000", None, True),
        ("manual-20261122", None, True),
        ("manual-1795000000", "postgres-backup-2026-11-22-020000.sql.gz", True),
        (None, None, True),
        ("shop-29000000", None, False),
        ("postgres-backup-shop-29000000", None, False),
        ("postgres-29000000", None, False),
        ("manual-1795000000", "shop-2026-11-22-020000.sql.gz", False),
        ("postgres-backup-29000000", "postgres-backup-shop-2026-11-22-020000.sql.gz", False),
        (None, "shop-2026-11-22-020000.sql.gz", False),
    ],
)
@pytest.mark.parametrize("record", ["last_run", "last_drill"])
def test_a_record_of_version_1_0_of_another_installation(
    offline: Sandbox, record: str, job: str | None, backup: str | None, own: bool
) -> None:
    """By the backup in it, else by the name of a Job that a CronJob started on schedule; in doubt it is its own."""
    put(offline.volume / (OLD_RUN if record == "last_run" else OLD_DRILL), _record(job, backup, operation="drill"))
    assert (_last(offline, record) is not None) is own


def test_an_interrupted_run_of_version_1_0(offline: Sandbox) -> None:
    record = '{"state":"running","job":"postgres-backup-29000000","attempts":1,"started":"2026-11-22T02:00:00Z"}\n'
    put(offline.volume / OLD_RUN, record, age=600)
    last = _last(offline, "last_run")
    assert last is not None and last["state"] == "interrupted"


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_scheduled_drill(offline: Sandbox, state: str) -> None:
    result: Json = {
        "state": state, "operation": "drill", "job": "postgres-backup-drill-29000000", "pod": "p",
        "started": "2026-11-22T04:00:00Z", "finished": "2026-11-22T04:05:00Z",
        "reason": None if state == "succeeded" else 'it did not restore: "x\\y"', "signal": None,
        "backup": "postgres-backup-2026-11-22-020000.sql.gz", "bytes": 12345, "sha256": None,
        "seconds": {"prepare": 1, "initdb": 2, "restore": 30}, "server_version": "18.1", "databases": 1,
        "tables": 40, "rows": 5000000000, "copied_rows": 7, "can_heal": True, "warnings": [],
    }  # fmt: skip
    result_file = offline.tmp.parent / f"{offline.tmp.name}.result"
    put(result_file, json.dumps(result, separators=(",", ":")) + "\n")
    put(offline.volume / OLD_DRILL, "of version 1.0")
    give(offline.volume, offline.uid)
    os.chown(result_file, offline.uid, offline.uid)
    environment = {
        "POSTGRES_BACKUP_DRILL_RESULT": str(result_file), "POSTGRES_BACKUP_JOB": "postgres-backup-drill-29000000",
    }  # fmt: skip
    offline.run("_drill_record", env=environment).check(0 if state == "succeeded" else 1)
    assert parse((offline.volume / LAST_DRILL).read_text()) == result
    assert (offline.volume / OLD_DRILL).read_text() == "of version 1.0"
    entry = parse((offline.volume / HISTORY).read_text())
    for volatile in ("finished", "free_bytes", "volume_bytes"):
        assert entry.pop(volatile) is not None
    assert entry == {
        "operation": "drill", "state": state, "started": result["started"], "seconds": 33, "backup": result["backup"],
        "backup_state": None, "bytes": 12345, "uncompressed_bytes": None, "deleted": 0, "job": result["job"],
        "reason": result["reason"], "tables": 40 if state == "succeeded" else None,
        "rows": 5_000_000_000 if state == "succeeded" else None,
    }  # fmt: skip
