# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` with an incomplete backup: what is in it is restored, and the result names what is missing."""

from __future__ import annotations

import pytest

from tests.backup_parts import make_backup
from tests.dump import truth

from ..support.programs import Programs
from ..support.rehearsal import NAME, Rehearsal, counted
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.volume import give
from ..support.workspace import Workspace

SICK = 'sick "one" [\\]'
OLDER = NAME.replace("-22-", "-21-")


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


@pytest.fixture(scope="module")
def text(template: Server, workspace: Workspace) -> bytes:
    with template.clone(workspace.directory("incomplete", mode=0o777)) as server:
        server.sql("CREATE DATABASE app STRATEGY file_copy;")
        server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n;", "app")
        return truth.dump(server, "pg_dumpall")


def put(rehearsal: Rehearsal, text: bytes, name: str, *missing: str) -> None:
    backup = make_backup(text, name=name, without=dict.fromkeys(missing, "invalid page in block 0"))
    rehearsal.put_compressed(backup.file, name)
    (rehearsal.volume / f"{name}.json").write_text(backup.manifest)
    give(rehearsal.volume, rehearsal.uid)


def test_other_databases_are_restored(rehearsal: Rehearsal, text: bytes) -> None:
    put(rehearsal, text, NAME, SICK, "lost")
    outcome = rehearsal.run("drill", env={"POSTGRES_BACKUP_DRILL_BACKUP": NAME}).check()
    assert outcome.result["state"] == "succeeded"
    assert outcome.result["missing_databases"] == [SICK, "lost"]
    assert any("the backup is incomplete" in warning for warning in outcome.result["warnings"])
    assert counted(outcome)["app"] == {("public", "numbers"): 1000}


def test_newest_complete_backup_is_taken_before_an_incomplete_one(rehearsal: Rehearsal, text: bytes) -> None:
    put(rehearsal, text, NAME, "app")
    put(rehearsal, text, OLDER)
    outcome = rehearsal.run("drill").check()
    assert (outcome.result["backup"], outcome.result["missing_databases"]) == (OLDER, [])
