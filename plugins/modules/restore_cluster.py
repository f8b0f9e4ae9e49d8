#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module restore_cluster; see cluster_plan.py (_jobs) and restore_run.py (_cluster) in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_cluster
short_description: Restore everything in a backup into the live server
version_added: 1.1.0
description:
  - Restores the roles and all databases of a backup on the volume into the server of the installation. The server may
    be new. It may also have roles and databases that a chart or an operator has created.
  - Everything that prevents the restore is found before anything is changed, and reported together, such as a database
    that exists and has objects, or a tablespace that is missing.
  - A role that exists is kept, with its password. Other roles are created, with their passwords from the backup.
  - A database that exists and is empty is replaced. A database that has objects is only replaced with O(replace).
    Databases of the server that are not in the backup are unchanged.
  - Each database is restored under a temporary name, several side by side. It gets its final name in one transaction,
    when each of its tables has the rows that the text of the backup has.
  - The database C(postgres) is restored if the backup holds anything in it. The same holds for C(template1), which is
    restored in place and must have no objects on the server.
  - If some databases cannot be restored, the others are. After a failure or an interruption, the same call continues.
    Databases that are already restored are not restored again.
  - The restore runs as a Job in the cluster, with the image of the CronJob. It connects as the user for restores that
    the CronJob records, else as the user of the backups. The user must be a superuser, or be able to create the roles.
options:
  backup:
    description:
      - The name of the backup on the volume. By default, the newest complete one. An incomplete backup must be named.
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
  replace:
    description:
      - Whether to replace databases that have objects. They are renamed to C(<name>_before_restore_<time>), never
        dropped. If V(false), the module fails if there is one.
    type: bool
    default: false
  alter_roles:
    description:
      - Whether to give existing roles the attributes, settings and memberships that they have in the backup. Their
        passwords are kept. The role that the restore connects as and the server's first superuser are never altered.
    type: bool
    default: false
  terminate_connections:
    description:
      - Whether to terminate sessions in the databases to be replaced. If V(false), the module waits for them to end.
    type: bool
    default: false
  connections_timeout:
    description:
      - How long to wait for these sessions to end, a duration such as V(30s) or V(10m).
    type: str
    default: 30s
  analyze:
    description:
      - Whether to run C(ANALYZE) in the restored databases. Without statistics, their first queries are slow.
    type: bool
    default: true
  timeout:
    description:
      - How long the complete restore may take.
    type: str
    default: 12h
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
    details: A Job reads the backup, compares the sha256 and queries the server, but does not change anything.
  diff_mode:
    support: full
    details: The databases of the server and the roles of the backup, before and after.
  idempotent:
    support: none
    details: A second restore fails, or with O(replace) is done again. After a failure, it continues.
seealso:
  - module: homelab.postgres_backup.restore_database
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Restore everything in the newest complete backup into a new server
  homelab.postgres_backup.restore_cluster:

- name: Replace the databases of a server, which are renamed
  homelab.postgres_backup.restore_cluster:
    backup: postgres-backup-2026-11-22-020000.sql.gz
    replace: true
    terminate_connections: true
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
databases:
  description: The databases of the backup, the largest first.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: The name.
      type: str
    state:
      description: V(restored); V(present), if an earlier restore of this backup that was interrupted has restored it,
        or if the backup holds nothing in C(postgres) or C(template1); V(failed); V(not_restored). In check mode,
        V(would_be_restored).
      type: str
    replaced:
      description: The new name of the database that was replaced; null if there was none, or it was empty.
      type: str
    dropped:
      description: Whether an empty database of that name was dropped.
      type: bool
    rows:
      description: Number of rows; null if it was not restored.
      type: int
    tables:
      description: Number of tables whose rows were counted; null if it was not restored.
      type: int
    seconds:
      description: How long it took.
      type: int
    reason:
      description: Why it failed; null if it did not.
      type: str
created_roles:
  description: Roles that were created, or in check mode, that would be created.
  type: list
  elements: str
  returned: always
kept_roles:
  description: Roles of the backup that existed and are unchanged.
  type: list
  elements: str
  returned: always
altered_roles:
  description: Roles that existed and were altered, or in check mode, that would be altered.
  type: list
  elements: str
  returned: always
missing_databases:
  description: Databases that the run could not dump, so that they are not in the backup.
  type: list
  elements: str
  returned: always
other_databases:
  description: Databases of the server that are not in the backup. They are unchanged.
  type: list
  elements: str
  returned: always
rows:
  description: Number of restored rows; in check mode, of rows that would be restored.
  type: int
  returned: success
tables:
  description: Number of tables whose rows were counted.
  type: int
  returned: success
left_out:
  description: What the server could not take, and why. See the module restore_database.
  type: list
  elements: dict
  returned: always
needs:
  description: What a restore of a database needs, if it failed for want of that. See the module restore_database.
  type: list
  elements: dict
  returned: always
seconds:
  description: How long each step took.
  type: dict
  returned: always
  sample: {prepare: 5, roles: 1, databases: 120}
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

from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.restore_run import (
    ALL_DATABASES,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.cluster_plan import (
    ClusterRequest,
    plan_cluster,
    server_lists,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_outcome import (
    RESTORE_CLUSTER,
    JobEnd,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.restore_server import (
    RESTORE_SERVER_ARGUMENTS,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._script.restore_cluster import FILES
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
    "backup": {"type": "str"},
    "sha256": {"type": "str"},
    "src": {"type": "path"},
    "replace": {"type": "bool", "default": False},
    "alter_roles": {"type": "bool", "default": False},
    "terminate_connections": {"type": "bool", "default": False},
    "connections_timeout": {"type": "str", "default": "30s"},
    "analyze": {"type": "bool", "default": True},
    "timeout": {"type": "str", "default": "12h"},
    **IDENTITY_ARGUMENTS,
    **PLACE_ARGUMENTS,
    **RESTORE_SERVER_ARGUMENTS,
}
CLUSTER_OPTIONS = ("backup", "sha256", "replace", "alter_roles", "terminate_connections", "analyze")
LISTS = (
    "databases",
    "created_roles",
    "kept_roles",
    "altered_roles",
    "missing_databases",
    "other_databases",
    "left_out",
    "needs",
)


def restore_cluster(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` if the restore failed."""
    call = restore_call(module, connection, CLUSTER_OPTIONS)
    variables = plan_cluster(
        ClusterRequest(
            **call.options,
            token=call.token,
            now=call.now,
            wait_seconds=int(seconds(module.params, "connections_timeout")),
            check=module.check_mode,
        )
    )
    end = call.run(
        variables=variables,
        command="_restore_cluster",
        files=FILES,
        target=None if module.check_mode else ALL_DATABASES,
    )
    return to_result(module, end)


def to_result(module: AnsibleModule, end: JobEnd) -> dict[str, Any]:
    result, outcome = restore_outcome(module, RESTORE_CLUSTER, end)
    script_result = end.result or {}
    result |= {name: script_result.get(name, []) for name in LISTS}
    if outcome.message is not None:
        # The roles are restored in the step that has this name.
        return {**result, "changed": "roles" in result["seconds"], **outcome.failure()}
    result |= {name: script_result.get(name) for name in ("rows", "tables")}
    if module._diff:
        before, after = server_lists(script_result)
        header = "databases and roles of the server"
        result["diff"] = {"before_header": header, "after_header": header, "before": before, "after": after}
    return result


def main() -> None:
    run_module(ARGUMENTS, restore_cluster, mutually_exclusive=MUTUALLY_EXCLUSIVE)


if __name__ == "__main__":
    main()
