#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module restore_table; see table_plan.py (_jobs) and restore_run.py (_cluster) in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_table
short_description: Restore tables from a backup next to the live ones, compare them, and merge lost rows
version_added: 1.1.0
description:
  - Restores the named tables of one database from a backup on the volume into a new schema of the live database,
    C(restored_<time>), the time in UTC. They have their rows, column types, defaults, checks, primary keys and unique
    keys. They have no triggers, rules, policies, foreign keys or other indexes.
  - Of a partitioned table, all partitions are restored. A partition can also be restored alone. Of a table from which
    others inherit, only its own rows are restored, and a warning names the others.
  - The rows of each restored table are counted, and compared with those in the text of the backup. Then each table is
    compared with the live one by its primary key, or by a unique key without NULL that both have. Without such a key,
    the rows are compared as multisets.
  - With O(merge), the lost rows are put back in one transaction. Without it, the live tables are only read.
  - What the tables need, such as types and functions, must exist in the live database. What is missing is named before
    anything is created there.
  - The restore runs as a Job in the cluster, with the image of the CronJob. The definitions of the tables are read from
    a temporary database without rows, which is dropped before the live database is changed.
  - If the restore fails or is stopped before the tables are merged, the live tables are unchanged. If its pod is
    killed, at most the unfinished schema and the temporary database remain. The next restore removes them.
options:
  backup:
    description:
      - The name of the backup on the volume. By default, the newest one that holds the database.
    type: str
  sha256:
    description:
      - The sha256 of the backup, together with O(backup). By default, that of the checksum file. Nothing is restored
        if the file has another one.
    type: str
  src:
    description:
      - A local backup, instead of O(backup). It is uploaded to the volume unless it is there, as
        M(homelab.postgres_backup.backup_upload) does with C(rename=true), and its sha256 is compared.
      - In check mode, it must be on the volume already.
    type: path
  database:
    description:
      - The name of the database in the backup.
    type: str
    required: true
  tables:
    description:
      - The names of the tables, such as V(orders), V(public.orders) or V("My Schema"."My Table"). The schema is only
        required if more than one table has the name.
    type: list
    elements: str
    required: true
  target:
    description:
      - The database on the server that gets the tables. By default, the one with the name of O(database).
    type: str
  merge:
    description:
      - With V(missing), rows that are only in the backup are inserted into the live tables. With V(changed), rows that
        differ also get the values of the backup. Rows that are only in the live tables are kept.
      - The rows are inserted in the order of the foreign keys, which PostgreSQL checks. Triggers of users do not fire.
        Generated columns are computed again. Sequences of the columns are moved forward if they are behind.
      - In the same transaction, the tables are compared again. If a row is not there as in the backup, nothing is
        merged.
      - The live tables are locked against writes meanwhile.
    type: str
    choices: [missing, changed]
  keys:
    description:
      - How many keys of rows the result lists for each difference, at most V(1000). The result of the Job, which has
        these keys, is a line of its log in the cluster until the Job is deleted.
    type: int
    default: 0
  timeout:
    description:
      - How long the complete restore may take.
    type: str
    default: 6h
  search_path:
    description:
      - As for M(homelab.postgres_backup.restore_database), while the definitions of the tables are restored.
    type: str
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - homelab.postgres_backup.place
  - homelab.postgres_backup.restore_server
  - kubernetes.core.k8s_auth_options
  - homelab.postgres_backup.identity
attributes:
  check_mode:
    support: full
    details: A Job does the same in one transaction, which is rolled back. It creates the temporary database and drops
      it. With O(merge), the live tables are locked against writes until then.
  diff_mode:
    support: none
  idempotent:
    support: none
    details: A second restore creates another schema.
seealso:
  - module: homelab.postgres_backup.restore_database
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Compare a table with that of the newest backup
  homelab.postgres_backup.restore_table:
    database: shop
    tables: [public.orders]
    keys: 20

- name: Put the rows back that were deleted since the backup
  homelab.postgres_backup.restore_table:
    database: shop
    tables: [public.customers, public.orders]
    merge: missing
"""

RETURN = r"""
backup:
  description: The name of the backup; null if none was chosen.
  type: str
  returned: always
sha256:
  description: The sha256 of the backup; null if it was not read to its end.
  type: str
  returned: always
database:
  description: The name of the database in the backup.
  type: str
  returned: always
target:
  description: The database on the server.
  type: str
  returned: always
schema:
  description: The schema with the restored tables; null in check mode, and if there is none after a failure.
  type: str
  returned: always
  sample: restored_20261122030405
merged:
  description: Whether rows were merged into the live tables; null if the connection was lost meanwhile.
  type: bool
  returned: always
tables:
  description: The restored tables; null if the restore failed before they were compared.
  type: list
  elements: dict
  returned: always
  contains:
    schema:
      description: The schema of the table in the backup.
      type: str
    name:
      description: The name of the table.
      type: str
    rows:
      description: Number of restored rows, with those of its partitions.
      type: int
    key:
      description: The columns that the tables are compared by; null if they have no such key, or there is no live one.
      type: list
      elements: str
    only_in_backup:
      description: Number of rows that the live table lacks. This number and the following three are those before
        O(merge), and null if there is no live table.
      type: int
    only_in_live:
      description: Number of rows that the backup does not have.
      type: int
    changed:
      description: Number of rows with the same key whose other columns differ. Only columns of both tables are
        compared. It is 0 without a key.
      type: int
    same:
      description: Number of rows that are the same.
      type: int
    inserted:
      description: Number of rows that were inserted into the live table, or in check mode, that would be.
      type: int
    updated:
      description: Number of rows of the live table that were changed, or in check mode, that would be.
      type: int
    keys:
      description: With O(keys), lists of keys, each a dictionary of columns; else null.
      type: dict
      sample: {only_in_backup: [{id: 7}], only_in_live: [], changed: []}
needs:
  description: What the tables need outside of their schema.
  type: list
  elements: dict
  returned: always
  contains:
    type:
      description: The type of the object, such as V(type) or V(function).
      type: str
    identity:
      description: Its name as in SQL.
      type: str
    extension:
      description: The extension that it belongs to; null if it belongs to none.
      type: str
    labels:
      description: The labels of an enum type; null for others.
      type: list
      elements: str
missing:
  description: What of that the live database lacks. If there is anything, the restore has failed.
  type: list
  elements: str
  returned: always
seconds:
  description: How long each step took.
  type: dict
  returned: always
  sample: {prepare: 2, create: 1, definition: 1, load: 20, compare: 2, merge: 1}
duration_seconds:
  description: The time from the creation of the Job to its end, including the start of its pod.
  type: float
  returned: if the Job ended
job:
  description: The name of the Job, which has been deleted.
  type: str
  returned: always
log:
  description: The last 200 lines of the log of the Job, without the result.
  type: list
  elements: str
  returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_outcome import (
    RESTORE,
    JobEnd,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.restore_server import (
    RESTORE_SERVER_ARGUMENTS,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.table_plan import (
    TablePlan,
    TableRequest,
    plan_tables,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._script.restore_table import FILES
from ansible_collections.homelab.postgres_backup.plugins.module_utils.identity_support import IDENTITY_ARGUMENTS
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module
from ansible_collections.homelab.postgres_backup.plugins.module_utils.place_support import PLACE_ARGUMENTS
from ansible_collections.homelab.postgres_backup.plugins.module_utils.restore_support import (
    MUTUALLY_EXCLUSIVE,
    restore_call,
    restore_outcome,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "database": {"type": "str", "required": True},
    "tables": {"type": "list", "elements": "str", "required": True},
    "backup": {"type": "str"},
    "sha256": {"type": "str"},
    "src": {"type": "path"},
    "target": {"type": "str"},
    "merge": {"type": "str", "choices": ["missing", "changed"]},
    # The number is not secret.
    "keys": {"type": "int", "default": 0, "no_log": False},
    "timeout": {"type": "str", "default": "6h"},
    "search_path": {"type": "str"},
    **IDENTITY_ARGUMENTS,
    **PLACE_ARGUMENTS,
    **RESTORE_SERVER_ARGUMENTS,
}
TABLE_OPTIONS = ("database", "tables", "backup", "sha256", "target", "merge", "keys", "search_path")


def restore_tables(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` if the restore failed."""
    call = restore_call(module, connection, TABLE_OPTIONS)
    plan = plan_tables(TableRequest(**call.options, token=call.token, now=call.now, check=module.check_mode))
    # In check mode, too, it creates a temporary database.
    end = call.run(variables=plan.variables, command="_restore_table", files=FILES, target=plan.target)
    return to_result(module, plan, end)


def to_result(module: AnsibleModule, plan: TablePlan, end: JobEnd) -> dict[str, Any]:
    result, outcome = restore_outcome(module, RESTORE, end)
    script_result = end.result or {}
    result |= {
        "database": module.params["database"],
        "target": plan.target,
        "schema": script_result.get("schema"),
        "merged": script_result.get("merged", False),
        "tables": script_result.get("tables"),
        "needs": [
            {name: need.get(name) for name in ("type", "identity", "extension", "labels")}
            for need in script_result.get("needs", [])
        ],
        "missing": script_result.get("missing", []),
    }
    if outcome.message is not None:
        return {**result, "changed": result["schema"] is not None, **outcome.failure()}
    return result


def main() -> None:
    run_module(ARGUMENTS, restore_tables, mutually_exclusive=MUTUALLY_EXCLUSIVE)


if __name__ == "__main__":
    main()
