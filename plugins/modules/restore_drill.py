#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module restore_drill; its Job is in _cluster/drill_run.py and _jobs/drill_job.py in module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Restore a backup into a temporary server and compare row counts
version_added: 1.0.0
description:
  - Restores a backup into a temporary server in the pod of a Job, directly from the volume, which is mounted read-only.
    It counts the rows of every table and compares them, then the Job is deleted. Nothing of the backup passes through
    the machine that runs Ansible.
  - A backup with a manifest is restored database by database, as many in parallel as there are processors.
  - The drill does not stop at an error; it returns all of them. If a database restores only with a C(search_path),
    the drill finds that out and reports it. What needs a network, such as a materialized view over a foreign table, is
    left out and reported.
  - C(shared_preload_libraries) and other settings that known extensions need are set by themselves.
  - The pod uses the image of the CronJob, has no credentials of the live server, and stores its data in an emptyDir.
    The NetworkPolicy of the role isolates it from the network, if the cluster's network plugin enforces it.
  - Without O(contents), the rows are compared with the numbers that COPY and INSERT reported, of a backup with a
    manifest table by table.
  - Roles, their passwords and the settings of databases are restored too, but only in the pod.
  - With O(place), the file of the volume is restored after the copy was read completely, and found to have the same
    content. The module has changed something if the volume did not have the backup.
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
        The databases of a backup without a manifest are then restored in parallel on all available processors.
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
      - PostgreSQL settings of the temporary server, such as C(shared_preload_libraries) if an extension needs it. They
        replace those that the drill sets for known extensions.
    type: dict
    default: {}
  image:
    description:
      - The image of the temporary server, instead of the CronJob's, such as that of a newer version of PostgreSQL. It
        needs the programs of a PostgreSQL server, a shell, and gzip, pigz or igzip.
    type: str
    version_added: 1.1.0
  search_path:
    description:
      - For databases by their name, the C(search_path) with which they are restored, instead of the empty one of dumps.
      - Without it, the drill tries the database's own setting, or C(public) and the schemas of its extensions, if an
        error may be due to the empty one.
    type: dict
    default: {}
    version_added: 1.1.0
  before_sql:
    description:
      - For databases by their name, SQL to run before their objects are restored, for extensions that need it.
    type: dict
    default: {}
    version_added: 1.1.0
  after_sql:
    description:
      - For databases by their name, SQL to run after their objects were restored, in the same transaction.
    type: dict
    default: {}
    version_added: 1.1.0
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
  - homelab.postgres_backup.place
  - kubernetes.core.k8s_auth_options
  - homelab.postgres_backup.identity
attributes:
  check_mode:
    support: partial
    details: Nothing is restored. A reader of the volume determines which backup would be restored.
  diff_mode:
    support: N/A
    details: The module does not change anything outside its own pod, except that O(place) brings a backup back.
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

- name: Check that the backup restores into a newer version of PostgreSQL
  homelab.postgres_backup.restore_drill:
    namespace: data
    name: postgres-backup
    image: postgres:19
    search_path:
      netbox: public
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
missing_databases:
  description: Databases that the run could not dump, so that an incomplete backup does not contain them. The drill
    succeeds if all others restore.
  type: list
  elements: str
  returned: always
  version_added: 1.1.0
tables:
  description: Number of tables in all databases.
  type: int
  returned: always
rows:
  description: Number of rows that were counted in all databases.
  type: int
  returned: always
errors:
  description: The errors of PostgreSQL, at most 50, causes first, without values of rows. The message of the failure
    has the number of all.
  type: list
  elements: dict
  returned: always
  version_added: 1.1.0
  contains:
    number:
      description: Counts from 1.
      type: int
    database:
      description: The database; null for the roles and other globals.
      type: str
    object:
      description: What could not be restored, such as C(index public.i); null if it is not known.
      type: str
    sqlstate:
      description: The error code of PostgreSQL; null for an error of psql.
      type: str
    message:
      description: The error.
      type: str
    advice:
      description: What can be done about it.
      type: str
    follows:
      description: The number of the error from which this one follows; null if it is a cause.
      type: int
needs:
  description: Databases that restored only with a C(search_path). A restore into the live server needs it, too.
  type: list
  elements: dict
  returned: always
  version_added: 1.1.0
  contains:
    database:
      description: The name of the database.
      type: str
    search_path:
      description: The C(search_path) with which it restored.
      type: str
    object:
      description: The first object that could not be restored without it.
      type: str
    cure:
      description: What to change in the live database so that it is not needed.
      type: str
left_out:
  description: What the temporary server could not restore without a network, which is not a failure.
  type: list
  elements: dict
  returned: always
  version_added: 1.1.0
  contains:
    database:
      description: The name of the database.
      type: str
    object:
      description: What was left out, such as C(materialized view public.m).
      type: str
    reason:
      description: The error of PostgreSQL.
      type: str
extensions:
  description: The extensions of each database, if the backup has a manifest.
  type: list
  elements: dict
  returned: always
  version_added: 1.1.0
  contains:
    database:
      description: The name of the database.
      type: str
    name:
      description: The name of the extension.
      type: str
    version:
      description: Its version in the live server; null if it is not known.
      type: str
    image_version:
      description: Its default version in the image; null if the image lacks it.
      type: str
settings:
  description: The settings that the drill added for these extensions, each as C(name = value).
  type: list
  elements: str
  returned: always
  version_added: 1.1.0
upgrade:
  description:
    - With O(image), what an upgrade to its version may change in addition to RV(errors), for the filter
      P(homelab.postgres_backup.upgrade_verdict#filter). Null without O(image).
    - C(live_version) is the version of the server that was dumped, C(dump_seconds) how long its dump took.
      C(reserved_roles) are not in the dump, because their names are reserved. C(unknown_settings) and
      C(missing_libraries) are in the configuration of the live server, and the image does not have them.
    - C(collations) are those whose C(version) in the live server differs from the C(image_version). C(functions) call
      functions of PostgreSQL that the image does not have. In the databases C(public_schema), only the owner may create
      objects in the schema C(public) after the upgrade.
  type: dict
  returned: always
  version_added: 1.1.0
  sample:
    live_version: "15.14"
    dump_seconds: 14.0
    reserved_roles: []
    unknown_settings: [promote_trigger_file]
    missing_libraries: []
    collations:
      - {database: shop, name: default, provider: libc, version: "2.36", image_version: "2.41"}
    functions: []
    public_schema: []
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

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.drill_run import find_backup, run_drill
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.drill_job import (
    DrillRequest,
    drill_work,
    sections,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.drill_report import (
    Expected,
    compare,
    describe_errors,
    parse_errors,
    parse_report,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_outcome import (
    DRILL,
    JobEnd,
    JobOutcome,
    outcome_of,
    outcome_of_error,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.upgrade_facts import upgrade_facts
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ClusterError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.identity_support import (
    IDENTITY_ARGUMENTS,
    identity_for_drill,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    run_module,
    seconds,
    start_limits,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.place_support import PLACE_ARGUMENTS, backup_for

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
    "image": {"type": "str"},
    "search_path": {"type": "dict", "default": {}},
    "before_sql": {"type": "dict", "default": {}},
    "after_sql": {"type": "dict", "default": {}},
    "timeout": {"type": "str", "default": "6h"},
    **IDENTITY_ARGUMENTS,
    **PLACE_ARGUMENTS,
}
REQUEST_OPTIONS = (
    *("backup", "size_limit", "in_memory", "settings", "superuser", "timeout", "directory", "image"),
    *("search_path", "before_sql", "after_sql"),
)
# Lists of the script's result that the module returns as they are.
_LISTS = ("needs", "left_out", "extensions", "settings")
EMPTY_RESULT: dict[str, Any] = {
    "changed": False,
    "backup": None,
    "sha256": None,
    "server_version": None,
    "databases": [],
    "missing_databases": [],
    "tables": 0,
    "rows": 0,
    "errors": [],
    **{name: [] for name in _LISTS},
    "upgrade": None,
    "seconds": {},
    "compared": False,
    "failures": [],
    "log": [],
}


def to_result(outcome: JobOutcome, end: JobEnd, expected: Expected | None) -> dict[str, Any]:
    """The module's result; with `failed` and `msg` if the backup did not restore, or not as expected."""
    script_result = end.result or {}
    result = {
        **EMPTY_RESULT,
        "log": outcome.log,
        "backup": script_result.get("backup"),
        "sha256": script_result.get("sha256"),
        "server_version": script_result.get("server_version"),
        "missing_databases": script_result.get("missing_databases") or (list(expected.missing) if expected else []),
        "errors": parse_errors(end.log),
        **{name: script_result.get(name) or [] for name in _LISTS},
        "upgrade": upgrade_facts(end.log),
        "seconds": script_result.get("seconds") or {},
        "duration_seconds": end.duration_seconds,
        **({"warnings": script_result["warnings"]} if script_result.get("warnings") else {}),
        **outcome.failure(),
    }
    if outcome.message is not None:
        if result["errors"]:
            total = max(len(result["errors"]), int(script_result.get("errors") or 0))
            result["msg"] += f"\nAll causes:\n{describe_errors(result['errors'], total)}"
        return result
    report = parse_report(end.log, script_result.get("tables"))
    result |= {
        "databases": [database.to_dict() for database in report.databases],
        "tables": report.tables,
        "rows": report.rows,
    }
    if expected is not None:
        failures = compare(report, expected)
        result |= {"compared": True, "failures": [failure.to_dict() for failure in failures]}
        if failures:
            text = "\n".join(failure.message for failure in failures)
            result |= JobOutcome([], f"the restored data does not match the dump:\n{text}", DRILL.check).failure()
    return result


def drill(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    expected = Expected.parse(parameters["contents"]) if parameters["contents"] is not None else None
    request = DrillRequest(**{name: parameters[name] for name in REQUEST_OPTIONS})
    drill_work(request, "")  # wrong options are reported before anything is started
    timeout, limits, sha256 = seconds(parameters, "timeout"), start_limits(parameters), parameters["sha256"]
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    request = replace(request, identity=identity_for_drill(parameters, cronjob))
    wanted = backup_for(module, connection, cronjob, reads_copy=True)
    request = replace(request, backup=wanted.name)
    if module.check_mode or sha256 is not None:
        options = {"name": request.backup, "sha256": sha256, "directory": parameters["directory"]}
        backup = find_backup(connection, cronjob, limits=limits, **options)
        if module.check_mode:
            message = f"a restore drill of {backup.name} would be run"
            return {**EMPTY_RESULT, "backup": backup.name, "sha256": backup.sha256, "msg": message}
        request = replace(request, backup=backup.name)
        if expected is not None:
            request = replace(request, sections=sections(parameters["contents"]))
    try:
        end = run_drill(connection, cronjob, request, timeout_seconds=timeout, startup_seconds=limits.startup_seconds)
    except ClusterError as error:
        outcome = outcome_of_error(error)
        return {**EMPTY_RESULT, "log": outcome.log, **outcome.failure()}
    outcome = outcome_of(DRILL, end)
    for warning in outcome.warnings:
        module.warn(warning)
    result = {**to_result(outcome, end, expected), "changed": wanted.changed}
    if sha256 is not None and result["sha256"] not in {None, sha256.lower()}:
        message = f"sha256: expected {sha256.lower()}, but a backup with {result['sha256']} was restored"
        result |= JobOutcome([], message, DRILL.check).failure()
    return result


def main() -> None:
    run_module(ARGUMENTS, drill)


if __name__ == "__main__":
    main()
