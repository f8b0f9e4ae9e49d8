# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The plan for the restore of one database: the names on the server, and the options.

The pod (restore.sh) gets it as RESTORE_* variables, and finds out the rest on the volume: the backup, if none is named,
the database's part of it, its roles and its own statements (restore_plan.sh, database.awk).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..errors import ExpectationError
from .sql_text import NAME_BYTES, cut_name

# Linux takes no longer string into a program's environment (execve(2), MAX_ARG_STRLEN).
VARIABLE_BYTES = 131_000
# The setting that marks a temporary database until it is finished; its value is a hash of the final name. Unlike the
# comment, which the dump may replace, it can be removed in the transaction that renames the database.
MARK = "postgres_backup.unfinished_restore"
_SYSTEM = ("template0", "template1")


@dataclass(frozen=True)
class RestoreRequest:
    """The options of a restore; `token` is unique to it.

    Without `backup`, the pod takes the newest one that holds the database; without `sha256`, that of the checksum file.
    `contents` are as Contents.to_dict() returns them.
    """

    database: str
    token: str
    now: datetime
    backup: str | None = None
    sha256: str | None = None
    contents: Mapping[str, Any] | None = None
    new_name: str | None = None
    replace: bool = False
    create_roles: bool = False
    terminate_connections: bool = False
    wait_seconds: int = 30
    check: bool = False
    search_path: str | None = None
    before_sql: str | None = None
    after_sql: str | None = None
    transform_sql: str | None = None
    assert_sql: str | None = None

    @property
    def is_transformed(self) -> bool:
        return bool(self.transform_sql or self.assert_sql)

    @property
    def target(self) -> str:
        return self.database if self.new_name is None else self.new_name


@dataclass(frozen=True)
class RestorePlan:
    """The names and the variables of the pod."""

    target: str
    temporary: str
    old: str
    variables: Mapping[str, str]


def plan_restore(request: RestoreRequest, **more: str) -> RestorePlan:
    """The plan; `more` are further variables of the pod, without their RESTORE_.

    Raises ExpectationError, which names the option, if that cannot be restored.
    """
    target = request.target
    _check_target(request)
    _check_proof(request)
    # In ASCII: a session in a database with another encoding could not find any other name.
    temporary = cut_name(re.sub(r"[^A-Za-z0-9_]", "_", target), f"_restoring_{request.token}")
    old = cut_name(target, f"_before_restore_{request.now.astimezone(timezone.utc):%Y%m%d%H%M%S}")
    variables = {
        "CHECK": word(request.check),
        "BACKUP": request.backup or "",
        "SHA256": (request.sha256 or "").lower(),
        "ROWS": _rows(request),
        "DATABASE": request.database,
        # As the manifest has it.
        "DATABASE_JSON": json.dumps(request.database),
        "TARGET": target,
        "TEMPORARY": temporary,
        "OLD": old,
        "TOKEN": request.token,
        "MARK": f"{MARK}={hashlib.sha256(target.encode('utf-8', 'replace')).hexdigest()}",
        "REPLACE": word(request.replace),
        "CREATE_ROLES": word(request.create_roles),
        "TERMINATE": word(request.terminate_connections),
        "WAIT_SECONDS": str(request.wait_seconds),
        "SEARCH_PATH": request.search_path or "",
        "BEFORE_SQL": request.before_sql or "",
        "AFTER_SQL": request.after_sql or "",
        "TRANSFORM_SQL": request.transform_sql or "",
        "ASSERT_SQL": request.assert_sql or "",
        **more,
    }
    _check_variables(variables)
    return RestorePlan(target, temporary, old, {f"RESTORE_{name}": text for name, text in variables.items()})


def clean_up_variables(plan: RestorePlan) -> dict[str, str]:
    """The variables of a pod that only drops what the restore left behind."""
    return {**plan.variables, "RESTORE_CLEAN_UP": "yes"}


def word(value: bool) -> str:
    """As the pod's variables have it."""
    return "yes" if value else "no"


def _check_target(request: RestoreRequest) -> None:
    option = "database" if request.new_name is None else "new_name"
    target = request.target
    size = len(target.encode("utf-8", "replace"))
    if not 0 < size <= NAME_BYTES:
        raise ExpectationError(f"{option}: expected a name of 1 to {NAME_BYTES} bytes, found {size} bytes")
    if any(character in target for character in "\0\n\r"):
        raise ExpectationError(f"{option}: expected a name without line breaks, which pg_dumpall rejects")
    if target in _SYSTEM:
        raise ExpectationError(
            f"{option}: '{target}' is a template for new databases and cannot be replaced. Set new_name"
        )


def _check_proof(request: RestoreRequest) -> None:
    """The sha256 and the contents of a backup are only meaningful together with its name."""
    if request.backup is None and (request.sha256 is not None or request.contents is not None):
        raise ExpectationError("backup: expected the name of the backup that sha256 and contents belong to, found none")
    check_sha256(request.sha256)


def check_sha256(sha256: str | None) -> None:
    """Raises ExpectationError if it is not one."""
    if sha256 is not None and re.fullmatch(r"[0-9a-fA-F]{64}", sha256) is None:
        raise ExpectationError("sha256: expected 64 hexadecimal digits, as backup_fetch returns them")


def _rows(request: RestoreRequest) -> str:
    """How many rows the database has according to the contents; empty without contents."""
    contents = request.contents
    if contents is None:
        return ""
    if not contents.get("complete") or contents.get("kind") != "cluster":
        raise ExpectationError(
            "contents: expected those of a complete dump of all databases (pg_dumpall), found "
            f"{'another kind of dump' if contents.get('complete') else 'an incomplete one'}. "
            "Fetch the backup with verify: true, and pass the contents that this returns"
        )
    if request.database in contents.get("missing", ()):
        raise ExpectationError(
            f"database: expected one that is in the backup, found '{request.database}', which the run could not dump: "
            f"{request.backup} is incomplete. Leave out backup, sha256 and contents: then the newest backup that holds "
            "the database is restored"
        )
    named = [one for one in contents["databases"] if one["name"] == request.database]
    if len(named) != 1:
        names = ", ".join(str(one["name"]) for one in contents["databases"]) or "none"
        raise ExpectationError(f"database: expected one of those in the backup ({names}), found '{request.database}'")
    return str(named[0]["rows"])


def _check_variables(variables: Mapping[str, str]) -> None:
    for name, text in variables.items():
        option = name.lower()
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise ExpectationError(f"{option}: expected UTF-8, which Kubernetes requires") from None
        if size > VARIABLE_BYTES or "\0" in text:
            raise ExpectationError(
                f"{option}: expected at most {VARIABLE_BYTES} bytes without NUL characters, found {size}"
            )


def database_lists(before: Iterable[str], plan: RestorePlan, replaced: str | None) -> tuple[str, str]:
    """The server's databases before and after, one a line, for a diff."""
    existing = sorted(before)
    after = sorted({*existing, plan.target, *([replaced] if replaced else [])})
    return "".join(f"{name}\n" for name in existing), "".join(f"{name}\n" for name in after)
