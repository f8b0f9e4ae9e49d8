#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_job; the run itself is followed in module_utils/_cluster/backup_run.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_job
short_description: Run a backup, or ensure that a recent one exists
version_added: 1.0.0
description:
  - Runs the backup of a CronJob, as C(kubectl create job --from=cronjob/…) does, and waits for the result.
  - With O(max_age), does nothing if the newest complete backup is younger.
  - Attaches to a run in progress, scheduled or manual, instead of starting a second one. A Job that was created from
    the CronJob with other arguments, such as one that lists the volume, is not a run.
  - If the CronJob runs this collection's script, the module succeeds only if the result of the run is success. For any
    other CronJob, the module only knows that the Job is complete; it warns, and RV(proven) is false.
  - If the pod waits for something that is temporarily unavailable, such as a node, a storage server or a registry, the
    module waits up to O(wait_timeout), and the Job continues after that. If somebody has to fix the cause, such as a
    missing Secret, the Job that the module created is deleted after O(startup_timeout).
options:
  max_age:
    description:
      - Maximum age of the newest complete backup, such as V(26h) or V(7d). If it is younger, no backup is run.
      - If this option is not set, a backup is always run.
    type: str
  wait:
    description:
      - Whether to wait until the run has ended.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait. The run continues after this time.
    type: str
    default: 7h
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The contents of the new backup are not known in advance.
  idempotent:
    support: partial
    details: Idempotent only with O(max_age).
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Run a backup
  homelab.postgres_backup.backup_job:

- name: Ensure that there is a backup from the last day before an upgrade
  homelab.postgres_backup.backup_job:
    namespace: data
    name: postgres-backup
    max_age: 24h
"""

RETURN = r"""
job:
  description: The Job that the module created or attached to; null if no run was needed.
  type: str
  returned: always
attached:
  description: Whether the run was already in progress.
  type: bool
  returned: always
newest:
  description: The backup that is younger than O(max_age); null if O(max_age) is not set or a run was needed.
  type: dict
  returned: always
result:
  description:
    - The result of the run - its state, the name, size and sha256 of the backup, seconds per step, the reason if it
      failed, and the C(signal) that ended it, such as V(TERM). Null for a CronJob that does not run this collection's
      script, and if O(wait) is false. If the module fails, only the fields that have a value are returned.
    - If databases could not be dumped, the run fails. C(backup_state) is V(incomplete), C(backup) is the backup with
      the other databases, and C(failed_databases) has each one's name (C(database)), C(error) and C(advice).
    - The size of the backup is C(size_bytes). Its old name C(bytes) is deprecated and will be removed in version 1.2.0.
  type: dict
  returned: always
  sample:
    state: succeeded
    backup: postgres-backup-2026-11-22-020000.sql.gz
    backup_state: complete
    size_bytes: 1048576
    uncompressed_bytes: 10485760
    sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
proven:
  description:
    - Whether the backup is known to be complete, either from the result of the run, or because RV(newest) is complete.
    - Always false for a run of a CronJob that does not run this collection's script.
  type: bool
  returned: always
log:
  description: The last 200 lines of the log of all attempts. If the module fails, the last 12 lines without JSON.
  type: list
  elements: str
  returned: always
"""

import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.backup_run import (
    backup_run,
    follow_run,
    run_in_progress,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import read_catalog
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_templates import backup_mount, job_name
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    duration,
    run_module,
    seconds,
    start_limits,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "max_age": {"type": "str"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "7h"},
}
EMPTY_RESULT: dict[str, Any] = {
    "job": None,
    "attached": False,
    "newest": None,
    "result": None,
    "proven": False,
    "log": [],
}


def young_backup(module: AnsibleModule, connection: Connection, cronjob: dict[str, Any]) -> dict[str, Any] | None:
    """The newest complete backup if it is younger than max_age."""
    if not module.params["max_age"]:
        return None
    max_age = duration(module.params, "max_age")
    newest = read_catalog(connection, cronjob, module.params["directory"], start_limits(module.params)).newest()
    now = datetime.now(timezone.utc)
    return newest.to_dict(now) if newest is not None and now - newest.created <= max_age else None


def ensure(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` and `msg` if the run failed."""
    parameters = module.params
    timeout, limits = seconds(parameters, "wait_timeout"), start_limits(parameters)
    if parameters["max_age"]:
        duration(parameters, "max_age")
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    container = backup_mount(cronjob, parameters["directory"]).container["name"]
    before = run_in_progress(connection, cronjob, container) if parameters["max_age"] else None
    newest = young_backup(module, connection, cronjob)
    running = run_in_progress(connection, cronjob, container)
    if newest is None and before is not None and running != before:
        # It ended while the volume was read.
        newest = young_backup(module, connection, cronjob)
    if newest is not None:
        return {**EMPTY_RESULT, "changed": False, "newest": newest, "proven": True}
    token = f"{datetime.now(timezone.utc):%Y%m%d%H%M%S}-{secrets.token_hex(2)}"
    name = running or job_name(parameters["name"], "manual", token)
    result = {**EMPTY_RESULT, "changed": True, "job": name, "attached": running is not None}
    if module.check_mode:
        return result
    job = backup_run(connection, cronjob, name, attach=running is not None, followed=parameters["wait"])
    if not parameters["wait"]:
        with job:
            return result
    end = follow_run(
        connection,
        cronjob,
        job,
        container,
        directory=parameters["directory"],
        timeout_seconds=timeout,
        limits=limits,
    )
    for warning in end.outcome.warnings:
        module.warn(warning)
    return {**result, "result": end.result, "proven": end.is_proven, "log": end.log, **end.outcome.failure()}


def main() -> None:
    run_module(ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
