#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module restore_database; see restore_plan.py (_jobs) and restore_run.py (_cluster) in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_database
short_description: Restore a single database from a backup into the live server
version_added: 1.0.0
description:
  - Restores one database from a backup of all databases, directly from the backup volume, under its own or a new name.
    Only the name of the database is required. Nothing of the backup passes through the machine that runs Ansible.
  - The restore runs as a Job in the cluster, with the image of the CronJob. Of a backup with a manifest, it reads only
    the part with the database; in another one, it finds the database in the text.
  - The database gets its final name only when the hash of the file is that of its checksum file, and each table has
    the rows that the text of the backup has. With O(sha256), nothing is restored before the hash is compared. With
    O(contents), the number of rows is also compared with that of the contents.
  - It connects as the user for restores that the CronJob records (C(postgres_backup_restore_user) of the role), else as
    the user of the backups. A backup user that may only read cannot restore.
  - The database is restored under a temporary name, and gets its final name in one transaction at the end. If anything
    fails before that, the databases of the server are unchanged.
  - Settings of the database, of roles and of the server that could make a restore fail, such as
    C(default_transaction_read_only) or C(statement_timeout), do not apply to the sessions of the restore. The restored
    database gets its own settings. Settings that the server does not know are omitted with a warning.
  - With O(replace), the database that had the name is renamed to C(<name>_before_restore_<time>), never dropped. It
    keeps its subscriptions and logical replication slots. Warnings list them, in check mode too, and after the restore
    also the commands that move or remove them.
  - The time in the name is in UTC. The name is truncated if it would be longer than PostgreSQL's limit of 63 bytes.
options:
  backup:
    description:
      - The name of the backup on the volume. By default, the newest one that holds the database. It may be incomplete,
        if the run could dump this database.
    type: str
  sha256:
    description:
      - The sha256 of the backup, as returned by M(homelab.postgres_backup.backup_fetch) or
        M(homelab.postgres_backup.backup_verify), together with O(backup). By default, that of the checksum file.
      - It is a stronger proof, because the checksum file is on the same volume.
    type: str
  src:
    description:
      - A local backup, instead of O(backup). It is uploaded to the volume unless it is there, as
        M(homelab.postgres_backup.backup_upload) does with C(rename=true), and its sha256 is compared.
      - In check mode, it must be on the volume already.
    type: path
    version_added: 1.1.0
  contents:
    description:
      - The contents of the backup, as returned by M(homelab.postgres_backup.backup_fetch) with C(verify=true) or by
        M(homelab.postgres_backup.backup_verify), together with O(backup).
    type: dict
  database:
    description:
      - The name of the database in the backup.
    type: str
    required: true
  new_name:
    description:
      - The name of the restored database on the server. By default, its name in the backup.
    type: str
  replace:
    description:
      - Whether to rename an existing database of that name. If V(false), the module fails if there is one.
    type: bool
    default: false
  create_roles:
    description:
      - Whether to create roles that the database uses but that do not exist on the server, with their passwords from
        the backup. Existing roles are never changed. If V(false), the module lists the missing roles and does nothing.
    type: bool
    default: false
  terminate_connections:
    description:
      - Whether to terminate sessions in the database to be replaced. If V(false), the module waits for them to end.
    type: bool
    default: false
  connections_timeout:
    description:
      - How long to wait for these sessions to end, a duration such as V(30s) or V(10m).
    type: str
    default: 30s
  timeout:
    description:
      - How long the complete restore may take.
    type: str
    default: 6h
  search_path:
    description:
      - The search_path of the restore, such as V(public) or V(public, extensions). Dumps are restored with an empty
        one. Then a function, an index, a materialized view or a trigger that names an object without its schema fails.
      - Only the statement of C(pg_dump) that makes it empty is changed, never a row.
      - Users who may create objects in these schemas of the database that was backed up can put them in the place of
        PostgreSQL's, and this restore would call them with its rights (CVE-2018-1058). Set it if you trust these users.
      - Indexes and materialized views are not cured by it where the server is PostgreSQL 17 or later, which creates
        them with another search_path.
    type: str
    version_added: 1.1.0
  before_sql:
    description:
      - SQL that runs in the new database before the text of the backup, in the same session, for example for an
        extension that this collection does not know.
      - Event triggers do not run during the restore if PostgreSQL is version 17 or newer and the user is a superuser.
        To have them run, include C(SET event_triggers = on;).
    type: str
    version_added: 1.1.0
  after_sql:
    description:
      - SQL that runs in the new database after the text of the backup, when the rows are counted. If it fails, the
        restore fails.
    type: str
    version_added: 1.1.0
  transform_sql:
    description:
      - SQL that changes the restored database before anybody can connect to it, for example so that a copy of
        production for staging has no personal data. It runs in one transaction, after O(after_sql), and after the rows
        were counted.
      - With it or O(assert_sql), one session loads, counts, transforms and asserts. As soon as it is connected, the
        database is closed (C(ALLOW_CONNECTIONS false)), so that not even a superuser can connect before the database
        gets its final name.
      - If it fails, or is terminated, the database is dropped. If the pod is killed, the module starts another one,
        which drops the database. If that fails, too, the database remains closed until the next restore of the same
        database drops it.
      - It must not end its transaction (C(COMMIT), C(ROLLBACK)). Name objects with their schemas.
      - The Job's variables contain this SQL, so it must not contain secrets.
    type: str
    version_added: 1.1.0
  assert_sql:
    description:
      - Queries that must return no row after O(transform_sql), for example those for rows that still have personal
        data. If they return rows, the restore fails, and nothing is left of it. The message has the number of rows,
        never their values.
    type: str
    version_added: 1.1.0
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
    details: A Job reads the database in the backup, compares the sha256 and queries the server, but does not change
      anything.
  diff_mode:
    support: full
  idempotent:
    support: none
    details: A second restore fails, or with O(replace) is done again.
seealso:
  - module: homelab.postgres_backup.backup_fetch
  - module: homelab.postgres_backup.backup_upload
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Restore a database from the newest backup next to the live one
  homelab.postgres_backup.restore_database:
    database: shop
    new_name: shop_yesterday

- name: Replace the live database, which is renamed
  homelab.postgres_backup.restore_database:
    database: shop
    replace: true
    terminate_connections: true

- name: Fetch and verify the newest backup
  homelab.postgres_backup.backup_fetch:
    dest: backups/
    verify: true
  register: fetched

- name: Restore a database from this very backup
  homelab.postgres_backup.restore_database:
    backup: "{{ fetched.backup }}"
    sha256: "{{ fetched.sha256 }}"
    contents: "{{ fetched.contents }}"
    database: shop
    new_name: shop_yesterday

- name: Restore a database whose functions name objects without their schemas
  homelab.postgres_backup.restore_database:
    database: netbox
    new_name: netbox_yesterday
    search_path: public

- name: Put a masked copy of production into the staging server
  homelab.postgres_backup.restore_database:
    database: shop
    replace: true
    terminate_connections: true
    restore_host: staging-postgresql.staging.svc
    restore_user: postgres
    restore_secret_name: staging-restore
    restore_secret_key: password
    transform_sql: |
      UPDATE public.customer SET name = 'Customer ' || id, email = 'customer' || id || '@example.invalid', phone = NULL;
      TRUNCATE public.session;
    assert_sql: |
      SELECT FROM public.customer WHERE email NOT LIKE '%@example.invalid' OR phone IS NOT NULL;
      SELECT FROM public.session;
"""

RETURN = r"""
backup:
  description: The name of the backup; null if none was chosen.
  type: str
  returned: always
  version_added: 1.1.0
sha256:
  description: The sha256 of the backup; null if it was not read to its end.
  type: str
  returned: always
  version_added: 1.1.0
database:
  description: The name of the database in the backup.
  type: str
  returned: always
target:
  description: The name of the restored database on the server.
  type: str
  returned: always
replaced:
  description: The new name of the replaced database (in check mode, the name that it would get); null if there was
    none.
  type: str
  returned: always
  sample: shop_before_restore_20261122030405
created_roles:
  description: Roles that were created, or in check mode, that would be created.
  type: list
  elements: str
  returned: always
missing_databases:
  description: Databases that the run could not dump, so that they are not in the backup. They cannot be restored from
    it; the error message then names the newest backup that holds the database.
  type: list
  elements: str
  returned: always
  version_added: 1.1.0
rows:
  description: Number of restored rows, before O(transform_sql) changes them; in check mode, of rows that would be
    restored, null if the dump has INSERT statements.
  type: int
  returned: success
tables:
  description: Number of tables whose rows were counted; null in check mode.
  type: int
  returned: success
  version_added: 1.1.0
left_out:
  description: What the server could not take, and why, such as a setting that it does not know, or the jobs of pg_cron
    in another database than that of its setting. The warnings name it, too.
  type: list
  elements: dict
  returned: always
  contains:
    database:
      description: The name of the database in the backup.
      type: str
    object:
      description: What was left out.
      type: str
    reason:
      description: Why.
      type: str
  version_added: 1.1.0
needs:
  description: What a restore of this database needs, if it failed for want of that.
  type: list
  elements: dict
  returned: always
  contains:
    database:
      description: The name of the database in the backup.
      type: str
    search_path:
      description: A value for O(search_path), which is the setting of the database, or V(public) and the schemas of its
        extensions.
      type: str
    object:
      description: Null. The message has the name.
      type: str
    cure:
      description: What to change in the live database, so that no restore needs it.
      type: str
  version_added: 1.1.0
seconds:
  description: How long each step took.
  type: dict
  returned: always
  sample: {prepare: 2, create: 1, restore: 40, swap: 0}
duration_seconds:
  description: The time from the creation of the Job to its end, including the start of its pod.
  type: float
  returned: if the Job ended
job:
  description: The name of the Job, which has been deleted.
  type: str
  returned: always
log:
  description: The last 200 lines of the log of the Job. If the module fails, the last 12 lines without JSON.
  type: list
  elements: str
  returned: always
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_outcome import (
    RESTORE,
    JobEnd,
    outcome_of,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.restore_plan import (
    RestorePlan,
    RestoreRequest,
    clean_up_variables,
    database_lists,
    plan_restore,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.restore_server import (
    RESTORE_SERVER_ARGUMENTS,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ClusterError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.identity_support import IDENTITY_ARGUMENTS
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module, seconds
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
    "backup": {"type": "str"},
    "sha256": {"type": "str"},
    "src": {"type": "path"},
    "contents": {"type": "dict"},
    "new_name": {"type": "str"},
    "replace": {"type": "bool", "default": False},
    "create_roles": {"type": "bool", "default": False},
    "terminate_connections": {"type": "bool", "default": False},
    "connections_timeout": {"type": "str", "default": "30s"},
    "timeout": {"type": "str", "default": "6h"},
    "search_path": {"type": "str"},
    "before_sql": {"type": "str"},
    "after_sql": {"type": "str"},
    "transform_sql": {"type": "str"},
    "assert_sql": {"type": "str"},
    **IDENTITY_ARGUMENTS,
    **PLACE_ARGUMENTS,
    **RESTORE_SERVER_ARGUMENTS,
}
# How long the pod may take that cleans up after a killed one.
CLEAN_UP_SECONDS = 300
RESTORE_OPTIONS = (
    "backup",
    "sha256",
    "contents",
    "database",
    "new_name",
    "replace",
    "create_roles",
    "terminate_connections",
    "search_path",
    "before_sql",
    "after_sql",
    "transform_sql",
    "assert_sql",
)


def restore(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` if the restore failed."""
    call = restore_call(module, connection, RESTORE_OPTIONS)
    request = RestoreRequest(
        **call.options,
        token=call.token,
        now=call.now,
        wait_seconds=int(seconds(module.params, "connections_timeout")),
        check=module.check_mode,
    )
    plan = plan_restore(request)
    run = partial(call.run, target=None if module.check_mode else plan.target)
    end = run(variables=plan.variables)
    if end.result is None and request.is_transformed and not request.check:
        clean_up(module, plan, run)
    return to_result(module, plan, end)


def clean_up(module: AnsibleModule, plan: RestorePlan, run: Callable[..., JobEnd]) -> None:
    """Drop what a pod left behind that was killed: its database is not transformed."""
    try:
        end = run(variables=clean_up_variables(plan), timeout_seconds=CLEAN_UP_SECONDS)
        message = outcome_of(RESTORE, end).message
    except ClusterError as error:
        message = str(error)
    if message is not None:
        module.warn(
            f"The temporary database '{plan.temporary}' could not be dropped. Nobody can connect to it, and the next "
            f"restore of this database drops it. The reason: {message}"
        )


def to_result(module: AnsibleModule, plan: RestorePlan, end: JobEnd) -> dict[str, Any]:
    result, outcome = restore_outcome(module, RESTORE, end)
    script_result = end.result or {}
    replaced = script_result.get("replaced")
    result |= {
        "database": module.params["database"],
        "target": plan.target,
        "replaced": replaced,
        "created_roles": script_result.get("created_roles", []),
        "missing_databases": script_result.get("missing_databases", []),
        "left_out": script_result.get("left_out", []),
        "needs": script_result.get("needs", []),
    }
    if outcome.message is not None:
        return {**result, "changed": bool(result["created_roles"]), **outcome.failure()}
    result |= {name: script_result.get(name) for name in ("rows", "tables")}
    if module._diff and script_result.get("databases"):
        before, after = database_lists(script_result["databases"], plan, replaced)
        header = "databases of the server"
        result["diff"] = {"before_header": header, "after_header": header, "before": before, "after": after}
    return result


def main() -> None:
    run_module(ARGUMENTS, restore, mutually_exclusive=MUTUALLY_EXCLUSIVE)


if __name__ == "__main__":
    main()
