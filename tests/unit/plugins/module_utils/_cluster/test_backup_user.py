# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The order in which the Secret and the role are changed, and what remains after an interruption."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field
from typing import Any

import pytest

from plugins.module_utils._cluster.backup_user import BackupUserSetup, Setup, SetupResult
from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._jobs.backup_user_job import BackupUserWork
from plugins.module_utils._jobs.backup_user_secret import NEW_PASSWORD_KEY, PasswordChange, SecretKey, new_secret
from plugins.module_utils._progress.reporter import SILENT
from plugins.module_utils.errors import BackupUserError, ExpectationError

from ..cronjobs import cronjob

KEY = SecretKey("data", "postgres-backup-user", "password")
MARK = "Backup user of homelab.postgres_backup, installation data/postgres-backup"


@dataclass
class Cluster:
    """A Secret, and a server with one role or none; `steps` is what was changed, in order."""

    reporter = SILENT

    secret: dict[str, Any] | None = None
    role: dict[str, Any] | None = None
    password: str | None = None
    steps: list[str] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    not_entered: list[dict[str, Any]] = field(default_factory=list)
    fails: str = ""

    # What BackupUserSetup asks of a Connection.

    def cronjob(self, _namespace: str, _name: str) -> dict[str, Any]:
        return cronjob()

    def secret_if_any(self, _namespace: str, _name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.secret)

    def write_secret(self, secret: dict[str, Any]) -> dict[str, Any]:
        self._step(f"secret {' '.join(sorted(secret['data']))}")
        self.secret = copy.deepcopy(secret)
        return copy.deepcopy(secret)

    def jobs(self, _namespace: str) -> list[dict[str, Any]]:
        return self.runs

    # The Job.

    def work(self, work: BackupUserWork) -> dict[str, Any]:
        if work.statements:
            self._step("role")
            self.role = {
                "superuser": False, "login": True, "expired": False, "read_all_data": True, "bypass_rls": True,
                "large_objects": True, "comment": MARK,
            }  # fmt: skip
            if work.sets:
                self.password = self.passwords()[work.sets]
        logins = {
            name: {"ok": bool(self.role) and text == self.password, "message": "FATAL", "advice": ""}
            for name, text in self.passwords().items()
        }
        administrator = {
            "name": "postgres", "superuser": True, "createrole": True, "bypass_rls": True, "grants_read_all": True
        }  # fmt: skip
        server = {
            "version_num": 180000, "in_recovery": False, "administrator": administrator, "role": self.role, "closed": []
        }  # fmt: skip
        return {"server": copy.deepcopy(server), "logins": logins, "not_entered": self.not_entered}

    def passwords(self) -> dict[str, str]:
        data = (self.secret or {"data": {}})["data"]
        names = {KEY.key: "PASSWORD", NEW_PASSWORD_KEY: "NEW_PASSWORD"}
        return {names[key]: base64.b64decode(text).decode() for key, text in data.items()}

    def _step(self, step: str) -> None:
        if self.fails and step.startswith(self.fails):
            raise BackupUserError(f"{step} failed")
        self.steps.append(step)


def run(monkeypatch: pytest.MonkeyPatch, cluster: Any, *, check: bool = False, **more: Any) -> SetupResult:
    monkeypatch.setattr(BackupUserSetup, "_job", lambda _self, work: cluster.work(work))
    connection: Connection = cluster
    return BackupUserSetup(connection, Setup("postgres-backup", "b", KEY, **more)).run(check)


@pytest.fixture
def existing(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    run(monkeypatch, cluster)
    cluster.steps.clear()
    return cluster


def test_secret_first_then_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    done = run(monkeypatch, cluster)
    assert (cluster.steps, done.password, done.changed) == (["secret password", "role"], PasswordChange.CREATED, True)
    assert cluster.password == cluster.passwords()["PASSWORD"] and len(cluster.password) == 32
    again = run(monkeypatch, cluster)
    assert (again.changed, again.password, again.before) == (False, PasswordChange.KEPT, again.after)
    assert len(cluster.steps) == 2
    assert cluster.password not in str((done.before, done.after))


def test_check_mode_changes_nothing_and_predicts_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    would = run(monkeypatch, cluster, check=True)
    assert (cluster.steps, would.changed) == ([], True)
    done = run(monkeypatch, cluster)
    assert (would.before, would.after) == (done.before, done.after)
    assert not run(monkeypatch, cluster, check=True).changed


def test_rotation(monkeypatch: pytest.MonkeyPatch, existing: Cluster) -> None:
    old = existing.password
    done = run(monkeypatch, existing, rotate=True)
    assert existing.steps == ["secret new-password password", "role", "secret password"]
    assert existing.passwords() == {"PASSWORD": existing.password} and existing.password != old
    assert (done.password, done.changed) == (PasswordChange.ROTATED, True)


@pytest.mark.parametrize("step", ["secret new", "role", "secret password"])
def test_rotation_that_ends_in_the_middle(monkeypatch: pytest.MonkeyPatch, existing: Cluster, step: str) -> None:
    old = existing.password
    existing.fails = step
    with pytest.raises(BackupUserError, match="failed"):
        run(monkeypatch, existing, rotate=True)
    existing.fails = ""
    # Until the role has the new password, the old one is in use.
    assert (existing.password == old) == (step != "secret password")
    assert existing.passwords()["PASSWORD"] == old
    run(monkeypatch, existing)
    assert existing.passwords()["PASSWORD"] == existing.password


def test_creation_that_ends_in_the_middle_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(fails="role")
    with pytest.raises(BackupUserError):
        run(monkeypatch, cluster)
    cluster.fails = ""
    password = cluster.passwords()["PASSWORD"]
    assert run(monkeypatch, cluster).password is PasswordChange.SET
    assert cluster.password == password


def test_lost_secret_gets_a_new_password(monkeypatch: pytest.MonkeyPatch, existing: Cluster) -> None:
    old, existing.secret = existing.password, None
    assert run(monkeypatch, existing).password is PasswordChange.CREATED
    assert existing.password == existing.passwords()["PASSWORD"] != old


def test_database_that_only_the_administrator_can_enter(monkeypatch: pytest.MonkeyPatch, existing: Cluster) -> None:
    entry = {"database": "shop", "message": "permission denied", "administrator": True}
    existing.not_entered = [entry]
    with pytest.raises(BackupUserError, match=r"cannot connect to 1 of the databases .* 'shop': permission denied"):
        run(monkeypatch, existing)
    existing.not_entered = [{**entry, "administrator": False}]
    (warning,) = run(monkeypatch, existing).warnings
    assert "neither the role nor the administrator" in warning


def test_no_rotation_during_a_run(monkeypatch: pytest.MonkeyPatch, existing: Cluster) -> None:
    template = cronjob()["spec"]["jobTemplate"]["spec"]
    metadata = {"name": "r", "ownerReferences": [{"uid": "u-1"}], "creationTimestamp": "2026-11-22T02:00:00Z"}
    existing.runs = [{"metadata": metadata, "spec": template, "status": {}}]
    monkeypatch.setattr(Cluster, "pods_of_job", lambda *_: [], raising=False)
    with pytest.raises(BackupUserError, match="a backup is in progress"):
        run(monkeypatch, existing, rotate=True)
    assert existing.steps == []
    assert not run(monkeypatch, existing).changed


def test_secret_of_the_administrator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    administrator = {"user": "postgres", "secret_name": KEY.name, "secret_key": KEY.key}
    with pytest.raises(ExpectationError, match="expected another Secret than the administrator's"):
        run(monkeypatch, Cluster(secret=new_secret(KEY, "b", {})), administrator=administrator)
