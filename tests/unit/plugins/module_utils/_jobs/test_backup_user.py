# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The backup user's SQL, Job, Secret and credentials; on servers: tests/script/backup_user, tests/cluster."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from plugins.module_utils._jobs.backup_user_job import BackupUserWork, backup_user_job
from plugins.module_utils._jobs.backup_user_plan import (
    BackupUserRequest,
    check_role_name,
    plan_role,
    state_query,
    transaction,
)
from plugins.module_utils._jobs.backup_user_secret import (
    NEW_PASSWORD_KEY,
    PasswordChange,
    SecretKey,
    check_secret,
    new_secret,
    password_change,
    with_completed_rotation,
    with_password,
)
from plugins.module_utils._jobs.credentials import (
    Credentials,
    administrator_of,
    backup_credentials,
    recorded_restore_credentials,
    restore_credentials,
)
from plugins.module_utils.errors import BackupUserError, ExpectationError, TemplateError

from ..cronjobs import cronjob, plain

REQUEST = BackupUserRequest("b", "data/x")
SUPERUSER = {"name": "postgres", "superuser": True, "createrole": True, "bypass_rls": True, "grants_read_all": True}
CHIEF = {"name": "chief", "superuser": False, "createrole": True, "bypass_rls": False, "grants_read_all": False}
ROLE = {
    "superuser": False,
    "login": True,
    "expired": False,
    "read_all_data": True,
    "bypass_rls": True,
    "large_objects": True,
    "comment": REQUEST.comment,
}
KEY = SecretKey("data", "x-user", "password")
OK, WRONG = {"ok": True}, {"ok": False, "message": 'FATAL:  password authentication failed for user "b"', "advice": ""}
HBA = {"ok": False, "message": "FATAL:  pg_hba.conf rejects connection for host", "advice": "add an entry"}


def state(**more: Any) -> dict[str, Any]:
    return {
        "version_num": 180001,
        "in_recovery": False,
        "administrator": SUPERUSER,
        "role": None,
        "closed": [],
        **more,
    }


def test_new_role_of_a_superuser() -> None:
    closed = [{"database": 'a"b', "grantable": True}, {"database": "rdsadmin", "grantable": False}]
    plan = plan_role(REQUEST, state(closed=closed))
    assert plan.statements == (
        'CREATE ROLE "b" LOGIN',
        "COMMENT ON ROLE \"b\" IS 'Backup user of homelab.postgres_backup, installation data/x'",
        'GRANT pg_read_all_data TO "b" WITH INHERIT TRUE',
    )
    assert plan.optional == (
        'ALTER ROLE "b" BYPASSRLS',
        'ALTER ROLE "b" SET lo_compat_privileges = on',
        'GRANT CONNECT ON DATABASE "a""b" TO "b"',
    )
    assert plan.notes == ("'postgres' may not grant CONNECT on the database 'rdsadmin'",)
    assert plan.after == {key: value for key, value in ROLE.items() if key != "superuser"}
    assert transaction(plan, "b", sets_password=True).endswith('\\password "b"\nCOMMIT;\n')
    assert "password" not in transaction(plan, "b", sets_password=False)


def test_existing_role_is_corrected_only_where_it_differs() -> None:
    assert plan_role(REQUEST, state(role=ROLE)).changes == ()
    assert plan_role(REQUEST, state(role={**ROLE, "login": False})).changes == (
        "ALTER ROLE \"b\" LOGIN VALID UNTIL 'infinity'",
    )
    older = plan_role(REQUEST, state(role={**ROLE, "read_all_data": False}, version_num=150000))
    assert older.changes == ('ALTER ROLE "b" INHERIT', 'GRANT pg_read_all_data TO "b"')
    # What was given is kept, also where it is not asked for.
    few = BackupUserRequest("b", "data/x", bypass_rls=False, large_objects=False)
    assert plan_role(few, state(role=ROLE)).changes == ()
    without = plan_role(few, state())
    assert (len(without.changes), without.after["bypass_rls"], without.notes) == (3, False, ())


def test_large_objects_need_no_setting_from_postgresql_19_on() -> None:
    plan = plan_role(REQUEST, state(version_num=190000, administrator={**CHIEF, "grants_read_all": True}))
    assert not [text for text in (*plan.changes, *plan.notes) if "lo_compat_privileges" in text]


def test_administrator_that_may_not_give_everything() -> None:
    plan = plan_role(REQUEST, state(administrator={**CHIEF, "grants_read_all": True}))
    assert (plan.after["bypass_rls"], plan.after["large_objects"], len(plan.notes)) == (False, False, 2)
    strong = {**CHIEF, "grants_read_all": True, "bypass_rls": True}
    assert plan_role(REQUEST, state(administrator=strong)).after["bypass_rls"]
    assert not plan_role(REQUEST, state(administrator=strong, version_num=150000)).after["bypass_rls"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"in_recovery": True}, "the server is a standby"),
        ({"version_num": 130005}, "expected PostgreSQL 14 or later, found 13"),
        ({"administrator": {**CHIEF, "createrole": False}}, "'chief' may not create roles"),
        ({"administrator": CHIEF}, "'chief' may not grant pg_read_all_data"),
        ({"role": {**ROLE, "superuser": True}}, "exists and is a superuser"),
        ({"role": {**ROLE, "comment": None}}, "exists and is not a backup user"),
        ({"role": {**ROLE, "comment": f"{REQUEST.comment}2"}}, "of the installation 'data/x2'"),
    ],
)
def test_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(BackupUserError, match=message):
        plan_role(REQUEST, state(**more))


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "a\nb", "a\0b", "pg_x", "public", "none"])
def test_names_that_no_role_can_have(name: str) -> None:
    with pytest.raises(ExpectationError, match="role: expected a name"):
        check_role_name(name)


def test_role_name_in_the_query_is_quoted() -> None:
    assert state_query("o'neil \\ :role").count("rolname = E'o''neil \\\\ :role'") == 2


def secret(password: str, key: str = KEY.key) -> dict[str, Any]:
    return with_password(new_secret(KEY, "b", {"team": "a"}), key, password)


@pytest.mark.parametrize(
    ("existing", "logins", "role_exists", "rotate", "change"),
    [
        (None, {}, False, False, PasswordChange.CREATED),
        (secret("x", "other"), {}, True, True, PasswordChange.CREATED),
        (secret("x"), {}, False, False, PasswordChange.SET),
        (secret("x"), {"PASSWORD": OK}, True, False, PasswordChange.KEPT),
        (secret("x"), {"PASSWORD": WRONG}, True, False, PasswordChange.SET),
        (secret("x"), {"PASSWORD": OK}, True, True, PasswordChange.ROTATED),
        (secret("x"), {"PASSWORD": WRONG, "NEW_PASSWORD": OK}, True, False, PasswordChange.COMPLETED),
        (secret("x"), {"PASSWORD": OK, "NEW_PASSWORD": WRONG}, True, False, PasswordChange.KEPT),
        (secret("x"), {"PASSWORD": HBA}, True, False, None),
    ],
)
def test_password_change(
    existing: Any, logins: Any, role_exists: bool, rotate: bool, change: PasswordChange | None
) -> None:
    assert password_change(existing, KEY, logins, role_exists=role_exists, rotate=rotate) == change


def test_rotation_keeps_the_old_password_until_it_is_completed() -> None:
    began = with_password(secret("old"), NEW_PASSWORD_KEY, "new")
    assert base64.b64decode(began["data"]["password"]) == b"old"
    assert with_completed_rotation(began, "password")["data"] == {"password": base64.b64encode(b"new").decode()}


def test_secret_of_somebody_else_is_not_changed() -> None:
    foreign = secret("x")
    del foreign["metadata"]["annotations"]
    check_secret(foreign, KEY, rotate=False)
    with pytest.raises(BackupUserError, match="was not created by this module"):
        check_secret(foreign, KEY, rotate=True)
    with pytest.raises(BackupUserError, match="expected the key 'key', found password"):
        check_secret(foreign, SecretKey("data", "x-user", "key"), rotate=False)


def test_job_refers_to_passwords_and_has_the_labels_of_a_backup() -> None:
    administrator = Credentials("po$tgres", "s", "k")
    work = BackupUserWork("b$c", "SELECT '$(x)'", administrator, KEY, "BEGIN;", "PASSWORD")
    original = cronjob()
    before = copy.deepcopy(original)
    job = backup_user_job(original, "j", {"backup.sh": "echo"}, work)
    assert original == before
    template = job["spec"]["template"]
    assert template["metadata"]["labels"] == {"app.kubernetes.io/component": "backup", "team": "a"}
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]) == (600, 0)
    (container,) = template["spec"]["containers"]
    env = {entry["name"]: {key: value for key, value in entry.items() if key != "name"} for entry in container["env"]}
    assert env["PGPASSWORD"] == {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    reference = {"name": "x-user", "optional": True}
    assert env["BACKUP_USER_PASSWORD"] == {"valueFrom": {"secretKeyRef": {**reference, "key": "password"}}}
    assert env["BACKUP_USER_NEW_PASSWORD"] == {"valueFrom": {"secretKeyRef": {**reference, "key": NEW_PASSWORD_KEY}}}
    assert (env["POSTGRES_BACKUP_USER"], env["BACKUP_USER_ROLE"]) == ({"value": "po$$tgres"}, {"value": "b$$c"})
    assert env["BACKUP_USER_QUERY"] == {"value": "SELECT '$$(x)'"}
    # The backups are not needed.
    assert {mount["name"] for mount in container["volumeMounts"]} == {"script", "postgres-backup-scratch"}
    assert {volume["name"] for volume in template["spec"]["volumes"]} == {"script", "postgres-backup-scratch"}


def recorded(**more: str) -> dict[str, Any]:
    made = cronjob()
    names = {"user": "postgres", "secret-name": "admin", "secret-key": "pw", **more}
    made["metadata"]["annotations"] = {f"postgres-backup.homelab/restore-{name}": text for name, text in names.items()}
    return made


def test_credentials_of_backups_and_restores() -> None:
    assert backup_credentials(cronjob()) == Credentials("a$b", "s", "k")
    with pytest.raises(TemplateError, match="expected POSTGRES_BACKUP_USER, and PGPASSWORD from a Secret"):
        backup_credentials(plain(("data", "/backups")))
    # All of the environment of a CronJob that is not ours.
    assert restore_credentials(plain(("data", "/backups")), {"user": None}) is None
    assert restore_credentials(cronjob(), {"user": None, "secret_name": ""}) is None
    assert restore_credentials(cronjob(), {"user": "u"}) == Credentials("u", "s", "k")
    admin = Credentials("postgres", "admin", "pw")
    assert recorded_restore_credentials(recorded()) == restore_credentials(recorded(), {}) == admin
    assert recorded_restore_credentials(recorded(user="")) is None
    assert restore_credentials(recorded(), {"secret_key": "other"}) == Credentials("postgres", "admin", "other")
    options = {"user": "u", "secret_name": "n", "secret_key": "k"}
    assert restore_credentials(plain(("data", "/backups")), options) == Credentials("u", "n", "k")


def test_administrator_is_never_the_role() -> None:
    assert administrator_of(cronjob(), {}, "b") == Credentials("a$b", "s", "k")
    assert administrator_of(recorded(), {}, "a$b") == Credentials("postgres", "admin", "pw")
    with pytest.raises(ExpectationError, match="The backups use it already"):
        administrator_of(cronjob(), {}, "a$b")
    with pytest.raises(ExpectationError, match=r"found that role itself\. Set admin_user"):
        administrator_of(cronjob(), {"user": "b"}, "b")
