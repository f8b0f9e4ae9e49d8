#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module restore_database; see restore_plan.py (_jobs) and restore_run.py (_cluster) in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_database
short_description: Bring one database out of a backup back into the live server
version_added: 1.0.0
description:
  - Restores one database of a whole-server backup, straight from the backup volume, under its own or a new name.
  - It runs as a Job in the cluster, as the CronJob's user and with its image. The backup's sha256 is compared before
    anything is read of it, and the rows that PostgreSQL reports are compared with O(contents).
  - The database is filled under a temporary name, and gets its own in one transaction at the end. Whatever fails before
    leaves the server's databases as they were.
  - Settings of the database, of roles and of the server that would stand in the way, such as
    C(default_transaction_read_only) or C(statement_timeout), do not apply to the restore's own sessions. The restored
    database gets its own settings; those that the server does not know are left out with a warning.
  - With O(replace), the database that had the name is renamed to C(<name>_before_restore_<time>), never dropped.
    Its subscriptions and logical replication slots stay with it - warnings name them, in check mode too, and after the
    restore the commands that move or end them.
  - The name's time is UTC, and the name is cut where it would be longer than PostgreSQL's 63 bytes.
options:
  backup:
    description:
      - The backup's name on the volume.
    type: str
    required: true
  sha256:
    description:
      - The backup's hash, as M(homelab.postgres_backup.backup_fetch) or M(homelab.postgres_backup.backup_verify)
        returned it with O(contents).
    type: str
    required: true
  contents:
    description:
      - What is in the backup, as M(homelab.postgres_backup.backup_fetch) with C(verify=true), or
        M(homelab.postgres_backup.backup_verify), returned it.
    type: dict
    required: true
  database:
    description:
      - The database's name in the backup.
    type: str
    required: true
  new_name:
    description:
      - The name that it gets on the server. Without it, its own.
    type: str
  replace:
    description:
      - Whether an existing database of that name is renamed. Without it, one is refused.
    type: bool
    default: false
  create_roles:
    description:
      - Whether roles that the database uses and the server does not have are created as the backup has them, with their
        passwords. Roles that exist are never changed. Without it, missing ones are named and nothing is done.
    type: bool
    default: false
  terminate_connections:
    description:
      - Whether sessions in the database to be replaced are ended. Without it, they are waited for.
    type: bool
    default: false
  connections_timeout:
    description:
      - How long to wait for them, a duration such as V(30s) or V(10m).
    type: str
    default: 30s
  timeout:
    description:
      - How long all of it may take.
    type: str
    default: 6h
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    details: A Job compares the backup's hash and asks the server, and changes nothing.
  diff_mode:
    support: full
  idempotent:
    support: none
    details: A second restore is refused, or with O(replace) done again.
seealso:
  - module: homelab.postgres_backup.backup_fetch
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Fetch the newest backup and read what is in it
  homelab.postgres_backup.backup_fetch:
    dest: backups/
    verify: true
  register: fetched

- name: Restore a database beside the live one
  homelab.postgres_backup.restore_database:
    backup: "{{ fetched.backup }}"
    sha256: "{{ fetched.sha256 }}"
    contents: "{{ fetched.contents }}"
    database: shop
    new_name: shop_yesterday

- name: Replace the live one, which stays under another name
  homelab.postgres_backup.restore_database:
    backup: "{{ fetched.backup }}"
    sha256: "{{ fetched.sha256 }}"
    contents: "{{ fetched.contents }}"
    database: shop
    replace: true
    terminate_connections: true
"""

RETURN = r"""
database:
  description: The database's name in the backup.
  type: str
  returned: always
target:
  description: Its name on the server.
  type: str
  returned: always
replaced:
  description: The name that the database of that name has now, or in check mode would have; null where there was none.
  type: str
  returned: always
  sample: shop_before_restore_20261122030405
created_roles:
  description: Roles that were created, or in check mode would be.
  type: list
  elements: str
  returned: always
rows:
  description: How many rows were restored; in check mode how many would be.
  type: int
  returned: success
seconds:
  description: How long each step took.
  type: dict
  returned: always
  sample: {prepare: 2, create: 1, restore: 40, swap: 0}
duration_seconds:
  description: From the Job's creation to its end, the start of its pod included.
  type: float
  returned: when the Job came to its end
job:
  description: The Job that did it; it is deleted already.
  type: str
  returned: always
log:
  description: The Job's log; its last 200 lines, or the last 12 without JSON where the module fails.
  type: list
  elements: str
  returned: always
"""

import secrets
import time
from datetime import datetime, timezone
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.job_run import JobEnd
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.restore_run import run_restore
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.restore_plan import (
    RestorePlan,
    RestoreRequest,
    database_lists,
    failure,
    plan_restore,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module, seconds

ARGUMENTS = {
    "backup": {"type": "str", "required": True},
    "sha256": {"type": "str", "required": True},
    "contents": {"type": "dict", "required": True},
    "database": {"type": "str", "required": True},
    "new_name": {"type": "str"},
    "replace": {"type": "bool", "default": False},
    "create_roles": {"type": "bool", "default": False},
    "terminate_connections": {"type": "bool", "default": False},
    "connections_timeout": {"type": "str", "default": "30s"},
    "timeout": {"type": "str", "default": "6h"},
}
LOG_LINES = 200
SAME = ("backup", "sha256", "contents", "database", "new_name", "replace", "create_roles", "terminate_connections")


def restore(module: Any, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` when the Job did not end well."""
    parameters = module.params
    timeout, stuck = seconds(parameters, "timeout"), seconds(parameters, "stuck_timeout")
    plan = plan_restore(
        RestoreRequest(
            **{name: parameters[name] for name in SAME},
            token=secrets.token_hex(4),
            now=datetime.now(timezone.utc),
            wait_seconds=int(seconds(parameters, "connections_timeout")),
            check=module.check_mode,
        )
    )
    for warning in plan.warnings:
        module.warn(warning)
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    began = time.monotonic()
    job, end = run_restore(
        connection,
        cronjob,
        dict(plan.variables),
        directory=parameters["directory"],
        target=None if module.check_mode else plan.target,
        timeout_seconds=timeout,
        stuck_seconds=stuck,
    )
    return {**result_of(module, plan, job, end), "duration_seconds": round(time.monotonic() - began, 3)}


def result_of(module: Any, plan: RestorePlan, job: str, end: JobEnd) -> dict[str, Any]:
    said = end.result or {}
    for warning in said.get("warnings", []):
        module.warn(warning)
    replaced = said.get("replaced")
    found: dict[str, Any] = {
        "changed": True,
        "database": module.params["database"],
        "target": plan.target,
        "replaced": replaced,
        "created_roles": said.get("created_roles", []),
        "seconds": said.get("seconds", {}),
        "job": job,
        "log": [line for line in end.log if not line.startswith("{")][-LOG_LINES:],
    }
    if said.get("state") != "succeeded":
        changed = bool(found["created_roles"])
        where = f"{module.params['namespace']}/{job}"
        return {**found, "failed": True, "changed": changed, "msg": failure(where, end.state, end.reason, said)}
    found["rows"] = plan.rows
    if module._diff and said.get("databases"):
        before, after = database_lists(said["databases"], plan, replaced)
        header = "databases of the server"
        found["diff"] = {"before_header": header, "after_header": header, "before": before, "after": after}
    return found


def main() -> None:
    run_module(ARGUMENTS, restore)


if __name__ == "__main__":
    main()
