# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role for backups and its Secret: first the Secret, then the role, then a login as that role.

The CronJob is not changed here: whatever fails, the backups keep the user and the password that they have.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any

from .._jobs.backup_user_job import BACKUP_USER, DEADLINE_SECONDS, BackupUserWork, backup_user_job
from .._jobs.backup_user_plan import (
    BackupUserRequest,
    RolePlan,
    check_role_name,
    plan_role,
    state_query,
    transaction,
)
from .._jobs.backup_user_secret import (
    NEW_PASSWORD_KEY,
    PASSWORD,
    PasswordChange,
    SecretKey,
    check_secret,
    new_secret,
    password_change,
    with_completed_rotation,
    with_password,
)
from .._jobs.credentials import Credentials, administrator_of
from .._jobs.job_outcome import BACKUP_USER as OPERATION
from .._jobs.job_outcome import outcome_of
from .._jobs.job_templates import backup_mount, job_name
from .._script.backup_user import FILES
from ..errors import BackupUserError, ExpectationError
from ..interruption import signals_raise
from .backup_run import run_in_progress
from .connection import Connection, Object
from .job import Job

# How long Kubernetes may take to end a Job after its deadline.
_END_SECONDS = 60
# 32 characters of base64url: 192 random bits.
_PASSWORD_BYTES = 24
_UNCHANGED = "The backups use the user that they used before"


@dataclass(frozen=True)
class Setup:
    """What is asked for; `administrator` has those of user, secret_name and secret_key that are set."""

    cronjob: str
    role: str
    secret: SecretKey
    administrator: dict[str, str | None] = field(default_factory=dict)
    rotate: bool = False
    bypass_rls: bool = True
    large_objects: bool = True
    startup_seconds: float = 30


@dataclass(frozen=True)
class SetupResult:
    """What was changed, in check mode what would be; `before` and `after` are for a diff, without passwords."""

    changed: bool
    password: PasswordChange
    plan: RolePlan
    administrator: Credentials
    before: dict[str, Any]
    after: dict[str, Any]
    warnings: tuple[str, ...]


class BackupUserSetup:
    """Creates or corrects the role and its Secret. Raises BackupError, with what has changed."""

    def __init__(self, connection: Connection, setup: Setup) -> None:
        check_role_name(setup.role)
        self._connection = connection
        self._setup = setup
        self._cronjob = connection.cronjob(setup.secret.namespace, setup.cronjob)
        administrator = administrator_of(self._cronjob, setup.administrator, setup.role)
        if (administrator.secret_name, administrator.secret_key) == (setup.secret.name, setup.secret.key):
            raise ExpectationError(
                f"secret_name: expected another Secret than the administrator's, found '{setup.secret.name}'. Set "
                "another one (postgres_backup_user_secret_name)"
            )
        self._secret = connection.secret_if_any(setup.secret.namespace, setup.secret.name)
        check_secret(self._secret, setup.secret, setup.rotate)
        self._request = BackupUserRequest(
            setup.role, f"{setup.secret.namespace}/{setup.cronjob}", setup.bypass_rls, setup.large_objects
        )
        self._work = BackupUserWork(setup.role, state_query(setup.role), administrator, setup.secret)

    def run(self, check: bool) -> SetupResult:
        """Do it, or with `check` only find out what would be done."""
        found = self._job(self._work)
        plan = plan_role(self._request, found["server"])
        password = self._password_change(plan, found)
        before = self._shown(plan.before, PasswordChange.KEPT)
        if password is PasswordChange.KEPT and not plan.changes:
            self._refuse_unusable(found)
        elif not check:
            return self._change(plan, password, before)
        changed = bool(plan.changes) or password is not PasswordChange.KEPT
        after = self._shown(plan.after, password)
        return self._result(changed, password, plan, before, after, found)

    def _change(self, plan: RolePlan, password: PasswordChange, before: dict[str, Any]) -> SetupResult:
        setup = self._setup
        if password is PasswordChange.CREATED:
            labels = self._cronjob["metadata"].get("labels") or {}
            base = self._secret or new_secret(setup.secret, setup.role, labels)
            self._write(with_password(base, setup.secret.key, secrets.token_urlsafe(_PASSWORD_BYTES)))
        elif password is PasswordChange.ROTATED and self._secret is not None:
            self._write(with_password(self._secret, NEW_PASSWORD_KEY, secrets.token_urlsafe(_PASSWORD_BYTES)))
        work = self._work
        if password.sets or plan.changes:
            statements = transaction(plan, setup.role, bool(password.sets))
            work = replace(work, statements=statements, sets=password.sets)
        found = self._job(work)
        if password in {PasswordChange.ROTATED, PasswordChange.COMPLETED} and self._secret is not None:
            self._write(with_completed_rotation(self._secret, setup.secret.key))
        self._refuse_unusable(found)
        remaining = plan_role(self._request, found["server"])
        if remaining.statements:
            raise BackupUserError(
                f"the role '{setup.role}' still needs what was executed: {'; '.join(remaining.statements)}. "
                f"{_UNCHANGED}. Find out why these statements have no effect on this server"
            )
        refused = tuple(f"the server did not permit: {statement}" for statement in remaining.optional)
        done = replace(
            plan,
            granted=tuple(name for name in plan.granted if name not in remaining.granted),
            notes=(*remaining.notes, *refused),
        )
        changed = remaining.before != plan.before or bool(done.granted) or password is not PasswordChange.KEPT
        after = self._shown(remaining.before, password)
        return self._result(changed, password, done, before, after, found)

    def _write(self, secret: Object) -> None:
        self._secret = self._connection.write_secret(secret)

    def _job(self, work: BackupUserWork) -> Object:
        """The result of the Job's script; raises BackupUserError if it failed."""
        name = job_name(self._setup.cronjob, BACKUP_USER, secrets.token_hex(3))
        manifest = backup_user_job(self._cronjob, name, FILES, work)
        with signals_raise(), Job(self._connection, manifest) as job:
            end = job.wait_for_end(
                BACKUP_USER,
                timeout_seconds=DEADLINE_SECONDS + _END_SECONDS,
                startup_seconds=self._setup.startup_seconds,
                trust_script_result=True,
            )
        outcome = outcome_of(OPERATION, end)
        if outcome.message is not None or end.result is None:
            raise BackupUserError(outcome.message or "the result is missing")
        return end.result

    def _password_change(self, plan: RolePlan, found: Object) -> PasswordChange:
        setup = self._setup
        password = password_change(
            self._secret, setup.secret, found["logins"], role_exists=plan.before is not None, rotate=setup.rotate
        )
        if password is None:
            raise BackupUserError(self._login_message(found["logins"][PASSWORD]))
        container = backup_mount(self._cronjob).container["name"]
        if password is PasswordChange.ROTATED and run_in_progress(self._connection, self._cronjob, container):
            raise BackupUserError(
                "a backup is in progress, and would fail with the old password. Rotate the password when it has ended"
            )
        return password

    def _refuse_unusable(self, found: Object) -> None:
        """Raises BackupUserError if the role cannot log in, or cannot enter a database that the administrator can."""
        logins, setup = found["logins"], self._setup
        if not any(login["ok"] for login in logins.values()):
            raise BackupUserError(self._login_message(next(iter(logins.values()), {})))
        lost = [entry for entry in found["not_entered"] if entry["administrator"]]
        if lost:
            texts = "; ".join(f"'{entry['database']}': {entry['message']}" for entry in lost[:10])
            raise BackupUserError(
                f"the role '{setup.role}' cannot connect to {len(lost)} of the databases that the administrator can "
                f"connect to: {texts}. {_UNCHANGED}. Grant it CONNECT on these databases, or allow it in the server's "
                "pg_hba.conf, and run this again"
            )

    def _login_message(self, login: Object) -> str:
        message, advice = login.get("message", "the Secret has no password"), login.get("advice", "")
        return (
            f"the role '{self._setup.role}' cannot log in with the password of the Secret '{self._setup.secret}': "
            f"{message}. {_UNCHANGED}. {advice}".rstrip()
        )

    def _shown(self, role: dict[str, Any] | None, password: PasswordChange) -> dict[str, Any]:
        """The state for a diff."""
        secret = self._setup.secret
        exists = secret.is_in(self._secret) or password is PasswordChange.CREATED
        changes = {PasswordChange.KEPT: "unchanged" if role else None, PasswordChange.SET: "that of the Secret"}
        return {
            "role": {self._setup.role: role} if role else None,
            "secret": f"{secret}, key {secret.key}" if exists else None,
            "password": changes.get(password, "a new one"),
        }

    def _result(  # noqa: PLR0917  # the fields of the result
        self,
        changed: bool,
        password: PasswordChange,
        plan: RolePlan,
        before: dict[str, Any],
        after: dict[str, Any],
        found: Object,
    ) -> SetupResult:
        outside = [
            f"neither the role nor the administrator can connect to the database '{entry['database']}': "
            f"{entry['message']}"
            for entry in found["not_entered"]
        ]
        warnings = (*plan.notes, *outside)
        return SetupResult(changed, password, plan, self._work.administrator, before, after, warnings)
