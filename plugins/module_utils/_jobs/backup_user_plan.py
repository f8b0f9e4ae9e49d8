# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role for backups on the live server: what it must have, what it has, and the SQL in between.

The pod (backup_user.sh) asks the query, runs the statements and sets the password; all SQL is made here, with its names
quoted. No password is in it: psql's \\password makes the verifier in the pod (PostgreSQL documentation, psql).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BackupUserError, ExpectationError
from .sql_text import NAME_BYTES, quote_name, quote_text

# The beginning of the role's comment: only a role with it is changed. The installation's namespace and name follow.
MARK = "Backup user of homelab.postgres_backup, installation "
# The first version with pg_read_all_data, and the first in which membership in a role has its own INHERIT.
_READ_ALL_VERSION, _INHERIT_VERSION = 140000, 160000
# The first version in which pg_read_all_data includes large objects.
_LARGE_OBJECTS_VERSION = 190000
_READ_ALL = "pg_read_all_data"
_RESERVED_NAMES = ("public", "none")
_LARGE_OBJECTS = "lo_compat_privileges"

# `closed` are the databases that a dump has to enter and the role may not; 'public' stands for a role that is missing.
_STATE_QUERY = """SELECT json_build_object(
  'version_num', current_setting('server_version_num')::int,
  'in_recovery', pg_is_in_recovery(),
  'administrator', (
    SELECT json_build_object(
      'name', a.rolname, 'superuser', a.rolsuper, 'createrole', a.rolcreaterole, 'bypass_rls', a.rolbypassrls,
      'grants_read_all', (SELECT pg_has_role(a.oid, p.oid, 'MEMBER WITH ADMIN OPTION')
        FROM pg_roles p WHERE p.rolname = 'pg_read_all_data'))
    FROM pg_roles a WHERE a.rolname = current_user),
  'role', (
    SELECT json_build_object(
      'superuser', r.rolsuper, 'login', r.rolcanlogin, 'bypass_rls', r.rolbypassrls,
      'expired', coalesce(r.rolvaliduntil < now(), false), 'comment', shobj_description(r.oid, 'pg_authid'),
      'read_all_data', coalesce((SELECT pg_has_role(r.oid, p.oid, 'USAGE')
        FROM pg_roles p WHERE p.rolname = 'pg_read_all_data'), false),
      'large_objects', coalesce('lo_compat_privileges=on' = ANY ((SELECT s.setconfig
        FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0)::text[]), false))
    FROM pg_roles r WHERE r.rolname = :role),
  'closed', (
    SELECT coalesce(json_agg(json_build_object(
      'database', d.datname, 'grantable', has_database_privilege(d.oid, 'CONNECT WITH GRANT OPTION')
    ) ORDER BY d.datname), '[]')
    FROM pg_database d WHERE d.datallowconn AND d.datconnlimit <> -2 AND NOT has_database_privilege(
      coalesce((SELECT r.rolname FROM pg_roles r WHERE r.rolname = :role), 'public'), d.oid, 'CONNECT'))
)"""

State = Mapping[str, Any]


@dataclass(frozen=True)
class BackupUserRequest:
    """The options: `role` is its name, `installation` the CronJob's namespace and name, as `namespace/name`."""

    role: str
    installation: str
    bypass_rls: bool = True
    large_objects: bool = True

    @property
    def comment(self) -> str:
        return f"{MARK}{self.installation}"


@dataclass(frozen=True)
class RolePlan:
    """What brings the role from `before` to `after`, both for a diff; `notes` are what it will not have.

    The server may refuse `optional` statements, as providers' servers do, and the others are then still executed.
    `granted` are the databases on which these grant CONNECT.
    """

    statements: tuple[str, ...]
    optional: tuple[str, ...]
    before: dict[str, Any] | None
    after: dict[str, Any]
    granted: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def changes(self) -> tuple[str, ...]:
        return (*self.statements, *self.optional)


def check_role_name(role: str) -> None:
    """Raises ExpectationError for a name that no role can have, or that the pod cannot pass on."""
    size = len(role.encode("utf-8", "replace"))
    if not 0 < size <= NAME_BYTES:
        raise ExpectationError(f"role: expected a name of 1 to {NAME_BYTES} bytes, found {size} bytes")
    if any(ord(character) < 32 or ord(character) == 127 for character in role):
        raise ExpectationError("role: expected a name without line breaks and other control characters")
    if role.startswith("pg_") or role in _RESERVED_NAMES:
        raise ExpectationError(f"role: expected a name that PostgreSQL does not reserve, found '{role}'")


def state_query(role: str) -> str:
    """A query for what is known of the server and of the role, as one line of JSON; for PostgreSQL 13 and later."""
    return _STATE_QUERY.replace(":role", quote_text(role))


def plan_role(request: BackupUserRequest, state: State) -> RolePlan:
    """What is to be done for the role; raises BackupUserError where it cannot be, or must not be done."""
    _refuse_server(state)
    _refuse_role(request, state)
    administrator, role, name = state["administrator"], state["role"], quote_name(request.role)
    notes = []
    bypass_rls = bool(role and role["bypass_rls"])
    if request.bypass_rls and not bypass_rls:
        if _may_give_bypass_rls(state):
            bypass_rls = True
        else:
            notes.append(
                f"'{administrator['name']}' may not give BYPASSRLS: a database fails in which row security would cut a "
                "table. A superuser can give it"
            )
    large_objects = bool(role and role["large_objects"])
    if request.large_objects and not large_objects and state["version_num"] < _LARGE_OBJECTS_VERSION:
        if administrator["superuser"]:
            large_objects = True
        else:
            notes.append(
                f"'{administrator['name']}' may not set {_LARGE_OBJECTS}: a database fails that has large objects of "
                "other roles, unless SELECT on each of them is granted"
            )
    granted = tuple(entry["database"] for entry in state["closed"] if entry["grantable"])
    notes += [
        f"'{administrator['name']}' may not grant CONNECT on the database '{entry['database']}'"
        for entry in state["closed"]
        if not entry["grantable"]
    ]
    before = None if role is None else _shown(role)
    after = {
        "login": True,
        "expired": False,
        "read_all_data": True,
        "bypass_rls": bypass_rls,
        "large_objects": large_objects,
        "comment": request.comment,
    }
    statements = []
    if before is None:
        statements += [f"CREATE ROLE {name} LOGIN", f"COMMENT ON ROLE {name} IS {quote_text(request.comment)}"]
    elif not before["login"] or before["expired"]:
        statements.append(f"ALTER ROLE {name} LOGIN VALID UNTIL 'infinity'")
    if before is None or not before["read_all_data"]:
        statements += _grant_read_all(state["version_num"], name)
    optional = []
    if bypass_rls and not (before and before["bypass_rls"]):
        optional.append(f"ALTER ROLE {name} BYPASSRLS")
    if large_objects and not (before and before["large_objects"]):
        optional.append(f"ALTER ROLE {name} SET {_LARGE_OBJECTS} = on")
    optional += [f"GRANT CONNECT ON DATABASE {quote_name(database)} TO {name}" for database in granted]
    return RolePlan(tuple(statements), tuple(optional), before, after, granted, tuple(notes))


def transaction(plan: RolePlan, role: str, sets_password: bool) -> str:
    """The text for psql; for a password, psql reads it twice from its standard input."""
    statements = [*plan.statements, *(_if_permitted(statement) for statement in plan.optional)]
    lines = ["BEGIN;", *(f"{statement};" for statement in statements)]
    if sets_password:
        # Whatever the server's default is; psql asks the session's.
        lines += ["SET LOCAL password_encryption = 'scram-sha-256';", f"\\password {quote_name(role)}"]
    return "\n".join([*lines, "COMMIT;", ""])


def _refuse_server(state: State) -> None:
    administrator = state["administrator"]
    if state["in_recovery"]:
        raise BackupUserError(
            "the server is a standby, on which no role can be created. Run this with an installation that backs up the "
            "primary, or create the role there by hand"
        )
    if state["version_num"] < _READ_ALL_VERSION:
        raise BackupUserError(
            f"expected PostgreSQL 14 or later, found {state['version_num'] // 10000}, which has no {_READ_ALL}. "
            "Create the role by hand, with LOGIN, and grant it in each database CONNECT, and in each schema USAGE, "
            "SELECT ON ALL TABLES and SELECT ON ALL SEQUENCES, also by ALTER DEFAULT PRIVILEGES for the roles that "
            "create tables. Then set postgres_backup_user, postgres_backup_secret_name and postgres_backup_secret_key"
        )
    if not (administrator["superuser"] or administrator["createrole"]):
        raise BackupUserError(
            f"the administrator '{administrator['name']}' may not create roles: expected a superuser, or a role with "
            f"CREATEROLE that may grant {_READ_ALL}. Set admin_user, admin_secret_name and admin_secret_key "
            "(postgres_backup_restore_user, _secret_name, _secret_key)"
        )


def _refuse_role(request: BackupUserRequest, state: State) -> None:
    administrator, role = state["administrator"], state["role"]
    other = "Set another name (postgres_backup_user_role)"
    if role is not None and role["superuser"]:
        raise BackupUserError(f"the role '{request.role}' exists and is a superuser. It is not changed. {other}")
    if role is not None and role["comment"] != request.comment:
        owner = (role["comment"] or "").partition(MARK)[2]
        what = f"is the backup user of the installation '{owner}'" if owner else "is not a backup user"
        raise BackupUserError(
            f"the role '{request.role}' exists and {what}. It is not changed. {other}. To let this installation have "
            f"it: COMMENT ON ROLE {quote_name(request.role)} IS {quote_text(request.comment)}"
        )
    grants = administrator["superuser"] or administrator["grants_read_all"]
    if state["version_num"] < _INHERIT_VERSION:
        # Until PostgreSQL 15, CREATEROLE may grant membership in every role that is not a superuser.
        grants = grants or administrator["createrole"]
    if not grants and not (role and role["read_all_data"]):
        raise BackupUserError(
            f"the administrator '{administrator['name']}' may not grant {_READ_ALL}: expected a superuser, or a role "
            f"with its ADMIN OPTION. A superuser can give it: GRANT {_READ_ALL} TO "
            f"{quote_name(administrator['name'])} WITH ADMIN OPTION"
        )


def _may_give_bypass_rls(state: State) -> bool:
    """(PostgreSQL documentation, CREATE ROLE: until 15 only superusers, then also roles that have it themselves.)"""
    administrator = state["administrator"]
    own = state["version_num"] >= _INHERIT_VERSION and administrator["bypass_rls"]
    return bool(administrator["superuser"] or own)


def _grant_read_all(version_num: int, name: str) -> list[str]:
    if version_num >= _INHERIT_VERSION:
        return [f"GRANT {_READ_ALL} TO {name} WITH INHERIT TRUE"]
    return [f"ALTER ROLE {name} INHERIT", f"GRANT {_READ_ALL} TO {name}"]


def _if_permitted(statement: str) -> str:
    """The statement, without an error where the server does not permit it."""
    body = f"BEGIN EXECUTE {quote_text(statement)}; EXCEPTION WHEN insufficient_privilege THEN NULL; END"
    tag = "$if_permitted$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}{body}{tag}"


def _shown(role: Mapping[str, Any]) -> dict[str, Any]:
    names = ("login", "expired", "read_all_data", "bypass_rls", "large_objects", "comment")
    return {name: role[name] for name in names}
