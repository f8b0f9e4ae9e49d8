# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Encrypted backups next to plain ones on a volume: listed, kept and deleted by the same rules, and never damaged."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import pytest

from ..support.combinations import program, under_all
from ..support.encryption import Key, encrypt, make_key, put_encrypted
from ..support.sandbox import Sandbox
from ..support.volume import DUMP, HOUR, backup_name, give, put, put_backup, snapshot

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def key() -> Key:
    return make_key()


def _name(sandbox: Sandbox, age_days: int) -> str:
    return backup_name(sandbox.name, NOON - timedelta(days=age_days))


@under_all
def test_both_kinds_are_listed(offline: Sandbox, key: Key) -> None:
    put_backup(offline.volume, _name(offline, 0))
    put_encrypted(offline.volume, _name(offline, 0), key)
    put_encrypted(offline.volume, _name(offline, 1), key, checksum_file=False)
    lines = put_encrypted(offline.volume, _name(offline, 2), key)
    put(offline.volume / f"{lines.name}.keep", "")
    put(offline.volume / f"{_name(offline, 3)}.ages", "")
    put(offline.volume / f"{_name(offline, 3)}.age.age", "")
    listed = offline.run("list").check().backups
    assert [(line["name"], line["state"], line["encrypted"]) for line in listed] == [
        (f"{_name(offline, 0)}.age", "complete", True),
        (_name(offline, 0), "complete", False),
        (f"{_name(offline, 1)}.age", "unchecked", True),
        (f"{_name(offline, 2)}.age", "complete", True),
    ]
    assert listed[0]["created"] == listed[1]["created"] == "2025-06-01T12:00:00Z"
    assert listed[3]["reasons"][0] == "kept by hand"


@under_all
def test_retention_deletes_both_kinds_with_their_files(offline: Sandbox, key: Key) -> None:
    for age in range(6):
        if age % 2:
            put_backup(offline.volume, _name(offline, age))
        else:
            path = put_encrypted(offline.volume, _name(offline, age), key)
            put(offline.volume / f"{path.name}.json", "{}")
    orphan = put_encrypted(offline.volume, _name(offline, 9), key, age=2 * HOUR)
    orphan.unlink()
    give(offline.volume, offline.uid)
    policy = {"POSTGRES_BACKUP_KEEP_LAST": "3", "POSTGRES_BACKUP_KEEP_DAILY": "0"}
    outcome = offline.run("prune", env=policy).check()
    assert outcome.result["deleted"] == [_name(offline, 5), f"{_name(offline, 4)}.age", _name(offline, 3)]
    kept = [f"{_name(offline, 0)}.age", _name(offline, 1), f"{_name(offline, 2)}.age"]
    names = {path.name for path in offline.volume.iterdir() if ".sql.gz" in path.name}
    assert names == {*kept, *(f"{name}.sha256" for name in kept), *(f"{name}.json" for name in kept[::2])}


def test_a_run_leaves_one_without_a_checksum_file_unchecked(sandbox: Sandbox, key: Key) -> None:
    """It is not damaged: the run only has no identity."""
    path = put_encrypted(sandbox.volume, _name(sandbox, 0), key, checksum_file=False, age=2 * HOUR)
    stale = put(sandbox.volume / f".{path.name}.another-pod.partial", "x", 25 * HOUR)
    give(sandbox.volume, sandbox.uid)
    before = snapshot(sandbox.volume)[path.name.encode()]
    outcome = sandbox.run("run").check()
    assert "remains unchecked: it is encrypted" in outcome.log
    assert outcome.result["warnings"] == []
    assert snapshot(sandbox.volume)[path.name.encode()] == before
    assert not [file for file in sandbox.volume.glob(f"{path.name}.*") if file.name != path.name]
    assert not stale.exists()


def test_one_that_age_wrote_as_text_is_not_damaged(sandbox: Sandbox, key: Key) -> None:
    """Of a script that calls age with --armor; an identity decrypts it."""
    path = put(sandbox.volume / f"{_name(sandbox, 0)}.age", encrypt(b"text", key.recipient, armor=True), 2 * HOUR)
    give(sandbox.volume, sandbox.uid)
    outcome = sandbox.run("run").check()
    assert f"{path.name} has no checksum file and remains unchecked: it is encrypted" in outcome.log
    assert outcome.result["warnings"] == []
    assert [file.name for file in sandbox.volume.glob(f"{path.name}*")] == [path.name]


@under_all
def test_the_kit_reads_one_that_age_wrote_as_text(offline: Sandbox, key: Key) -> None:
    path = put(offline.volume / f"{_name(offline, 0)}.age", encrypt(gzip.compress(DUMP), key.recipient, armor=True))
    identity = put(offline.volume / "identity.txt", key.identity)
    give(offline.volume, offline.uid)
    more = {"POSTGRES_BACKUP_IDENTITY_FILE": str(identity), "POSTGRES_BACKUP_AGE": str(program("age"))}
    assert f"{path.name}: complete" in offline.run("_kit", "check", str(path), env=more).check().out


def test_a_plain_one_with_the_name_of_an_encrypted_one_stays_unchecked(sandbox: Sandbox) -> None:
    """It would be listed as complete and as encrypted."""
    path = put(sandbox.volume / f"{_name(sandbox, 0)}.age", gzip.compress(DUMP), 2 * HOUR)
    give(sandbox.volume, sandbox.uid)
    (warning,) = sandbox.run("run").check().result["warnings"]
    assert warning.startswith(f"{path.name} is not encrypted, although its name ends in .age, and remains unchecked")
    states = {line["name"]: line["state"] for line in sandbox.run("list").check().backups}
    assert states[path.name] == "unchecked"


def test_the_record_of_version_1_0_may_name_one(offline: Sandbox, key: Key) -> None:
    path = put_encrypted(offline.volume, _name(offline, 0), key)
    put(offline.volume / "last-run.json", f'{{"state":"succeeded","backup":"{path.name}","job":null}}')
    assert offline.run("list").check().objects[-1]["last_run"]["backup"] == path.name
