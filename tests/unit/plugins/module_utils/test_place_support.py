# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The option place: which backup a module uses. tests/cluster/role/test_copies.py brings backups back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pyrage
import pytest

from plugins.module_utils import place_support
from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._jobs.copy_job import Retrieval
from plugins.module_utils._jobs.job_outcome import COMPLETE, FAILED, JobEnd
from plugins.module_utils._volume.catalog import Backup, Catalog
from plugins.module_utils.errors import BackupError, ExpectationError, IdentityError, RetrievalError, StuckError
from plugins.module_utils.place_support import Wanted, backup_for

NAME = "backup-2026-11-22-020000.sql.gz"
BACKUP = Backup(NAME, datetime(2026, 11, 22, 2, tzinfo=UTC), 9, "1" * 64, "complete", "", ())
EMPTY = Catalog((), "/backups", None, 100, 50, {}, None)
RESULT = {"state": "succeeded", "backup": NAME, "sha256": "2" * 64, "size_bytes": 9, "changed": True}
END = JobEnd(job="data/retrieve", state=COMPLETE, reason=None, result=RESULT, log=(), duration_seconds=1.0)


class Module:
    """In place of an AnsibleModule."""

    def __init__(self, backup: str | None, *, check: bool, identity: str | None = None) -> None:
        self.params = {
            "place": "offsite", "backup": backup, "timeout": "6h", "startup_timeout": "30s", "directory": None,
            "identity": identity, "identity_file": None,
        }  # fmt: skip
        self.check_mode = check
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def from_place(
    monkeypatch: pytest.MonkeyPatch,
    end: JobEnd | BackupError = END,
    *,
    backup: str | None = None,
    check: bool = False,
    catalog: Catalog = EMPTY,
    identity: str | None = None,
    retrieval: Retrieval | None = None,
) -> tuple[Wanted, Module]:
    """What the Job and the volume say is given, and what the Job is to do is expected."""

    def run(*values: object, **_options: object) -> JobEnd:
        assert not check and values[-1] == (retrieval or Retrieval("offsite", backup))
        if isinstance(end, BackupError):
            raise end
        return end

    monkeypatch.setattr(place_support, "copies_of_installation", lambda *_values: [])
    monkeypatch.setattr(place_support, "chosen_copies", lambda *_values: [({}, ["offsite"])])
    monkeypatch.setattr(place_support, "run_retrieval", run)
    monkeypatch.setattr(place_support, "read_catalog", lambda *_values: catalog)
    module = Module(backup, check=check, identity=identity)
    return backup_for(module, cast(Connection, None), {}, reads_copy=False), module


def test_the_backup_that_was_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    found, module = from_place(monkeypatch)
    assert found == Wanted(NAME, "2" * 64, True)
    assert module.warnings == []


def test_the_pod_gets_the_public_keys_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """It compares them before it brings anything back; it never has the identity."""
    one, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    keys = (str(one.to_public()), str(other.to_public()))
    from_place(monkeypatch, identity=f"{one}\n{other}\n", retrieval=Retrieval("offsite", None, public_keys=keys))
    with pytest.raises(IdentityError, match="found a public key in line 1"):
        from_place(monkeypatch, identity=keys[0])


def test_a_damaged_file_that_was_replaced_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    _found, module = from_place(monkeypatch, replace(END, result={**RESULT, "replaced_damaged": True}))
    assert module.warnings == [
        f"{NAME} was damaged on the volume, and was replaced by the copy at offsite. Check the storage of the volume"
    ]


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (
            replace(END, state=FAILED, result={"state": "failed", "reason": "the copy is damaged", "backup": NAME}),
            "the retrieval failed: .*the copy is damaged",
        ),
        (replace(END, result=None), "is complete, but its result is missing"),
        (StuckError("the pod does not start"), "the pod does not start"),
    ],
)
def test_a_failure(monkeypatch: pytest.MonkeyPatch, end: JobEnd | BackupError, message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        from_place(monkeypatch, end)


def test_a_check_goes_on_with_what_the_volume_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _module = from_place(monkeypatch, backup=NAME, check=True, catalog=replace(EMPTY, backups=(BACKUP,)))
    assert found == Wanted(NAME, "1" * 64, False)


@pytest.mark.parametrize(
    ("backup", "message"),
    [
        (None, "backup: expected the name of a backup that is on the volume already, since check mode brings nothing"),
        ("", "backup: expected the name"),
        (NAME, f"place: expected a backup that is on the volume already, .* found no {NAME} there"),
    ],
)
def test_a_check_changes_nothing(monkeypatch: pytest.MonkeyPatch, backup: str | None, message: str) -> None:
    with pytest.raises(ExpectationError, match=message):
        from_place(monkeypatch, backup=backup, check=True)
