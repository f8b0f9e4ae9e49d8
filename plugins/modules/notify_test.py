#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module notify_test."""

from __future__ import annotations

DOCUMENTATION = r"""
module: notify_test
short_description: Send a test message through each channel of a watch
version_added: 1.1.0
description:
  - Sends one test message through each channel of an installation's watch (C(postgres_backup_watch)), from a Job like
    those of the watch. It uses the same image, Secrets and NetworkPolicy, and is deleted afterwards.
  - A dead man's switch gets a ping that does not change its state (C(/log) in the protocol of healthchecks.io), and a
    Pushgateway a group of series that is deleted again.
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module does not change anything in the cluster.
  idempotent:
    support: none
    details: Each call sends messages.
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Send a test message through each channel
  homelab.postgres_backup.notify_test:
    namespace: data
    name: postgres-backup
"""

RETURN = r"""
channels:
  description: What became of each message. In check mode and if the Job gave no result, the list is empty.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Name of the channel.
      type: str
    kind:
      description: Its kind, such as V(ntfy).
      type: str
    state:
      description: V(works) or V(failed).
      type: str
    error:
      description: Why it failed; null if it works. It contains no secret.
      type: str
duration_seconds:
  description: The time from the creation of the Job to its end, including the start of its pod.
  type: float
  returned: if the Job ended
log:
  description: The last lines of the log of the Job, without JSON.
  type: list
  elements: str
  returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.watch_run import run_watch_test, watch_of
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.job_outcome import (
    WATCH_TEST,
    outcome_of,
    outcome_of_error,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ClusterError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module, start_limits

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

EMPTY_RESULT: dict[str, Any] = {"changed": True, "channels": [], "log": []}


def send_tests(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    watch = watch_of(connection, cronjob)
    if module.check_mode:
        return {**EMPTY_RESULT, "msg": "a test message would be sent through each channel"}
    try:
        end = run_watch_test(connection, watch, start_limits(parameters))
    except ClusterError as error:
        outcome = outcome_of_error(error)
        return {**EMPTY_RESULT, "log": outcome.log, **outcome.failure()}
    outcome = outcome_of(WATCH_TEST, end)
    for warning in outcome.warnings:
        module.warn(warning)
    channels = (end.result or {}).get("channels") or []
    ended = {"channels": channels, "log": outcome.log, "duration_seconds": end.duration_seconds}
    return {**EMPTY_RESULT, **ended, **outcome.failure()}


def main() -> None:
    run_module({}, send_tests)


if __name__ == "__main__":
    main()
