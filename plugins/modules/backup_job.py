#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_job; the run itself is followed in module_utils/_cluster/job_run.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_job
short_description: Make sure that a good backup exists
version_added: 1.0.0
description:
  - Runs a CronJob's backup now, as C(kubectl create job --from=cronjob/…) does, and waits for it.
  - With O(max_age), does nothing when the newest complete backup is younger.
  - Attaches to a run in progress, scheduled or manual, instead of starting a second one. A Job that was made from the
    CronJob with other arguments, such as one that lists the volume, is not a run.
  - Where the CronJob runs this collection's script, only the run's own result counts as success. Of any other CronJob
    nothing is known but that its Job is complete; the module warns, and RV(proven) is false.
  - Where the pod waits for something that may pass by itself, such as a node, the volume's server or a registry that is
    away, the module waits until O(wait_timeout), and the Job goes on after that. Where somebody has to act, such as for
    a missing Secret, the Job that the module made is deleted after O(stuck_timeout).
options:
  max_age:
    description:
      - How old the newest complete backup may be for nothing to be done, such as V(26h) or V(7d).
      - Without it a backup is made in every case.
    type: str
  wait:
    description:
      - Whether to wait for the run's end.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait; the run goes on when it is over.
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
    details: What is made is a backup, whose content is not known before.
  idempotent:
    support: partial
    details: With O(max_age).
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: A backup now
  homelab.postgres_backup.backup_job:

- name: A backup from the last day, before an upgrade
  homelab.postgres_backup.backup_job:
    namespace: data
    name: postgres-backup
    max_age: 24h
"""

RETURN = r"""
job:
  description: The Job that was made or attached to; null when none was needed.
  type: str
  returned: always
attached:
  description: Whether it was in progress already.
  type: bool
  returned: always
newest:
  description: The backup that was new enough; null when O(max_age) was not given or a run was needed.
  type: dict
  returned: always
result:
  description:
    - What the run said of itself - its state, the backup's name, size and sha256, seconds per step, and the reason
      when it failed. Null for a CronJob that does not run this collection's script, and when O(wait) is false. Where
      the module fails, only the fields that have a value.
  type: dict
  returned: always
  sample:
    state: succeeded
    backup: postgres-backup-2026-11-22-020000.sql.gz
    bytes: 1048576
    uncompressed_bytes: 10485760
    sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
proven:
  description:
    - Whether the backup is known to be good - by the run's own result, or because RV(newest) is complete.
    - The Job of a CronJob that does not run this collection's script proves nothing.
  type: bool
  returned: always
log:
  description: The run's log, all attempts; its last 200 lines, or the last 12 without JSON where the module fails.
  type: list
  elements: str
  returned: always
"""

import contextlib
import secrets
from datetime import datetime, timezone
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.job_run import JobEnd, JobRun
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import Reader
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_templates import (
    backup_mount,
    is_ours,
    is_run,
    job_name,
    manual_job,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.pod_diagnosis import has_succeeded, job_end
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import ReaderRequest
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import Catalog, parse_listing
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import (
    BackupError,
    ClusterError,
    StuckError,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    duration,
    reader_settings,
    run_module,
    seconds,
)

ARGUMENTS = {
    "max_age": {"type": "str"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "7h"},
}
LOG_LINES = 200
NOTHING: dict[str, Any] = {"job": None, "attached": False, "newest": None, "result": None, "proven": False, "log": []}


def in_progress(connection: Connection, cronjob: dict[str, Any], container: str) -> str | None:
    """The oldest unfinished run of the CronJob; `container` is the one that makes the backup."""
    namespace = cronjob["metadata"]["namespace"]
    found = [
        job
        for job in connection.jobs(namespace)
        if any(owner["uid"] == cronjob["metadata"]["uid"] for owner in job["metadata"].get("ownerReferences", []))
        and job_end(job) is None
        and "deletionTimestamp" not in job["metadata"]
        and not job["spec"].get("suspend")
        and is_run(job, cronjob, container)
    ]
    found.sort(key=lambda job: job["metadata"]["creationTimestamp"])
    names = (str(job["metadata"]["name"]) for job in found)
    return next((name for name in names if not is_over(connection, cronjob, name, container)), None)


def is_over(connection: Connection, cronjob: dict[str, Any], job: str, container: str) -> bool:
    """Whether the script has ended well and the Job goes on for another container of its pod."""
    if not is_ours(cronjob):
        return False
    pods = connection.pods_of_job(cronjob["metadata"]["namespace"], job)
    return any(has_succeeded(pod, container) for pod in pods)


def read_catalog(module: Any, connection: Connection, cronjob: dict[str, Any]) -> Catalog:
    request = ReaderRequest(directory=module.params["directory"])
    with Reader(connection, cronjob, request, reader_settings(module.params)) as reader:
        return parse_listing(reader.listing())


def follow(
    module: Any, connection: Connection, cronjob: dict[str, Any], job: str, container: str, *, is_own: bool
) -> dict[str, Any]:
    """The rest of the result once the Job has ended; `failed` and `msg` when it did not end well."""
    parameters = module.params
    namespace = parameters["namespace"]
    run = JobRun(connection, namespace, job, container)
    try:
        end = run.wait(seconds(parameters, "wait_timeout"), seconds(parameters, "stuck_timeout"), patient=True)
    except ClusterError as error:
        message = str(error)
        if isinstance(error, StuckError) and is_own:
            with contextlib.suppress(ClusterError):
                connection.delete_job(namespace, job)
                message += ". The Job that was made for this run is deleted"
        elif isinstance(error, StuckError):
            message += f". This Job was there before. To give it up: kubectl delete job {job} -n {namespace}"
        return {"failed": True, "msg": message, "check": error.check, "log": [*run.log[-LOG_LINES:]]}
    result, look = end.result, ""
    if is_ours(cronjob):
        result, look = own_result(module, connection, cronjob, job, result)
    found: dict[str, Any] = {"result": result, "log": [*end.log[-LOG_LINES:]]}
    if end.beside:
        module.warn(
            f"the backup is made, and the Job '{namespace}/{job}' goes on until its deadline: expected its pod to end "
            f"with the backup, found that the container {', '.join(end.beside)} does not. Keep it out of the CronJob's "
            "pods, or let it end with them"
        )
    if (result or {}).get("state") == "succeeded":
        if end.state == "Failed":
            module.warn(f"the backup is made, although its Job '{namespace}/{job}' failed afterwards: {end.reason}")
        return {**found, "proven": True}
    if end.state == "Complete" and not is_ours(cronjob):
        module.warn(
            f"the Job '{namespace}/{job}' is complete, which is all that is known: its CronJob does not run this "
            "collection's script. Verify what it made (backup_fetch with verify)"
        )
        return found
    message = unproven(namespace, job, look) if end.state == "Complete" else failure(namespace, job, end, result)
    return {**found, "failed": True, "msg": message}


def own_result(
    module: Any, connection: Connection, cronjob: dict[str, Any], job: str, heard: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, str]:
    """The run's result, which names its Job, and what was found where it is not known."""
    if heard is not None and heard.get("job") in {None, job}:
        return heard, ""
    # The Job, or its pod, was gone before it could be heard: the volume knows, where it can be read.
    try:
        last = read_catalog(module, connection, cronjob).last_run
    except BackupError as error:
        return None, f"the volume could not be read: {error}"
    if last is not None and last.get("job") == job:
        return last, f"in last-run.json on the volume that it is {last.get('state')}"
    of = f"that of {last.get('job') or 'a run without a Job'}" if last is not None else "none"
    return None, f"in last-run.json on the volume {of}"


def unproven(namespace: str, job: str, look: str) -> str:
    return (
        f"the Job '{namespace}/{job}' is complete, but nothing shows that it made a backup: expected its run's result, "
        f"found none in its log and its termination message, and {look}. Look at what there is (backup_info), or run "
        "it again"
    )


def failure(namespace: str, job: str, end: JobEnd, result: dict[str, Any] | None) -> str:
    tail = "\n".join(line for line in end.log[-12:] if not line.startswith("{"))
    reason = (result or {}).get("reason") or "the run left no reason"
    # The first one of a volume that takes no word, such as a read-only one, is not known.
    last = (result or {}).get("last_reason")
    if last and last != reason:
        reason += f". The last attempt: {last}"
    if end.killed:
        reason += f". Kubernetes ended its pod: {end.killed}"
    return (
        f"the backup failed: expected the Job '{namespace}/{job}' to complete, found {end.state.lower()} "
        f"({end.reason}). Reason: {reason}" + (f"\nIts log ended:\n{tail}" if tail else "")
    )


def young_enough(module: Any, connection: Connection, cronjob: dict[str, Any]) -> dict[str, Any] | None:
    """The newest complete backup when it is younger than max_age."""
    if not module.params["max_age"]:
        return None
    max_age = duration(module.params, "max_age")
    newest = read_catalog(module, connection, cronjob).newest()
    now = datetime.now(timezone.utc)
    return newest.to_dict(now) if newest is not None and now - newest.created <= max_age else None


def ensure(module: Any, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    for name in ("max_age", "wait_timeout", "stuck_timeout"):
        if parameters[name]:
            seconds(parameters, name)
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    container = backup_mount(cronjob, parameters["directory"]).container["name"]
    before = in_progress(connection, cronjob, container) if parameters["max_age"] else None
    newest = young_enough(module, connection, cronjob)
    job = in_progress(connection, cronjob, container)
    if newest is None and before is not None and job != before:
        # It ended while the volume was read.
        newest = young_enough(module, connection, cronjob)
    if newest is not None:
        return {**NOTHING, "changed": False, "newest": newest, "proven": True}
    attached = job is not None
    if job is None:
        token = f"{datetime.now(timezone.utc):%Y%m%d%H%M%S}-{secrets.token_hex(2)}"
        job = job_name(parameters["name"], "manual", token)
        if not module.check_mode:
            connection.create_job(manual_job(cronjob, job))
    found = {**NOTHING, "changed": True, "job": job, "attached": attached}
    if parameters["wait"] and not module.check_mode:
        found.update(follow(module, connection, cronjob, job, container, is_own=not attached))
    return found


def main() -> None:
    run_module(ARGUMENTS, ensure)


if __name__ == "__main__":
    main()
