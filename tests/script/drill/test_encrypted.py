# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` with encrypted backups."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.backup_parts import make_backup
from tests.dump import truth

from ..support.combinations import program
from ..support.encryption import Key, encrypt, make_key, put_encrypted
from ..support.programs import Programs
from ..support.rehearsal import NAME, Rehearsal, counted
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.volume import checksum_line, give, put
from ..support.workspace import Workspace

RECORD = "postgres-backup.keys.jsonl"


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


def test_without_an_identity_it_is_refused_and_not_called_damaged(rehearsal: Rehearsal) -> None:
    put_encrypted(rehearsal.volume, NAME, make_key())
    give(rehearsal.volume, rehearsal.uid)
    outcome = rehearsal.run("drill").check(2)
    assert "the backup is encrypted" in outcome.result["reason"]
    assert "damaged" not in outcome.log


def test_without_age_a_message_says_how_to_get_it(rehearsal: Rehearsal, workspace: Workspace) -> None:
    key = make_key()
    put_encrypted(rehearsal.volume, NAME, key)
    give(rehearsal.volume, rehearsal.uid)
    identity = put(workspace.directory("identity", rehearsal.uid) / "identity.txt", key.identity)
    identity.chmod(0o644)
    outcome = rehearsal.run("drill", env={"POSTGRES_BACKUP_IDENTITY_FILE": str(identity)}).check(2)
    assert "the program age is missing: the backup is encrypted" in outcome.result["reason"]
    assert "set postgres_backup_recipients and postgres_backup_tools_image, and run the role again" in outcome.log


def test_a_backup_that_is_not_encrypted_may_be_given_an_identity(
    rehearsal: Rehearsal, text: bytes, workspace: Workspace
) -> None:
    """Without age: a pod of an installation without recipients has none."""
    rehearsal.put_with_manifest(text)
    identity = put(workspace.directory("identity", rehearsal.uid) / "identity.txt", make_key().identity)
    identity.chmod(0o644)
    outcome = rehearsal.run("drill", env={"POSTGRES_BACKUP_IDENTITY_FILE": str(identity)}).check()
    assert counted(outcome)["app"] == {("public", "numbers"): 1000}
    assert "opened_by" not in outcome.result


@pytest.fixture(scope="module")
def text(template: Server, workspace: Workspace) -> bytes:
    with template.clone(workspace.directory("encrypted", mode=0o777)) as server:
        server.sql("CREATE DATABASE app STRATEGY file_copy;")
        server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n;", "app")
        return truth.dump(server, "pg_dumpall")


def test_outside_of_kubernetes_a_drill_writes_the_record(
    rehearsal: Rehearsal, text: bytes, workspace: Workspace
) -> None:
    key, stranger = make_key(), make_key()
    put_encrypted(rehearsal.volume, NAME, key, text)
    give(rehearsal.volume, rehearsal.uid)
    identity = workspace.directory("identity", rehearsal.uid) / "identity.txt"
    more = {"POSTGRES_BACKUP_IDENTITY_FILE": str(identity), "POSTGRES_BACKUP_AGE": str(program("age"))}
    more["POSTGRES_BACKUP_JOB"] = ""

    def records(given: Key) -> list[tuple[str, str, str]]:
        put(identity, given.identity).chmod(0o644)
        outcome = rehearsal.run("drill", env=more)
        assert outcome.result["warnings"] == []
        listed = [json.loads(line) for line in rehearsal.run("list").check().out.splitlines()]
        keys = [line["record"] for line in listed if line["type"] == "key"]
        return [(record["recipient"], record["backup"], record["by"]) for record in keys]

    assert records(stranger) == []
    assert records(key) == [(key.recipient, f"{NAME}.age", "drill")]
    (rehearsal.volume / RECORD).unlink()
    (rehearsal.volume / RECORD).mkdir()
    outcome = rehearsal.run("drill", env=more).check()
    (warning,) = outcome.result["warnings"]
    assert f"{RECORD} could not be written" in warning


@pytest.mark.parametrize("has_manifest", [True, False])
def test_with_an_identity_it_is_restored(
    rehearsal: Rehearsal, text: bytes, workspace: Workspace, has_manifest: bool
) -> None:
    key, other = make_key(), make_key()
    name = f"{NAME}.age"
    made = make_backup(text, name=name)
    content = encrypt(made.file, key.recipient, other.recipient)
    put(rehearsal.volume / name, content)
    put(rehearsal.volume / f"{name}.sha256", checksum_line(name, content))
    if has_manifest:
        manifest = made.manifest.replace(json.loads(made.manifest)["sha256"], hashlib.sha256(content).hexdigest())
        put(rehearsal.volume / f"{name}.json", manifest)
    give(rehearsal.volume, rehearsal.uid)
    identity = put(workspace.directory("identity", rehearsal.uid) / "identity.txt", other.identity)
    identity.chmod(0o644)
    environment = {"POSTGRES_BACKUP_IDENTITY_FILE": str(identity), "POSTGRES_BACKUP_AGE": str(program("age"))}
    outcome = rehearsal.run("drill", env=environment).check()
    assert counted(outcome)["app"] == {("public", "numbers"): 1000}
    # In a pod, which this one is, another container or Job writes the record.
    assert not (rehearsal.volume / RECORD).exists()
    identity.write_text(make_key().identity)
    outcome = rehearsal.run("drill", env=environment).check(2)
    assert "the backup cannot be decrypted" in outcome.result["reason"]
