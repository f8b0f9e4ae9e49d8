# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The plan for the restore of tables: the names on the server, and the options.

The pod (table.sh) gets it as RESTORE_* variables. Those that restore.sh also has mean the same: the temporary
database is one of a restore, with the same mark, so that the next restore of either kind drops one that is left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors import ExpectationError
from .restore_plan import RestoreRequest, plan_restore

MERGES = ("missing", "changed")
# How many keys of each kind a result may list.
MOST_KEYS = 1000


@dataclass(frozen=True)
class TableRequest:
    """The options of a restore of tables; `token` is unique to it.

    `tables` are names as in SQL, with or without their schema; `database` is the one in the backup, `target` the one on
    the server, by default of the same name.
    """

    database: str
    tables: Sequence[str]
    token: str
    now: datetime
    backup: str | None = None
    sha256: str | None = None
    target: str | None = None
    merge: str | None = None
    keys: int = 0
    check: bool = False
    search_path: str | None = None


@dataclass(frozen=True)
class TablePlan:
    """The database and the schema on the server, and the variables of the pod."""

    target: str
    schema: str
    variables: Mapping[str, str]


def plan_tables(request: TableRequest) -> TablePlan:
    """Raises ExpectationError, which names the option, if that cannot be restored."""
    if not request.tables or any(not name.strip() or "\0" in name for name in request.tables):
        raise ExpectationError("tables: expected at least one name of a table, and no empty one")
    if request.merge is not None and request.merge not in MERGES:
        raise ExpectationError(f"merge: expected one of {', '.join(MERGES)}, found '{request.merge}'")
    if not 0 <= request.keys <= MOST_KEYS:
        raise ExpectationError(f"keys: expected a number from 0 to {MOST_KEYS}, found {request.keys}")
    schema = f"restored_{request.now.astimezone(timezone.utc):%Y%m%d%H%M%S}"
    plan = plan_restore(
        RestoreRequest(
            database=request.database,
            token=request.token,
            now=request.now,
            backup=request.backup,
            sha256=request.sha256,
            new_name=request.target,
            # The database is kept, and roles are not needed.
            replace=True,
            create_roles=True,
            check=request.check,
            search_path=request.search_path,
        ),
        TABLES=json.dumps(list(request.tables)),
        SCHEMA=schema,
        MERGE=request.merge or "no",
        KEYS=str(request.keys),
    )
    return TablePlan(plan.target, schema, plan.variables)
