#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module restore_drill; what is asked of its Job is in module_utils/_jobs/drill_job.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Rehearse the restore of a backup
version_added: 1.0.0
description:
  - Restores a backup into a throwaway PostgreSQL in a Job's pod, straight from the volume, which it has read-only. It
    stops at the first error, counts the rows of every table, compares them, and disappears.
  - The pod has the backup's image, no credentials of the live server, and its data in an emptyDir. The role's
    NetworkPolicy cuts it off from the network, where the cluster's network plugin heeds it.
  - Without O(contents) the rows counted are compared with those that COPY and INSERT reported.
  - Roles, their passwords and the databases' settings are restored too; in the pod, and nowhere else.
options:
  backup:
    description:
      - The backup's name, such as V(postgres-backup-2026-11-22-020000.sql.gz).
      - Without it the newest complete one.
    type: str
  contents:
    description:
      - What the dump holds, as M(homelab.postgres_backup.backup_fetch) with C(verify=true) and
        M(homelab.postgres_backup.backup_verify) return it. Every database and every table must be there, with as many
        rows, and no others.
      - A table that belongs to an extension may hold more rows than the dump, or not be in it.
      - A partition tree that the dump loads through its root is compared as a whole, since its rows may be in other
        partitions of the restored server.
    type: dict
  sha256:
    description:
      - The sha256 that the backup must have. With another one, nothing is restored.
      - With it O(contents) are known to be of this very backup, and tell where its databases lie - they are restored
        side by side then, on as many processors as there are.
    type: str
  size_limit:
    description:
      - How much room the throwaway server may take, as a Kubernetes quantity such as V(10Gi). A database takes a
        multiple of its backup.
    type: str
    default: 10Gi
  in_memory:
    description:
      - Keep the data in memory (an emptyDir of the medium C(Memory)). It counts against the memory limit of the
        CronJob's container.
    type: bool
    default: false
  settings:
    description:
      - PostgreSQL settings for the throwaway server, such as C(shared_preload_libraries) where an extension needs it.
    type: dict
    default: {}
  superuser:
    description:
      - Name of the bootstrap superuser of the server that was dumped. The backup says it; only that of another hand
        does not, where the dump has several superusers.
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
    details: Nothing is restored; a reader of the volume tells which backup would be rehearsed.
  diff_mode:
    support: N/A
    details: Changes nothing.
  idempotent:
    support: full
seealso:
  - module: homelab.postgres_backup.backup_fetch
  - module: homelab.postgres_backup.backup_verify
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Does the newest backup restore?
  homelab.postgres_backup.restore_drill:
    namespace: data
    name: postgres-backup

- name: Bring the newest backup here and read it
  homelab.postgres_backup.backup_fetch:
    dest: /srv/backups/
    verify: true
  register: fetched

- name: Restore that very backup, and compare every table
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
  description: The backup that was rehearsed, or in check mode would be; null when it is not known.
  type: str
  returned: always
sha256:
  description: Its sha256; null when it is not known.
  type: str
  returned: always
server_version:
  description: The throwaway server's version.
  type: str
  returned: always
  sample: "18.1"
databases:
  description: What was restored.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: The database.
      type: str
    tables:
      description: How many tables it has.
      type: int
    rows:
      description: How many rows were counted in them.
      type: int
    copied_rows:
      description: How many rows COPY and INSERT reported.
      type: int
tables:
  description: How many tables there are in all databases.
  type: int
  returned: always
rows:
  description: How many rows were counted in them.
  type: int
  returned: always
seconds:
  description: How long each step took.
  type: dict
  returned: always
  sample: {prepare: 0, initdb: 1, globals: 0, restore: 9, count: 1}
duration_seconds:
  description: From the Job's creation to its end, the start of its pod included.
  type: float
  returned: when the Job came to its end
compared:
  description: Whether what was restored was compared with O(contents).
  type: bool
  returned: always
failures:
  description: Every difference from O(contents).
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: What it is about - V(databases), V(tables) or V(rows).
      type: str
    message:
      description: What was expected and what was found.
      type: str
warnings:
  description: What the drill warns of.
  type: list
  elements: str
  returned: when there are any
log:
  description: The drill's log for people; its last 200 lines, or the last 12 where the module fails.
  type: list
  elements: str
  returned: always
"""

import contextlib
import secrets
import time
from dataclasses import replace
from typing import Any

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
    is_report_line,
    parse_report,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_templates import job_name
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import (
    DRILL,
    PREPARE,
    ReaderRequest,
    volume_job,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import Backup, parse_listing
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ClusterError, DrillError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.interruption import signals_raise
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    reader_settings,
    run_module,
    seconds,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.script import FILES

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
NOTHING: dict[str, Any] = {
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


def look(module: Any, connection: Connection, cronjob: dict[str, Any]) -> Backup:
    """The backup to rehearse, as the volume lists it; raises DrillError where there is none such."""
    request = ReaderRequest(directory=module.params["directory"])
    with Reader(connection, cronjob, request, reader_settings(module.params)) as reader:
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


def run(module: Any, connection: Connection, cronjob: dict[str, Any], request: DrillRequest) -> JobEnd:
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
    return [line for line in log if not is_report_line(line) and not line.startswith('{"state":')][-LOG_LINES:]


def judge(end: JobEnd, expected: Expected | None) -> dict[str, Any]:
    """The module's result; with `failed` and `msg` when the backup did not restore, or not as expected."""
    log, result = told(end.log), end.result or {}
    found = {
        **NOTHING,
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


def drill(module: Any, connection: Connection) -> dict[str, Any]:
    """The module's result; what it started in the cluster goes also when a signal ends it."""
    with signals_raise():
        return rehearse(module, connection)


def rehearse(module: Any, connection: Connection) -> dict[str, Any]:
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
            return {**NOTHING, **known}
        request = replace(request, backup=backup.name)
        if expected is not None:
            request = replace(request, sections=sections(parameters["contents"]))
    request = replace(request, node=node_of_volume(connection, cronjob, parameters["directory"]))
    began = time.monotonic()
    try:
        end = run(module, connection, cronjob, request)
    except ClusterError as error:
        log = told(error.partial) if isinstance(error.partial, tuple) else []
        return {**NOTHING, "failed": True, "msg": str(error), "check": error.check, "log": log}
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
