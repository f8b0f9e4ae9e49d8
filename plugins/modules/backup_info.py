#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List PostgreSQL backups and report the health of a backup installation
version_added: 1.0.0
description:
  - Lists the backups on the volume of a CronJob with their retention verdicts, and checks the health of the
    installation.
  - Starts a Job that reads the volume and is deleted afterwards. The Job has no credentials of the server.
options:
  max_age:
    description:
      - Maximum age of the newest complete backup, such as V(26h) or V(7d).
    type: str
    default: 26h
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module does not change anything.
  idempotent:
    support: full
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: List the backups
  homelab.postgres_backup.backup_info:
  register: backups

- name: Fail if the installation is not healthy
  ansible.builtin.assert:
    that: backups.healthy
    fail_msg: "{{ backups.problems | map(attribute='message') }}"
"""

RETURN = r"""
healthy:
  description: Whether RV(problems) is empty.
  type: bool
  returned: always
problems:
  description: All problems, most severe first.
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: The subject of the problem - V(backup), V(age), V(size), V(last_run), V(drill), V(databases),
        V(schedule), V(image), V(script), V(space), V(unchecked), V(damaged) or V(future).
      type: str
    message:
      description: The expected and the actual value, and what to do.
      type: str
backups:
  description: All backups on the volume with their retention verdicts, newest first. C(future) is whether the time in
    the name of the backup is in the future.
  type: list
  elements: dict
  returned: always
  sample:
    - name: postgres-backup-2026-11-22-020000.sql.gz
      created: "2026-11-22T02:00:00Z"
      age_seconds: 3600
      size_bytes: 1048576
      sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
      state: complete
      future: false
      verdict: keep
      reasons: [last, daily 2026-11-22]
newest:
  description: The newest complete backup; null if there is none.
  type: dict
  returned: always
last_run:
  description:
    - Result of the last run; null if no run has recorded one.
    - C(signal) is the signal that ended it, such as V(TERM); null if none did.
    - The size of its backup is C(size_bytes). Its old name C(bytes) is deprecated and will be removed in version 1.2.0.
  type: dict
  returned: always
last_drill:
  description:
    - Result of the last scheduled restore drill; null if there was none.
    - If drills are scheduled, RV(healthy) requires that the last one succeeded, and that each drill that was due
      recorded a result. Otherwise a failed drill is a problem only as long as its backup is the newest one.
  type: dict
  returned: always
  sample:
    state: succeeded
    signal: null
    backup: postgres-backup-2026-11-22-020000.sql.gz
    started: "2026-11-22T04:00:03Z"
    finished: "2026-11-22T04:00:21Z"
    databases: 3
    tables: 40
    rows: 1000
drill_schedule:
  description: When restore drills run, in the form of RV(schedule); null if they are not scheduled
    (C(postgres_backup_drill_schedule)).
  type: dict
  returned: always
schedule:
  description: When the CronJob runs.
  type: dict
  returned: always
  sample:
    cron: 0 2 * * *
    time_zone: Etc/UTC
    suspended: false
    last_schedule_time: "2026-11-22T02:00:00Z"
    last_successful_time: "2026-11-22T02:00:12Z"
volume:
  description: The volume; unknown values are null.
  type: dict
  returned: always
  sample:
    claim: postgres-backup
    class: nfs-client
    capacity_bytes: 10737418240
    size_bytes: 4000000000000
    free_bytes: 1000000000000
    nfs_server: 192.168.2.2
    nfs_path: /volume1/k8s-data/data-postgres-backup-pvc-1
policy:
  description: The retention policy of the CronJob.
  type: dict
  returned: always
notes:
  description: Checks that were skipped because the user lacks permissions.
  type: list
  elements: str
  returned: always
"""

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.installation import (
    drill_cronjob,
    installation,
    run_as_it_ended,
    schedule,
    volume,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import Reader
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_templates import backup_mount
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import ReaderRequest
from ansible_collections.homelab.postgres_backup.plugins.module_utils._script.version import VERSION
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import parse_listing
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.health import problems
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    duration,
    run_module,
    start_limits,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {"max_age": {"type": "str", "default": "26h"}}


def info(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    max_age = duration(parameters, "max_age")
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    request = ReaderRequest(directory=parameters["directory"])
    with Reader(connection, cronjob, request, start_limits(parameters)) as reader:
        catalog = parse_listing(reader.listing())
    catalog = replace(catalog, last_run=run_as_it_ended(connection, parameters["namespace"], catalog.last_run))
    mount = backup_mount(cronjob, parameters["directory"])
    drill, drill_notes = drill_cronjob(connection, cronjob)
    state, notes = installation(connection, cronjob, parameters["directory"], drill)
    disk, more_notes = volume(connection, mount, parameters["namespace"], catalog.source)
    now = datetime.now(timezone.utc)
    failures = problems(state, catalog, now, max_age, VERSION)
    newest = catalog.newest()
    return {
        "changed": False,
        "healthy": not failures,
        "problems": [failure.to_dict() for failure in failures],
        "backups": [backup.to_dict(now) for backup in catalog.backups],
        "newest": newest.to_dict(now) if newest else None,
        "last_run": catalog.last_run,
        "last_drill": catalog.last_drill,
        "drill_schedule": schedule(drill) if drill is not None else None,
        "schedule": schedule(cronjob),
        "volume": {**disk, "size_bytes": catalog.size_bytes, "free_bytes": catalog.free_bytes},
        "policy": catalog.policy,
        "notes": [*drill_notes, *notes, *more_notes],
    }


def main() -> None:
    run_module(ARGUMENTS, info)


if __name__ == "__main__":
    main()
