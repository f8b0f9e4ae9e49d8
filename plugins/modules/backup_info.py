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
  history:
    description:
      - Whether to return the RV(history) of the installation. It can have 10,000 entries.
    type: bool
    default: false
    version_added: 1.1.0
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

- name: Fail if the database shop is in no backup of the last two days
  ansible.builtin.assert:
    that: backups.databases | selectattr('name', 'eq', 'shop') | rejectattr('age_seconds', 'none')
      | selectattr('age_seconds', 'lt', 2 * 86400) | length == 1
"""

RETURN = r"""
namespace:
  description: Namespace of the CronJob.
  type: str
  returned: always
  version_added: 1.1.0
name:
  description: Name of the CronJob.
  type: str
  returned: always
  version_added: 1.1.0
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
      description: The subject of the problem - V(backup), V(age), V(size), V(incomplete), V(last_run), V(drill),
        V(databases), V(schedule), V(watch), V(copy), V(image), V(script), V(space), V(server), V(unchecked),
        V(damaged) or V(future).
      type: str
    message:
      description: The expected and the actual value, and what to do.
      type: str
backups:
  description:
    - All backups on the volume with their retention verdicts, newest first. C(future) is whether the time in the name
      of the backup is in the future.
    - The C(state) is V(complete), V(incomplete) (at least one database could not be dumped), V(unchecked) or
      V(damaged).
    - C(encrypted) is whether it was encrypted to recipients. Only an identity of one of them shows what is in it.
    - C(manifest) is whether the backup has a manifest. From it are C(dumped), the databases in the backup, C(missing),
      those that could not be dumped, and C(left_out), whether databases, tables, rows or something else were left out
      on request. They are null for a backup without a manifest, such as one of version 1.0.
    - C(copies) are the names of RV(places) with a proven copy of exactly this backup.
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
      manifest: true
      dumped: [postgres, shop]
      missing: []
      left_out: false
      encrypted: false
      copies: [cloud]
databases:
  description:
    - All databases that the manifests of the backups name, each with the newest backup that contains it. A database
      that was dropped is listed as long as a backup contains it.
    - C(newest), C(created) and C(age_seconds) are null if no backup contains the database. C(missing) is whether the
      run of the newest backup could not dump it.
  type: list
  elements: dict
  returned: always
  version_added: 1.1.0
  sample:
    - name: shop
      newest: postgres-backup-2026-11-22-020000.sql.gz
      created: "2026-11-22T02:00:00Z"
      age_seconds: 3600
      missing: false
    - name: sick
      newest: postgres-backup-2026-11-20-020000.sql.gz
      created: "2026-11-20T02:00:00Z"
      age_seconds: 176400
      missing: true
newest:
  description: The newest complete backup; null if there is none.
  type: dict
  returned: always
last_run:
  description:
    - Result of the last run; null if no run has recorded one.
    - If databases could not be dumped, C(backup_state) is V(incomplete), and C(failed_databases) has their names with
      the error and advice. C(excluded_databases) were left out on request.
    - C(signal) is the signal that ended it, such as V(TERM); null if none did.
    - The size of its backup is C(size_bytes). Its old name C(bytes) is deprecated and will be removed in version 1.2.0.
  type: dict
  returned: always
last_drill:
  description:
    - Result of the last scheduled restore drill; null if there was none.
    - If drills are scheduled, RV(healthy) requires that the last one succeeded, and that each drill that was due
      recorded a result. Otherwise a failed drill is a problem only as long as its backup is the newest one.
    - C(errors) is how many errors the server reported, and C(error_list) has the first ten, as returned by
      M(homelab.postgres_backup.restore_drill). C(needs) are databases that can only be restored with a C(search_path),
      and C(left_out) is what cannot be restored in a pod without network. Both are in RV(notes), too.
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
    errors: 0
    error_list: []
    needs: []
    left_out: []
last_watch:
  description:
    - Record of the last look of the watch (C(postgres_backup_watch)); null if there was none. C(state) is V(healthy) or
      V(unhealthy), C(since) the time of the last change, and C(problems) are those that it has found twice, each with a
      C(command).
    - C(channels) are its channels with the C(state) V(works), V(failed) or V(untried), and C(waiting) is how many
      messages a channel has not accepted yet. C(digest) is when the last digest was due.
    - If there is a watch, RV(healthy) requires that it has looked in the last three of its intervals, and that its
      channels work.
  type: dict
  returned: always
  version_added: 1.1.0
  sample:
    format: 1
    time: "2026-11-22T03:00:00Z"
    state: healthy
    since: "2026-11-01T03:00:00Z"
    problems: []
    channels:
      - name: phone
        kind: ntfy
        state: works
        error: null
        since: null
        last_success: "2026-11-22T03:00:00Z"
    waiting: 0
    digest: "2026-11-22T03:00:00Z"
    days_until_full: 953.7
places:
  description:
    - The places of the copies (C(postgres_backup_copies)), each with what its record on the volume contains. Empty
      without copies.
    - C(state) is V(copied), V(nothing_to_do), V(outside_window) or V(failed), V(copying) during an attempt or if it was
      killed, and null if the place has no record. With V(failed), C(error) is the reason, and C(failing_since) the time
      of the first of the failures in succession. With V(outside_window) and V(copying), these are those of the last
      attempt that ended in the window, and null if it did not fail.
    - C(copies) is how many proven copies it has, C(newest) the newest one, and C(size_bytes) the size of all.
    - C(is_moved) is whether its location, such as the bucket, was changed, and no Job of the copies has listed the
      files at the new one yet. Then nothing is known of its copies, and none counts.
    - C(is_behind) is whether it lacks the newest complete backup that is older than its C(max_delay), and every newer
      one. This is a problem, as are findings about copies.
  type: list
  elements: dict
  returned: always
  version_added: 1.1.0
  sample:
    - name: cloud
      kind: s3
      offsite: true
      state: copied
      error: null
      failing_since: null
      last_success: "2026-11-22T02:30:20Z"
      newest: postgres-backup-2026-11-22-020000.sql.gz
      copies: 7
      size_bytes: 7340032
      is_moved: false
      is_behind: false
keys:
  description:
    - The recipients of encrypted backups (C(postgres_backup_recipients)). Empty without encryption.
    - C(since) is when a run first encrypted to it, C(opened) when its identity last opened a backup, which is
      C(backup), and C(by) how - V(drill) or V(restore). They are null if it never has.
    - C(current) is whether the last run encrypted to it, and C(overdue) whether its identity has not opened a backup
      for longer than C(postgres_backup_key_rehearsal). This is a problem.
  type: list
  elements: dict
  returned: always
  version_added: 1.1.0
  sample:
    - recipient: age1…
      since: "2026-08-01T02:00:07Z"
      opened: "2026-11-22T04:01:12Z"
      backup: postgres-backup-2026-11-22-020000.sql.gz.age
      by: drill
      current: true
      overdue: false
three_two_one:
  description:
    - Whether the newest complete backup follows the rule 3-2-1; null without copies. C(holds) requires three C(copies)
      (the live data, the volume, and a place), on two C(storages) (the volume, and a place on another server), of which
      at least one is C(offsite). If it does not hold, C(reason) is why.
    - It does not hold between a run and the next Job of the copies. This is not a problem.
  type: dict
  returned: always
  version_added: 1.1.0
  sample:
    holds: true
    copies: 3
    storages: 2
    offsite: true
    reason: null
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
  description: The retention policy of the CronJob. C(max_deletions) is how many backups retention may delete at once.
  type: dict
  returned: always
worst_gap:
  description:
    - The longest time between the starts of two successful runs that ended in the last 30 days, or lasts until now
      (C(end) is null then); null if the history of the installation has no successful run.
    - C(expected_seconds) is the longest interval of the schedule. A gap that is more than 1.5 times as long is reported
      in RV(notes). It is not a problem, since nothing can be done about it afterwards.
  type: dict
  returned: always
  version_added: 1.1.0
  sample:
    seconds: 172800
    start: "2026-11-10T02:00:00Z"
    end: "2026-11-12T02:00:00Z"
    expected_seconds: 86400
growth:
  description:
    - How fast the volume fills, from the history of the last 30 days with a run; null if there are fewer than 7.
      Whatever else is written to the volume counts, too. Single days, and steps such as those of a volume that was
      cleaned or resized, do not.
    - C(bytes_per_day) is negative if the free space grows. C(days_until_full) is null if the volume does not fill. It
      is a problem (V(space)) if it is less than 7 days.
  type: dict
  returned: always
  version_added: 1.1.0
  sample:
    bytes_per_day: 1048576
    days_until_full: 953.7
history:
  description:
    - All runs, scheduled restore drills, and prunes that deleted something, oldest first, as far as the volume has
      them. Unknown values are null.
    - C(operation) is V(run), V(drill), V(prune) or V(restore). The C(state) is V(succeeded), V(failed) or
      V(interrupted). C(backup_state) is that of the backup which a run created. C(seconds) is the duration,
      C(free_bytes) and C(volume_bytes) are the state of the volume afterwards, C(deleted) is how many backups were
      deleted. C(tables) and C(rows) were counted by a drill.
  type: list
  elements: dict
  returned: if O(history=true)
  version_added: 1.1.0
  sample:
    - operation: run
      started: "2026-11-22T02:00:00Z"
      finished: "2026-11-22T02:00:12Z"
      state: succeeded
      backup: postgres-backup-2026-11-22-020000.sql.gz
      backup_state: complete
      size_bytes: 1048576
      uncompressed_bytes: 5242880
      seconds: 12
      free_bytes: 1000000000000
      volume_bytes: 4000000000000
      deleted: 1
      tables: null
      rows: null
      job: postgres-backup-29401560
      reason: null
notes:
  description: Checks that were skipped because the user lacks permissions, and what is not a problem, such as databases
    that are in only one of the newest two backups, or that the last drill restored only with a C(search_path).
  type: list
  elements: str
  returned: always
"""

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.copies import (
    copy_cronjobs,
    copy_schedules,
    storage_of,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.installation import (
    component_cronjob,
    continuing_job,
    drill_cronjob,
    installation,
    run_as_it_ended,
    schedule,
    volume,
    watch_schedule,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import Reader
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_templates import backup_mount
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import (
    WATCH,
    ReaderRequest,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.schedules import longest_interval
from ansible_collections.homelab.postgres_backup.plugins.module_utils._script.version import VERSION
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import parse_listing
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.copy_health import (
    copies_of,
    place_results,
    places_of,
    three_two_one,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.health import databases, notes, problems
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.history import GAP_WINDOW
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    duration,
    run_module,
    start_limits,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {"max_age": {"type": "str", "default": "26h"}, "history": {"type": "bool", "default": False}}


def info(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    max_age = duration(parameters, "max_age")
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    request = ReaderRequest(("list", "--history"), directory=parameters["directory"])
    with Reader(connection, cronjob, request, start_limits(parameters)) as reader:
        catalog = parse_listing(reader.listing())
    catalog = replace(catalog, last_run=run_as_it_ended(connection, parameters["namespace"], catalog.last_run))
    mount = backup_mount(cronjob, parameters["directory"])
    drill, drill_notes = drill_cronjob(connection, cronjob)
    state, state_notes = installation(connection, cronjob, parameters["directory"], drill)
    now = datetime.now(timezone.utc)
    interval = longest_interval(cronjob["spec"]["schedule"], now, GAP_WINDOW)
    watch, watch_notes = component_cronjob(connection, cronjob, WATCH)
    watching = watch_schedule(watch, longest_interval(watch["spec"]["schedule"], now, GAP_WINDOW)) if watch else None
    continuing = continuing_job(connection, cronjob, mount.container["name"], interval)
    cronjobs = copy_cronjobs(connection, cronjob)
    copies, copy_notes = copy_schedules(connection, cronjobs, lambda text: longest_interval(text, now, GAP_WINDOW))
    state = replace(state, continuing_job=continuing, watch=watching, copies=copies)
    disk, disk_notes = volume(connection, mount, parameters["namespace"], catalog.source)
    gap, growth = catalog.trend.gap(interval), catalog.trend.growth
    failures = problems(state, catalog, now, max_age, VERSION, growth=growth)
    newest, places = catalog.newest(), places_of(copies, catalog)
    history = {"history": [entry.to_dict() for entry in catalog.history]} if parameters["history"] else {}
    return {
        "changed": False,
        "namespace": parameters["namespace"],
        "name": parameters["name"],
        "healthy": not failures,
        "problems": [failure.to_dict() for failure in failures],
        "backups": [{**backup.to_dict(now), "copies": copies_of(backup, places)} for backup in catalog.backups],
        "databases": databases(catalog, now),
        "newest": newest.to_dict(now) if newest else None,
        "last_run": catalog.last_run,
        "last_drill": catalog.last_drill,
        "last_watch": catalog.last_watch,
        "places": place_results(copies, catalog, now),
        "keys": [key.to_dict(now) for key in catalog.keys],
        "three_two_one": three_two_one(copies, catalog, storage_of(disk)),
        "drill_schedule": schedule(drill) if drill is not None else None,
        "schedule": schedule(cronjob),
        "volume": {**disk, "size_bytes": catalog.size_bytes, "free_bytes": catalog.free_bytes},
        "policy": catalog.policy,
        "worst_gap": gap.to_dict() if gap else None,
        "growth": growth.to_dict() if growth else None,
        **history,
        "notes": [*drill_notes, *watch_notes, *copy_notes, *state_notes, *disk_notes, *notes(catalog, gap, state)],
    }


def main() -> None:
    run_module(ARGUMENTS, info)


if __name__ == "__main__":
    main()
