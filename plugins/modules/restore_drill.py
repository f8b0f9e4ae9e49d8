#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module restore_drill; what is asked of its Job is in module_utils/_jobs/drill_job.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Restore a backup into a temporary server and compare row counts
version_added: 1.0.0
description:
  - Restores a backup into a temporary server in the pod of a Job, directly from the volume, which is mounted read-only.
    The drill stops at the first error. It counts the rows of every table and compares them, then the Job is deleted.
  - The pod uses the image of the CronJob, has no credentials of the live server, and stores its data in an emptyDir.
    The NetworkPolicy of the role isolates it from the network, if the cluster's network plugin enforces it.
  - Without O(contents), the rows are compared with the numbers that COPY and INSERT reported.
  - Roles, their passwords and the settings of databases are restored too, but only in the pod.
options:
  backup:
    description:
      - The name of the backup, such as V(postgres-backup-2026-11-22-020000.sql.gz).
      - By default, the newest complete backup is used.
    type: str
  contents:
    description:
      - The contents of the dump, as returned by M(homelab.postgres_backup.backup_fetch) with C(verify=true) or by
        M(homelab.postgres_backup.backup_verify). The restored server must have exactly these databases and tables, with
        the same numbers of rows.
      - A table that belongs to an extension may have more rows than the dump contains, or may not be in the dump.
      - For a partition tree that the dump loads through its root, the total number of rows is compared, since the rows
        may be in other partitions of the restored server.
    type: dict
  sha256:
    description:
      - The sha256 that the backup must have. If it differs, nothing is restored.
      - With this option, O(contents) is known to belong to this backup, and its offsets of the databases can be used.
        The databases are then restored in parallel on all available processors.
    type: str
  size_limit:
    description:
      - How much disk space the temporary server may use, as a Kubernetes quantity such as V(10Gi). A database is
        several times as large as its compressed backup.
    type: str
    default: 10Gi
  in_memory:
    description:
      - Whether to keep the data in memory (an emptyDir of the medium C(Memory)). It counts against the memory limit of
        the container.
    type: bool
    default: false
  settings:
    description:
      - PostgreSQL settings of the temporary server, such as C(shared_preload_libraries) if an extension needs it.
    type: dict
    default: {}
  superuser:
    description:
      - Name of the bootstrap superuser of the server that was dumped. Only needed for backups not created by this
        collection whose dump contains several superusers.
    type: str
  timeout:
    description:
      - How long the drill may take, such as V(90m) or V(6h); at most V(23h).
    type: str
    default: 6h
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: partial
    details: Nothing is restored. A reader of the volume determines which backup would be restored.
  diff_mode:
    support: N/A
    details: The module does not change anything outside its own pod.
  idempotent:
    support: full
seealso:
  - module: homelab.postgres_backup.backup_fetch
  - module: homelab.postgres_backup.backup_verify
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Run a restore drill of the newest backup
  homelab.postgres_backup.restore_drill:
    namespace: data
    name: postgres-backup

- name: Fetch and verify the newest backup
  homelab.postgres_backup.backup_fetch:
    dest: /srv/backups/
    verify: true
  register: fetched

- name: Run a restore drill of this backup, and compare every table
  homelab.postgres_backup.restore_drill:
    backup: "{{ fetched.backup }}"
    sha256: "{{ fetched.sha256 }}"
    contents: "{{ fetched.contents }}"
    size_limit: 40Gi
    settings:
      shared_preload_libraries: timescaledb
"""

RETURN = r"""
backup:
  description: The backup that was restored, or in check mode, that would be restored; null if it is not known.
  type: str
  returned: always
sha256:
  description: The sha256 of the backup; null if it is not known.
  type: str
  returned: always
server_version:
  description: The version of the temporary server.
  type: str
  returned: always
  sample: "18.1"
databases:
  description: The restored databases.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: The name of the database.
      type: str
    tables:
      description: Number of tables.
      type: int
    rows:
      description: Number of rows that were counted in all tables.
      type: int
    copied_rows:
      description: Number of rows that COPY and INSERT reported.
      type: int
tables:
  description: Number of tables in all databases.
  type: int
  returned: always
rows:
  description: Number of rows that were counted in all databases.
  type: int
  returned: always
seconds:
  description: How long each step took.
  type: dict
  returned: always
  sample: {prepare: 0, initdb: 1, globals: 0, restore: 9, count: 1}
duration_seconds:
  description: The time from the creation of the Job to its end, including the start of its pod.
  type: float
  returned: if the Job ended
compared:
  description: Whether the restored data was compared with O(contents).
  type: bool
  returned: always
failures:
  description: All differences from O(contents).
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: The subject of the comparison - V(databases), V(tables) or V(rows).
      type: str
    message:
      description: The expected and the actual value.
      type: str
warnings:
  description: Warnings of the drill.
  type: list
  elements: str
  returned: if there are any
log:
  description: The last 200 lines of the log of the drill, without JSON. If the module fails, the last 12 lines.
  type: list
  elements: str
  returned: always
"""

import contextlib
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.job_run import JobEnd, JobRun
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import Reader, node_of_volume
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.drill_job import (
    START_SECONDS,
    DrillRequest,
    drill_work,
    failure_reason,
    sections,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.drill_report import (
    Expected,
    compare,
    parse_report,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_templates import job_name
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import (
    DRILL,
    PREPARE,
    ReaderRequest,
    volume_job,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._script.drill import FILES
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import Backup, parse_listing
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ClusterError, DrillError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.interruption import signals_raise
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    run_module,
    seconds,
    start_limits,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.script_output import log_lines

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "backup": {"type": "str"},
    "contents": {"type": "dict"},
    "sha256": {"type": "str"},
    "size_limit": {"type": "str", "default": "10Gi"},
    "in_memory": {"type": "bool", "default": False},
    "settings": {"type": "dict", "default": {}},
    "superuser": {"type": "str"},
    "timeout": {"type": "str", "default": "6h"},
}
LOG_LINES = 200
EMPTY_RESULT: dict[str, Any] = {
    "changed": False,
    "backup": None,
    "sha256": None,
    "server_version": None,
    "databases": [],
    "tables": 0,
    "rows": 0,
    "seconds": {},
    "compared": False,
    "failures": [],
    "log": [],
}


def look(module: AnsibleModule, connection: Connection, cronjob: dict[str, Any]) -> Backup:
    """The backup to rehearse, as the volume lists it; raises DrillError where there is none such."""
    request = ReaderRequest(directory=module.params["directory"])
    with Reader(connection, cronjob, request, start_limits(module.params)) as reader:
        catalog = parse_listing(reader.listing())
    name, sha256 = module.params["backup"], module.params["sha256"]
    chosen = catalog.named(name) if name else catalog.newest()
    if chosen is None:
        there = ", ".join(backup.name for backup in catalog.backups[:10]) or "none"
        raise DrillError(f"expected {name or 'a complete backup'} on the volume, found of backups: {there}")
    if sha256 is not None and sha256.lower() != chosen.sha256:
        raise DrillError(
            f"sha256: expected {chosen.name} to have {sha256.lower()}, found {chosen.sha256 or 'no sidecar'}. Nothing "
            "was restored. Fetch it again, and look who changed the volume"
        )
    return chosen


def run(module: AnsibleModule, connection: Connection, cronjob: dict[str, Any], request: DrillRequest) -> JobEnd:
    """The drill's Job from its beginning to its removal; raises ClusterError, its log as `partial`."""
    parameters = module.params
    name = job_name(parameters["name"], DRILL, secrets.token_hex(3))
    job = volume_job(cronjob, name, FILES, drill_work(request, name))
    try:
        connection.create_job(job)
        follower = JobRun(connection, parameters["namespace"], name, PREPARE, DRILL)
        limit = seconds(parameters, "timeout") + START_SECONDS + 60
        try:
            return follower.wait(limit, seconds(parameters, "stuck_timeout"), last_word=True)
        except ClusterError as error:
            error.partial = follower.log
            raise
    finally:
        # It ends by itself too: a cluster that is gone now must not hide what happened before.
        with contextlib.suppress(ClusterError):
            connection.delete_job(parameters["namespace"], name)


def told(log: tuple[str, ...]) -> list[str]:
    """The log's last lines for people."""
    return log_lines(log)[-LOG_LINES:]


def judge(end: JobEnd, expected: Expected | None) -> dict[str, Any]:
    """The module's result; with `failed` and `msg` when the backup did not restore, or not as expected."""
    log, result = told(end.log), end.result or {}
    found = {
        **EMPTY_RESULT,
        "log": log,
        "backup": result.get("backup"),
        "sha256": result.get("sha256"),
        "server_version": result.get("server_version"),
        "seconds": result.get("seconds") or {},
        **({"warnings": result["warnings"]} if result.get("warnings") else {}),
    }
    if end.state != "Complete" and result.get("state") != "succeeded":
        reason = failure_reason(end.state, end.reason, end.result, end.killed)
        tail = "\n".join(log[-12:])
        of = f" of {found['backup']}" if found["backup"] else ""
        message = f"the restore{of} failed: {reason}" + (f"\nIts log ended:\n{tail}" if tail else "")
        return {**found, "failed": True, "check": "drill", "msg": message}
    if not result:
        raise DrillError("the drill ended well, but nothing was heard of its result: its log was lost. Run it again")
    report = parse_report(end.log, result.get("tables"))
    found |= {
        "databases": [database.to_dict() for database in report.databases],
        "tables": report.tables,
        "rows": report.rows,
    }
    if expected is not None:
        failures = compare(report, expected)
        found |= {"compared": True, "failures": [failure.to_dict() for failure in failures]}
        if failures:
            text = "\n".join(failure.message for failure in failures)
            found |= {"failed": True, "check": "drill", "msg": f"the backup restores to something else:\n{text}"}
    return found


def drill(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result; what it started in the cluster goes also when a signal ends it."""
    with signals_raise():
        return rehearse(module, connection)


def rehearse(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The same without regard to signals."""
    parameters = module.params
    expected = Expected.parse(parameters["contents"]) if parameters["contents"] is not None else None
    names = ("backup", "size_limit", "in_memory", "settings", "superuser", "timeout", "directory")
    request = DrillRequest(**{name: parameters[name] for name in names})
    drill_work(request, "")  # what is wrong with the options is said before anything is started
    seconds(parameters, "stuck_timeout")
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    if module.check_mode or parameters["sha256"] is not None:
        backup = look(module, connection, cronjob)
        if module.check_mode:
            known = {"backup": backup.name, "sha256": backup.sha256, "msg": f"{backup.name} would be rehearsed"}
            return {**EMPTY_RESULT, **known}
        request = replace(request, backup=backup.name)
        if expected is not None:
            request = replace(request, sections=sections(parameters["contents"]))
    request = replace(request, node=node_of_volume(connection, cronjob, parameters["directory"]))
    began = time.monotonic()
    try:
        end = run(module, connection, cronjob, request)
    except ClusterError as error:
        log = told(error.partial) if isinstance(error.partial, tuple) else []
        return {**EMPTY_RESULT, "failed": True, "msg": str(error), "check": error.check, "log": log}
    found = {**judge(end, expected), "duration_seconds": round(time.monotonic() - began, 3)}
    wanted = (parameters["sha256"] or "").lower()
    if wanted and found["sha256"] not in {None, wanted}:
        message = f"sha256: expected {wanted}, found that a backup of {found['sha256']} was restored"
        return {**found, "failed": True, "check": "drill", "msg": message}
    return found


def main() -> None:
    run_module(ARGUMENTS, drill)


if __name__ == "__main__":
    main()
