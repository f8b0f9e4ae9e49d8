# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work
"""`backup.sh _backup_user` with the SQL of backup_user_plan.py, against real servers of several versions."""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
from collections.abc import Iterator

import pytest

from plugins.module_utils._jobs.backup_user_plan import (
    MARK,
    BackupUserRequest,
    RolePlan,
    plan_role,
    state_query,
    transaction,
)
from plugins.module_utils._jobs.sql_text import quote_name, quote_text
from plugins.module_utils.errors import BackupUserError

from ..conftest import MakeSandbox
from ..support.programs import root_filesystem, wrap
from ..support.sandbox import Json, Outcome, Sandbox
from ..support.server import PASSWORD, Server
from ..support.workspace import Workspace

HOSTILE = "ba\"ck'up; $(id) `x` \\ ü :role %s $HOME"
PASSWORDS = ("q 'u\"o\\te$s", "p" * 63)
REQUEST = BackupUserRequest(HOSTILE, "data/postgres-backup")


@dataclasses.dataclass
class Administrator:
    """Calls the command as the module's Job does, as one user of the server."""

    sandbox: Sandbox
    user: str | None = None

    def call(self, statements: str = "", role: str = HOSTILE, **more: str) -> Outcome:
        env: dict[str, str | None] = {
            "BACKUP_USER_ROLE": role,
            "BACKUP_USER_QUERY": state_query(role),
            "BACKUP_USER_STATEMENTS": statements,
            **more,
        }
        if self.user is not None:
            env["POSTGRES_BACKUP_USER"] = self.user
        return self.sandbox.run("_backup_user", env=env)

    def state(self, role: str = HOSTILE, **more: str) -> Json:
        result = self.call(role=role, **more).check().result
        assert result["state"] == "succeeded"
        state: Json = result["server"]
        return state

    def plan(self, request: BackupUserRequest = REQUEST) -> RolePlan:
        return plan_role(request, self.state(request.role))

    def apply(self, plan: RolePlan, password: str = PASSWORDS[0], role: str = HOSTILE) -> Outcome:
        more = {"BACKUP_USER_SETS": "PASSWORD", "BACKUP_USER_PASSWORD": f"{password}\n"}
        return self.call(transaction(plan, role, sets_password=True), role=role, **more)


@pytest.fixture(params=["13", "15", "17"])
def older_server(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Server]:
    version = str(request.param)
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"postgresql-{version}"))
    directory = workspace.directory(f"backup-user-{version}", mode=0o777)
    with Server(programs, directory).create() as running:
        yield running


@pytest.fixture
def administrator(make_sandbox: MakeSandbox, fresh_server: Server) -> Administrator:
    sandbox = make_sandbox()
    sandbox.server = fresh_server
    return Administrator(sandbox)


def fill(server: Server) -> None:
    server.sql('CREATE DATABASE "clo sed"; REVOKE CONNECT ON DATABASE "clo sed" FROM PUBLIC;')
    server.sql("CREATE DATABASE refusing; ALTER DATABASE refusing ALLOW_CONNECTIONS false;")
    table = "CREATE TABLE secret (a int); INSERT INTO secret VALUES (1), (2);"
    server.sql(f"{table} ALTER TABLE secret ENABLE ROW LEVEL SECURITY; SELECT lo_create(4711);", "clo sed")


def test_created_corrected_and_unchanged(administrator: Administrator, fresh_server: Server) -> None:
    fill(fresh_server)
    plan = administrator.plan()
    assert (plan.before, plan.granted, plan.notes) == (None, ("clo sed",), ())
    assert fresh_server.sql(f"SELECT count(*) FROM pg_roles WHERE rolname = {quote_text(HOSTILE)};") == "0"

    done = administrator.apply(plan).check().result
    assert done["logins"] == {"PASSWORD": {"ok": True}}
    assert done["not_entered"] == []
    again = plan_role(REQUEST, done["server"])
    assert (again.changes, again.notes) == ((), ())
    assert again.before == plan.after
    # Everything can be read, also what row security and the permissions of large objects protect.
    reader = {"PGUSER": HOSTILE, "PGPASSWORD": PASSWORDS[0]}
    assert as_user(fresh_server, reader, "SELECT count(*) FROM secret; SELECT lo_get(4711);") == "2\n\\x"
    hashes = fresh_server.sql(f"SELECT rolpassword FROM pg_authid WHERE rolname = {quote_text(HOSTILE)};")
    assert hashes.startswith("SCRAM-SHA-256$")

    name = quote_name(HOSTILE)
    fresh_server.sql(f"ALTER ROLE {name} NOLOGIN VALID UNTIL '2020-01-01' NOBYPASSRLS; ALTER ROLE {name} RESET ALL;")
    fresh_server.sql(f"REVOKE pg_read_all_data FROM {name};")
    corrected = administrator.plan()
    assert corrected.before is not None and corrected.before["expired"]
    text = transaction(corrected, HOSTILE, sets_password=False)
    done = administrator.call(text, BACKUP_USER_PASSWORD=PASSWORDS[0]).check().result
    assert done["logins"] == {"PASSWORD": {"ok": True}}
    assert plan_role(REQUEST, done["server"]).changes == ()


def test_backup_by_the_role_has_everything(administrator: Administrator, fresh_server: Server) -> None:
    fill(fresh_server)
    administrator.apply(administrator.plan()).check()
    env = {"POSTGRES_BACKUP_USER": HOSTILE, "PGPASSWORD": PASSWORDS[0]}
    sandbox = administrator.sandbox
    run = sandbox.run("run", env=env).check()
    text = gzip.decompress((sandbox.volume / run.result["backup"]).read_bytes()).decode()
    assert "COPY public.secret (a) FROM stdin;\n1\n2\n" in text
    assert "lo_create('4711')" in text


def test_password_of_a_rotation(administrator: Administrator, fresh_server: Server) -> None:
    administrator.apply(administrator.plan()).check()
    plan = administrator.plan()
    both = {"BACKUP_USER_PASSWORD": PASSWORDS[0], "BACKUP_USER_NEW_PASSWORD": PASSWORDS[1]}
    text = transaction(plan, HOSTILE, sets_password=True)
    done = administrator.call(text, BACKUP_USER_SETS="NEW_PASSWORD", **both).check().result
    assert done["logins"]["NEW_PASSWORD"] == {"ok": True}
    assert not done["logins"]["PASSWORD"]["ok"]
    assert "password authentication failed" in done["logins"]["PASSWORD"]["message"]
    reader = {"PGUSER": HOSTILE, "PGPASSWORD": PASSWORDS[1]}
    assert as_user(fresh_server, reader, "SELECT 1", "postgres") == "1"


def test_no_password_in_output_log_or_statements(administrator: Administrator, fresh_server: Server) -> None:
    # Nor an MD5 hash, which the server would take by its default.
    fresh_server.sql("ALTER SYSTEM SET log_statement = 'all';")
    fresh_server.sql("ALTER SYSTEM SET password_encryption = 'md5'; SELECT pg_reload_conf();")
    outcome = administrator.apply(administrator.plan()).check()
    log = (fresh_server.directory / "server.log").read_text(errors="replace")
    assert "SCRAM-SHA-256$" in log  # what the server is sent
    assert PASSWORDS[0] not in outcome.out + outcome.log + log


def test_statements_that_fail_change_nothing(administrator: Administrator, fresh_server: Server) -> None:
    plan = administrator.plan()
    text = transaction(plan, HOSTILE, sets_password=True).replace("COMMIT;", "SELECT 1/0;\nCOMMIT;")
    failed = administrator.call(text, BACKUP_USER_SETS="PASSWORD", BACKUP_USER_PASSWORD=PASSWORDS[0]).check(1)
    assert failed.result["state"] == "failed"
    assert "division by zero" in failed.result["reason"]
    assert "SCRAM" not in failed.out + failed.log

    text = transaction(plan, HOSTILE, sets_password=True).replace("\\password", '\\password "nobody" \\\\ --')
    failed = administrator.call(text, BACKUP_USER_SETS="PASSWORD", BACKUP_USER_PASSWORD=PASSWORDS[0]).check(1)
    assert 'role "nobody" does not exist' in failed.result["reason"]
    assert "Enter new password" not in failed.out + failed.log
    assert fresh_server.sql("SELECT count(*) FROM pg_roles WHERE rolcanlogin;") == "1"


def test_pg_hba_that_rejects_the_role(administrator: Administrator, fresh_server: Server) -> None:
    fill(fresh_server)
    administrator.apply(administrator.plan()).check()
    hba = fresh_server.data / "pg_hba.conf"
    name = '"' + HOSTILE.replace('"', '""') + '"'
    before = hba.read_text()
    hba.write_text(f'host "clo sed" {name} all reject\n{before}')
    fresh_server.sql("SELECT pg_reload_conf();")
    (entry,) = administrator.call(BACKUP_USER_PASSWORD=PASSWORDS[0]).check().result["not_entered"]
    assert (entry["database"], entry["administrator"]) == ("clo sed", True)
    assert "pg_hba.conf rejects" in entry["message"]

    hba.write_text(f"host all {name} all reject\n{before}")
    fresh_server.sql("SELECT pg_reload_conf();")
    login = administrator.call(BACKUP_USER_PASSWORD=PASSWORDS[0]).check().result["logins"]["PASSWORD"]
    assert not login["ok"]
    assert "pg_hba.conf rejects" in login["message"] and "add an entry" in login["advice"]


def test_administrator_without_superuser(make_sandbox: MakeSandbox, older_server: Server) -> None:
    fill(older_server)
    sandbox = make_sandbox()
    sandbox.server = older_server
    version = int(older_server.programs.major)
    older_server.sql(f"CREATE ROLE chief LOGIN CREATEROLE PASSWORD {quote_text(PASSWORD)};")
    older_server.sql("CREATE DATABASE own OWNER chief; REVOKE CONNECT ON DATABASE own FROM PUBLIC;")
    chief = Administrator(sandbox, "chief")
    if version == 13:
        with pytest.raises(BackupUserError, match=r"expected PostgreSQL 14 or later, found 13.* SELECT ON ALL"):
            chief.plan()
        return
    if version >= 16:
        with pytest.raises(BackupUserError, match='GRANT pg_read_all_data TO "chief" WITH ADMIN OPTION'):
            chief.plan()
        older_server.sql("GRANT pg_read_all_data TO chief WITH ADMIN OPTION;")
    plan = chief.plan()
    assert plan.granted == ("own",)
    assert [note.partition(":")[0] for note in plan.notes] == [
        "'chief' may not give BYPASSRLS",
        "'chief' may not set lo_compat_privileges",
        "'chief' may not grant CONNECT on the database 'clo sed'",
    ]
    done = chief.apply(plan).check().result
    assert done["logins"] == {"PASSWORD": {"ok": True}}
    (entry,) = done["not_entered"]
    assert (entry["database"], entry["administrator"]) == ("clo sed", False)
    after = plan_role(REQUEST, done["server"])
    assert (after.changes, after.before) == ((), plan.after)

    # No administrator takes over the role of somebody else.
    older_server.sql(f"ALTER ROLE chief NOCREATEROLE; CREATE ROLE app LOGIN; CREATE ROLE root SUPERUSER; "
                     f"COMMENT ON ROLE app IS {quote_text(MARK + 'other/x')};")  # fmt: skip
    with pytest.raises(BackupUserError, match="'chief' may not create roles"):
        chief.plan()
    superuser = Administrator(sandbox)
    for role, message in (
        ("app", "is the backup user of the installation 'other/x'"),
        ("chief", "exists and is not a backup user"),
        ("root", "exists and is a superuser"),
    ):
        with pytest.raises(BackupUserError, match=message):
            superuser.plan(dataclasses.replace(REQUEST, role=role))


def as_user(server: Server, login: dict[str, str], sql: str, database: str = "clo sed") -> str:
    command = [str(server.programs.path("psql")), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]
    done = subprocess.run(
        command, env=server.environment() | login, input=sql, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip("\n")
