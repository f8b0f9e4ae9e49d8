#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: Tell what backups there are and whether all is well
version_added: 1.0.0
description:
  - Lists the backups on a CronJob's volume with what retention says of each, and judges the whole installation.
  - Starts one Job that reads the volume and disappears; it has no credentials of the server.
options:
  max_age:
    description:
      - How old the newest complete backup may be, such as V(26h) or V(7d).
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
    details: Changes nothing.
  idempotent:
    support: full
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Look at the backups
  homelab.postgres_backup.backup_info:
  register: backups

- name: Fail when not all is well
  ansible.builtin.assert:
    that: backups.healthy
    fail_msg: "{{ backups.problems | map(attribute='message') }}"
"""

RETURN = r"""
healthy:
  description: Whether there are no problems.
  type: bool
  returned: always
problems:
  description: Everything that is not well, the gravest first.
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: What it is about - V(backup), V(age), V(size), V(last_run), V(drill), V(databases), V(schedule),
        V(image), V(script), V(space), V(unchecked), V(damaged) or V(future).
      type: str
    message:
      description: What was expected, what was found and what to do.
      type: str
backups:
  description: Every backup on the volume, newest first, with what retention says of it.
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
      verdict: keep
      reasons: [last, daily 2026-11-22]
newest:
  description: The newest complete backup; null when there is none.
  type: dict
  returned: always
last_run:
  description: What the last run said of itself; null when none left a word.
  type: dict
  returned: always
last_drill:
  description:
    - How the last scheduled rehearsal of a restore went; null when there was none.
    - Where drills are scheduled, RV(healthy) needs it to have succeeded, and each that was due to have left its
      outcome. Otherwise one that failed counts only while its backup is the newest.
  type: dict
  returned: always
  sample:
    state: succeeded
    backup: postgres-backup-2026-11-22-020000.sql.gz
    started: "2026-11-22T04:00:03Z"
    finished: "2026-11-22T04:00:21Z"
    databases: 3
    tables: 40
    rows: 1000
drill_schedule:
  description: When restores are rehearsed, as RV(schedule); null when they are not (C(postgres_backup_drill_schedule)).
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
  description: The volume; null for what is not known.
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
  description: What retention keeps, from the CronJob's own settings.
  type: dict
  returned: always
notes:
  description: What could not be looked at with this user's rights.
  type: list
  elements: str
  returned: always
"""

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

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
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import parse_listing
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.health import problems
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    duration,
    reader_settings,
    run_module,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.script import VERSION

ARGUMENTS = {"max_age": {"type": "str", "default": "26h"}}


def look(module: Any, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    max_age = duration(parameters, "max_age")
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    request = ReaderRequest(directory=parameters["directory"])
    with Reader(connection, cronjob, request, reader_settings(parameters)) as reader:
        catalog = parse_listing(reader.listing())
    catalog = replace(catalog, last_run=run_as_it_ended(connection, parameters["namespace"], catalog.last_run))
    there = backup_mount(cronjob, parameters["directory"])
    drill, drill_notes = drill_cronjob(connection, cronjob)
    state, notes = installation(connection, cronjob, parameters["directory"], drill)
    disk, more_notes = volume(connection, there, parameters["namespace"], catalog.source)
    now = datetime.now(timezone.utc)
    found = problems(state, catalog, now, max_age, VERSION)
    newest = catalog.newest()
    return {
        "changed": False,
        "healthy": not found,
        "problems": [problem.to_dict() for problem in found],
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
    run_module(ARGUMENTS, look)


if __name__ == "__main__":
    main()
