#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_user; see backup_user.py (_cluster) and backup_user_plan.py (_jobs) in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_user
short_description: Create a role for backups on the live server, and its Secret
version_added: 1.1.0
description:
  - Creates a role that may log in and read all data (C(pg_read_all_data)), and may connect to every database. A backup
    then needs no superuser. PostgreSQL 14 or later is required.
  - The password is generated, and is stored in a Secret in the namespace of the CronJob. The server gets only its
    SCRAM verifier. The password is in no log, diff, process list or pod specification.
  - The SQL runs in a Job with the image of the CronJob, as an administrator of the server. The Job also logs in as the
    role and connects to every database. The module fails if the role cannot connect to a database that the
    administrator can connect to.
  - The module does not change the CronJob. The playbook C(homelab.postgres_backup.backup_user) does that afterwards,
    with the role.
  - A role that exists is only changed if its comment marks it as the backup user of this installation. A superuser is
    never changed.
  - CONNECT is granted where the role does not have it. By default every role has it, also on new databases. Where it
    was revoked from C(PUBLIC), run the module again after a database was created.
  - A backup user may not restore. Restores use the administrator, see M(homelab.postgres_backup.restore_database).
options:
  role:
    description:
      - The name of the role.
    type: str
    default: postgres_backup
  secret_name:
    description:
      - The Secret with the password of the role. By default, the name of the CronJob and C(-user).
      - A Secret that exists is used, and the role gets its password. The module only changes a Secret that it created.
    type: str
  secret_key:
    description:
      - The key of the password in the Secret.
    type: str
    default: password
  rotate:
    description:
      - Whether to give the role a new password. The Secret gets it after the role, so the module fails if a backup is
        in progress.
    type: bool
    default: false
  bypass_rls:
    description:
      - Whether to give the role C(BYPASSRLS), if the administrator may. Without it, a database fails in which row
        security would cut a table.
    type: bool
    default: true
  large_objects:
    description:
      - Whether to set C(lo_compat_privileges) for the role, if the administrator is a superuser. C(pg_read_all_data)
        does not include large objects. With this setting, the role may read all of them, but it may also change and
        delete them. Without it, a database fails that has large objects of other roles, unless C(SELECT) on each of
        them is granted.
    type: bool
    default: true
  admin_user:
    description:
      - The role of the server that creates the role. By default, the one for restores that the CronJob records, else
        that of the backups.
    type: str
  admin_secret_name:
    description:
      - The Secret with the password of O(admin_user), in the namespace of the CronJob. The default is as for
        O(admin_user).
    type: str
  admin_secret_key:
    description:
      - The key of the password in the Secret. The default is as for O(admin_user).
    type: str
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    details: A Job queries the server, but does not change anything.
  diff_mode:
    support: full
    details: Passwords are not shown.
  idempotent:
    support: partial
    details: With O(rotate), there is a new password each time.
seealso:
  - module: homelab.postgres_backup.restore_database
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Create a role for backups
  homelab.postgres_backup.backup_user:
    namespace: data
    role: postgres_backup

- name: Give it a new password
  homelab.postgres_backup.backup_user:
    namespace: data
    role: postgres_backup
    rotate: true
"""

RETURN = r"""
role:
  description: The name of the role.
  type: str
  returned: success
secret_name:
  description: The Secret with its password.
  type: str
  returned: success
secret_key:
  description: The key of the password in the Secret.
  type: str
  returned: success
secret_exists:
  description: Whether the Secret has the key; false only in check mode.
  type: bool
  returned: success
administrator:
  description: The role that created it, with its Secret, as C(user), C(secret_name) and C(secret_key).
  type: dict
  returned: success
  sample: {user: postgres, secret_name: postgres-postgresql, secret_key: postgres-password}
password:
  description:
    - What was done about the password, or in check mode, would be done. V(kept); V(created) for a new one in a new
      Secret; V(set) if the role got the one of the Secret; V(rotated); V(completed) if a rotation was completed that
      had been interrupted.
  type: str
  returned: success
rights:
  description: The attributes of the role after the module.
  type: dict
  returned: success
  sample: {login: true, read_all_data: true, bypass_rls: true, large_objects: true, expired: false}
granted_databases:
  description: The databases on which CONNECT was granted, or in check mode, would be.
  type: list
  elements: str
  returned: success
notes:
  description: What the role does not have, and why. They are also warnings.
  type: list
  elements: str
  returned: success
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.backup_user import BackupUserSetup, Setup
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.backup_user_secret import SecretKey
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module, start_limits

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "role": {"type": "str", "default": "postgres_backup"},
    # The names are not secret.
    "secret_name": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "default": "password", "no_log": False},
    "rotate": {"type": "bool", "default": False},
    "bypass_rls": {"type": "bool", "default": True},
    "large_objects": {"type": "bool", "default": True},
    "admin_user": {"type": "str"},
    "admin_secret_name": {"type": "str", "no_log": False},
    "admin_secret_key": {"type": "str", "no_log": False},
}
CREDENTIALS = ("user", "secret_name", "secret_key")


def set_up(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    parameters = module.params
    secret_name = parameters["secret_name"] or f"{parameters['name']}-user"
    setup = Setup(
        cronjob=parameters["name"],
        role=parameters["role"],
        secret=SecretKey(parameters["namespace"], secret_name, parameters["secret_key"]),
        administrator={name: parameters[f"admin_{name}"] for name in CREDENTIALS},
        rotate=parameters["rotate"],
        bypass_rls=parameters["bypass_rls"],
        large_objects=parameters["large_objects"],
        startup_seconds=start_limits(parameters).startup_seconds,
    )
    done = BackupUserSetup(connection, setup).run(module.check_mode)
    for warning in done.warnings:
        module.warn(warning)
    role = done.after["role"][setup.role]
    result: dict[str, Any] = {
        "changed": done.changed,
        "role": setup.role,
        "secret_name": setup.secret.name,
        "secret_key": setup.secret.key,
        "secret_exists": not module.check_mode or done.before["secret"] is not None,
        "administrator": done.administrator.to_dict(),
        "password": done.password.value,
        "rights": {name: value for name, value in role.items() if name != "comment"},
        "granted_databases": [*done.plan.granted],
        "notes": [*done.warnings],
    }
    if module._diff:
        result["diff"] = {"before": done.before, "after": done.after}
    return result


def main() -> None:
    run_module(ARGUMENTS, set_up)


if __name__ == "__main__":
    main()
