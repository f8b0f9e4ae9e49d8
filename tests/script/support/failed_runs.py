# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A volume with backups, and the files and messages that a failed run must leave."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .sandbox import Outcome, Sandbox
from .server import PASSWORD
from .volume import END, RECORDS, Entry, backup_name, give, put_backup, snapshot, without


def fill_volume(sandbox: Sandbox, number: int = 10) -> dict[bytes, Entry]:
    """More backups than retention keeps, so that a deletion would show; the newest is a day old."""
    now = datetime.now(UTC).replace(microsecond=0)
    for day in range(1, number + 1):
        put_backup(sandbox.volume, backup_name(sandbox.name, now - timedelta(days=day)), age=day * 86400)
    give(sandbox.volume, sandbox.uid)
    return snapshot(sandbox.volume)


def _assert_recorded(sandbox: Sandbox, outcome: Outcome) -> None:
    """The result is on the volume and in the termination message, which has no more than 4,096 bytes."""
    assert sandbox.last_run == outcome.result
    cut = {"warnings", "server_warnings", "failed_databases", "finished"}
    if len(outcome.out.splitlines()[-1].encode()) <= 4096:
        cut = set()
    assert {**outcome.result, **dict.fromkeys(cut)} == {**sandbox.termination, **dict.fromkeys(cut)}


def assert_failed(sandbox: Sandbox, outcome: Outcome, before: dict[bytes, Entry], *words: str) -> None:
    """The reason is in the log, on the volume and in the termination message; every older backup is as before."""
    assert outcome.code in (1, 2), outcome.log  # which of them: see FAULTS and SAYINGS
    sandbox.assert_nothing_left()
    assert without(snapshot(sandbox.volume), *RECORDS) == before
    last_run = sandbox.last_run
    assert last_run is not None
    assert last_run["state"] == "failed"
    assert last_run["finished"]
    _assert_recorded(sandbox, outcome)
    assert last_run["reason"]
    for word in words:
        assert word.lower() in last_run["reason"].lower(), last_run["reason"]
        assert word.lower() in outcome.log.lower(), outcome.log
    assert_explains(outcome.log, newest(before))
    assert PASSWORD not in outcome.log + outcome.out


def assert_incomplete(
    sandbox: Sandbox, outcome: Outcome, before: dict[bytes, Entry], missing: list[str], *words: str, code: int = 2
) -> Path:
    """The run failed for these databases; the others are in a backup that names these; nothing was deleted."""
    assert outcome.code == code, outcome.log
    sandbox.assert_nothing_left()
    result = sandbox.last_run
    assert result is not None
    _assert_recorded(sandbox, outcome)
    assert (result["state"], result["backup_state"]) == ("failed", "incomplete"), outcome.log
    assert [entry["database"] for entry in result["failed_databases"]] == missing
    assert all(entry["error"] and entry["advice"] for entry in result["failed_databases"])
    path: Path = sandbox.volume / result["backup"]
    manifest = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert (manifest["state"], manifest["missing"]) == ("incomplete", missing)
    assert len(manifest["dumped"]) == result["databases"] > 0
    files = [path.name, f"{path.name}.sha256", f"{path.name}.json"]
    assert without(snapshot(sandbox.volume), *RECORDS, *files) == before
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == result["sha256"] == manifest["sha256"]
    text = gzip.decompress(data)
    names = json.dumps(missing, separators=(",", ":"))
    assert text.endswith(f"\n--\n-- Databases that could not be dumped: {names}\n--\n\n".encode() + END)
    for part in manifest["parts"]:
        if part["result"] == "dumped":
            member = data[part["offset_bytes"] : part["offset_bytes"] + part["length_bytes"]]
            begin, length = part["text_offset_bytes"], part["text_length_bytes"]
            assert gzip.decompress(member) == text[begin : begin + length], part
        else:
            assert part["offset_bytes"] is None
    for word in words:
        assert word.lower() in result["reason"].lower(), result["reason"]
        assert word.lower() in outcome.log.lower(), outcome.log
    if before:
        assert_explains(outcome.log, newest(before))
    assert PASSWORD not in outcome.log + outcome.out
    return path


def assert_explains(log: str, newest: str) -> None:
    """What a tired person reads: what failed, what was found, what to do, and that the older backups are there."""
    lines = [line.partition(" ")[2] for line in log.splitlines()]
    (failed,) = (number for number, line in enumerate(lines) if line.startswith("FAILED: "))
    *found, advice, older = lines[failed + 1 :]
    assert found and all(line.startswith("  found: ") for line in found), log
    assert advice.startswith("  what to do: "), log
    assert older.startswith(f"  Older backups are untouched; the newest complete one is {newest} ("), log


def newest(before: dict[bytes, Entry]) -> str:
    return max(name.decode() for name in before if name.endswith(b".sql.gz"))
