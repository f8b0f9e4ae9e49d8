#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_copy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy
short_description: Copy the backups of an installation to its other places now
version_added: 1.1.0
description:
  - Starts a Job from each CronJob of the copies (C(postgres_backup_copies)), or waits for one that is in progress, and
    returns what became of each place. There is one CronJob for the places that are reached over the network, and one
    for each place that is mounted. A Job uses the image, the Secrets and the NetworkPolicy of its CronJob.
  - A window of a place applies to these Jobs, too. If the module is interrupted, they continue.
  - A place that cannot be mounted fails after O(startup_timeout), and its Job is deleted. The others are copied to.
  - A CronJob of the copies that somebody has deleted is a warning. So is a place to which the Jobs have not copied,
    such as one that was added after a Job in progress had begun.
options:
  places:
    description:
      - Names of the places to copy to. By default, all.
      - If a Job is in progress that copies to only some of them, the module fails.
    type: list
    elements: str
    default: []
  wait:
    description:
      - Whether to wait for the end of the Jobs.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait, such as V(12h). A Job that has not ended then continues.
    type: str
    default: 12h
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    details: No Job is started.
  diff_mode:
    support: N/A
    details: The module does not change any object in the cluster.
  idempotent:
    support: partial
    details: Each call starts Jobs. A place that has all copies is not changed.
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Copy the backups to all places
  homelab.postgres_backup.backup_copy:

- name: Copy the backups to one place, and do not wait
  homelab.postgres_backup.backup_copy:
    namespace: data
    name: postgres-backup
    places: [cloud]
    wait: false
"""

RETURN = r"""
job:
  description:
    - The Job that the module created or waited for; in check mode, the one that it would have. The first of RV(jobs).
  type: str
  returned: always
jobs:
  description: All such Jobs. The first one is that of the places that are reached over the network, if it is needed.
  type: list
  elements: str
  returned: always
attached:
  description: Whether the Jobs were already in progress.
  type: bool
  returned: always
state:
  description: V(succeeded) or V(failed); null if a Job gave no result, in check mode, and if O(wait) is false.
  type: str
  returned: always
reason:
  description: Why it failed; null if it succeeded.
  type: str
  returned: always
places:
  description:
    - What became of each place. Those of a Job that gave no result are missing, unless it mounts the place. Empty in
      check mode, and if O(wait) is false.
    - C(state) is V(copied), V(nothing_to_do), V(outside_window) or V(failed), with C(error) as the reason.
    - C(copied) and C(deleted) are the names of backups, C(bytes) is how many were copied.
  type: list
  elements: dict
  returned: always
  sample:
    - name: cloud
      kind: s3
      state: copied
      copied: [postgres-backup-2026-11-22-020000.sql.gz]
      deleted: []
      bytes: 1048576
      seconds: 3.2
      error: null
duration_seconds:
  description: The time from the creation of the Jobs, or from finding them, to the end of the last one.
  type: float
  returned: if a Job ended
log:
  description: The last lines of the logs of the Jobs, without JSON.
  type: list
  elements: str
  returned: always
"""

import contextlib
import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.copy_run import (
    chosen_copies,
    copies_of_installation,
    copying,
    copying_in_progress,
    follow_copying,
    merged,
    without_result,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_templates import job_name
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.copy_health import missing_cronjob
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    run_module,
    seconds,
    start_limits,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "places": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "str", "default": "12h"},
}
EMPTY_RESULT: dict[str, Any] = {"state": None, "reason": None, "places": [], "log": []}


def copy(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` and `msg` if a place failed."""
    parameters = module.params
    timeout, limits, places = seconds(parameters, "wait_timeout"), start_limits(parameters), parameters["places"]
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    cronjobs = copies_of_installation(connection, cronjob)
    for missing in [] if places else cronjobs.missing:
        module.warn(missing_cronjob(missing))
    chosen = chosen_copies(cronjobs, places)
    running = [copying_in_progress(connection, copies, own) for copies, own in chosen]
    token = f"{datetime.now(timezone.utc):%Y%m%d%H%M%S}-{secrets.token_hex(2)}"
    names = [
        name or job_name(copies["metadata"]["name"], "manual", token) for name, (copies, _own) in zip(running, chosen)
    ]
    result = {**EMPTY_RESULT, "changed": True, "job": names[0], "jobs": names, "attached": all(running)}
    if module.check_mode:
        return result
    started = [
        (copies, copying(connection, copies, name, own, attach=attach is not None, followed=parameters["wait"]))
        for name, attach, (copies, own) in zip(names, running, chosen)
    ]
    if not parameters["wait"]:
        with contextlib.ExitStack() as stack:
            for _copies, job in started:
                stack.enter_context(job)
            return result
    end = merged(follow_copying(started, timeout, limits))
    for warning in end.outcome.warnings:
        module.warn(warning)
    known = {key: end.result[key] for key in ("state", "reason", "places") if end.result.get(key) is not None}
    if end.seconds is not None:
        known["duration_seconds"] = end.seconds
    if end.outcome.message is None:
        unknown = without_result(chosen, end.places)
        if unknown and end.result.get("places") is not None:
            module.warn(
                f"the Job has not copied to {', '.join(unknown)}: it began before a place was changed, or another Job "
                "copies to it at this time. Copy again when that has ended"
            )
        known["changed"] = any(place.get("copied") or place.get("deleted") for place in known.get("places", []))
    return {**result, **known, "log": end.outcome.log, **end.outcome.failure()}


def main() -> None:
    run_module(ARGUMENTS, copy)


if __name__ == "__main__":
    main()
